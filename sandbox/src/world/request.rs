//! Parsing of HTTP requests: service, operation, parameters and signature.

use std::collections::HashMap;

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use winterbaume_core::MockRequest;

use super::{AwsError, Protocol, Service};

/// A parsed request to a simulated service.
#[derive(Clone, Debug)]
pub struct Request {
    pub service: Service,
    /// Operation name; `InvokeFunctionUrl` for a Function URL, and an empty text for an unknown path of Lambda.
    pub operation: String,
    pub method: String,
    /// Path without the query string.
    pub path: String,
    /// Parameters of the form body for the protocol awsQuery, otherwise of the query string.
    pub params: HashMap<String, String>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Parsed `Authorization` header; `None` if the request is not signed.
    pub signature: Option<Signature>,
}

/// Parsed `Authorization` header. The signature itself is not verified, because the sandbox does not check secret
/// access keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub access_key: String,
    /// Region in the credential scope of the signature.
    pub region: String,
    /// Signing name of the service in the credential scope of the signature.
    pub service: String,
    /// Value of the header `X-Amz-Security-Token`.
    pub token: Option<String>,
}

impl Request {
    /// Parses an HTTP request. Returns the name of the service, if there is one, as the error if the service is not
    /// simulated.
    pub fn parse(request: &MockRequest) -> Result<Self, Option<String>> {
        let path = winterbaume_core::extract_path(&request.uri);
        let query = winterbaume_core::extract_query_string(&request.uri);
        let signature = Signature::from_headers(&request.headers);
        let target = header(&request.headers, "x-amz-target").unwrap_or_default();

        let service = if function_url(&request.uri).is_some() {
            Some(Service::Lambda)
        } else if let Some(signature) = &signature {
            Service::from_signing_name(&signature.service)
        } else {
            unsigned_service(target, &request.method, &request.uri)
        };
        let Some(service) = service else {
            let name = signature.map(|signature| signature.service);
            return Err(name.or_else(|| winterbaume_core::auth::extract_service_from_uri(&request.uri)));
        };

        let params = match service.protocol() {
            Protocol::AwsQuery | Protocol::ByRequest if !request.body.is_empty() => {
                parse_form(&String::from_utf8_lossy(&request.body))
            }
            _ => parse_form(query),
        };
        let operation = match service.protocol() {
            Protocol::AwsJson => target.rsplit('.').next().unwrap_or_default().to_owned(),
            Protocol::AwsQuery => params.get("Action").cloned().unwrap_or_default(),
            Protocol::RestJson if function_url(&request.uri).is_some() => "InvokeFunctionUrl".to_owned(),
            Protocol::RestJson if service == Service::Lambda => {
                crate::lambda::operation(&request.method, &path).unwrap_or_default().to_owned()
            }
            Protocol::RestJson if service.is_unsigned() => {
                let found = crate::access_portal::service_and_operation(&request.method, &path);
                found.map(|(_, operation)| operation).unwrap_or_default().to_owned()
            }
            Protocol::RestJson => capitalize(path.trim_matches('/')),
            Protocol::ByRequest => crate::cloudwatch::operation(&request.headers, &path, &params),
            Protocol::RestXml => crate::s3::operation(&request.method, &request.uri).to_owned(),
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

    /// Deserialises the JSON body. An empty body is treated as an empty object.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, AwsError> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(body).map_err(|error| AwsError::serialization(error.to_string()))
    }

    /// Returns the value of a header, or `None` if the header is missing or is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

impl Signature {
    fn from_headers(headers: &HeaderMap) -> Option<Self> {
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

/// Returns the region and the id of a Function URL: `…/lambda-url/{region}/{id}/…` or, as in AWS,
/// `https://{id}.lambda-url.{region}.on.aws/`. Returns `None` for other URLs.
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

fn unsigned_service(target: &str, method: &str, uri: &str) -> Option<Service> {
    let portal = crate::access_portal::service_and_operation(method, &winterbaume_core::extract_path(uri));
    match target.split('.').next() {
        Some("AWSOrganizationsV20161128") => Some(Service::Organizations),
        Some("SWBExternalService") => Some(Service::SsoAdmin),
        Some("GraniteServiceVersion20100801") => Some(Service::CloudWatch),
        Some("AWSIdentityStore") => Some(Service::IdentityStore),
        _ if portal.is_some() => portal.map(|(service, _)| service),
        _ => winterbaume_core::auth::extract_service_from_uri(uri).and_then(|name| Service::from_signing_name(&name)),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Parses `a=b&c=d` and percent-decodes it as UTF-8.
pub(crate) fn parse_form(text: &str) -> HashMap<String, String> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (percent_decode(key, true), percent_decode(value, true)))
        .collect()
}

/// Percent-decodes UTF-8. In a form, a plus sign stands for a blank.
pub(crate) fn percent_decode(text: &str, is_form: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' if is_form => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or(0);
                u8::try_from(digit() * 16 + digit()).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn capitalize(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_as_utf_8() {
        let params = parse_form("Action=CreateStack&TemplateBody=gr%C3%BC%C3%9Fe+a%26b&Empty=");
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
