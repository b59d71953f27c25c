//! A request to an origin: attempts, time-outs, and the signature of the origin access control.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use winterbaume_core::{MockRequest, MockResponse};

use super::validate::forwards_host;
use super::viewer::error_page;
use super::{Behavior, Distribution, Origin};
use crate::faults::{OutageForm, outage_error};
use crate::lambda::{UrlCaller, call_url, function_url_domain};
use crate::world::{Service, State, error_response};

/// Service principal of CloudFront. No service control policy applies to it.
const SERVICE_PRINCIPAL: &str = "cloudfront.amazonaws.com";

/// Answer of an origin, after all attempts.
pub(super) enum Answer {
    Response(MockResponse),
    NotConnected { timed_out: bool },
    NotInTime,
}

impl Answer {
    /// Returns the response for the viewer if CloudFront asks no other origin.
    pub(super) fn into_response(self) -> MockResponse {
        match self {
            Self::Response(response) => response,
            Self::NotConnected { timed_out: false } => error_page(502, "CloudFront can't connect to the origin."),
            Self::NotConnected { timed_out: true } => {
                error_page(504, "CloudFront could not connect to the origin in time.")
            }
            Self::NotInTime => error_page(504, "The origin did not answer in time."),
        }
    }
}

/// A request of a viewer for which CloudFront asks an origin.
pub(super) struct OriginRequest<'a> {
    pub(super) state: &'a State,
    pub(super) now: DateTime<Utc>,
    pub(super) account: &'a str,
    pub(super) distribution: &'a Distribution,
    pub(super) behavior: &'a Behavior,
    pub(super) viewer: &'a MockRequest,
}

impl OriginRequest<'_> {
    /// Asks an origin. Returns its answer and the time that passes until CloudFront has it.
    pub(super) fn ask(&self, origin: &Origin) -> (Answer, Duration) {
        let Some((id, region)) = function_url_domain(&origin.domain).filter(|_| !origin.http_only) else {
            return (Answer::NotConnected { timed_out: false }, Duration::ZERO);
        };
        let outage = self.state.faults.outage_form(Service::Lambda, region, self.now);
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        match outage {
            Some(OutageForm::Refused) => (Answer::NotConnected { timed_out: false }, Duration::ZERO),
            Some(OutageForm::Unreachable) => {
                let waited = seconds(origin.connection_timeout) * origin.connection_attempts;
                (Answer::NotConnected { timed_out: true }, waited)
            }
            Some(OutageForm::Hanging) => {
                // Only requests without a body that are safe to repeat are sent again.
                let is_repeated = matches!(self.viewer.method.as_str(), "GET" | "HEAD");
                let attempts = if is_repeated { origin.connection_attempts } else { 1 };
                (Answer::NotInTime, seconds(origin.read_timeout) * attempts)
            }
            Some(form @ (OutageForm::Unavailable | OutageForm::NotFound)) => {
                (Answer::Response(error_response(Service::Lambda, &outage_error(form, true))), Duration::ZERO)
            }
            None => (Answer::Response(self.call(origin, id, region)), Duration::ZERO),
        }
    }

    /// Calls a function through its URL.
    fn call(&self, origin: &Origin, id: &str, region: &str) -> MockResponse {
        call_url(self.state, region, id, &self.caller(origin))
            .unwrap_or_else(|error| error_response(Service::Lambda, &error))
    }

    /// Returns the caller that the function sees.
    fn caller(&self, origin: &Origin) -> UrlCaller {
        let cloudfront = self.state.accounts.get(self.account).map(|account| &account.cloudfront);
        let control = origin.access_control.as_ref().and_then(|id| cloudfront?.access_controls.get(id));
        let has_viewer_signature = self.viewer.headers.contains_key("authorization");
        let is_signed = match control.map_or("never", |control| control.signing_behavior.as_str()) {
            // CloudFront's signature overwrites the viewer's header Authorization.
            "always" => true,
            "no-override" => !has_viewer_signature,
            _ => false,
        };
        if !is_signed && !has_viewer_signature {
            return UrlCaller::Anonymous;
        }
        // A viewer signs for the host of the distribution, and so does CloudFront if it forwards the viewer's host.
        if !is_signed || forwards_host(self.behavior) || !self.has_valid_payload_hash() {
            return UrlCaller::InvalidSignature;
        }
        UrlCaller::Service {
            principal: SERVICE_PRINCIPAL,
            source_arn: self.distribution.arn(self.account),
            source_account: self.account.to_owned(),
        }
    }

    /// Returns whether the viewer has sent the hash of the body. CloudFront does not compute it, and Lambda accepts no
    /// unsigned payload.
    fn has_valid_payload_hash(&self) -> bool {
        let needs_hash = matches!(self.viewer.method.as_str(), "POST" | "PUT") || !self.viewer.body.is_empty();
        let declared = self.viewer.headers.get("x-amz-content-sha256");
        !needs_hash || declared.is_some_and(|hash| *hash == hex::encode(Sha256::digest(&self.viewer.body)).as_str())
    }
}
