//! Ceilings for the number of event streams and waiting feed requests, of the process and of each client. All clients
//! and users of one tenant count as one client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_tenancy::TenantId;
use freehold_tenancy::config::ApiLimits;

use crate::auth::{Caller, TenantScope};
use crate::metrics::Metrics;
use crate::problem::{ApiError, Code};

/// `Retry-After` value of a refused stream, in seconds.
const RETRY_AFTER_SECONDS: u32 = 10;

/// Counts streams and waiting feed requests; cheap to clone.
#[derive(Clone)]
pub(crate) struct StreamLimiter {
    max: u32,
    max_per_client: u32,
    open: Arc<Mutex<OpenStreams>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct OpenStreams {
    total: u32,
    by_client: HashMap<Client, u32>,
}

/// Client of a fleet, or all clients of a tenant together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Client {
    Fleet { issuer: String, client: String },
    Tenant { issuer: String, tenant: TenantId },
}

impl Client {
    fn of(caller: &Caller) -> Self {
        let issuer = caller.issuer.clone();
        match caller.tenant_scope {
            TenantScope::Fleet => Self::Fleet { issuer, client: caller.client.clone() },
            TenantScope::Tenant(tenant) => Self::Tenant { issuer, tenant },
        }
    }
}

impl StreamLimiter {
    pub(crate) fn new(limits: &ApiLimits, metrics: Metrics) -> Self {
        let (max, max_per_client) = (limits.max_streams, limits.max_streams_per_client);
        Self { max, max_per_client, open: Arc::default(), metrics }
    }

    /// Counts a stream of the caller until the permit is dropped. Fails if a ceiling is reached.
    pub(crate) fn acquire(&self, caller: &Caller) -> Result<StreamPermit, ApiError> {
        let client = Client::of(caller);
        let mut open = self.open();
        if open.by_client.get(&client).is_some_and(|count| *count >= self.max_per_client) {
            self.metrics.count_refusal("max_streams_per_client");
            let detail = format!(
                "The client has {} open event streams and waiting feed requests, its maximum; close one, or retry in \
                 {RETRY_AFTER_SECONDS} s.",
                self.max_per_client
            );
            return Err(ApiError::new(Code::TooManyStreams, detail).retry_after(RETRY_AFTER_SECONDS));
        }
        if open.total >= self.max {
            self.metrics.count_refusal("max_streams");
            let detail = format!(
                "The server has its maximum of open event streams and waiting feed requests; retry in \
                 {RETRY_AFTER_SECONDS} s, or poll without `wait`."
            );
            return Err(ApiError::new(Code::StreamLimitReached, detail).retry_after(RETRY_AFTER_SECONDS));
        }
        open.total += 1;
        *open.by_client.entry(client.clone()).or_default() += 1;
        self.metrics.record_streams(open.total);
        Ok(StreamPermit { limiter: self.clone(), client })
    }

    fn open(&self) -> MutexGuard<'_, OpenStreams> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Right to keep one stream open.
pub(crate) struct StreamPermit {
    limiter: StreamLimiter,
    client: Client,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut open = self.limiter.open();
        open.total -= 1;
        self.limiter.metrics.record_streams(open.total);
        if let Some(count) = open.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.by_client.remove(&self.client);
            }
        }
    }
}
