//! Faults of the wire between an SDK client and AWS, whichever AWS it is: they sit below the SDK's retry layer.

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

/// What the wire does to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireEffect {
    /// The connection is reset before the call is made: nothing happens.
    BeforeEffect,
    /// The call is made, and its answer is lost.
    AfterEffect,
    /// The call is made after so long.
    Delay(Duration),
    /// The answer says that there were too many calls; the call is not made.
    Throttle,
}

/// Which calls suffer which effect. Without more, every call of the operation does.
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
    /// Calls of `operation` of `service` (`organizations`, `ssoadmin`, `cloudformation`, …; `*` for any) suffer
    /// `effect`.
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

    /// Only calls in whose body this text occurs.
    #[must_use]
    pub fn containing(mut self, text: &str) -> Self {
        self.containing = Some(text.to_owned());
        self
    }

    /// Only the `n`th matching call, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.skip = n.saturating_sub(1);
        self.times = 1;
        self
    }

    /// At most `n` times.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.times = n;
        self
    }

    fn matches(&self, request: &Request) -> bool {
        let is = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        is(&self.service, request.service.name())
            && is(&self.operation, &request.operation)
            && self.containing.as_deref().is_none_or(|text| {
                String::from_utf8_lossy(&request.body).contains(text)
                    || request.params.values().any(|value| value.contains(text))
            })
    }
}

/// A call that the wire has spoilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireHit {
    /// `service:Operation`.
    pub operation: String,
    pub effect: WireEffect,
}

/// An HTTP client that spoils some calls on the way to another. Cheap to clone; clones share rules and hits.
#[derive(Clone)]
pub struct FaultyClient {
    inner: SharedHttpClient,
    clock: Clock,
    rules: Arc<Mutex<Vec<WireRule>>>,
    hits: Arc<Mutex<Vec<WireHit>>>,
    /// Until when calls that are on their way are held up.
    delayed: Arc<Mutex<Vec<DateTime<Utc>>>>,
}

/// A call that is held up; it stops counting when it goes on, or when nobody waits for it any more.
struct HeldUp(Arc<Mutex<Vec<DateTime<Utc>>>>, DateTime<Utc>);

impl Drop for HeldUp {
    fn drop(&mut self) {
        let mut delayed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = delayed.iter().position(|until| *until == self.1) {
            delayed.swap_remove(place);
        }
    }
}

impl FaultyClient {
    /// A client that spoils nothing yet; delays are by `clock`.
    pub fn new(inner: SharedHttpClient, clock: Clock) -> Self {
        Self { inner, clock, rules: Arc::default(), hits: Arc::default(), delayed: Arc::default() }
    }

    /// From now on, calls that match suffer the rule's effect.
    pub fn inject(&self, rule: WireRule) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// Takes all rules back.
    pub fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The calls that have been spoilt.
    pub fn hits(&self) -> Vec<WireHit> {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the first of the calls that are held up now goes on, if any is: for whoever moves the clock.
    pub fn held_up_until(&self) -> Option<DateTime<Utc>> {
        self.delayed.lock().unwrap_or_else(PoisonError::into_inner).iter().min().copied()
    }

    /// This client as the SDK wants it.
    pub fn shared(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    fn hold_up(&self, duration: Duration) -> HeldUp {
        let until = self.clock.now() + TimeDelta::from_std(duration).unwrap_or_default();
        self.delayed.lock().unwrap_or_else(PoisonError::into_inner).push(until);
        HeldUp(Arc::clone(&self.delayed), until)
    }

    fn effect(&self, request: &Request) -> Option<WireEffect> {
        let mut found = None;
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in rules.iter_mut().filter(|rule| rule.matches(request)) {
            rule.seen += 1;
            if found.is_none() && rule.seen > rule.skip && rule.seen - rule.skip <= rule.times {
                found = Some(rule.effect.clone());
            }
        }
        let effect = found?;
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
            Some(WireEffect::BeforeEffect) => HttpConnectorFuture::ready(Err(reset())),
            Some(WireEffect::AfterEffect) => {
                let answer = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    answer.await?;
                    Err(reset())
                })
            }
            Some(WireEffect::Delay(duration)) => {
                let (clock, inner) = (self.client.clock.clone(), self.inner.clone());
                let held_up = self.client.hold_up(duration);
                HttpConnectorFuture::new(async move {
                    clock.sleep_until(held_up.1).await;
                    drop(held_up);
                    inner.call(request).await
                })
            }
            Some(WireEffect::Throttle) => {
                let refusal =
                    parsed.map(|request| error_response(request.service, &crate::quotas::throttled(request.service)));
                HttpConnectorFuture::ready(refusal.map(to_sdk).ok_or_else(reset))
            }
        }
    }
}

fn reset() -> ConnectorError {
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
    use crate::world::testing::{Credentials, signed, world};

    /// CreateAccount over the wire: the status, or none if there was no answer.
    async fn create(world: &World, client: &FaultyClient, email: &str) -> Option<u16> {
        let input = json!({ "Email": email, "AccountName": "Example" });
        let call = signed(&Credentials::management(world), Service::Organizations, "CreateAccount", &input);
        let mut request = http::Request::post(&call.uri).body(call.body.into()).unwrap();
        *request.headers_mut() = call.headers;
        let connector = FaultyConnector { client: client.clone(), inner: connector(world) };
        let answer = connector.call(request.try_into().unwrap()).await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    #[tokio::test]
    async fn the_wire_loses_the_call_or_the_answer_or_lets_it_through() {
        let world = world();
        let client = FaultyClient::new(crate::http::client(&world), world.clock().clone());
        client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::BeforeEffect).nth(1));
        client.inject(WireRule::on("organizations", "CreateAccount", WireEffect::AfterEffect).nth(2));
        client.inject(WireRule::on("*", "*", WireEffect::Throttle).containing("greedy@"));
        client.inject(WireRule::on("sts", "AssumeRole", WireEffect::BeforeEffect));

        assert_eq!(create(&world, &client, "a1@example.com").await, None);
        assert_eq!(world.create_requests().len(), 0, "the call never arrived");
        assert_eq!(create(&world, &client, "a2@example.com").await, None);
        assert_eq!(world.create_requests().len(), 1, "the call arrived, and its answer was lost");
        assert_eq!(create(&world, &client, "greedy@example.com").await, Some(400));
        assert_eq!(create(&world, &client, "a3@example.com").await, Some(200));
        assert_eq!(world.create_requests().len(), 2);

        let effects: Vec<WireEffect> = client.hits().into_iter().map(|hit| hit.effect).collect();
        assert_eq!(effects, [WireEffect::BeforeEffect, WireEffect::AfterEffect, WireEffect::Throttle]);
    }
}
