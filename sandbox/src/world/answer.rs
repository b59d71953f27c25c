//! An error on the wire of each protocol.

use http::{HeaderName, HeaderValue};
use serde_json::json;
use winterbaume_core::{MockResponse, xml_escape};

use super::{AwsError, Protocol, Service};

/// The answer that states `error` as `service` would.
pub(super) fn error(service: Service, error: &AwsError, request_id: &str) -> MockResponse {
    match service.protocol() {
        Protocol::AwsJson => {
            let mut body = json!({ "__type": error.code, "Message": error.message });
            if let Some(body) = body.as_object_mut() {
                body.extend(error.members.clone());
            }
            json_answer(error.status, &body, "application/x-amz-json-1.1")
        }
        Protocol::RestJson => {
            let mut body = json!({ "message": error.message });
            if let Some(body) = body.as_object_mut() {
                body.extend(error.members.clone());
            }
            let mut answer = json_answer(error.status, &body, "application/json");
            set(&mut answer, "x-amzn-errortype", &error.code);
            answer
        }
        Protocol::AwsQuery => {
            let fault = if error.status < 500 { "Sender" } else { "Receiver" };
            MockResponse::xml(
                error.status,
                format!(
                    "<ErrorResponse xmlns=\"{}\">\n  <Error>\n    <Type>{fault}</Type>\n    <Code>{}</Code>\n    \
                     <Message>{}</Message>\n  </Error>\n  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n",
                    service.xml_namespace(),
                    xml_escape(&error.code),
                    xml_escape(&error.message)
                ),
            )
        }
    }
}

/// The same, for whoever answers in the place of AWS.
pub(crate) fn refusal(service: Service, refused: &AwsError) -> MockResponse {
    error(service, refused, "00000000-0000-0000-0000-000000000000")
}

/// Sets a header, where the value can be one.
pub(super) fn set(answer: &mut MockResponse, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers.insert(HeaderName::from_static(name), value);
    }
}

fn json_answer(status: u16, body: &serde_json::Value, content_type: &str) -> MockResponse {
    let mut answer = MockResponse::rest_json(status, body.to_string());
    set(&mut answer, "content-type", content_type);
    answer
}
