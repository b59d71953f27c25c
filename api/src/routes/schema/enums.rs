//! OpenAPI schemas of the enums of `freehold_tenancy`.

use std::borrow::Cow;

use freehold_tenancy::{finding, operation, step, tenant, webhook};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Declares a schema with the description and the values of an enum.
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
    /// Where a tenant or one of its environments stands.
    TenantState = tenant::TenantState::ALL.iter().map(|state| state.as_str());
    /// Where an operation stands.
    OperationState = operation::OperationState::ALL.iter().map(|state| state.as_str());
    /// Where a step stands.
    StepState = step::StepState::ALL.iter().map(|state| state.as_str());
    /// How bad a finding is.
    Severity = finding::Severity::ALL.iter().map(|severity| severity.as_str());
    /// Whether a finding still holds.
    FindingState = finding::FindingState::ALL.iter().map(|state| state.as_str());
    /// What puts a finding right.
    FindingRemedy = finding::FindingRemedy::ALL.iter().map(|remedy| remedy.as_str());
    /// Where a delivery stands.
    WebhookDeliveryState = webhook::DeliveryState::ALL.iter().map(|state| state.as_str());
    /// Whether events are sent to an endpoint.
    WebhookEndpointState = ["enabled", "disabled"];
}
