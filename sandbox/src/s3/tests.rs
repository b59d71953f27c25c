//! Tests of S3 requests with the permissions of callers in the account of the bucket and in another account.

use serde_json::json;
use winterbaume_core::MockRequest;

use crate::testing::{TestClient, instant_world};
use crate::world::World;
use crate::world::testing::Credentials;

/// Sends a signed request to S3 in the path style. Returns the status, the body and the version id.
fn send(
    world: &World,
    credentials: &Credentials,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String, Option<String>) {
    let mut headers = http::HeaderMap::new();
    let scope = format!("{}/20261123/{}/s3/aws4_request", credentials.key, credentials.region);
    let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    headers.insert("authorization", authorization.parse().unwrap());
    if let Some(token) = &credentials.token {
        headers.insert("x-amz-security-token", token.parse().unwrap());
    }
    let request = MockRequest {
        method: method.to_owned(),
        uri: format!("http://127.0.0.1:4566{path}"),
        headers,
        body: body.to_owned().into(),
    };
    let response = world.handle(&request);
    let version = response.headers.get("x-amz-version-id").map(|id| id.to_str().unwrap().to_owned());
    (response.status, String::from_utf8(response.body.to_vec()).unwrap(), version)
}

fn code(response: (u16, String, Option<String>)) -> (u16, String) {
    let code = response.1.split_once("<Code>").map(|(_, rest)| rest.split("</").next().unwrap_or_default().to_owned());
    (response.0, code.unwrap_or_default())
}

#[test]
fn objects_have_versions_that_do_not_change() {
    let world = instant_world();
    let admin = Credentials::management(&world).in_region("eu-central-1");
    let put = |text: &str| send(&world, &admin, "PUT", "/templates/a/b.yaml", text);
    assert_eq!(send(&world, &admin, "PUT", "/templates", "").0, 200);
    assert_eq!(put("first").2, None, "the bucket has no versions yet");
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(send(&world, &admin, "PUT", "/templates?versioning", versioning).0, 200);
    let (second, third) = (put("second").2.unwrap(), put("third").2.unwrap());
    let get = |query: &str| send(&world, &admin, "GET", &format!("/templates/a/b.yaml{query}"), "");
    assert_eq!(get("").1, "third");
    assert_eq!(get(&format!("?versionId={second}")), (200, "second".to_owned(), Some(second)));
    assert_eq!(get(&format!("?versionId={third}")).1, "third");
    assert_eq!(get("?versionId=null").1, "first");
}

#[test]
fn an_error_has_the_code_and_status_of_s3() {
    let world = instant_world();
    let admin = Credentials::management(&world).in_region("eu-central-1");
    let request = |method: &str, path: &str| code(send(&world, &admin, method, path, ""));
    assert_eq!(request("PUT", "/templates"), (200, String::new()));
    for (method, path, expected) in [
        ("PUT", "/templates", (409, "BucketAlreadyOwnedByYou")),
        ("PUT", "/T", (400, "InvalidBucketName")),
        ("GET", "/templates/none", (404, "NoSuchKey")),
        ("GET", "/templates/none?versionId=1", (404, "NoSuchVersion")),
        ("GET", "/missing/none", (404, "NoSuchBucket")),
        ("DELETE", "/templates/none", (501, "NotImplemented")),
        ("PUT", "/templates?policy", (400, "MalformedPolicy")),
    ] {
        assert_eq!(request(method, path), (expected.0, expected.1.to_owned()), "{method} {path}");
    }
    let elsewhere = admin.in_region("eu-west-1");
    let response = code(send(&world, &elsewhere, "GET", "/templates/none", ""));
    assert_eq!(response, (301, "PermanentRedirect".to_owned()));
    let unknown = Credentials { key: "AKIAUNKNOWN".into(), ..admin.clone() };
    assert_eq!(code(send(&world, &unknown, "GET", "/templates/a", "")).0, 403);
}

#[test]
fn another_account_needs_the_bucket_policy_and_its_own_permission() {
    let world = instant_world();
    let admin = Credentials::management(&world).in_region("eu-central-1");
    assert_eq!(send(&world, &admin, "PUT", "/templates", "").0, 200);
    assert_eq!(send(&world, &admin, "PUT", "/templates/a", "text").0, 200);
    let member = TestClient::member(&world);
    let read = |path: &str| code(send(&world, &member.credentials().in_region("eu-central-1"), "GET", path, ""));
    assert_eq!(read("/templates/a"), (403, "AccessDenied".to_owned()));
    let organization = world.state().organization.id.clone();
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::templates/*",
        "Condition": { "StringEquals": { "aws:PrincipalOrgID": organization } } }] });
    assert_eq!(send(&world, &admin, "PUT", "/templates?policy", &policy.to_string()).0, 204);
    assert_eq!(read("/templates/a"), (200, String::new()));
    // The member may not list the bucket, so S3 does not disclose that the object is missing.
    assert_eq!(read("/templates/missing"), (403, "AccessDenied".to_owned()));
    assert_eq!(code(send(&world, member.credentials(), "PUT", "/templates/a", "x")), (403, "AccessDenied".to_owned()));
}
