//! OpenAPI schemas of feed events: a common envelope, and the data of each event type.

use freehold_tenancy::feed::FeedType;
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, Discriminator, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr, Type};

/// Returns one OpenAPI schema per event type, which is the envelope with the required data fields of the type.
pub(crate) fn schemas_by_event_type() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    FeedType::ALL.iter().map(|feed_type| {
        let data = ObjectBuilder::new();
        let data =
            feed_type.id_fields().iter().chain(feed_type.data_fields()).fold(data, |data, name| data.required(*name));
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

/// Returns the OpenAPI schema of a list of events of any type, discriminated by `type`.
pub(super) fn event_list_schema() -> impl Into<RefOr<Schema>> {
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
        format!("Event of type `{feed_type}`.")
    } else {
        format!("Event of type `{feed_type}`; its `data` also contains `{}`.", fields.join("`, `"))
    }
}
