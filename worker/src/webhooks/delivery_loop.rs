//! The loop: fan out, claim, send; woken by the bell, by what this worker has written itself, and by what is due next.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::db::Result;
use freehold_tenancy::db::installation::Installation;
use freehold_tenancy::db::webhooks::claims::{self, ClaimLimits};
use freehold_tenancy::db::webhooks::{deliveries, fanout, look, secrets};
use freehold_tenancy::webhook::Resolver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::concurrency::{DeliveryConcurrency, Permit, Pool};
use super::deliver::Deliverer;
use super::secret_rotation;
use crate::services::Services;

/// The longest real time between two looks while there are endpoints, should every wake-up be lost.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// What comes within so much real time is looked at together.
const TOGETHER: Duration = Duration::from_millis(100);

/// The real time until the next look, where something is due that cannot be sent yet: its lane is full, or somebody else is
/// about to send it.
const BUSY: Duration = Duration::from_millis(500);

/// How often what is old is dropped.
const TIDY_EVERY: TimeDelta = TimeDelta::hours(1);

/// What the loop knows.
#[derive(Default)]
struct State {
    lanes: DeliveryConcurrency,
    /// Whether secrets were looked through for those that an older key has sealed.
    sealed: bool,
    tidied_at: Option<DateTime<Utc>>,
}

/// When to look again.
enum NextWakeup {
    /// When somebody says so: there is no endpoint.
    OnSignal,
    /// At this time.
    At(DateTime<Utc>),
    /// Soon.
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

    /// Sends webhooks until `shutdown`; then waits for the deliveries in progress.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let (mut state, mut under_way) = (State::default(), JoinSet::new());
        while !shutdown.is_cancelled() {
            let next = match self.send_due(&mut state, &mut under_way).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "cannot look for webhooks that are due");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    NextWakeup::Shortly
                }
            };
            let due = async {
                match next {
                    NextWakeup::OnSignal => std::future::pending().await,
                    NextWakeup::Shortly => tokio::time::sleep(BUSY).await,
                    NextWakeup::At(time) => tokio::select! {
                        () = self.services.clock.sleep_until(time) => {}
                        () = tokio::time::sleep(LONGEST_SLEEP) => {}
                    },
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(place) = under_way.join_next() => leave(&mut state.lanes, place),
                () = due => {}
                () = self.services.wake_signals.wait_for_webhooks() => tokio::time::sleep(TOGETHER).await,
            }
            while let Some(place) = under_way.try_join_next() {
                leave(&mut state.lanes, place);
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    /// Sends everything that is due now, one attempt of each, and answers how many that were; for tests that move the clock.
    pub(crate) async fn drain(&self) -> Result<usize> {
        let (mut state, mut under_way, mut count) = (State::default(), JoinSet::new(), 0);
        loop {
            self.send_due(&mut state, &mut under_way).await?;
            let Some(place) = under_way.join_next().await else { return Ok(count) };
            count += 1;
            leave(&mut state.lanes, place);
        }
    }

    /// How many requests of webhooks have got so far that a connection was opened, or tried to be; for tests.
    pub(crate) fn sent(&self) -> u64 {
        self.deliverer.sender.sent()
    }

    async fn send_due(&self, state: &mut State, under_way: &mut JoinSet<Permit>) -> Result<NextWakeup> {
        let mut found = look(&self.services.pool).await?;
        self.services.wake_signals.set_has_webhooks(found.any);
        if !found.any {
            return Ok(NextWakeup::OnSignal);
        }
        self.tidy_up(state).await?;
        if found.news {
            fanout::fan_out(&self.services.pool, self.services.clock.now()).await?;
            found = look(&self.services.pool).await?;
        }
        let is_due = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= self.services.clock.now());
        if is_due(found.next_at) {
            for share in Pool::ALL {
                self.claim_and_send(state, under_way, share).await?;
            }
            found = look(&self.services.pool).await?;
        }
        Ok(match found.next_at {
            _ if is_due(found.next_at) => NextWakeup::Shortly,
            next_at => NextWakeup::At(next_at.unwrap_or(DateTime::<Utc>::MAX_UTC)),
        })
    }

    async fn claim_and_send(&self, state: &mut State, under_way: &mut JoinSet<Permit>, share: Pool) -> Result<()> {
        let ((together, each), busy) = (state.lanes.room(share), state.lanes.busy());
        if together <= 0 {
            return Ok(());
        }
        let room = ClaimLimits { failing: share.failing(), together, each, busy: &busy };
        let now = self.services.clock.now();
        for claim in claims::claim(&self.services.pool, &room, now + self.services.lease(), now).await? {
            let (deliverer, place) = (Arc::clone(&self.deliverer), state.lanes.enter(&claim, share.failing()));
            under_way.spawn(async move {
                deliverer.deliver(claim).await;
                place
            });
        }
        Ok(())
    }

    async fn tidy_up(&self, state: &mut State) -> Result<()> {
        if !state.sealed {
            secret_rotation::reencrypt_secrets(&self.services.pool, &self.deliverer.keyring).await?;
            state.sealed = true;
        }
        let now = self.services.clock.now();
        if state.tidied_at.is_none_or(|at| at <= now - TIDY_EVERY) {
            secrets::forget(&self.services.pool, now).await?;
            while deliveries::drop_old(&self.services.pool, now).await? > 0 {}
            state.tidied_at = Some(now);
        }
        Ok(())
    }
}

fn leave(lanes: &mut DeliveryConcurrency, place: std::result::Result<Permit, tokio::task::JoinError>) {
    // A task that has panicked keeps its place, which is noted: deliveries do not panic.
    match place {
        Ok(place) => lanes.leave(place),
        Err(error) => tracing::error!(%error, "a webhook ended unexpectedly"),
    }
}
