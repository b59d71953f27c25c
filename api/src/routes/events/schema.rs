//! OpenAPI schemas of feed events: a common envelope, and the data of each event type.

use freehold_tenancy::feed::{FeedType, TEST_EVENT_TYPE};
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, Discriminator, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr, Type};

/// Returns one OpenAPI schema per event type, which is the envelope with the required data fields of the type.
pub(crate) fn schemas_by_event_type() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    FeedType::ALL.iter().map(|feed_type| {
        let required = feed_type.id_fields().iter().chain(feed_type.data_fields()).copied();
        (feed_type.to_string(), narrowed_schema(feed_type.as_str(), description(*feed_type), required))
    })
}

/// Returns the OpenAPI schema of a test event, which is not in the feed.
pub(crate) fn test_event_schema() -> RefOr<Schema> {
    let description = format!("Event of type `{TEST_EVENT_TYPE}`: tests a webhook endpoint and is not in the feed.");
    narrowed_schema(TEST_EVENT_TYPE, description, std::iter::empty())
}

/// Returns the schema of the events of one type: the envelope, with the fields that its data must have.
fn narrowed_schema(
    event_type: &str,
    description: String,
    required: impl Iterator<Item = &'static str>,
) -> RefOr<Schema> {
    let data = required.fold(ObjectBuilder::new(), ObjectBuilder::required);
    let only = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([event_type]))
        .description(Some("Type of the event."));
    let narrowed =
        ObjectBuilder::new().property("type", only).property("data", data.description(Some("Data of the event.")));
    let schema =
        AllOfBuilder::new().description(Some(description)).item(Ref::from_schema_name("FeedEvent")).item(narrowed);
    RefOr::T(Schema::AllOf(schema.build()))
}

/// Returns the OpenAPI schema of a list of events of any type, discriminated by `type`.
pub(super) fn event_list_schema() -> impl Into<RefOr<Schema>> {
    ArrayBuilder::new()
        .items(any_of(FeedType::ALL.iter().map(|feed_type| feed_type.as_str())))
        .description(Some("Events in the order of their positions."))
}

/// Returns the OpenAPI schema of an event that a webhook endpoint receives.
pub(crate) fn webhook_event_schema() -> RefOr<Schema> {
    any_of(FeedType::ALL.iter().map(|feed_type| feed_type.as_str()).chain([TEST_EVENT_TYPE]))
}

/// Returns the schema of an event of one of the types.
fn any_of(event_types: impl Iterator<Item = &'static str>) -> RefOr<Schema> {
    let any = event_types.fold(OneOfBuilder::new(), |any, name| any.item(Ref::from_schema_name(name)));
    RefOr::T(Schema::OneOf(any.discriminator(Some(Discriminator::new("type"))).build()))
}

fn description(feed_type: FeedType) -> String {
    let fields = feed_type.data_fields();
    if fields.is_empty() {
        format!("Event of type `{feed_type}`.")
    } else {
        format!("Event of type `{feed_type}`; its `data` also contains `{}`.", fields.join("`, `"))
    }
}
