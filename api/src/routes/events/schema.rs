//! Schemas of events: one envelope, and for each type its data.

use chrono::{DateTime, Utc};
use freehold_tenancy::Config;
use freehold_tenancy::feed::{CloudEvent, CloudEventData, Entry, FeedType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, Discriminator, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr, Type};

/// Event in the format of CloudEvents 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedEvent {
    /// Version of CloudEvents.
    #[schema(example = "1.0")]
    pub specversion: String,
    /// Permanent id of the event: operation and sequence number in it, or tenant and position.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c/7")]
    pub id: String,
    /// Source of the event: the organisation, identified by its management account.
    #[schema(example = "urn:freehold:111122223333")]
    pub source: String,
    /// Type of the event.
    #[schema(example = "environment.account.assigned")]
    pub r#type: String,
    /// Environment of the event, or tenant if it concerns no environment.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub subject: String,
    /// Time of the event.
    pub time: DateTime<Utc>,
    /// Media type of `data`.
    #[schema(example = "application/json")]
    pub datacontenttype: String,
    /// Position in the feed, with leading zeros, so that it sorts as a string too.
    #[schema(example = "0000000000000004711", pattern = "^[0-9]{19}$")]
    pub sequence: String,
    /// Ids of the affected objects, and more fields by type.
    pub data: FeedEventData,
}

/// Data of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedEventData {
    /// Tenant of the event.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// Environment of the event. In all types but `tenant.updated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a", nullable = false)]
    pub environment_id: Option<String>,
    /// Operation of the event; read it for steps and details. In all types but `tenant.updated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c", nullable = false)]
    pub operation_id: Option<String>,
    /// AWS account. In `environment.account.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$", nullable = false)]
    pub aws_account_id: Option<String>,
    /// Attention code. In `*.needs_attention`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "account_email_taken", nullable = false)]
    pub code: Option<String>,
    /// Requested action. In `operation.approval.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "close", nullable = false)]
    pub action: Option<String>,
    /// Changed fields of the tenant. In `tenant.updated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["tier"]), nullable = false)]
    pub changed: Option<Vec<String>>,
}

impl FeedEvent {
    /// Converts an entry of the feed.
    pub(super) fn of(entry: Entry, config: &Config) -> Self {
        let CloudEvent { specversion, id, source, r#type, subject, time, datacontenttype, sequence, data } =
            CloudEvent::of(entry, config);
        let CloudEventData { tenant_id, environment_id, operation_id, aws_account_id, code, action, changed } = data;
        let data = FeedEventData { tenant_id, environment_id, operation_id, aws_account_id, code, action, changed };
        Self { specversion, id, source, r#type, subject, time, datacontenttype, sequence, data }
    }
}

/// Returns a schema per event type: the envelope with the required fields of its data.
pub(crate) fn of_each_type() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    FeedType::ALL.iter().map(|feed_type| {
        let data = ObjectBuilder::new();
        let of: &[_] = if feed_type.is_of_an_operation() { &["environment_id", "operation_id"] } else { &[] };
        let data = of.iter().chain(feed_type.data_fields()).fold(data, |data, name| data.required(*name));
        let only = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some([feed_type.as_str()]))
            .description(Some("Type of the event."));
        let narrowed =
            ObjectBuilder::new().property("type", only).property("data", data.description(Some("Data of the event.")));
        let schema = AllOfBuilder::new()
            .description(Some(description(*feed_type)))
            .item(Ref::from_schema_name("FeedEvent"))
            .item(narrowed);
        (feed_type.to_string(), RefOr::T(Schema::AllOf(schema.build())))
    })
}

/// Returns the schema of a list of events of any type, discriminated by `type`.
pub(super) fn of_any_type() -> impl Into<RefOr<Schema>> {
    let any = FeedType::ALL
        .iter()
        .fold(OneOfBuilder::new(), |any, feed_type| any.item(Ref::from_schema_name(feed_type.as_str())));
    ArrayBuilder::new()
        .items(RefOr::T(Schema::OneOf(any.discriminator(Some(Discriminator::new("type"))).build())))
        .description(Some("Events in the order of their positions."))
}

fn description(feed_type: FeedType) -> String {
    let fields = feed_type.data_fields();
    if fields.is_empty() {
        "Event of this type.".to_owned()
    } else {
        format!("Event of this type, with: {}.", fields.join(", "))
    }
}
