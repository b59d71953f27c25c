//! May the caller do this? The service control policies above its account and its own policies decide, in the order
//! in which AWS asks them, and the refusal names the one that refused.

use serde_json::Value;

use super::{AwsError, Caller, Ctx, Protocol, Request, Service, State, permissions};
use crate::policy::{Keys, Principal, Question, Verdict, verdict};

/// Authorises the operation that is being called, for every resource that it names.
pub(super) fn operation(state: &State, ctx: &Ctx, request: &Request) -> Result<(), AwsError> {
    // AssumeRole asks two policies, of which only the STS module knows; GetCallerIdentity needs no permission.
    if ctx.service == Service::Sts {
        return Ok(());
    }
    let keys = keys(ctx, request);
    let resources = resources(state, ctx, request);
    for action in permissions::needed(ctx, request) {
        for resource in &resources {
            state.authorize_with(ctx, &action, resource, keys.clone())?;
        }
    }
    Ok(())
}

impl State {
    /// Whether the caller may do `action` (such as `lambda:CreateFunction`) to `resource` (an ARN, or `*`); the error
    /// is the one that AWS gives.
    pub fn authorize(&self, ctx: &Ctx, action: &str, resource: &str) -> Result<(), AwsError> {
        self.authorize_with(ctx, action, resource, Keys::default())
    }

    /// [`State::authorize`] with further condition keys.
    pub fn authorize_with(&self, ctx: &Ctx, action: &str, resource: &str, extra: Keys) -> Result<(), AwsError> {
        let mut keys = self.condition_keys(ctx);
        keys.extend(extra);
        let role_arn = ctx.caller.principal_arn();
        let question = Question { action, resource, principal: ctx.caller.as_principal(&role_arn), keys: &keys };
        let refused = |because: String| {
            let message = format!(
                "User: {} is not authorized to perform: {action} on resource: {resource} {because}",
                ctx.caller.arn
            );
            access_denied(ctx.service, message)
        };

        let levels = self.organization.effective_policies(&ctx.caller.account, ctx.now);
        let verdicts: Vec<_> = levels.iter().map(|policies| verdict(policies.iter().copied(), &question)).collect();
        if verdicts.contains(&Verdict::ExplicitDeny) {
            return Err(refused("with an explicit deny in a service control policy".into()));
        }
        let own = self.identity_verdict(&ctx.caller, &question);
        if own == Verdict::ExplicitDeny {
            return Err(refused("with an explicit deny in an identity-based policy".into()));
        }
        if verdicts.contains(&Verdict::ImplicitDeny) {
            return Err(refused(format!("because no service control policy allows the {action} action")));
        }
        if own == Verdict::ImplicitDeny {
            return Err(refused(format!("because no identity-based policy allows the {action} action")));
        }
        let session_policy = ctx.caller.session.as_ref().and_then(|session| session.policy.as_ref());
        if ctx.caller.role().is_some()
            && session_policy.is_some_and(|policy| verdict([policy], &question) != Verdict::Allow)
        {
            return Err(refused(format!("because no session policy allows the {action} action")));
        }
        Ok(())
    }

    /// What the policies on the caller itself say.
    pub(crate) fn identity_verdict(&self, caller: &Caller, question: &Question<'_>) -> Verdict {
        let Some(session) = &caller.session else {
            return Verdict::ImplicitDeny;
        };
        let Some(role) = &session.role else {
            return verdict(&session.policy, question);
        };
        let role = self.accounts.get(&caller.account).and_then(|account| account.roles.get(role));
        role.map_or(Verdict::ImplicitDeny, |role| verdict(&role.policies(), question))
    }

    /// The condition keys that every call has.
    pub(crate) fn condition_keys(&self, ctx: &Ctx) -> Keys {
        let keys = Keys::default().with("aws:RequestedRegion", &ctx.region).with("aws:SecureTransport", "true");
        if ctx.caller.session.is_none() {
            return keys;
        }
        keys.with("aws:PrincipalArn", ctx.caller.principal_arn())
            .with("aws:PrincipalAccount", &ctx.caller.account)
            .with("aws:PrincipalOrgID", &self.organization.id)
            .with("aws:PrincipalType", if ctx.caller.role().is_some() { "AssumedRole" } else { "User" })
    }
}

impl Caller {
    /// The caller as policies see it; `role_arn` is its [`Caller::principal_arn`].
    pub fn as_principal<'a>(&'a self, role_arn: &'a str) -> Principal<'a> {
        if self.session.is_none() {
            return Principal::Anonymous;
        }
        Principal::Aws { account: &self.account, arn: &self.arn, role_arn }
    }
}

/// A refusal, with the code and status that the service uses.
pub fn access_denied(service: Service, message: impl Into<String>) -> AwsError {
    match service.protocol() {
        Protocol::AwsJson => AwsError::new("AccessDeniedException", message),
        Protocol::RestJson => AwsError::new("AccessDeniedException", message).status(403),
        Protocol::AwsQuery => AwsError::new("AccessDenied", message).status(403),
    }
}

/// The condition keys that the request brings (Service Authorization Reference).
fn keys(ctx: &Ctx, request: &Request) -> Keys {
    let tags = permissions::tag_keys(request);
    let keys = tags.into_iter().fold(Keys::default(), |keys, tag| keys.with("aws:TagKeys", tag));
    if ctx.service != Service::Organizations {
        return keys;
    }
    let body: Value = request.json().unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str);
    let keys = match field("ServicePrincipal") {
        Some(service) => keys.with("organizations:ServicePrincipal", service),
        None => keys,
    };
    // There are no policies of another type in this world.
    let named = field("Filter").or(field("PolicyType")).or(field("Type"));
    let kind = named.or(field("PolicyId").map(|_| "SERVICE_CONTROL_POLICY"));
    match kind {
        Some(kind) => keys.with("organizations:PolicyType", kind),
        None => keys,
    }
}

/// The ARNs that the request names; `*` if it names none.
fn resources(state: &State, ctx: &Ctx, request: &Request) -> Vec<String> {
    let here = &ctx.caller.account;
    let body: Value = request.json().unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str);
    let mut found: Vec<String> = match ctx.service {
        Service::CloudFormation => match request.params.get("StackName").map(String::as_str) {
            Some(arn) if arn.starts_with("arn:") => vec![arn.to_owned()],
            Some(name) => vec![format!("arn:aws:cloudformation:{}:{here}:stack/{name}/*", ctx.region)],
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
            None => vec![format!("arn:aws:account::{here}:account")],
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
        Service::Sts | Service::Lambda => Vec::new(),
    };
    if found.is_empty() {
        found.push("*".to_owned());
    }
    found
}
