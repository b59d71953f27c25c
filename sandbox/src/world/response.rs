//! Error responses in the wire format of each protocol.

use http::{HeaderName, HeaderValue};
use serde_json::json;
use winterbaume_core::{MockResponse, xml_escape};

use super::{AwsError, Protocol, Request, Service};

/// Returns the HTTP response for an error, in the wire format of the request.
pub(super) fn error_for(request: &Request, cause: &AwsError, request_id: &str) -> MockResponse {
    let chosen = (request.service.protocol() == Protocol::ByRequest)
        .then(|| crate::cloudwatch::error(&request.headers, cause))
        .flatten();
    chosen.unwrap_or_else(|| error(request.service, cause, request_id))
}

/// Returns the HTTP response for an error, in the wire format of `service`.
pub(super) fn error(service: Service, error: &AwsError, request_id: &str) -> MockResponse {
    match service.protocol() {
        Protocol::AwsJson => {
            let mut body = json!({ "__type": error.code, "Message": error.message });
            if let Some(body) = body.as_object_mut() {
                body.extend(error.members.clone());
            }
            json_response(error.status, &body, "application/x-amz-json-1.1")
        }
        Protocol::RestJson => {
            let mut body = match service {
                Service::SsoOidc => json!({
                    "error": crate::access_portal::oauth_code(&error.code),
                    "error_description": error.message,
                }),
                _ => json!({ "message": error.message }),
            };
            if let Some(body) = body.as_object_mut() {
                body.extend(error.members.clone());
            }
            let mut response = json_response(error.status, &body, "application/json");
            set_header(&mut response, "x-amzn-errortype", &error.code);
            response
        }
        Protocol::RestXml => MockResponse::xml(error.status, crate::s3::error_body(error, request_id)),
        Protocol::AwsQuery | Protocol::ByRequest => {
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

/// Sets the request id in the body of a response of a service with the protocol awsQuery.
pub(super) fn set_request_id(response: &mut MockResponse, request_id: &str) {
    const START: &str = "<RequestId>";
    let Ok(body) = std::str::from_utf8(&response.body) else { return };
    let Some((before, rest)) = body.rsplit_once(START) else { return };
    let Some((_, after)) = rest.split_once("</RequestId>") else { return };
    response.body = format!("{before}{START}{request_id}</RequestId>{after}").into();
}

/// Returns an error response with a fixed request id, for code that responds in place of AWS.
pub(crate) fn error_response(service: Service, cause: &AwsError) -> MockResponse {
    error(service, cause, "00000000-0000-0000-0000-000000000000")
}

/// Sets a response header. A value that is not a valid header value is ignored.
pub(crate) fn set_header(response: &mut MockResponse, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers.insert(HeaderName::from_static(name), value);
    }
}

fn json_response(status: u16, body: &serde_json::Value, content_type: &str) -> MockResponse {
    let mut response = MockResponse::rest_json(status, body.to_string());
    set_header(&mut response, "content-type", content_type);
    response
}
