//! `AWS::CloudFront::Distribution` and `AWS::CloudFront::OriginAccessControl`.

use serde_json::Value;

use super::{PhysicalResource, ResourceContext, already_exists, handler_error};
use crate::cloudformation::Resource;
use crate::cloudfront::{
    CloudFront, Distribution, DistributionConfig, OriginAccessControl, Refusal, check_access_control,
    check_distribution, parse_access_control, parse_distribution,
};
use crate::world::State;
use crate::world::ids::{ALPHANUMERIC, UPPERCASE};

const DISTRIBUTION: &str = "AWS::CloudFront::Distribution";
const ACCESS_CONTROL: &str = "AWS::CloudFront::OriginAccessControl";

pub(super) fn create_access_control(
    state: &mut State,
    target: &ResourceContext<'_>,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    target.authorize(state, "cloudfront:CreateOriginAccessControl", &access_control_arn(target, "*"))?;
    let control = access_control(target, properties)?;
    let id = format!("E{}", state.ids.next(UPPERCASE, 13));
    let account = account(state, target);
    admit_access_control(account, None, &control)?;
    account.access_controls.insert(id.clone(), control);
    Ok(PhysicalResource::new(&id).with("Id", id))
}

pub(super) fn update_access_control(
    state: &mut State,
    target: &ResourceContext<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let id = before.physical_id.clone().unwrap_or_default();
    target.authorize(state, "cloudfront:UpdateOriginAccessControl", &access_control_arn(target, &id))?;
    let control = access_control(target, properties)?;
    let account = account(state, target);
    admit_access_control(account, Some(&id), &control)?;
    account.access_controls.insert(id, control);
    Ok(())
}

pub(super) fn delete_access_control(
    state: &mut State,
    target: &ResourceContext<'_>,
    resource: &Resource,
) -> Result<(), String> {
    let id = resource.physical_id.clone().unwrap_or_default();
    target.authorize(state, "cloudfront:DeleteOriginAccessControl", &access_control_arn(target, &id))?;
    let account = account(state, target);
    if account.users_of_access_control(&id) > 0 {
        let message = "Cannot delete the origin access control because it is being used by one or more distributions.";
        return Err(handler_error(message, "ResourceConflict"));
    }
    account.access_controls.remove(&id);
    Ok(())
}

pub(super) fn create_distribution(
    state: &mut State,
    target: &ResourceContext<'_>,
    properties: &Value,
) -> Result<PhysicalResource, String> {
    target.authorize(state, "cloudfront:CreateDistribution", &distribution_arn(target, "*"))?;
    authorize_tags(state, target, "*", properties)?;
    let config = distribution_config(target, properties)?;
    let id = format!("E{}", state.ids.next(UPPERCASE, 13));
    let label = format!("d{}", state.ids.next(ALPHANUMERIC, 13));
    let account = account(state, target);
    check_distribution(account, None, &config).map_err(|refusal| refused(DISTRIBUTION, refusal))?;
    let distribution = Distribution { id: id.clone(), label, config };
    let domain = distribution.domain_name();
    account.distributions.insert(id.clone(), distribution);
    Ok(PhysicalResource::new(&id).with("Id", id).with("DomainName", domain))
}

pub(super) fn update_distribution(
    state: &mut State,
    target: &ResourceContext<'_>,
    before: &Resource,
    properties: &Value,
) -> Result<(), String> {
    let id = before.physical_id.clone().unwrap_or_default();
    target.authorize(state, "cloudfront:UpdateDistribution", &distribution_arn(target, &id))?;
    if before.properties.get("Tags") != properties.get("Tags") {
        authorize_tags(state, target, &id, properties)?;
    }
    let config = distribution_config(target, properties)?;
    let account = account(state, target);
    check_distribution(account, Some(&id), &config).map_err(|refusal| refused(DISTRIBUTION, refusal))?;
    let Some(distribution) = account.distributions.get_mut(&id) else {
        return Err(handler_error("The specified distribution does not exist.", "NotFound"));
    };
    distribution.config = config;
    Ok(())
}

/// Deletes a distribution. CloudFormation disables it first.
pub(super) fn delete_distribution(
    state: &mut State,
    target: &ResourceContext<'_>,
    resource: &Resource,
) -> Result<(), String> {
    let id = resource.physical_id.clone().unwrap_or_default();
    for action in ["cloudfront:UpdateDistribution", "cloudfront:DeleteDistribution"] {
        target.authorize(state, action, &distribution_arn(target, &id))?;
    }
    account(state, target).distributions.remove(&id);
    Ok(())
}

fn authorize_tags(state: &State, target: &ResourceContext<'_>, id: &str, properties: &Value) -> Result<(), String> {
    match properties.get("Tags") {
        Some(_) => target.authorize(state, "cloudfront:TagResource", &distribution_arn(target, id)),
        None => Ok(()),
    }
}

/// Returns an error if AWS would refuse an origin access control. `id` is its id, or `None` if it is new.
fn admit_access_control(account: &CloudFront, id: Option<&str>, control: &OriginAccessControl) -> Result<(), String> {
    check_access_control(account, id, control).map_err(|refusal| refused(ACCESS_CONTROL, refusal))?;
    let mut others = account.access_controls.iter().filter(|(other, _)| id != Some(other.as_str()));
    if others.any(|(_, other)| other.name == control.name) {
        return Err(already_exists(ACCESS_CONTROL, &control.name));
    }
    Ok(())
}

fn access_control(target: &ResourceContext<'_>, properties: &Value) -> Result<OriginAccessControl, String> {
    let config = properties.get("OriginAccessControlConfig").unwrap_or(&Value::Null);
    parse_access_control(config).map_err(|problem| target.validation_error(&problem))
}

fn distribution_config(target: &ResourceContext<'_>, properties: &Value) -> Result<DistributionConfig, String> {
    let config = properties.get("DistributionConfig").unwrap_or(&Value::Null);
    parse_distribution(config).map_err(|problem| target.validation_error(&problem))
}

fn account<'a>(state: &'a mut State, target: &ResourceContext<'_>) -> &'a mut CloudFront {
    &mut state.caller_account(target.ctx).cloudfront
}

fn refused(kind: &str, refusal: Refusal) -> String {
    match refusal {
        Refusal::Invalid(message) => {
            handler_error(&format!("Invalid request provided: {kind}: {message}"), "InvalidRequest")
        }
        Refusal::Limit(message) => handler_error(&message, "ServiceLimitExceeded"),
    }
}

fn distribution_arn(target: &ResourceContext<'_>, id: &str) -> String {
    format!("arn:aws:cloudfront::{}:distribution/{id}", target.account())
}

fn access_control_arn(target: &ResourceContext<'_>, id: &str) -> String {
    format!("arn:aws:cloudfront::{}:origin-access-control/{id}", target.account())
}
