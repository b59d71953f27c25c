//! Options of a stack besides its definition: service role, timeout, notifications and allowed resource types.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::rules::constraint_error;
use super::stack::Stack;
use super::validation;
use crate::policy::ConditionKeys;
use crate::template::Template;
use crate::world::{AwsError, Ctx, Request, Session, State, permissions};

const SERVICE: &str = "cloudformation.amazonaws.com";

const MAX_NOTIFICATION_ARNS: usize = 5;

/// Options that CloudFormation remembers for the later operations of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StackOptions {
    /// Role with whose permissions CloudFormation changes resources; `None` for those of the caller.
    pub(super) role_arn: Option<String>,
    /// Topics of events. The sandbox sends no notifications.
    pub(super) notification_arns: Vec<String>,
    /// Longest duration of the creation; `None` for no limit.
    pub(super) timeout_minutes: Option<i32>,
}

impl StackOptions {
    /// Returns the options of a request. What the request does not contain is the same as in `previous`.
    pub(super) fn from_request(state: &State, ctx: &Ctx, request: &Request, previous: &Self) -> Result<Self, AwsError> {
        let param = |name: &str| request.params.get(name).filter(|value| !value.is_empty());
        if param("StackPolicyBody").is_some() || param("StackPolicyURL").is_some() {
            return Err(validation("The sandbox does not simulate stack policies."));
        }
        let role_arn = match param("RoleARN") {
            Some(arn) => Some(check_role(state, ctx, arn)?),
            None => previous.role_arn.clone(),
        };
        let timeout_minutes = match param("TimeoutInMinutes") {
            Some(minutes) => match minutes.parse::<i32>() {
                Ok(minutes) if minutes >= 1 => Some(minutes),
                _ => {
                    let rule = "Member must have value greater than or equal to 1";
                    return Err(constraint_error("timeoutInMinutes", minutes, rule));
                }
            },
            None => previous.timeout_minutes,
        };
        let given = list(request, "NotificationARNs");
        if given.len() > MAX_NOTIFICATION_ARNS {
            let rule = format!("Member must have length less than or equal to {MAX_NOTIFICATION_ARNS}");
            return Err(constraint_error("notificationARNs", "[…]", &rule));
        }
        if let Some(invalid) = given.iter().find(|arn| !arn.starts_with("arn:aws:sns:")) {
            return Err(validation(format!("Invalid SNS topic ARN: {invalid}")));
        }
        let keeps = given.is_empty() && !request.params.contains_key("NotificationARNs");
        let notification_arns = if keeps { previous.notification_arns.clone() } else { given };
        Ok(Self { role_arn, notification_arns, timeout_minutes })
    }

    pub(super) fn timeout(&self) -> Option<TimeDelta> {
        self.timeout_minutes.map(|minutes| TimeDelta::minutes(minutes.into()))
    }
}

/// Returns an error unless CloudFormation can assume a role and the caller may pass the role to it.
pub(super) fn check_role(state: &State, ctx: &Ctx, arn: &str) -> Result<String, AwsError> {
    let (account, _) = parse_role(arn).unwrap_or_default();
    if account != ctx.caller.account || !state.can_service_assume_role(arn, SERVICE) {
        return Err(validation(format!("Role {arn} is invalid or cannot be assumed")));
    }
    permissions::record_stack_action(&ctx.caller, "iam:PassRole");
    let keys = ConditionKeys::default().with("iam:PassedToService", SERVICE);
    state.authorize_with(ctx, "iam:PassRole", arn, keys)?;
    Ok(arn.to_owned())
}

/// Returns the session with which CloudFormation changes the resources of a stack.
pub(super) fn session(ctx: &Ctx, stack: &Stack) -> Option<Session> {
    let Some((account, role)) = stack.options.role_arn.as_deref().and_then(parse_role) else {
        return ctx.caller.session.clone();
    };
    Some(Session {
        account: account.to_owned(),
        arn: format!("arn:aws:sts::{account}:assumed-role/{role}/AWSCloudFormation"),
        user_id: format!("{role}:AWSCloudFormation"),
        role: Some(role.to_owned()),
        policy: None,
        managed_session_policies: Vec::new(),
        token: None,
        expires: None,
        uses_system_clock: false,
    })
}

/// Returns an error if the request allows only some resource types and the template has a resource of another type.
pub(super) fn check_allowed_types(request: &Request, template: &Template) -> Result<(), AwsError> {
    let allowed = list(request, "ResourceTypes");
    let is_allowed = |kind: &str| {
        allowed.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => kind == pattern,
        })
    };
    match template.resources.iter().find(|resource| !allowed.is_empty() && !is_allowed(&resource.kind)) {
        None => Ok(()),
        Some(resource) => Err(validation(format!(
            "Resource type {} is not allowed by parameter ResourceTypes [{}]",
            resource.kind,
            allowed.join(", ")
        ))),
    }
}

/// Returns whether a failed request deletes the resources that it has created, although the template retains them.
pub(super) fn retains_except_on_create(request: &Request) -> bool {
    request.params.get("RetainExceptOnCreate").is_some_and(|value| value == "true")
}

fn list(request: &Request, name: &str) -> Vec<String> {
    (1..).map_while(|at| request.params.get(&format!("{name}.member.{at}")).cloned()).collect()
}

/// Returns the account and the name of a role.
fn parse_role(arn: &str) -> Option<(&str, &str)> {
    let (account, path) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    Some((account, path.rsplit('/').next()?))
}
