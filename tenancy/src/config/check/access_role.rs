//! Validation of `[access_role]`: the grammar of IAM, and limits on the rights of `freehold-access`. The size of the
//! whole role is validated by the worker, which has the template of the baseline.
//!
//! `freehold-access` is exempt from the region guardrail. An Allow statement must therefore not let it change its own
//! permissions, become another role, or leave the account.

use super::Problems;
use crate::config::{Config, Statement, Texts};

/// Services of which no action may be allowed: they act on the organisation, on the account as a whole, on other
/// accounts, or on the access of people.
const FORBIDDEN_SERVICES: [&str; 10] = [
    "account",
    "aws-portal",
    "billing",
    "controltower",
    "identitystore",
    "organizations",
    "sso",
    "sso-directory",
    "sso-oauth",
    "sts",
];

/// Resources of IAM to which actions of IAM may be allowed. The names exclude the roles of Freehold and that of the
/// organisation.
const IAM_RESOURCES: [&str; 4] =
    ["role/freehold-tenant-", "policy/freehold-tenant-", "instance-profile/freehold-tenant-", "role/aws-service-role/"];

/// Variables of CloudFormation that a text may contain.
const VARIABLES: [&str; 2] = ["AccountId", "Partition"];

/// Condition operators of IAM, without the prefix `ForAllValues:` or `ForAnyValue:` and the suffix `IfExists`.
const CONDITION_OPERATORS: [&str; 27] = [
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "BinaryEquals",
    "Bool",
    "DateEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateNotEquals",
    "IpAddress",
    "NotIpAddress",
    "Null",
    "NumericEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericNotEquals",
    "StringEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
];

/// Returns whether no action of a service, such as `sts`, may be allowed to `freehold-access`.
pub fn is_forbidden_service(service: &str) -> bool {
    FORBIDDEN_SERVICES.contains(&service)
}

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let statements = &config.access_role.statements;
    problems.check_unique("access_role.statements.Sid", statements.iter().filter_map(|one| one.sid.as_deref()));
    for (number, statement) in (1..).zip(statements) {
        let field = format!("access_role.statements.[{number}]");
        grammar(&field, statement, problems);
        if statement.effect == "Allow" {
            limits(&field, statement, problems);
        }
    }
}

fn grammar(field: &str, statement: &Statement, problems: &mut Problems) {
    if !matches!(statement.effect.as_str(), "Allow" | "Deny") {
        problems.add(format_args!("{field}.Effect"), "must be Allow or Deny");
    }
    if let Some(sid) = &statement.sid
        && (sid.is_empty() || !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    {
        problems.add(format_args!("{field}.Sid"), "must contain only letters and digits");
    }
    if statement.action.is_some() == statement.not_action.is_some() {
        problems.add(field, "must have either Action or NotAction");
    }
    if statement.resource.is_some() == statement.not_resource.is_some() {
        problems.add(field, "must have either Resource or NotResource");
    }
    for (name, texts) in [("Action", &statement.action), ("NotAction", &statement.not_action)] {
        each(&format!("{field}.{name}"), texts.as_ref(), problems, |action| {
            (!is_action(action)).then_some("must be an action, such as sqs:CreateQueue or sqs:*")
        });
    }
    for (name, texts) in [("Resource", &statement.resource), ("NotResource", &statement.not_resource)] {
        each(&format!("{field}.{name}"), texts.as_ref(), problems, |resource| {
            (!is_resource(resource)).then_some("must be * or an ARN, such as arn:aws:sqs:*:*:freehold-*")
        });
    }
    for (operator, keys) in &statement.condition {
        let field = format!("{field}.Condition.{operator}");
        let name = operator.split_once(':').map_or(operator.as_str(), |(prefix, name)| {
            if matches!(prefix, "ForAllValues" | "ForAnyValue") { name } else { operator }
        });
        if !CONDITION_OPERATORS.contains(&name.strip_suffix("IfExists").unwrap_or(name)) {
            problems.add(&field, "must be a condition operator of IAM, such as StringEquals");
        }
        if keys.is_empty() {
            problems.add(&field, "must have at least one key");
        }
        for (key, values) in keys {
            if !key.contains(':') {
                problems.add(format_args!("{field}.{key}"), "must be a condition key, such as aws:ResourceTag/team");
            }
            each(&format!("{field}.{key}"), Some(values), problems, |_| None);
        }
    }
}

/// Adds a problem if the list is empty, and one for each text that breaks a rule or has an unknown variable.
fn each(field: &str, texts: Option<&Texts>, problems: &mut Problems, broken: impl Fn(&str) -> Option<&'static str>) {
    let Some(Texts(texts)) = texts else { return };
    if texts.is_empty() {
        problems.add(field, "must have at least one text");
    }
    for text in texts {
        if let Some(rule) = broken(text) {
            problems.add(field, format_args!("{rule}, not `{text}`"));
        } else if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            problems.add(field, "must contain only printable ASCII characters");
        } else if let Some(variable) = unknown_variable(text) {
            problems.add(
                field,
                format_args!(
                    "must contain only the variables ${{AWS::AccountId}} and ${{AWS::Partition}}, not {variable}"
                ),
            );
        }
    }
}

fn is_action(action: &str) -> bool {
    let Some((service, name)) = action.split_once(':') else { return action == "*" };
    let has_only =
        |text: &str, other: &[u8]| text.bytes().all(|one| one.is_ascii_alphanumeric() || other.contains(&one));
    !service.is_empty() && !name.is_empty() && has_only(service, b"-") && has_only(name, b"*?")
}

/// Replaces the variables of CloudFormation, which contain colons, so that an ARN can be split into its parts.
fn without_variables(arn: &str) -> String {
    VARIABLES.iter().fold(arn.to_owned(), |arn, name| arn.replace(&format!("${{AWS::{name}}}"), "x"))
}

fn is_resource(resource: &str) -> bool {
    let resource = without_variables(resource);
    resource == "*" || (resource.starts_with("arn:") && resource.splitn(6, ':').skip(5).any(|rest| !rest.is_empty()))
}

/// Returns the first variable of CloudFormation in a text that the baseline does not resolve. Other variables, such as
/// `${aws:PrincipalTag/team}`, belong to IAM.
fn unknown_variable(text: &str) -> Option<&str> {
    text.match_indices("${AWS::").map(|(at, _)| &text[at..]).find_map(|variable| {
        let end = variable.find('}').map_or(variable.len(), |end| end + 1);
        let is_known = VARIABLES.iter().any(|known| variable[..end] == format!("${{AWS::{known}}}"));
        (!is_known).then(|| &variable[..end])
    })
}

/// Refuses an Allow statement that would give `freehold-access` control of itself, of other roles or of the account.
fn limits(field: &str, statement: &Statement, problems: &mut Problems) {
    if statement.not_action.is_some() {
        problems.add(
            format_args!("{field}.NotAction"),
            "must be replaced by Action, because an Allow with NotAction also allows actions that AWS adds later",
        );
    }
    let mut has_iam = false;
    for action in statement.action.iter().flat_map(|Texts(actions)| actions) {
        let service = action.split(':').next().unwrap_or_default().to_ascii_lowercase();
        has_iam |= service == "iam";
        if action == "*" {
            problems
                .add(format_args!("{field}.Action"), "must name a service, such as sqs:*, and not allow every action");
        } else if is_forbidden_service(&service) {
            problems.add(
                format_args!("{field}.Action"),
                format_args!("must not allow {action}, because freehold-access must stay within its account and role"),
            );
        }
    }
    let resources = statement.resource.iter().flat_map(|Texts(resources)| resources);
    if has_iam && (statement.not_resource.is_some() || !resources.into_iter().all(|one| is_own_iam_resource(one))) {
        problems.add(
            format_args!("{field}.Resource"),
            format_args!(
                "must start with one of {} (after arn:aws:iam::*:) where actions of iam are allowed, so that \
                 freehold-access cannot change the roles of Freehold or create users",
                IAM_RESOURCES.join(", ")
            ),
        );
    }
}

fn is_own_iam_resource(arn: &str) -> bool {
    let arn = without_variables(arn);
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next(), parts.nth(2).unwrap_or_default());
    service == Some("iam") && IAM_RESOURCES.iter().any(|prefix| resource.starts_with(prefix))
}
