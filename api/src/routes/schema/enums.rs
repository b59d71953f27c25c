//! OpenAPI schemas of the enums of `freehold_tenancy`.

use std::borrow::Cow;

use freehold_tenancy::db::search;
use freehold_tenancy::{
    access_grant, account_mapping, approval, environment, finding, front_door, needed_types, operation, replica, step,
    tenant, webhook,
};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Declares an OpenAPI schema with the description and the values of an enum.
macro_rules! enum_schemas {
    ($(#[doc = $doc:literal] $name:ident = $values:expr;)+) => {$(
        #[doc = $doc]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some($values));
                schema.description(Some($doc.trim_start())).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+};
}

enum_schemas! {
    /// State of a tenant or environment.
    TenantState = tenant::TenantState::ALL.iter().map(|state| state.as_str());
    /// Role of a region: `home` for the region whose stack makes the environment ready.
    RegionRole = environment::RegionRole::ALL.iter().map(|role| role.as_str());
    /// State of a region of an environment.
    RegionState = replica::ReplicaState::ALL.iter().map(|state| state.as_str());
    /// State of a front door: `none` if the environment has none.
    FrontDoorState = std::iter::once("none").chain(front_door::FrontDoorState::ALL.iter().map(|state| state.as_str()));
    /// Stack that needs a resource type: `front_door` for the CloudFront distribution, which is optional.
    NeedingStack = needed_types::NeedingStack::ALL.iter().map(|stack| stack.as_str());
    /// Kind of an object that a search has found.
    SearchHitKind = search::HitKind::ALL.iter().map(|kind| kind.as_str());
    /// Agreement of a text with the searched one: equal, beginning with it, or containing it.
    SearchMatch = search::MatchKind::ALL.iter().map(|kind| kind.as_str());
    /// State of the account of a mapping: `released_active` if its mapping has ended, but it can still cause costs.
    AccountState = account_mapping::AccountState::ALL.iter().map(|state| state.as_str());
    /// State of an operation.
    OperationState = operation::OperationState::ALL.iter().map(|state| state.as_str());
    /// State of an approval.
    ApprovalState = approval::ApprovalState::ALL.iter().map(|state| state.as_str());
    /// Reason for a suspension. The reason `other` needs a note.
    SuspensionReason = tenant::SuspensionReason::ALL.iter().map(|reason| reason.as_str());
    /// State of a step.
    StepState = step::StepState::ALL.iter().map(|state| state.as_str());
    /// Severity: `critical` if a tenant's data, isolation or availability is at risk.
    Severity = finding::Severity::ALL.iter().map(|severity| severity.as_str());
    /// State of a finding: `resolved` once a later comparison no longer reports it.
    FindingState = finding::FindingState::ALL.iter().map(|state| state.as_str());
    /// Remedy of a finding: `repair` (an operation repairs it) or `person` (a person must act).
    FindingRemedy = finding::FindingRemedy::ALL.iter().map(|remedy| remedy.as_str());
    /// Kind of access: `freehold_role` if Freehold works in the account through this role.
    AccessKind = access_grant::AccessKind::ALL.iter().map(|kind| kind.as_str());
    /// Kind of principal: `tenant_group` for the group that Freehold created for the tenant.
    PrincipalKind = access_grant::PrincipalKind::ALL.iter().map(|kind| kind.as_str());
    /// Source of an entry: `freehold` if an operation granted the access, `observed` if a comparison found it in AWS.
    GrantSource = access_grant::GrantSource::ALL.iter().map(|source| source.as_str());
    /// State of a delivery: `failed` after ten attempts over more than three days.
    WebhookDeliveryState = webhook::DeliveryState::ALL.iter().map(|state| state.as_str());
    /// Format of a body: `freehold` for the event itself, `slack` and `teams` for a message to a channel.
    WebhookFormat = webhook::WebhookFormat::ALL.iter().map(|format| format.as_str());
    /// State of a webhook endpoint.
    WebhookEndpointState = ["enabled", "disabled"];
}
