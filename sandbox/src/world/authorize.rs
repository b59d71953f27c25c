//! Authorisation of API calls. Service control policies and the caller's own policies are evaluated in the same order
//! as in AWS. The error message names the type of policy that denied the call.

use chrono::SecondsFormat;
use serde_json::Value;

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
    let keys = request_keys(ctx, request);
    let resources = resources(state, ctx, request);
    for action in permissions::required_actions(ctx, request) {
        for resource in &resources {
            state.authorize_with(ctx, &action, resource, keys.clone())?;
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
            .with("aws:userid", &session.user_id);
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
        Protocol::AwsQuery | Protocol::RestXml => AwsError::new("AccessDenied", message).status(403),
    }
}

/// Returns the condition keys that depend on the request (Service Authorization Reference).
fn request_keys(ctx: &Ctx, request: &Request) -> ConditionKeys {
    let tags = permissions::tag_keys(request);
    let keys = tags.into_iter().fold(ConditionKeys::default(), |keys, tag| keys.with("aws:TagKeys", tag));
    if ctx.service != Service::Organizations {
        return keys;
    }
    let body: Value = request.json().unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str);
    let keys = match field("ServicePrincipal") {
        Some(service) => keys.with("organizations:ServicePrincipal", service),
        None => keys,
    };
    // Service control policies are the only type of policy in the sandbox.
    let policy_type = field("Filter").or(field("PolicyType")).or(field("Type"));
    let policy_type = policy_type.or(field("PolicyId").map(|_| "SERVICE_CONTROL_POLICY"));
    match policy_type {
        Some(policy_type) => keys.with("organizations:PolicyType", policy_type),
        None => keys,
    }
}

/// Returns the ARNs of the resources in the request, or `*` if the request contains none.
fn resources(state: &State, ctx: &Ctx, request: &Request) -> Vec<String> {
    let account_id = &ctx.caller.account;
    let body: Value = request.json().unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str);
    let mut arns: Vec<String> = match ctx.service {
        Service::CloudFormation => match request.params.get("StackName").map(String::as_str) {
            Some(arn) if arn.starts_with("arn:") => vec![arn.to_owned()],
            Some(name) => vec![format!("arn:aws:cloudformation:{}:{account_id}:stack/{name}/*", ctx.region)],
            None => Vec::new(),
        },
        Service::Organizations => {
            let ids =
                ["AccountId", "ParentId", "SourceParentId", "DestinationParentId", "ChildId", "RootId", "TargetId"];
            let more = ["OrganizationalUnitId", "PolicyId", "ResourceId"];
            ids.iter().chain(&more).filter_map(|name| field(name)).map(|id| state.organization.arn_of(id)).collect()
        }
        Service::Account => match field("AccountId") {
            Some(id) => vec![state.organization.arn_of(id).replacen(":organizations:", ":account:", 1)],
            None => vec![format!("arn:aws:account::{account_id}:account")],
        },
        Service::SsoAdmin => {
            let account = field("TargetId").or(field("AccountId")).map(|id| format!("arn:aws:sso:::account/{id}"));
            ["InstanceArn", "PermissionSetArn"]
                .iter()
                .filter_map(|name| field(name))
                .map(str::to_owned)
                .chain(account)
                .collect()
        }
        Service::IdentityStore => field("IdentityStoreId")
            .map(|id| format!("arn:aws:identitystore::{}:identitystore/{id}", ctx.settings.management_account))
            .into_iter()
            .collect(),
        Service::Sts | Service::Lambda | Service::S3 => Vec::new(),
    };
    if arns.is_empty() {
        arns.push("*".to_owned());
    }
    arns
}
