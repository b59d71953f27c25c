//! Authorisation of API calls. Service control policies and the caller's own policies are evaluated in the same order
//! as in AWS. The error message names the type of policy that denied the call.

mod resources;

use chrono::SecondsFormat;

use super::{AwsError, Caller, Ctx, Protocol, Request, Service, State, permissions};
use crate::policy::{AccessRequest, ConditionKeys, Decision, Principal, evaluate};

/// Value of `aws:SourceIp`: the sandbox listens on loopback only.
const LOOPBACK: &str = "127.0.0.1";

/// Authorises the called operation for each resource in the request. Returns an access-denied error if a policy does
/// not allow it.
pub(super) fn authorize_operation(state: &State, ctx: &Ctx, request: &Request) -> Result<(), AwsError> {
    // The STS module authorises AssumeRole, which also depends on a trust policy. GetCallerIdentity needs no
    // permission.
    if ctx.service == Service::Sts {
        return Ok(());
    }
    let keys = resources::request_keys(ctx, request);
    let resources = resources::resources(state, ctx, request);
    for action in permissions::required_actions(ctx, request) {
        for resource in &resources {
            let mut keys = keys.clone();
            keys.extend(resource.keys.clone());
            state.authorize_with(ctx, &action, &resource.arn, keys)?;
        }
    }
    Ok(())
}

impl State {
    /// Returns an access-denied error unless the policies allow the caller to perform `action` (such as
    /// `lambda:CreateFunction`) on `resource` (an ARN, or `*`).
    pub fn authorize(&self, ctx: &Ctx, action: &str, resource: &str) -> Result<(), AwsError> {
        self.authorize_with(ctx, action, resource, ConditionKeys::default())
    }

    /// Performs the same check as [`State::authorize`], with additional condition keys.
    pub fn authorize_with(
        &self,
        ctx: &Ctx,
        action: &str,
        resource: &str,
        extra: ConditionKeys,
    ) -> Result<(), AwsError> {
        let mut keys = self.condition_keys(ctx);
        keys.extend(self.resource_account_keys(resource, &ctx.caller));
        keys.extend(extra);
        let role_arn = ctx.caller.principal_arn();
        let request = AccessRequest { action, resource, principal: ctx.caller.as_principal(&role_arn), keys: &keys };
        let denied = |reason: String| {
            let message = format!(
                "User: {} is not authorized to perform: {action} on resource: {resource} {reason}",
                ctx.caller.arn
            );
            access_denied(ctx.service, message)
        };

        let levels = self.organization.effective_policies(&ctx.caller.account, ctx.now);
        let scp_decisions: Vec<_> =
            levels.iter().map(|policies| evaluate(policies.iter().copied(), &request)).collect();
        if scp_decisions.contains(&Decision::ExplicitDeny) {
            return Err(denied("with an explicit deny in a service control policy".into()));
        }
        let identity_decision = self.evaluate_identity_policies(&ctx.caller, &request);
        if identity_decision == Decision::ExplicitDeny {
            return Err(denied("with an explicit deny in an identity-based policy".into()));
        }
        if scp_decisions.contains(&Decision::ImplicitDeny) {
            return Err(denied(format!("because no service control policy allows the {action} action")));
        }
        if identity_decision == Decision::ImplicitDeny {
            return Err(denied(format!("because no identity-based policy allows the {action} action")));
        }
        match ctx.caller.evaluate_session_policies(&request) {
            Decision::Allow => Ok(()),
            Decision::ExplicitDeny => Err(denied("with an explicit deny in a session policy".into())),
            Decision::ImplicitDeny => Err(denied(format!("because no session policy allows the {action} action"))),
        }
    }

    /// Evaluates the identity-based policies of the caller.
    pub(crate) fn evaluate_identity_policies(&self, caller: &Caller, request: &AccessRequest<'_>) -> Decision {
        let Some(session) = &caller.session else {
            return Decision::ImplicitDeny;
        };
        let Some(role) = &session.role else {
            return evaluate(&session.policy, request);
        };
        let role = self.accounts.get(&caller.account).and_then(|account| account.roles.get(role));
        role.map_or(Decision::ImplicitDeny, |role| evaluate(&role.policies(), request))
    }

    /// Returns the condition keys that do not depend on the called operation.
    pub(crate) fn condition_keys(&self, ctx: &Ctx) -> ConditionKeys {
        let keys = ConditionKeys::default()
            .with("aws:RequestedRegion", &ctx.region)
            .with("aws:SecureTransport", "true")
            .with("aws:CurrentTime", ctx.now.to_rfc3339_opts(SecondsFormat::Secs, true))
            .with("aws:EpochTime", ctx.now.timestamp().to_string());
        // CloudFormation makes calls for its caller without an operation of the API.
        let keys = if ctx.operation.is_empty() {
            keys.with("aws:ViaAWSService", "true").with("aws:CalledVia", "cloudformation.amazonaws.com")
        } else {
            keys.with("aws:ViaAWSService", "false").with("aws:SourceIp", LOOPBACK)
        };
        let Some(session) = &ctx.caller.session else {
            return keys;
        };
        let keys = keys
            .with("aws:PrincipalArn", ctx.caller.principal_arn())
            .with("aws:PrincipalAccount", &ctx.caller.account)
            .with("aws:PrincipalOrgID", &self.organization.id)
            .with("aws:PrincipalIsAWSService", "false")
            .with("aws:userid", &session.user_id);
        let keys = match self.organization.members.get(&ctx.caller.account) {
            Some(member) => keys.with("aws:PrincipalOrgPaths", self.organization.parent_path(member)),
            None => keys,
        };
        let Some(role) = &session.role else {
            let user = session.arn.rsplit('/').next().unwrap_or_default();
            return keys.with("aws:PrincipalType", "User").with("aws:username", user);
        };
        let keys = keys.with("aws:PrincipalType", "AssumedRole").with("aws:MultiFactorAuthPresent", "false");
        let role = self.accounts.get(&session.account).and_then(|account| account.roles.get(role));
        let tags = role.into_iter().flat_map(|role| &role.tags);
        tags.fold(keys, |keys, (key, value)| keys.with(&format!("aws:PrincipalTag/{key}"), value))
    }
}

impl Caller {
    /// Returns the caller as a principal for the evaluation of policies. `role_arn` must be the result of
    /// [`Caller::principal_arn`].
    pub fn as_principal<'a>(&'a self, role_arn: &'a str) -> Principal<'a> {
        if self.session.is_none() {
            return Principal::Anonymous;
        }
        Principal::Aws { account: &self.account, arn: &self.arn, role_arn }
    }
}

/// Returns an access-denied error with the code and status that the service uses.
pub fn access_denied(service: Service, message: impl Into<String>) -> AwsError {
    match service.protocol() {
        Protocol::AwsJson => AwsError::new("AccessDeniedException", message),
        Protocol::RestJson => AwsError::new("AccessDeniedException", message).status(403),
        Protocol::AwsQuery | Protocol::ByRequest | Protocol::RestXml => {
            AwsError::new("AccessDenied", message).status(403)
        }
    }
}
