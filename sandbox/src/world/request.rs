//! Taking an HTTP request apart: which service, which operation, signed with which key.

use std::collections::HashMap;

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use winterbaume_core::MockRequest;

use super::{AwsError, Protocol, Service};

/// A request whose service and operation are known.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which service it is for.
    pub service: Service,
    /// Which operation; for a Function URL, `InvokeFunctionUrl`.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Parameters: of the form body where the protocol is awsQuery, else of the query string.
    pub params: HashMap<String, String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// What the signature claims, if there is one.
    pub signature: Option<Signature>,
}

/// What the `Authorization` header says. The signature itself is not verified: the world hands out no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Access key id.
    pub access_key: String,
    /// Region of the credential scope.
    pub region: String,
    /// Signing name of the service.
    pub service: String,
    /// `X-Amz-Security-Token`.
    pub token: Option<String>,
}

impl Request {
    /// Reads a request; an error says what AWS would say to a request that it cannot place.
    pub fn parse(request: &MockRequest) -> Result<Self, AwsError> {
        let path = winterbaume_core::extract_path(&request.uri);
        let query = winterbaume_core::extract_query_string(&request.uri);
        let signature = Signature::of(&request.headers);
        let target = header(&request.headers, "x-amz-target").unwrap_or_default();

        let service = if function_url(&request.uri).is_some() {
            Some(Service::Lambda)
        } else if let Some(signature) = &signature {
            Service::signing_as(&signature.service)
        } else {
            unsigned_service(target, &request.uri)
        };
        let Some(service) = service else {
            return Err(AwsError::new("UnrecognizedServiceException", "The sandbox does not simulate this service.")
                .status(404));
        };

        let params = match service.protocol() {
            Protocol::AwsQuery if !request.body.is_empty() => form(&String::from_utf8_lossy(&request.body)),
            _ => form(query),
        };
        let operation = match service.protocol() {
            Protocol::AwsJson => target.rsplit('.').next().unwrap_or_default().to_owned(),
            Protocol::AwsQuery => params.get("Action").cloned().unwrap_or_default(),
            Protocol::RestJson if service == Service::Lambda => "InvokeFunctionUrl".to_owned(),
            Protocol::RestJson => capitalised(path.trim_matches('/')),
        };
        Ok(Self {
            service,
            operation,
            method: request.method.clone(),
            path,
            params,
            headers: request.headers.clone(),
            body: request.body.clone(),
            signature,
        })
    }

    /// The body read as JSON; an empty body is an empty object.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, AwsError> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(body).map_err(|error| AwsError::serialization(error.to_string()))
    }

    /// A header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

impl Signature {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let authorization = header(headers, "authorization")?.strip_prefix("AWS4-HMAC-SHA256")?;
        let scope = authorization.split(',').find_map(|part| part.trim().strip_prefix("Credential="))?;
        let mut parts = scope.split('/');
        let (access_key, _date, region, service) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            access_key: access_key.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            token: header(headers, "x-amz-security-token").map(str::to_owned),
        })
    }
}

/// Region and id of the Function URL that a request is for: `…/lambda-url/{region}/{id}/…` or, as in AWS,
/// `https://{id}.lambda-url.{region}.on.aws/`.
pub(super) fn function_url(uri: &str) -> Option<(String, String)> {
    let path = winterbaume_core::extract_path(uri);
    if let Some(rest) = path.strip_prefix("/lambda-url/") {
        let mut parts = rest.split('/');
        return Some((parts.next()?.to_owned(), parts.next()?.to_owned()));
    }
    let host = uri.split_once("://")?.1.split(['/', '?']).next()?;
    let (id, rest) = host.split_once(".lambda-url.")?;
    Some((rest.strip_suffix(".on.aws")?.to_owned(), id.to_owned()))
}

fn unsigned_service(target: &str, uri: &str) -> Option<Service> {
    match target.split('.').next() {
        Some("AWSOrganizationsV20161128") => Some(Service::Organizations),
        Some("SWBExternalService") => Some(Service::SsoAdmin),
        Some("AWSIdentityStore") => Some(Service::IdentityStore),
        _ => winterbaume_core::auth::extract_service_from_uri(uri).and_then(|name| Service::signing_as(&name)),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Parses `a=b&c=d`, percent-decoded as UTF-8.
pub(crate) fn form(text: &str) -> HashMap<String, String> {
    let decode = |part: &str| {
        let mut bytes = Vec::with_capacity(part.len());
        let mut rest = part.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or(0);
                    u8::try_from(digit() * 16 + digit()).unwrap_or(b'?')
                }
                other => other,
            });
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_as_utf_8() {
        let params = form("Action=CreateStack&TemplateBody=gr%C3%BC%C3%9Fe+a%26b&Empty=");
        assert_eq!(params["TemplateBody"], "grüße a&b");
        assert_eq!(params["Empty"], "");
    }

    #[test]
    fn function_urls_are_found_by_path_and_by_host() {
        let found = Some(("eu-west-1".to_owned(), "abc".to_owned()));
        assert_eq!(function_url("http://127.0.0.1:1/lambda-url/eu-west-1/abc/health?x=1"), found);
        assert_eq!(function_url("https://abc.lambda-url.eu-west-1.on.aws/"), found);
        assert_eq!(function_url("https://sts.eu-west-1.amazonaws.com/"), None);
    }
}
