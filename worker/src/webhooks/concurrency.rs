//! How much is sent at a time: to one endpoint, to those that fail, and altogether.

use std::collections::HashMap;

use freehold_tenancy::WebhookEndpointId;
use freehold_tenancy::db::webhooks::claims::Claim;

/// Altogether, by one worker: each is a connection and a timer, no more.
const TOGETHER: i64 = 100;

/// Of those, so many are only for endpoints that nothing is being sent to. However slow others are, and however many of them fall
/// silent at the same moment, whoever has nothing under way gets something.
const FIRST_ONLY: i64 = 50;

/// To endpoints that fail, altogether: they wait for their timeouts at nobody else's cost.
const FAILING: i64 = 40;

/// To one endpoint.
const EACH: i64 = 5;

/// To one endpoint that fails: enough to find out that it works again.
const EACH_FAILING: i64 = 1;

/// Whom a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// Endpoints that do not fail, each as much as it may have.
    Healthy,
    /// Those of them that nothing is being sent to.
    Reserved,
    /// Endpoints that fail.
    Failing,
}

impl Pool {
    /// In the order in which they are given out.
    pub(super) const ALL: [Self; 3] = [Self::Healthy, Self::Reserved, Self::Failing];

    /// Whether it is for those that fail.
    pub(super) fn failing(self) -> bool {
        self == Self::Failing
    }
}

/// What is being sent.
#[derive(Debug, Default)]
pub(super) struct DeliveryConcurrency {
    busy: HashMap<WebhookEndpointId, i64>,
    failing: i64,
    healthy: i64,
}

/// A place in a lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permit {
    endpoint_id: WebhookEndpointId,
    failing: bool,
}

impl DeliveryConcurrency {
    /// How many more there may be of a share: altogether, and of each endpoint.
    pub(super) fn room(&self, share: Pool) -> (i64, i64) {
        let left = TOGETHER - self.failing - self.healthy;
        match share {
            Pool::Healthy => (left - FIRST_ONLY, EACH),
            Pool::Reserved => (left, 1),
            Pool::Failing => (left.min(FAILING - self.failing), EACH_FAILING),
        }
    }

    /// How many of whom are being sent.
    pub(super) fn busy(&self) -> Vec<(WebhookEndpointId, i64)> {
        self.busy.iter().map(|(id, count)| (*id, *count)).collect()
    }

    /// Gives a claim its place.
    pub(super) fn enter(&mut self, claim: &Claim, failing: bool) -> Permit {
        *self.busy.entry(claim.endpoint_id).or_default() += 1;
        *self.count(failing) += 1;
        Permit { endpoint_id: claim.endpoint_id, failing }
    }

    /// Takes a place back.
    pub(super) fn leave(&mut self, place: Permit) {
        *self.count(place.failing) -= 1;
        if let Some(count) = self.busy.get_mut(&place.endpoint_id) {
            *count -= 1;
            if *count <= 0 {
                self.busy.remove(&place.endpoint_id);
            }
        }
    }

    fn count(&mut self, failing: bool) -> &mut i64 {
        if failing { &mut self.failing } else { &mut self.healthy }
    }
}
