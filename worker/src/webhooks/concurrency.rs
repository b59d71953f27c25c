//! Limits of concurrent deliveries: per endpoint, for failing endpoints, and per worker.

use std::collections::HashMap;

use freehold_tenancy::WebhookEndpointId;
use freehold_tenancy::db::webhooks::claims::Claim;

/// Concurrent deliveries of one worker. Each costs a connection and a timer.
const MAX_DELIVERIES: i64 = 100;

/// Share reserved for endpoints without a delivery in progress, so that slow endpoints cannot delay all others.
const RESERVED: i64 = 50;

/// Concurrent deliveries to failing endpoints, which mostly wait for timeouts.
const MAX_SENDS_TO_FAILING_ENDPOINTS: i64 = 40;

/// Concurrent deliveries to one endpoint.
const MAX_PER_ENDPOINT: i64 = 5;

/// Concurrent deliveries to one failing endpoint: enough to notice its recovery.
const MAX_PER_FAILING_ENDPOINT: i64 = 1;

/// A group of endpoints with its own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// Endpoints that do not fail.
    Healthy,
    /// Endpoints that do not fail and have no delivery in progress.
    Reserved,
    /// Endpoints whose last attempt failed.
    Failing,
}

impl Pool {
    /// All pools, in the order in which deliveries are claimed.
    pub(super) const ALL: [Self; 3] = [Self::Healthy, Self::Reserved, Self::Failing];

    pub(super) fn failing(self) -> bool {
        self == Self::Failing
    }
}

/// The number of deliveries in progress.
#[derive(Debug, Default)]
pub(super) struct DeliveryConcurrency {
    busy: HashMap<WebhookEndpointId, i64>,
    failing: i64,
    healthy: i64,
}

/// One delivery in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permit {
    endpoint_id: WebhookEndpointId,
    failing: bool,
}

impl DeliveryConcurrency {
    /// Returns how many more deliveries a pool allows: in total, and per endpoint.
    pub(super) fn room(&self, pool: Pool) -> (i64, i64) {
        let left = MAX_DELIVERIES - self.failing - self.healthy;
        match pool {
            Pool::Healthy => (left - RESERVED, MAX_PER_ENDPOINT),
            Pool::Reserved => (left, 1),
            Pool::Failing => (left.min(MAX_SENDS_TO_FAILING_ENDPOINTS - self.failing), MAX_PER_FAILING_ENDPOINT),
        }
    }

    /// Returns the number of deliveries in progress per endpoint.
    pub(super) fn busy(&self) -> Vec<(WebhookEndpointId, i64)> {
        self.busy.iter().map(|(id, count)| (*id, *count)).collect()
    }

    /// Counts a delivery as started.
    pub(super) fn enter(&mut self, claim: &Claim, failing: bool) -> Permit {
        *self.busy.entry(claim.endpoint_id).or_default() += 1;
        *self.count(failing) += 1;
        Permit { endpoint_id: claim.endpoint_id, failing }
    }

    /// Counts a delivery as finished.
    pub(super) fn leave(&mut self, permit: Permit) {
        *self.count(permit.failing) -= 1;
        if let Some(count) = self.busy.get_mut(&permit.endpoint_id) {
            *count -= 1;
            if *count <= 0 {
                self.busy.remove(&permit.endpoint_id);
            }
        }
    }

    fn count(&mut self, failing: bool) -> &mut i64 {
        if failing { &mut self.failing } else { &mut self.healthy }
    }
}
