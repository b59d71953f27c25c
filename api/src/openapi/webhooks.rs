//! Description of the requests that Freehold sends to webhook endpoints.

use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{ObjectBuilder, PathItem, Paths, PathsBuilder, Required, ResponseBuilder, Type};

use crate::routes::events::schema::webhook_event_schema;

/// Headers of each request: name, description, pattern of the value, and example.
const HEADERS: [(&str, &str, &str, &str); 3] = [
    (
        "webhook-id",
        "Id of the delivery, the same in each attempt. Ignore ids that you have processed.",
        "^whd_[0-9a-z]{26}$",
        "whd_01k2m8v3x9e7rt4s5q6w7y8z9g",
    ),
    ("webhook-timestamp", "Time of the attempt in seconds since 1970. Refuse old values.", "^[0-9]+$", "1795543200"),
    (
        "webhook-signature",
        "Signatures, separated by spaces; one valid signature is enough. Each is `v1,` and the base64 of the \
         HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}`, keyed with the decoded secret.",
        "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
];

/// Statuses of the receiver with their effect.
const RESPONSES: [(&str, &str); 5] = [
    ("2XX", "The event is delivered. Respond within 15 seconds, and process the event afterwards."),
    ("410", "The endpoint is disabled and gets no more events."),
    ("429", "The delivery is retried. `Retry-After` pauses the whole endpoint, for at most 24 hours."),
    ("503", "The delivery is retried. `Retry-After` pauses the whole endpoint, for at most 24 hours."),
    ("default", "The delivery is retried, at most ten attempts in three and a half days. Redirects are not followed."),
];

/// Returns the request that an endpoint with the format `freehold` receives.
pub(super) fn webhooks() -> Paths {
    let parameters = HEADERS.map(|(name, description, pattern, example)| -> Parameter {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))))
            .example(Some(json!(example)))
            .build()
    });
    let body = RequestBodyBuilder::new()
        .description(Some("Event as in `GET /v1/events`, smaller than 20 kB."))
        .required(Some(Required::True))
        .content("application/json", ContentBuilder::new().schema(Some(webhook_event_schema())).build())
        .build();
    let operation = OperationBuilder::new()
        .tag("webhooks")
        .operation_id(Some("receiveEvent"))
        .summary(Some("Receive an event"))
        .description(Some(
            "Freehold sends this request to each enabled endpoint with the format `freehold` that receives events of \
             this type. Endpoints with the formats `slack` and `teams` get the same headers, and a body that the chat \
             accepts. An event can arrive more than once, always with the same `webhook-id`, and out of the order of \
             `sequence`.",
        ))
        .parameters(Some(parameters))
        .request_body(Some(body));
    let operation = RESPONSES.iter().fold(operation, |operation, (status, description)| {
        operation.response(*status, ResponseBuilder::new().description(*description).build())
    });
    PathsBuilder::new().path("event", PathItem::new(HttpMethod::Post, operation)).build()
}
