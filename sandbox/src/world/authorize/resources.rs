//! Resources of a request, and the condition keys that depend on the request or on a resource (Service Authorization
//! Reference).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Caller, Ctx, Request, Service, State, permissions};
use crate::policy::ConditionKeys;

/// Resource of a request, with the condition keys that describe it.
pub(super) struct Resource {
    /// ARN of the resource, or `*` for a request without resources.
    pub(super) arn: String,
    pub(super) keys: ConditionKeys,
}

impl Resource {
    fn new(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), keys: ConditionKeys::default() }
    }

    /// Adds a condition key for each tag: `prefix` and the key of the tag.
    fn with_tags(mut self, prefix: &str, tags: Option<&BTreeMap<String, String>>) -> Self {
        for (key, value) in tags.into_iter().flatten() {
            self.keys = self.keys.with(&format!("{prefix}{key}"), value);
        }
        self
    }
}

/// Returns the condition keys that depend on the request.
pub(super) fn request_keys(ctx: &Ctx, request: &Request) -> ConditionKeys {
    let tags = permissions::tags(request);
    let keys = tags.into_iter().fold(ConditionKeys::default(), |keys, (key, value)| {
        keys.with("aws:TagKeys", &key).with(&format!("aws:RequestTag/{key}"), value)
    });
    if let (Service::CloudFormation, Some(name)) = (ctx.service, request.params.get("ChangeSetName")) {
        return keys.with("cloudformation:ChangeSetName", name);
    }
    let body: Value = request.json().unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str);
    if ctx.service == Service::Account {
        return match field("RegionName") {
            Some(region) => keys.with("account:TargetRegion", region),
            None => keys,
        };
    }
    if ctx.service != Service::Organizations {
        return keys;
    }
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

/// Returns the resources in the request, or `*` if the request contains none.
pub(super) fn resources(state: &State, ctx: &Ctx, request: &Request) -> Vec<Resource> {
    let account_id = &ctx.caller.account;
    let body: Value = request.json().unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str);
    let mut resources: Vec<Resource> = match ctx.service {
        Service::CloudFormation => stack(state, ctx, request).into_iter().collect(),
        Service::Organizations => {
            let ids =
                ["AccountId", "ParentId", "SourceParentId", "DestinationParentId", "ChildId", "RootId", "TargetId"];
            let more = ["OrganizationalUnitId", "PolicyId", "ResourceId"];
            let organization = &state.organization;
            let resource = |id: &str| {
                Resource::new(organization.arn_of(id)).with_tags("aws:ResourceTag/", organization.tags.get(id))
            };
            ids.iter().chain(&more).filter_map(|name| field(name)).map(resource).collect()
        }
        Service::Account => match field("AccountId") {
            Some(id) => vec![member_account(state, id)],
            None => vec![Resource::new(format!("arn:aws:account::{account_id}:account"))],
        },
        Service::SsoAdmin => {
            let account = field("TargetId").or(field("AccountId"));
            let account = account.map(|id| Resource::new(format!("arn:aws:sso:::account/{id}")));
            let tags_of = |arn: &str| state.identity_center.permission_sets.get(arn).map(|set| &set.tags);
            ["InstanceArn", "PermissionSetArn", "ResourceArn"]
                .iter()
                .filter_map(|name| field(name))
                .map(|arn| Resource::new(arn).with_tags("aws:ResourceTag/", tags_of(arn)))
                .chain(account)
                .collect()
        }
        Service::IdentityStore => identity_store(state, ctx, &body),
        Service::CloudWatch => crate::cloudwatch::alarm_arns(ctx, request).into_iter().map(Resource::new).collect(),
        Service::Sts | Service::Lambda | Service::S3 | Service::Sso | Service::SsoOidc => Vec::new(),
    };
    if resources.is_empty() {
        resources.push(Resource::new("*"));
    }
    resources
}

/// Returns the stack of a request, which the name of the stack or the ARN of its change set identifies.
fn stack(state: &State, ctx: &Ctx, request: &Request) -> Option<Resource> {
    let account = &ctx.caller.account;
    if let Some(name) = request.params.get("StackName").filter(|name| !name.is_empty()) {
        return Some(Resource::new(if name.starts_with("arn:") {
            name.clone()
        } else {
            format!("arn:aws:cloudformation:{}:{account}:stack/{name}/*", ctx.region)
        }));
    }
    let change_set = request.params.get("ChangeSetName")?;
    let region = state.accounts.get(account)?.regions.get(&ctx.region)?;
    region.stacks.stack_of_change_set(change_set).map(Resource::new)
}

/// Returns the account `id` as a resource of Account Management.
fn member_account(state: &State, id: &str) -> Resource {
    let organization = &state.organization;
    let arn = organization.arn_of(id).replacen(":organizations:", ":account:", 1);
    let mut resource = Resource::new(arn).with_tags("account:AccountResourceOrgTags/", organization.tags.get(id));
    if let Some(member) = organization.members.get(id) {
        resource.keys = resource.keys.with("account:AccountResourceOrgPaths", organization.parent_path(member));
    }
    resource
}

/// Returns the Identity Store and the users, groups and memberships of a request. A request about a membership also has
/// its group and its user as resources. A request that creates or searches an object has all objects of its kind as a
/// resource.
fn identity_store(state: &State, ctx: &Ctx, body: &Value) -> Vec<Resource> {
    let field = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let store = field("/IdentityStoreId").map(|id| {
        let id = id.rsplit('/').next().unwrap_or_default();
        format!("arn:aws:identitystore::{}:identitystore/{id}", ctx.settings.management_account)
    });
    let object = |kind: &'static str, pointer: &str| {
        let id = field(pointer)?.rsplit('/').next().unwrap_or_default();
        Some(format!("arn:aws:identitystore:::{kind}/{id}"))
    };
    let objects = [
        object("group", "/GroupId"),
        object("user", "/UserId"),
        object("user", "/MemberId/UserId"),
        object("membership", "/MembershipId"),
    ];
    let membership = field("/MembershipId").and_then(|id| {
        let id = id.rsplit('/').next().unwrap_or_default();
        state.identity_store.memberships.get(id)
    });
    let members = membership.into_iter().flat_map(|membership| {
        [("group", &membership.group), ("user", &membership.user)]
            .map(|(kind, id)| format!("arn:aws:identitystore:::{kind}/{id}"))
    });
    let all = match ctx.operation.as_str() {
        "CreateGroup" | "GetGroupId" | "ListGroups" => Some("group"),
        "CreateUser" | "GetUserId" | "ListUsers" => Some("user"),
        "CreateGroupMembership"
        | "GetGroupMembershipId"
        | "ListGroupMemberships"
        | "ListGroupMembershipsForMember"
        | "IsMemberInGroups" => Some("membership"),
        _ => None,
    };
    let all = all.map(|kind| format!("arn:aws:identitystore:::{kind}/*"));
    store.into_iter().chain(objects.into_iter().flatten()).chain(members).chain(all).map(Resource::new).collect()
}

impl State {
    /// Returns the condition keys for the account of a resource. An ARN without an account belongs to the caller's
    /// account.
    pub(super) fn resource_account_keys(&self, resource: &str, caller: &Caller) -> ConditionKeys {
        let account = resource.split(':').nth(4).filter(|account| !account.is_empty()).unwrap_or(&caller.account);
        let keys = ConditionKeys::default().with("aws:ResourceAccount", account);
        match self.organization.members.get(account) {
            Some(member) => keys
                .with("aws:ResourceOrgID", &self.organization.id)
                .with("aws:ResourceOrgPaths", self.organization.parent_path(member)),
            None => keys,
        }
    }
}
