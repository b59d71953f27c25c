//! Refusals of calls to services that are not simulated, in the protocol of the client.

use winterbaume_core::{MockRequest, MockResponse, xml_escape};

use super::calls::CallRecord;
use super::{World, response};

const CODE: &str = "UnrecognizedServiceException";

/// Maximum length of an operation's name in the message and in the log.
const MAX_OPERATION_LENGTH: usize = 200;

/// Signing names of the services that describe errors in XML and name the operation in the path.
const REST_XML_SERVICES: [&str; 2] = ["cloudfront", "route53"];

/// Protocol of a client, derived from its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientProtocol {
    Json,
    Cbor,
    Query,
    /// The protocol of EC2, whose errors have elements of their own.
    Ec2,
    RestXml,
    RestJson,
}

/// Returns the error response for a call to a service that is not simulated, and logs the call. `service` is the
/// signing name of the service, if the request contains it.
pub(super) fn refuse(world: &World, raw: &MockRequest, service: Option<&str>) -> MockResponse {
    let (protocol, operation) = protocol(raw, service);
    let operation: String = operation.chars().take(MAX_OPERATION_LENGTH).collect();
    let name = service.unwrap_or("unknown");
    let message = format!("The sandbox does not simulate the service {name} (call: {operation}).");
    let request_id = {
        let mut state = world.state();
        state.calls.push(CallRecord {
            at: world.clock().now(),
            operation: format!("{name}:{operation}"),
            account: String::new(),
            caller: String::new(),
            region: String::new(),
            error: Some(CODE.to_owned()),
        });
        state.ids.uuid()
    };
    let mut response = response(protocol, &message, &request_id);
    response::set_header(&mut response, "x-amzn-requestid", &request_id);
    response
}

/// Returns the protocol of a request and the name of its operation.
fn protocol(raw: &MockRequest, service: Option<&str>) -> (ClientProtocol, String) {
    let header = |name: &str| raw.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let target = header("x-amz-target");
    let path = winterbaume_core::extract_path(&raw.uri);
    if header("smithy-protocol") == "rpc-v2-cbor" {
        return (ClientProtocol::Cbor, path.rsplit('/').next().unwrap_or_default().to_owned());
    }
    if !target.is_empty() {
        return (ClientProtocol::Json, target.rsplit('.').next().unwrap_or_default().to_owned());
    }
    let mut form = super::parse_form(winterbaume_core::extract_query_string(&raw.uri));
    if header("content-type").starts_with("application/x-www-form-urlencoded") {
        form.extend(super::parse_form(&String::from_utf8_lossy(&raw.body)));
    }
    let call = format!("{} {path}", raw.method);
    match (form.remove("Action"), service) {
        (Some(action), Some("ec2")) => (ClientProtocol::Ec2, action),
        (Some(action), _) => (ClientProtocol::Query, action),
        (None, Some(service)) if REST_XML_SERVICES.contains(&service) => (ClientProtocol::RestXml, call),
        (None, _) => (ClientProtocol::RestJson, call),
    }
}

fn response(protocol: ClientProtocol, message: &str, request_id: &str) -> MockResponse {
    let json = serde_json::json!({ "__type": CODE, "message": message }).to_string();
    let error = format!("<Code>{CODE}</Code><Message>{}</Message>", xml_escape(message));
    let mut response = match protocol {
        ClientProtocol::Json => MockResponse::rest_json(400, json),
        ClientProtocol::RestJson => MockResponse::rest_json(404, json),
        ClientProtocol::Cbor => MockResponse::rest_json(400, cbor_map(&[("__type", CODE), ("message", message)])),
        ClientProtocol::Query | ClientProtocol::RestXml => {
            let status = if protocol == ClientProtocol::Query { 400 } else { 404 };
            let body = format!("<Error><Type>Sender</Type>{error}</Error><RequestId>{request_id}</RequestId>");
            MockResponse::xml(status, format!("<ErrorResponse>{body}</ErrorResponse>"))
        }
        ClientProtocol::Ec2 => {
            let body = format!("<Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID>");
            MockResponse::xml(400, format!("<Response>{body}</Response>"))
        }
    };
    match protocol {
        ClientProtocol::Json => response::set_header(&mut response, "content-type", "application/x-amz-json-1.1"),
        ClientProtocol::RestJson => response::set_header(&mut response, "x-amzn-errortype", CODE),
        ClientProtocol::Cbor => {
            response::set_header(&mut response, "content-type", "application/cbor");
            response::set_header(&mut response, "smithy-protocol", "rpc-v2-cbor");
        }
        ClientProtocol::Query | ClientProtocol::Ec2 | ClientProtocol::RestXml => {}
    }
    response
}

/// Encodes a map of at most 23 texts in CBOR (RFC 8949).
fn cbor_map(entries: &[(&str, &str)]) -> Vec<u8> {
    const MAP: u8 = 0xa0;
    const TEXT_WITH_LENGTH_OF_TWO_BYTES: u8 = 0x79;
    let mut encoded = vec![MAP + u8::try_from(entries.len()).unwrap_or_default()];
    for text in entries.iter().flat_map(|(key, value)| [key, value]) {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        encoded.push(TEXT_WITH_LENGTH_OF_TWO_BYTES);
        encoded.extend(length.to_be_bytes());
        encoded.extend(&text.as_bytes()[..usize::from(length)]);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};

    use super::*;
    use crate::world::testing::world;

    fn send(service: &str, headers: &[(&str, &str)], path: &str, body: &str) -> (MockResponse, String) {
        let scope = format!("AKIASANDBOXMANAGEMENT/20261123/us-east-1/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().chain(&[("authorization", authorization.as_str())]) {
            map.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let uri = format!("http://127.0.0.1:4566{path}");
        let raw = MockRequest { method: "POST".into(), uri, headers: map, body: body.to_owned().into() };
        let world = world();
        let response = world.handle(&raw);
        let operation = world.calls().recent().last().unwrap().operation.clone();
        (response, operation)
    }

    #[test]
    fn a_service_that_is_not_simulated_refuses_in_the_clients_protocol() {
        let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let code = "<Code>UnrecognizedServiceException</Code>";
        let json = r#""__type":"UnrecognizedServiceException""#;
        for (service, headers, path, body, status, expected, operation) in [
            (
                "ec2",
                &form[..],
                "/",
                "Action=DescribeRegions",
                400,
                "<Response><Errors><Error><Code>",
                "DescribeRegions",
            ),
            ("iam", &form[..], "/", "Action=ListRoles", 400, code, "ListRoles"),
            (
                "logs",
                &[("smithy-protocol", "rpc-v2-cbor")],
                "/service/A/operation/ListMetrics",
                "",
                400,
                "UnrecognizedServiceException",
                "ListMetrics",
            ),
            ("dynamodb", &[("x-amz-target", "DynamoDB_20120810.ListTables")], "/", "{}", 400, json, "ListTables"),
            ("route53", &[], "/2013-04-01/hostedzone", "", 404, code, "POST /2013-04-01/hostedzone"),
            ("eks", &[], "/clusters", "", 404, json, "POST /clusters"),
        ] {
            let (response, logged) = send(service, headers, path, body);
            let text = String::from_utf8_lossy(&response.body).into_owned();
            assert_eq!(response.status, status, "{service}: {text}");
            assert!(text.contains(expected), "{service}: {text}");
            assert!(text.contains(&format!("the service {service} (call: {operation})")), "{service}: {text}");
            assert_eq!(logged, format!("{service}:{operation}"));
        }
    }

    #[test]
    fn a_cbor_error_is_a_map_of_texts() {
        assert_eq!(cbor_map(&[("a", "bc")]), [0xa1, 0x79, 0, 1, b'a', 0x79, 0, 2, b'b', b'c']);
    }
}
