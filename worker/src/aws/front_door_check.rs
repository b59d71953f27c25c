//! Requests to the front door of an environment, without a signature, as any viewer sends them.

use freehold_tenancy::Region;

use super::Aws;
use super::connection::{Endpoint, is_loopback};
use super::signed_call::{HttpCall, Response};
use super::stack_check::{is_plain_url_below, rejected_status};
use crate::cloud::{CheckRequest, CheckResponse, CloudError, CloudErrorKind, Result};

const CALL: &str = "cloudfront:ViewerRequest";

impl Aws {
    /// Sends a request to the URL of a distribution. Fails if `request` does not accept the status of the response.
    pub async fn call_front_door(&self, url: &str, request: &CheckRequest) -> Result<CheckResponse> {
        let response = self.send_as_viewer(url, request).await?;
        if request.accepts(response.status) {
            Ok(CheckResponse { status: response.status, body: response.body })
        } else {
            Err(rejected_status(CALL, &response))
        }
    }

    /// Returns whether a function answers at the URL of a distribution. CloudFront answers 403 if it is disabled or if
    /// the function refuses it, and no request leaves for a URL that is not of a distribution.
    pub async fn front_door_answers(&self, url: &str) -> Result<bool> {
        match self.call_front_door(url, &CheckRequest::any_answer()).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind, CloudErrorKind::Throttled { .. }) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Returns the domain name of a Function URL in `region`, or `None` if `url` is no Function URL there.
    pub(crate) fn function_url_domain(&self, region: Region, url: &str) -> Option<String> {
        if !self.is_function_url(region, url) {
            return None;
        }
        let url = url.parse::<http::Uri>().ok()?;
        // A simulated AWS serves the URL with this id at a path of its own.
        let simulated = url.path().strip_prefix(&format!("/lambda-url/{region}/"));
        match simulated {
            Some(rest) => Some(format!("{}.lambda-url.{region}.on.aws", rest.trim_end_matches('/'))),
            None => url.host().map(ToOwned::to_owned),
        }
    }

    async fn send_as_viewer(&self, url: &str, request: &CheckRequest) -> Result<Response> {
        check_url(self.connection.endpoint(), url)?;
        let call = HttpCall {
            call: CALL,
            method: request.method,
            base: url.trim_end_matches('/').to_owned(),
            path: request.path.clone(),
            body: String::new(),
            timeout: request.timeout,
        };
        let response = self.make_call(CALL, self.send_unsigned(&call)).await?;
        // CloudFront passes on headers of the function, which are not those of an AWS API.
        Ok(Response { status: response.status, body: response.body, ..Response::default() })
    }
}

/// Checks that `url` is that of a distribution, because the outputs of a stack are not trusted.
fn check_url(endpoint: &Endpoint, url: &str) -> Result<()> {
    let is_distribution = || is_plain_url_below(url, ".cloudfront.net");
    let is_allowed = match endpoint {
        Endpoint::Aws => is_distribution(),
        Endpoint::Loopback(_) => is_loopback(url),
        // No request leaves the process.
        Endpoint::InProcess => is_distribution() || is_loopback(url),
    };
    if is_allowed {
        return Ok(());
    }
    let message = format!("`{url}` must be the URL of a CloudFront distribution; Freehold did not call it");
    Err(CloudError::from_freehold(CloudErrorKind::Failed, CALL, "NotADistribution", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_url_of_a_distribution_is_called() {
        assert!(check_url(&Endpoint::Aws, "https://d111111abcdef8.cloudfront.net/").is_ok());
        for url in [
            "http://d111111abcdef8.cloudfront.net/",
            "https://d111111abcdef8.cloudfront.net.example.com/",
            "https://example.com/?d111111abcdef8.cloudfront.net",
            "https://user@d111111abcdef8.cloudfront.net/",
            "https://d111111abcdef8.cloudfront.net:8443/",
            "https://a.b.cloudfront.net/",
            "https://.cloudfront.net/",
            "https://d111111abcdef8.cloudfront.net/admin",
            "http://127.0.0.1:4566/cloudfront/d111111abcdef8/",
            "not a url",
        ] {
            assert!(check_url(&Endpoint::Aws, url).is_err(), "{url}");
        }
        let simulated = Endpoint::Loopback("http://127.0.0.1:4566".to_owned());
        assert!(check_url(&simulated, "http://127.0.0.1:4566/cloudfront/d111111abcdef8/").is_ok());
        assert!(check_url(&simulated, "https://d111111abcdef8.cloudfront.net/").is_err());
    }
}
