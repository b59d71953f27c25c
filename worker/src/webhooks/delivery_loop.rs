//! Loop that creates deliveries for new events, claims due deliveries and sends them. Notifications and due times wake
//! the loop.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::db::Result;
use freehold_tenancy::db::installation::Installation;
use freehold_tenancy::db::webhooks::claims::{self, ClaimLimits};
use freehold_tenancy::db::webhooks::{deliveries, fanout, pending_work, secrets};
use freehold_tenancy::webhook::Resolver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::concurrency::{DeliveryConcurrency, Permit, Pool};
use super::deliver::Deliverer;
use super::secret_rotation;
use crate::services::Services;

/// Maximum real time between two checks while endpoints exist, in case every wake-up is lost.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// Real time after a wake-up during which further events are added to the same batch.
const BATCH_DELAY: Duration = Duration::from_millis(100);

/// Real time until the next check if a due delivery cannot be sent yet, because the limit of concurrent deliveries is
/// reached or another worker has claimed the delivery.
const BUSY_DELAY: Duration = Duration::from_millis(500);

/// Interval between deletions of old deliveries and secrets.
const CLEANUP_INTERVAL: TimeDelta = TimeDelta::hours(1);

#[derive(Default)]
struct State {
    concurrency: DeliveryConcurrency,
    /// Whether secrets that were encrypted with an older key have been encrypted with the current key.
    secrets_reencrypted: bool,
    cleaned_up_at: Option<DateTime<Utc>>,
}

enum NextWakeup {
    /// The loop is woken only by a notification, because no endpoint exists.
    OnSignal,
    At(DateTime<Utc>),
    Shortly,
}

pub(crate) struct DeliveryLoop {
    services: Arc<Services>,
    deliverer: Arc<Deliverer>,
}

impl DeliveryLoop {
    pub(crate) fn new(
        services: Arc<Services>,
        installation: &Installation,
        resolver: Option<Arc<dyn Resolver>>,
    ) -> Self {
        let deliverer = Arc::new(Deliverer::new(Arc::clone(&services), installation, resolver));
        Self { services, deliverer }
    }

    /// Sends webhooks until `shutdown` is cancelled. Then waits for the deliveries in progress.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let (mut state, mut in_flight) = (State::default(), JoinSet::new());
        while !shutdown.is_cancelled() {
            let next = match self.send_due(&mut state, &mut in_flight).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "cannot claim due webhook deliveries");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    NextWakeup::Shortly
                }
            };
            let due = async {
                match next {
                    NextWakeup::OnSignal => std::future::pending().await,
                    NextWakeup::Shortly => tokio::time::sleep(BUSY_DELAY).await,
                    NextWakeup::At(time) => tokio::select! {
                        () = self.services.clock.sleep_until(time) => {}
                        () = tokio::time::sleep(MAX_SLEEP) => {}
                    },
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(permit) = in_flight.join_next() => release(&mut state.concurrency, permit),
                () = due => {}
                () = self.services.wake_signals.wait_for_webhooks() => tokio::time::sleep(BATCH_DELAY).await,
            }
            while let Some(permit) = in_flight.try_join_next() {
                release(&mut state.concurrency, permit);
            }
        }
        while in_flight.join_next().await.is_some() {}
    }

    /// Makes one attempt of each due delivery and returns the number of attempts. Tests that move the clock use this.
    pub(crate) async fn drain(&self) -> Result<usize> {
        let (mut state, mut in_flight, mut count) = (State::default(), JoinSet::new(), 0);
        loop {
            self.send_due(&mut state, &mut in_flight).await?;
            let Some(permit) = in_flight.join_next().await else { return Ok(count) };
            count += 1;
            release(&mut state.concurrency, permit);
        }
    }

    /// Returns the number of requests that tried to open a connection. For tests.
    pub(crate) fn sent(&self) -> u64 {
        self.deliverer.sender.sent()
    }

    async fn send_due(&self, state: &mut State, in_flight: &mut JoinSet<Permit>) -> Result<NextWakeup> {
        let mut found = pending_work(&self.services.pool).await?;
        self.services.wake_signals.set_has_webhooks(found.any);
        if !found.any {
            return Ok(NextWakeup::OnSignal);
        }
        self.clean_up(state).await?;
        if found.news {
            fanout::fan_out(&self.services.pool, self.services.clock.now()).await?;
            found = pending_work(&self.services.pool).await?;
        }
        let is_due = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= self.services.clock.now());
        if is_due(found.next_at) {
            for pool in Pool::ALL {
                self.claim_and_send(state, in_flight, pool).await?;
            }
            found = pending_work(&self.services.pool).await?;
        }
        Ok(match found.next_at {
            _ if is_due(found.next_at) => NextWakeup::Shortly,
            next_at => NextWakeup::At(next_at.unwrap_or(DateTime::<Utc>::MAX_UTC)),
        })
    }

    async fn claim_and_send(&self, state: &mut State, in_flight: &mut JoinSet<Permit>, pool: Pool) -> Result<()> {
        let ((total, each), busy) = (state.concurrency.remaining_capacity(pool), state.concurrency.busy());
        if total <= 0 {
            return Ok(());
        }
        let limits = ClaimLimits { failing: pool.is_failing(), max_deliveries: total, each, busy: &busy };
        let now = self.services.clock.now();
        for claim in claims::claim(&self.services.pool, &limits, now + self.services.lease(), now).await? {
            let (deliverer, permit) =
                (Arc::clone(&self.deliverer), state.concurrency.start_delivery(&claim, pool.is_failing()));
            in_flight.spawn(async move {
                deliverer.deliver(claim).await;
                permit
            });
        }
        Ok(())
    }

    async fn clean_up(&self, state: &mut State) -> Result<()> {
        if !state.secrets_reencrypted {
            secret_rotation::reencrypt_secrets(&self.services.pool, &self.deliverer.keyring).await?;
            state.secrets_reencrypted = true;
        }
        let now = self.services.clock.now();
        if state.cleaned_up_at.is_none_or(|at| at <= now - CLEANUP_INTERVAL) {
            secrets::delete_expired(&self.services.pool, now).await?;
            while deliveries::delete_expired(&self.services.pool, now).await? > 0 {}
            state.cleaned_up_at = Some(now);
        }
        Ok(())
    }
}

fn release(concurrency: &mut DeliveryConcurrency, permit: std::result::Result<Permit, tokio::task::JoinError>) {
    // A task that has panicked keeps its permit. The error is logged, because deliveries must not panic.
    match permit {
        Ok(permit) => concurrency.finish_delivery(permit),
        Err(error) => tracing::error!(%error, "a webhook delivery panicked"),
    }
}
