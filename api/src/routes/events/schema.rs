//! What an event looks like: one envelope for all, and for each type what its data has.

use chrono::{DateTime, Utc};
use freehold_tenancy::Config;
use freehold_tenancy::feed::{CloudEvent, CloudEventData, Entry, FeedType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, Discriminator, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr, Type};

/// An event, as CloudEvents 1.0 has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedEvent {
    /// The version of CloudEvents.
    #[schema(example = "1.0")]
    pub specversion: String,
    /// Names the event for good: the operation, and which of its events it is; or the tenant, and the position.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c/7")]
    pub id: String,
    /// Where it comes from: the organisation, by its management account.
    #[schema(example = "urn:freehold:111122223333")]
    pub source: String,
    /// What happened.
    #[schema(example = "environment.account.assigned")]
    pub r#type: String,
    /// The environment that it happened to, or else the tenant.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub subject: String,
    /// When.
    pub time: DateTime<Utc>,
    /// What the data is.
    #[schema(example = "application/json")]
    pub datacontenttype: String,
    /// Its position in the feed, with leading zeros, so that it sorts as a text too.
    #[schema(example = "0000000000000004711", pattern = "^[0-9]{19}$")]
    pub sequence: String,
    /// Whom it is about, and more of it, by type.
    pub data: FeedEventData,
}

/// Whom an event is about, and what it tells besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedEventData {
    /// The tenant.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// All but `tenant.updated`: the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a", nullable = false)]
    pub environment_id: Option<String>,
    /// All but `tenant.updated`: the operation; its steps and what it waits for are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c", nullable = false)]
    pub operation_id: Option<String>,
    /// `environment.account.*`: the AWS account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "111122223333", pattern = "^[0-9]{12}$", nullable = false)]
    pub aws_account_id: Option<String>,
    /// `*.needs_attention`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "account_email_taken", nullable = false)]
    pub code: Option<String>,
    /// `operation.approval.*`: what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "close", nullable = false)]
    pub action: Option<String>,
    /// `tenant.updated`: which fields of the tenant are others now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["tier"]), nullable = false)]
    pub changed: Option<Vec<String>>,
}

impl FeedEvent {
    /// How an entry of the feed is told.
    pub(super) fn of(entry: Entry, config: &Config) -> Self {
        let CloudEvent { specversion, id, source, r#type, subject, time, datacontenttype, sequence, data } =
            CloudEvent::of(entry, config);
        let CloudEventData { tenant_id, environment_id, operation_id, aws_account_id, code, action, changed } = data;
        let data = FeedEventData { tenant_id, environment_id, operation_id, aws_account_id, code, action, changed };
        Self { specversion, id, source, r#type, subject, time, datacontenttype, sequence, data }
    }
}

/// A schema for each type of event: the envelope, and what its data has besides whom it is about.
pub(crate) fn of_each_type() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    FeedType::ALL.iter().map(|feed_type| {
        let data = ObjectBuilder::new();
        let of: &[_] = if feed_type.is_of_an_operation() { &["environment_id", "operation_id"] } else { &[] };
        let data = of.iter().chain(feed_type.data_fields()).fold(data, |data, name| data.required(*name));
        let only = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some([feed_type.as_str()]))
            .description(Some("What happened."));
        let narrowed =
            ObjectBuilder::new().property("type", only).property("data", data.description(Some("More of it.")));
        let schema = AllOfBuilder::new()
            .description(Some(description(*feed_type)))
            .item(Ref::from_schema_name("FeedEvent"))
            .item(narrowed);
        (feed_type.to_string(), RefOr::T(Schema::AllOf(schema.build())))
    })
}

/// Any of them, told apart by `type`.
pub(super) fn of_any_type() -> impl Into<RefOr<Schema>> {
    let any = FeedType::ALL
        .iter()
        .fold(OneOfBuilder::new(), |any, feed_type| any.item(Ref::from_schema_name(feed_type.as_str())));
    ArrayBuilder::new()
        .items(RefOr::T(Schema::OneOf(any.discriminator(Some(Discriminator::new("type"))).build())))
        .description(Some("The events, in the order of their positions."))
}

fn description(feed_type: FeedType) -> String {
    let tells = feed_type.data_fields();
    if tells.is_empty() {
        "An event of this type.".to_owned()
    } else {
        format!("An event of this type, which tells: {}.", tells.join(", "))
    }
}
