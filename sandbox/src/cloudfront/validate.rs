//! Validation of distributions and origin access controls, with the refusals of CloudFront's API.

use std::collections::BTreeSet;

use super::config::FAILOVER_METHODS;
use super::{Behavior, CloudFront, DistributionConfig, Origin, OriginAccessControl, OriginGroup};

/// Quotas of an account (Amazon CloudFront quotas).
const MAX_DISTRIBUTIONS: usize = 500;
const MAX_ACCESS_CONTROLS: usize = 100;
const MAX_DISTRIBUTIONS_PER_ACCESS_CONTROL: usize = 100;
const MAX_GROUPS: usize = 10;

/// Statuses that can make CloudFront try the second origin of a group.
const FAILOVER_CODES: [u16; 8] = [400, 403, 404, 416, 500, 502, 503, 504];

const ALL_METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// Ids of the cache policies that AWS manages.
const CACHE_POLICIES: [&str; 7] = [
    "08627262-05a9-4f76-9ded-b50ca2e3a84f",
    "2e54312d-136d-493c-8eb9-b001f22f67d2",
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe",
    "658327ea-f89d-4fab-a63d-7e88639e58f6",
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65",
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d",
];

/// Ids of the origin request policies that AWS manages, and whether the origin gets the viewer's header Host.
const ORIGIN_REQUEST_POLICIES: [(&str, bool); 7] = [
    ("216adef6-5c7f-47e4-b989-5492eafa07d3", true),
    ("33f36d7e-f396-46d9-90e0-52428a34d9dc", true),
    ("59781a5b-3903-41f3-afcb-af62929ccde1", false),
    ("775133bc-15f2-49f9-abea-afb2e0bf67d2", false),
    ("88a5eaf4-2fd4-4709-b370-b4c650ea3fcf", false),
    ("acba4595-bd28-49b8-b9fe-13317c0390fa", false),
    ("b689b0a8-53d0-40ab-baf2-68738e2966ac", false),
];

/// Reason for which CloudFront refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Invalid(String),
    /// A quota of the account is used up.
    Limit(String),
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Invalid(message.into()))
}

/// Returns whether a behaviour sends the viewer's header Host to the origin. A function URL refuses it, because the
/// value is the host of the distribution.
pub(super) fn forwards_host(behavior: &Behavior) -> bool {
    let policy = behavior.origin_request_policy.as_deref();
    ORIGIN_REQUEST_POLICIES.iter().any(|(id, forwards)| policy == Some(*id) && *forwards)
}

/// Checks an origin access control of an account. `id` is its id, or `None` if it is new.
pub(crate) fn check_access_control(
    account: &CloudFront,
    id: Option<&str>,
    control: &OriginAccessControl,
) -> Result<(), Refusal> {
    if control.name.is_empty() || control.name.chars().count() > 64 {
        return invalid("The parameter Name must have from 1 to 64 characters.");
    }
    if control.description.chars().count() > 256 {
        return invalid("The parameter Description must have at most 256 characters.");
    }
    for (name, value, known) in [
        ("OriginAccessControlOriginType", &control.origin_type, &["lambda", "mediapackagev2", "mediastore", "s3"][..]),
        ("SigningBehavior", &control.signing_behavior, &["always", "never", "no-override"]),
        ("SigningProtocol", &control.signing_protocol, &["sigv4"]),
    ] {
        if !known.contains(&value.as_str()) {
            return invalid(format!("The parameter {name} must be one of [{}].", known.join(", ")));
        }
    }
    if id.is_none() && account.access_controls.len() >= MAX_ACCESS_CONTROLS {
        let message = "Processing your request would cause you to exceed the maximum number of origin access controls \
                       allowed.";
        return Err(Refusal::Limit(message.into()));
    }
    Ok(())
}

/// Checks the configuration of a distribution of an account. `id` is its id, or `None` if it is new.
pub(crate) fn check_distribution(
    account: &CloudFront,
    id: Option<&str>,
    config: &DistributionConfig,
) -> Result<(), Refusal> {
    if config.comment.chars().count() > 128 {
        return invalid("The parameter Comment must have at most 128 characters.");
    }
    let mut ids = BTreeSet::new();
    let group_ids = config.groups.iter().map(|group| &group.id);
    if config.origins.is_empty()
        || !config.origins.iter().map(|origin| &origin.id).chain(group_ids).all(|id| ids.insert(id))
    {
        return invalid("The parameter Origins must have at least one origin, and each Id must be unique.");
    }
    for origin in &config.origins {
        check_origin(account, origin)?;
    }
    if config.groups.len() > MAX_GROUPS {
        return Err(Refusal::Limit(
            "Your request contains more origin groups than are allowed per distribution.".into(),
        ));
    }
    config.groups.iter().try_for_each(|group| check_group(config, group))?;
    config.behaviors.iter().try_for_each(|behavior| check_behavior(config, behavior))?;
    check_quotas(account, id, config)
}

fn check_origin(account: &CloudFront, origin: &Origin) -> Result<(), Refusal> {
    for (name, value, maximum) in [
        ("ConnectionAttempts", origin.connection_attempts, 3),
        ("ConnectionTimeout", origin.connection_timeout, 10),
        ("OriginReadTimeout", origin.read_timeout, 120),
    ] {
        if !(1..=maximum).contains(&value) {
            return invalid(format!("The parameter {name} must be from 1 to {maximum}."));
        }
    }
    let domain = &origin.domain;
    if domain.is_empty() || domain.contains(['/', ':']) || !domain.contains('.') {
        return invalid("The parameter Origin DomainName does not refer to a valid domain name.");
    }
    match &origin.access_control {
        Some(id) if !account.access_controls.contains_key(id) => {
            invalid("The specified origin access control does not exist.")
        }
        _ => Ok(()),
    }
}

fn check_group(config: &DistributionConfig, group: &OriginGroup) -> Result<(), Refusal> {
    if group.members.len() != 2 || group.members[0] == group.members[1] {
        return invalid("The parameter Members must have two different origins.");
    }
    if group.members.iter().any(|member| config.origin(member).is_none()) {
        return invalid("One or more of your origins or origin groups do not exist.");
    }
    if group.codes.is_empty() || group.codes.iter().any(|code| !FAILOVER_CODES.contains(code)) {
        return invalid(format!("The parameter StatusCodes must have one or more of {FAILOVER_CODES:?}."));
    }
    Ok(())
}

fn check_behavior(config: &DistributionConfig, behavior: &Behavior) -> Result<(), Refusal> {
    let is_group = config.group(&behavior.target).is_some();
    if !is_group && config.origin(&behavior.target).is_none() {
        return invalid("One or more of your origins or origin groups do not exist.");
    }
    let methods: BTreeSet<&str> = behavior.methods.iter().map(String::as_str).collect();
    let is_set = |known: &[&str]| methods == known.iter().copied().collect();
    if !is_set(&["GET", "HEAD"]) && !is_set(&FAILOVER_METHODS) && !is_set(&ALL_METHODS) {
        return invalid(
            "The parameter AllowedMethods must be one of [GET, HEAD], [GET, HEAD, OPTIONS], [GET, HEAD, OPTIONS, PUT, \
             PATCH, POST, DELETE].",
        );
    }
    if is_group && is_set(&ALL_METHODS) {
        return invalid(
            "The parameter AllowedMethods cannot include POST, PUT, PATCH, or DELETE for a cached behavior associated \
             with an origin group.",
        );
    }
    match &behavior.cache_policy {
        None if !behavior.has_forwarded_values => return invalid("The parameter ForwardedValues is required."),
        Some(policy) if !CACHE_POLICIES.contains(&policy.as_str()) => {
            return invalid("The specified cache policy does not exist.");
        }
        _ => {}
    }
    match &behavior.origin_request_policy {
        Some(policy) if !ORIGIN_REQUEST_POLICIES.iter().any(|(id, _)| id == policy) => {
            invalid("The specified origin request policy does not exist.")
        }
        _ => Ok(()),
    }
}

fn check_quotas(account: &CloudFront, id: Option<&str>, config: &DistributionConfig) -> Result<(), Refusal> {
    let limit = |what: &str| {
        let message =
            format!("Processing your request would cause you to exceed the maximum number of {what} allowed.");
        Err(Refusal::Limit(message))
    };
    if id.is_none() && account.distributions.len() >= MAX_DISTRIBUTIONS {
        return limit("distributions");
    }
    let controls: BTreeSet<&str> =
        config.origins.iter().filter_map(|origin| origin.access_control.as_deref()).collect();
    let is_full = |control: &&str| account.users_of_access_control(control) >= MAX_DISTRIBUTIONS_PER_ACCESS_CONTROL;
    if id.is_none() && controls.iter().any(is_full) {
        return limit("distributions per origin access control");
    }
    Ok(())
}
