//! Simulated Amazon S3, as far as CloudFormation needs it to read templates: buckets with versions and a bucket policy,
//! and text objects.

mod address;
mod store;

use serde_json::Value;
use winterbaume_core::{MockResponse, xml_escape};

pub(crate) use address::ObjectAddress;
pub use store::{Bucket, Buckets};

use crate::policy::{AccessRequest, Decision, Document, PolicyKind, evaluate};
use crate::world::{AwsError, Ctx, Request, State, World};

/// Returns the operation of a request, which S3 derives from method, path and query.
pub(crate) fn operation(method: &str, uri: &str) -> &'static str {
    let query = winterbaume_core::extract_query_string(uri);
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let has_key = ObjectAddress::of_request(uri).is_some_and(|address| !address.key.is_empty());
    match (method, has_key) {
        ("PUT", true) if !has("tagging") && !has("acl") && !has("partNumber") => "PutObject",
        ("GET", true) if !has("tagging") && !has("acl") && !has("uploadId") => "GetObject",
        ("PUT", false) if has("versioning") => "PutBucketVersioning",
        ("PUT", false) if has("policy") => "PutBucketPolicy",
        ("PUT", false) if query.is_empty() => "CreateBucket",
        _ => "Unknown",
    }
}

/// Handles an S3 API call.
pub(crate) fn call(
    state: &mut State,
    ctx: &Ctx,
    operation: &str,
    request: &Request,
    uri: &str,
) -> Result<MockResponse, AwsError> {
    if operation == "Unknown" {
        let call = format!("{} {}", request.method, request.path);
        return Err(error(
            501,
            "NotImplemented",
            &format!("The sandbox does not simulate this operation of S3: {call}"),
        ));
    }
    let address = ObjectAddress::of_request(uri).ok_or_else(|| error(400, "InvalidURI", "Couldn't parse the URI."))?;
    let body = || {
        let text = String::from_utf8(request.body.to_vec());
        text.map_err(|_| error(501, "NotImplemented", "The sandbox stores only objects that contain UTF-8 text."))
    };
    match operation {
        "CreateBucket" => create_bucket(state, ctx, &address.bucket, &body()?),
        "PutBucketVersioning" => {
            authorize_for_bucket(state, ctx, &address, "s3:PutBucketVersioning")?;
            state.s3_buckets.set_versioned(&address.bucket, body()?.contains("<Status>Enabled</Status>"));
            Ok(MockResponse::xml(200, ""))
        }
        "PutBucketPolicy" => {
            authorize_for_bucket(state, ctx, &address, "s3:PutBucketPolicy")?;
            let policy = Document::parse_as(PolicyKind::Resource, &body()?);
            let policy = policy.map_err(|message| error(400, "MalformedPolicy", &message))?;
            state.s3_buckets.set_policy(&address.bucket, policy);
            Ok(MockResponse::xml(204, ""))
        }
        "PutObject" => {
            authorize_for_bucket(state, ctx, &address, "s3:PutObject")?;
            // The body of a chunked upload also contains signatures and checksums.
            if request.header("x-amz-content-sha256").is_some_and(|hash| hash.starts_with("STREAMING-")) {
                return Err(error(501, "NotImplemented", "The sandbox does not accept uploads in signed chunks."));
            }
            let version = state.ids.uuid().replace('-', "");
            let version = state.s3_buckets.put(&address.bucket, &address.key, body()?, version);
            let mut response = MockResponse::xml(200, "");
            set_version(&mut response, version.as_deref());
            Ok(response)
        }
        "GetObject" => {
            let (text, version) = read_object(state, ctx, &address)?;
            let mut response = MockResponse::xml(200, text);
            response.headers.insert("content-type", http::HeaderValue::from_static("binary/octet-stream"));
            set_version(&mut response, version.as_deref());
            Ok(response)
        }
        _ => Err(AwsError::unknown_operation(operation)),
    }
}

fn create_bucket(state: &mut State, ctx: &Ctx, name: &str, body: &str) -> Result<MockResponse, AwsError> {
    authorize(state, ctx, None, "s3:CreateBucket", &format!("arn:aws:s3:::{name}"))?;
    let is_valid = (3..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    if !is_valid {
        return Err(error(400, "InvalidBucketName", "The specified bucket is not valid."));
    }
    if let Some(bucket) = state.s3_buckets.get(name) {
        return Err(if bucket.account == ctx.caller.account {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            error(409, "BucketAlreadyOwnedByYou", message)
        } else {
            error(409, "BucketAlreadyExists", "The requested bucket name is not available.")
        });
    }
    let constraint = body.split_once("<LocationConstraint>").and_then(|(_, rest)| rest.split_once("</"));
    let region = constraint.map_or(ctx.region.as_str(), |(region, _)| region);
    if region != ctx.region {
        let message = format!("The {region} location constraint is incompatible for the region specific endpoint.");
        return Err(error(400, "IllegalLocationConstraintException", &message));
    }
    state.s3_buckets.create(name, &ctx.caller.account, region);
    Ok(MockResponse::xml(200, ""))
}

/// Returns the text and the version id of an object, if the caller may read it.
pub(crate) fn read_object(
    state: &State,
    ctx: &Ctx,
    address: &ObjectAddress,
) -> Result<(String, Option<String>), AwsError> {
    let bucket = bucket_in_region(state, ctx, address)?;
    let action = if address.version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    authorize(state, ctx, Some(bucket), action, &address.arn())?;
    if let Some((text, version)) = bucket.object(&address.key, address.version.as_deref()) {
        return Ok((text.to_owned(), version.map(str::to_owned)));
    }
    // S3 discloses that an object does not exist only to callers that may list the bucket.
    authorize(state, ctx, Some(bucket), "s3:ListBucket", &format!("arn:aws:s3:::{}", address.bucket))?;
    Err(if address.version.is_some() {
        error(404, "NoSuchVersion", "The specified version does not exist.")
    } else {
        error(404, "NoSuchKey", "The specified key does not exist.")
    })
}

fn authorize_for_bucket(state: &State, ctx: &Ctx, address: &ObjectAddress, action: &str) -> Result<(), AwsError> {
    let bucket = bucket_in_region(state, ctx, address)?;
    authorize(state, ctx, Some(bucket), action, &address.arn())
}

fn bucket_in_region<'a>(state: &'a State, ctx: &Ctx, address: &ObjectAddress) -> Result<&'a Bucket, AwsError> {
    let bucket = state.s3_buckets.get(&address.bucket);
    let bucket = bucket.ok_or_else(|| error(404, "NoSuchBucket", "The specified bucket does not exist"))?;
    let endpoint = address.region.as_deref().unwrap_or(&ctx.region);
    if bucket.region != endpoint {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please \
                       send all future requests to this endpoint.";
        return Err(error(301, "PermanentRedirect", message));
    }
    Ok(bucket)
}

/// Returns an access-denied error unless the caller has the permission. Within the account of the bucket, the caller's
/// policies or the bucket policy must allow the action; across accounts, both must. A service control policy can deny
/// the action in either case.
fn authorize(state: &State, ctx: &Ctx, bucket: Option<&Bucket>, action: &str, resource: &str) -> Result<(), AwsError> {
    let role_arn = ctx.caller.principal_arn();
    let principal = ctx.caller.as_principal(&role_arn);
    let keys = state.condition_keys(ctx);
    let request = AccessRequest { action, resource, principal, keys: &keys };
    let guardrails = state.organization.effective_policies(&ctx.caller.account, ctx.now);
    let is_possible = guardrails.iter().all(|level| evaluate(level.iter().copied(), &request) == Decision::Allow);
    let by_bucket = bucket
        .and_then(|bucket| bucket.policy.as_ref())
        .map_or(Decision::ImplicitDeny, |policy| evaluate([policy], &request));
    let decisions = [state.evaluate_identity_policies(&ctx.caller, &request), by_bucket];
    let is_own = bucket.is_none_or(|bucket| bucket.account == ctx.caller.account);
    let is_allowed = is_possible
        && ctx.caller.evaluate_session_policies(&request) == Decision::Allow
        && !decisions.contains(&Decision::ExplicitDeny)
        && if is_own {
            decisions.contains(&Decision::Allow)
        } else {
            decisions.iter().all(|decision| *decision == Decision::Allow)
        };
    if is_allowed { Ok(()) } else { Err(error(403, "AccessDenied", "Access Denied")) }
}

fn set_version(response: &mut MockResponse, version: Option<&str>) {
    if let Some(version) = version.and_then(|version| http::HeaderValue::from_str(version).ok()) {
        response.headers.insert("x-amz-version-id", version);
    }
}

fn error(status: u16, code: &str, message: &str) -> AwsError {
    AwsError::new(code, message).status(status)
}

/// Returns the body of an error response of S3.
pub(crate) fn error_body(error: &AwsError, request_id: &str) -> String {
    let members = error.members.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("<{name}>{}</{name}>", xml_escape(&value))
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>{}<RequestId>\
         {request_id}</RequestId></Error>",
        xml_escape(&error.code),
        xml_escape(&error.message),
        members.collect::<String>()
    )
}

impl World {
    /// Stores a template in a versioned bucket of Freehold's account, which the whole organisation may read. Creates
    /// the bucket if it does not exist. Returns the URL of the version.
    pub fn store_template(&self, region: &str, bucket: &str, key: &str, body: &str) -> String {
        let mut state = self.state();
        if state.s3_buckets.get(bucket).is_none() {
            let organization = Value::from(state.organization.id.as_str());
            let policy = serde_json::json!({
                "Version": "2012-10-17",
                "Statement": [{
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": ["s3:GetObject", "s3:GetObjectVersion"],
                    "Resource": format!("arn:aws:s3:::{bucket}/*"),
                    "Condition": { "StringEquals": { "aws:PrincipalOrgID": organization } },
                }],
            });
            state.s3_buckets.create(bucket, &self.settings().freehold_account, region);
            state.s3_buckets.set_versioned(bucket, true);
            state.s3_buckets.set_policy(bucket, Document::from_value(policy).unwrap_or_default());
        }
        let version = state.ids.uuid().replace('-', "");
        let version = state.s3_buckets.put(bucket, key, body.to_owned(), version).unwrap_or_default();
        format!("https://{bucket}.s3.{region}.amazonaws.com/{key}?versionId={version}")
    }
}

#[cfg(test)]
mod tests;
