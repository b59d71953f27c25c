//! The STS operation AssumeRole.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Map, Value};
use winterbaume_core::MockResponse;
use winterbaume_sts::wire;

use super::errors::{assume_role_denied, new_account_error, packed_policy_too_large, validation_error};
use crate::iam::Role;
use crate::organizations::Lifecycle;
use crate::policy::{AccessRequest, ConditionKeys, Decision, Document, PolicyKind, evaluate};
use crate::world::ids::{ALPHANUMERIC, UPPERCASE};
use crate::world::permissions::is_from_freehold;
use crate::world::shape::{InputMember, Shape, check, matching, optional, required, text};
use crate::world::{AwsError, Ctx, Request, Session, State};

/// Maximum session duration with role chaining, in seconds (IAM, "Role chaining"); also the default duration.
const MAX_CHAINED_SESSION_SECONDS: i32 = 3_600;
/// Maximum number of characters of a session policy.
const MAX_SESSION_POLICY_CHARACTERS: usize = 2_048;
/// Maximum number of managed policies that limit a session.
const MAX_MANAGED_SESSION_POLICIES: usize = 10;
/// Number of hours for which expired sessions are kept. Calls of these sessions fail with ExpiredToken.
const EXPIRED_SESSION_RETENTION_HOURS: i64 = 12;

/// Input constraints of AssumeRole, taken from the botocore service model `sts`.
const ASSUME_ROLE_INPUT: &[InputMember] = &[
    required("RoleArn", text(20, 2_048)),
    required("RoleSessionName", matching(2, 64, r"[\w+=,.@-]*")),
    optional("DurationSeconds", Shape::Number { min: 900, max: 43_200 }),
    optional("ExternalId", matching(2, 1_224, r"[\w+=,.@:\/-]*")),
    optional("Policy", text(1, usize::MAX)),
    optional("SourceIdentity", matching(2, 64, r"[\w+=,.@-]*")),
];

pub(super) fn assume_role(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let params = &request.params;
    let input: Map<String, Value> = params.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    check(ASSUME_ROLE_INPUT, &Value::Object(input)).map_err(|violation| validation_error(&violation, params))?;
    let input =
        wire::deserialize_assume_role_request(params).map_err(|message| AwsError::new("ValidationError", message))?;

    let (account, role) = parse_role_arn(&input.role_arn)
        .ok_or_else(|| AwsError::new("ValidationError", format!("{} is invalid", input.role_arn)))?;
    if let Some(error) = new_account_error(state, ctx, account, &input.role_arn) {
        return Err(error);
    }
    let external_id = input.external_id.as_deref();
    let role = authorized_role(state, ctx, account, role, &input.role_arn, external_id)?.clone();

    let seconds = input.duration_seconds.unwrap_or(MAX_CHAINED_SESSION_SECONDS);
    if ctx.caller.role().is_some() && seconds > MAX_CHAINED_SESSION_SECONDS {
        return Err(AwsError::new(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    if seconds > role.max_session_seconds {
        return Err(AwsError::new(
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let policy_size = input.policy.as_ref().map_or(0, |policy| policy.chars().count());
    let policy = input.policy.as_deref().map(parse_session_policy).transpose()?;
    let arns = input.policy_arns.map(|arns| arns.items).unwrap_or_default();
    let arns: Vec<String> = arns.into_iter().filter_map(|policy| policy.arn).collect();
    let packed_size = policy_size + arns.iter().map(String::len).sum::<usize>();
    let managed_session_policies = managed_session_policies(state, account, &arns)?;

    let name = input.role_session_name;
    let arn = format!("arn:aws:sts::{account}:assumed-role/{}/{name}", role.name);
    let user_id = format!("{}:{name}", role.id);
    let uses_system_clock = !is_from_freehold(request);
    let start = if uses_system_clock { ctx.system_time } else { ctx.now };
    let expires = start + TimeDelta::seconds(i64::from(seconds));
    let session = Session {
        account: account.to_owned(),
        arn: arn.clone(),
        user_id: user_id.clone(),
        role: Some(role.name),
        policy,
        managed_session_policies,
        token: Some(format!("SandboxToken{}", state.ids.next(ALPHANUMERIC, 160))),
        expires: Some(expires),
        uses_system_clock,
    };
    let key = format!("ASIA{}", state.ids.next(UPPERCASE, 16));
    let credentials = wire::Credentials {
        access_key_id: Some(key.clone()),
        expiration: Some(expires.to_rfc3339_opts(SecondsFormat::Secs, true)),
        secret_access_key: Some(state.ids.next(ALPHANUMERIC, 40)),
        session_token: session.token.clone(),
    };
    delete_expired_sessions(state, ctx);
    state.access_keys.insert(key, session);
    Ok(wire::serialize_assume_role_response(&wire::AssumeRoleResponse {
        assumed_role_user: Some(wire::AssumedRoleUser { arn: Some(arn), assumed_role_id: Some(user_id) }),
        credentials: Some(credentials),
        packed_policy_size: packed_policy_percent(packed_size),
        source_identity: input.source_identity,
    }))
}

/// Returns the role if the caller's own policies and the role's trust policy allow AssumeRole. The error for a role
/// or account that does not exist is the same as for a denied request.
fn authorized_role<'a>(
    state: &'a State,
    ctx: &Ctx,
    account: &str,
    role: &str,
    arn: &str,
    external_id: Option<&str>,
) -> Result<&'a Role, AwsError> {
    let member = state.organization.members.get(account);
    if member.is_none_or(|member| member.lifecycle != Lifecycle::Active) {
        return Err(assume_role_denied(ctx, arn));
    }
    let role = state.accounts.get(account).and_then(|account| account.roles.get(role));
    let role = role.filter(|role| role.arn == arn).ok_or_else(|| assume_role_denied(ctx, arn))?;

    let extra =
        external_id.map_or_else(ConditionKeys::default, |id| ConditionKeys::default().with("sts:ExternalId", id));
    let mut keys = state.condition_keys(ctx);
    keys.extend(extra.clone());
    let caller_role = ctx.caller.principal_arn();
    let principal = ctx.caller.as_principal(&caller_role);
    let access_request = AccessRequest { action: "sts:AssumeRole", resource: arn, principal, keys: &keys };
    if evaluate([&role.trust], &access_request) != Decision::Allow {
        return Err(assume_role_denied(ctx, arn));
    }
    // Within one account, a trust policy that names the caller itself is sufficient.
    let trusts_caller_directly = role.trust.statements().iter().any(|statement| {
        statement
            .principals
            .as_ref()
            .is_some_and(|principals| principals.lists_principal_arn(&ctx.caller.arn, &caller_role))
    });
    if !(trusts_caller_directly && account == ctx.caller.account) {
        state.authorize_with(ctx, "sts:AssumeRole", arn, extra)?;
    }
    Ok(role)
}

/// Parses the ARN of a role. Returns the account id and the role name.
fn parse_role_arn(arn: &str) -> Option<(&str, &str)> {
    let (account, path) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    (account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit())).then_some((account, name))
}

fn parse_session_policy(text: &str) -> Result<Document, AwsError> {
    if text.chars().count() > MAX_SESSION_POLICY_CHARACTERS {
        return Err(packed_policy_too_large());
    }
    Document::parse_as(PolicyKind::Identity, text).map_err(|error| AwsError::new("MalformedPolicyDocument", error))
}

/// Returns the size of the session policies in percent of the limit, or `None` without session policies.
fn packed_policy_percent(characters: usize) -> Option<i32> {
    let percent = (characters * 100).div_ceil(MAX_SESSION_POLICY_CHARACTERS);
    (characters > 0).then(|| i32::try_from(percent).unwrap_or(i32::MAX))
}

/// Returns the documents of the managed policies that limit a session.
fn managed_session_policies(state: &State, account: &str, arns: &[String]) -> Result<Vec<Document>, AwsError> {
    if arns.len() > MAX_MANAGED_SESSION_POLICIES {
        let message = format!(
            "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length \
             less than or equal to {MAX_MANAGED_SESSION_POLICIES}"
        );
        return Err(AwsError::new("ValidationError", message));
    }
    let document = |arn: &String| {
        let policy = state.managed_policy(account, arn);
        policy.ok_or_else(|| AwsError::new("MalformedPolicyDocument", format!("The policy {arn} does not exist.")))
    };
    arns.iter().map(document).collect()
}

fn delete_expired_sessions(state: &mut State, ctx: &Ctx) {
    if state.access_keys.len().is_multiple_of(1_000) {
        let retention = TimeDelta::hours(EXPIRED_SESSION_RETENTION_HOURS);
        let earlier = Ctx { now: ctx.now - retention, system_time: ctx.system_time - retention, ..ctx.clone() };
        state.access_keys.retain(|_, session| !session.has_expired(&earlier));
    }
}
