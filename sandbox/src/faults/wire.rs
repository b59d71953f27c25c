//! Faults of the connection between an SDK client and AWS, injected below the SDK's retry layer.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Clock;

use crate::http::{from_sdk, to_sdk};
use crate::world::{Request, error_response};

/// A fault that is injected into an HTTP call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireEffect {
    /// The connection is reset before the request is sent, so the call has no effect.
    ResetBeforeCall,
    /// The call takes effect, but the connection is reset and the response is lost.
    ResetAfterCall,
    /// The request is sent after this delay.
    Delay(Duration),
    /// The response is a throttling error, and the request is not sent.
    Throttle,
}

/// A rule that injects an effect into matching calls. Without further conditions, all calls of the operation match.
#[derive(Clone, Debug)]
pub struct WireRule {
    service: String,
    operation: String,
    containing: Option<String>,
    skip: u64,
    times: u64,
    seen: u64,
    effect: WireEffect,
}

impl WireRule {
    /// Creates a rule for calls of an operation of a service (`organizations`, `ssoadmin`, `cloudformation`, …). `*`
    /// matches any service or operation.
    pub fn on(service: &str, operation: &str, effect: WireEffect) -> Self {
        Self {
            service: service.to_owned(),
            operation: operation.to_owned(),
            containing: None,
            skip: 0,
            times: u64::MAX,
            seen: 0,
            effect,
        }
    }

    /// Restricts the rule to calls whose body contains this text.
    #[must_use]
    pub fn containing(mut self, text: &str) -> Self {
        self.containing = Some(text.to_owned());
        self
    }

    /// Applies the effect to the `n`th matching call only, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.skip = n.saturating_sub(1);
        self.times = 1;
        self
    }

    /// Applies the effect at most `n` times.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.times = n;
        self
    }

    fn matches(&self, request: &Request) -> bool {
        let matches = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        matches(&self.service, request.service.name())
            && matches(&self.operation, &request.operation)
            && self.containing.as_deref().is_none_or(|text| {
                String::from_utf8_lossy(&request.body).contains(text)
                    || request.params.values().any(|value| value.contains(text))
            })
    }
}

/// Record of a call into which an effect was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireHit {
    /// Name of the called operation in the format `service:Operation`.
    pub operation: String,
    pub effect: WireEffect,
}

/// An HTTP client that wraps another client and injects faults into its calls. Clones share rules and hits.
#[derive(Clone)]
pub struct FaultyClient {
    inner: SharedHttpClient,
    clock: Clock,
    rules: Arc<Mutex<Vec<WireRule>>>,
    hits: Arc<Mutex<Vec<WireHit>>>,
    /// Times at which the delayed requests will be sent.
    delayed: Arc<Mutex<Vec<DateTime<Utc>>>>,
}

/// Guard of a delayed call. When the guard is dropped, even by cancellation, the call is removed from the list of
/// delayed calls.
struct DelayedCall(Arc<Mutex<Vec<DateTime<Utc>>>>, DateTime<Utc>);

impl Drop for DelayedCall {
    fn drop(&mut self) {
        let mut delayed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = delayed.iter().position(|until| *until == self.1) {
            delayed.swap_remove(index);
        }
    }
}

impl FaultyClient {
    /// Creates a client without rules. Delays are measured with `clock`.
    pub fn new(inner: SharedHttpClient, clock: Clock) -> Self {
        Self { inner, clock, rules: Arc::default(), hits: Arc::default(), delayed: Arc::default() }
    }

    /// Adds a rule that applies to later calls.
    pub fn inject(&self, rule: WireRule) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    pub fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the calls with an injected effect, oldest first.
    pub fn hits(&self) -> Vec<WireHit> {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the time at which the next delayed request will be sent, or `None` if no call is delayed. Tests advance
    /// the clock to this time.
    pub fn next_delayed_call(&self) -> Option<DateTime<Utc>> {
        self.delayed.lock().unwrap_or_else(PoisonError::into_inner).iter().min().copied()
    }

    /// Returns this client as the HTTP client type of the AWS SDK.
    pub fn shared(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    fn register_delay(&self, duration: Duration) -> DelayedCall {
        let until = self.clock.now() + TimeDelta::from_std(duration).unwrap_or_default();
        self.delayed.lock().unwrap_or_else(PoisonError::into_inner).push(until);
        DelayedCall(Arc::clone(&self.delayed), until)
    }

    fn effect(&self, request: &Request) -> Option<WireEffect> {
        let mut effect = None;
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in rules.iter_mut().filter(|rule| rule.matches(request)) {
            rule.seen += 1;
            if effect.is_none() && rule.seen > rule.skip && rule.seen - rule.skip <= rule.times {
                effect = Some(rule.effect.clone());
            }
        }
        let effect = effect?;
        let operation = format!("{}:{}", request.service.name(), request.operation);
        let hit = WireHit { operation, effect: effect.clone() };
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).push(hit);
        Some(effect)
    }
}

impl fmt::Debug for FaultyClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyClient").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl HttpClient for FaultyClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(FaultyConnector { client: self.clone(), inner })
    }
}

#[derive(Debug)]
struct FaultyConnector {
    client: FaultyClient,
    inner: SharedHttpConnector,
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let parsed = Request::parse(&from_sdk(&request)).ok();
        let effect = parsed.as_ref().and_then(|request| self.client.effect(request));
        match effect {
            None => self.inner.call(request),
            Some(WireEffect::ResetBeforeCall) => HttpConnectorFuture::ready(Err(connection_reset())),
            Some(WireEffect::ResetAfterCall) => {
                let response = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    response.await?;
                    Err(connection_reset())
                })
            }
            Some(WireEffect::Delay(duration)) => {
                let (clock, inner) = (self.client.clock.clone(), self.inner.clone());
                let delayed_call = self.client.register_delay(duration);
                HttpConnectorFuture::new(async move {
                    clock.sleep_until(delayed_call.1).await;
                    drop(delayed_call);
                    inner.call(request).await
                })
            }
            Some(WireEffect::Throttle) => {
                let response = parsed
                    .map(|request| error_response(request.service, &crate::quotas::throttling_error(request.service)));
                HttpConnectorFuture::ready(response.map(to_sdk).ok_or_else(connection_reset))
            }
        }
    }
}

fn connection_reset() -> ConnectorError {
    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset by the sandbox");
    ConnectorError::io(error.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::connector;
    use crate::world::Service;
    use crate::world::World;
    use crate::world::testing::{Credentials, signed_request, world};

    /// Calls CreateAccount through the client. Returns the HTTP status, or `None` if there was no response.
    async fn create_account(world: &World, client: &FaultyClient, email: &str) -> Option<u16> {
        let input = json!({ "Email": email, "AccountName": "Example" });
        let call = signed_request(&Credentials::management(world), Service::Organizations, "CreateAccount", &input);
        let mut request = http::Request::post(&call.uri).body(call.body.into()).unwrap();
        *request.headers_mut() = call.headers;
        let connector = FaultyConnector { client: client.clone(), inner: connector(world) };
        let response = connector.call(request.try_into().unwrap()).await;
        response.ok().map(|response| response.status().as_u16())
    }

    #[tokio::test]
    async fn fault_rules_drop_requests_or_responses() {
        let world = world();
        let client = FaultyClient::new(crate::http::client(&world), world.clock().clone());
        client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetBeforeCall).nth(1));
        client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetAfterCall).nth(2));
        client.inject(WireRule::on("*", "*", WireEffect::Throttle).containing("greedy@"));
        client.inject(WireRule::on("sts", "AssumeRole", WireEffect::ResetBeforeCall));

        assert_eq!(create_account(&world, &client, "a1@example.com").await, None);
        assert_eq!(world.create_requests().len(), 0, "the call never arrived");
        assert_eq!(create_account(&world, &client, "a2@example.com").await, None);
        assert_eq!(world.create_requests().len(), 1, "the call arrived and its response was lost");
        assert_eq!(create_account(&world, &client, "greedy@example.com").await, Some(400));
        assert_eq!(create_account(&world, &client, "a3@example.com").await, Some(200));
        assert_eq!(world.create_requests().len(), 2);

        let effects: Vec<WireEffect> = client.hits().into_iter().map(|hit| hit.effect).collect();
        assert_eq!(effects, [WireEffect::ResetBeforeCall, WireEffect::ResetAfterCall, WireEffect::Throttle]);
    }
}
