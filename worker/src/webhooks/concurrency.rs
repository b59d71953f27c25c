//! Limits of concurrent deliveries: per endpoint, for failing endpoints, and per worker.

use std::collections::HashMap;

use freehold_tenancy::WebhookEndpointId;
use freehold_tenancy::db::webhooks::claims::Claim;

/// Maximum number of concurrent deliveries of one worker. Each needs a connection and a timer.
const MAX_DELIVERIES: i64 = 100;

/// Number of concurrent deliveries that are reserved for endpoints without a delivery in progress, so that slow
/// endpoints cannot delay all others.
const RESERVED_DELIVERIES: i64 = 50;

/// Maximum number of concurrent deliveries to all failing endpoints together, because such deliveries mostly wait for
/// timeouts.
const MAX_SENDS_TO_FAILING_ENDPOINTS: i64 = 40;

/// Maximum number of concurrent deliveries to one endpoint.
const MAX_PER_ENDPOINT: i64 = 5;

/// Maximum number of concurrent deliveries to one failing endpoint. One is sufficient to detect its recovery.
const MAX_PER_FAILING_ENDPOINT: i64 = 1;

/// Group of endpoints with its own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// Endpoints whose last attempt did not fail.
    Healthy,
    /// Endpoints whose last attempt did not fail and that have no delivery in progress.
    Reserved,
    /// Endpoints whose last attempt failed.
    Failing,
}

impl Pool {
    /// All pools, in the order in which deliveries are claimed.
    pub(super) const ALL: [Self; 3] = [Self::Healthy, Self::Reserved, Self::Failing];

    pub(super) fn is_failing(self) -> bool {
        self == Self::Failing
    }
}

/// Numbers of deliveries in progress.
#[derive(Debug, Default)]
pub(super) struct DeliveryConcurrency {
    busy: HashMap<WebhookEndpointId, i64>,
    failing: i64,
    healthy: i64,
}

/// Permit of one delivery in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permit {
    endpoint_id: WebhookEndpointId,
    failing: bool,
}

impl DeliveryConcurrency {
    /// Returns the number of deliveries that a pool still allows, in total and per endpoint.
    pub(super) fn remaining_capacity(&self, pool: Pool) -> (i64, i64) {
        let left = MAX_DELIVERIES - self.failing - self.healthy;
        match pool {
            Pool::Healthy => (left - RESERVED_DELIVERIES, MAX_PER_ENDPOINT),
            Pool::Reserved => (left, 1),
            Pool::Failing => (left.min(MAX_SENDS_TO_FAILING_ENDPOINTS - self.failing), MAX_PER_FAILING_ENDPOINT),
        }
    }

    /// Returns the number of deliveries in progress per endpoint.
    pub(super) fn busy(&self) -> Vec<(WebhookEndpointId, i64)> {
        self.busy.iter().map(|(id, count)| (*id, *count)).collect()
    }

    /// Registers the start of a delivery.
    pub(super) fn start_delivery(&mut self, claim: &Claim, failing: bool) -> Permit {
        *self.busy.entry(claim.endpoint_id).or_default() += 1;
        *self.count(failing) += 1;
        Permit { endpoint_id: claim.endpoint_id, failing }
    }

    /// Registers the end of a delivery.
    pub(super) fn finish_delivery(&mut self, permit: Permit) {
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
