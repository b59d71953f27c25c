//! Waking the workers: a NOTIFY after the commit, coalesced, on one connection; never inside a transaction, where it
//! would make commits queue behind each other.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{PgPool, Result};

const CHANNEL: &str = "freehold_wake";

/// How soon after a ring the next may follow: what comes in between is told by one, which spares the commits of a storm.
const PAUSE: Duration = Duration::from_millis(10);

/// Tells the workers that something may be due.
#[derive(Clone, Debug)]
pub struct WorkNotifier(Arc<NotifierTask>);

#[derive(Debug)]
struct NotifierTask {
    rung: Arc<Notify>,
    ringer: JoinHandle<()>,
}

impl Drop for NotifierTask {
    fn drop(&mut self) {
        self.ringer.abort();
    }
}

impl WorkNotifier {
    /// A bell on the database of `pool`.
    pub fn new(pool: PgPool) -> Self {
        let rung = Arc::new(Notify::new());
        let ringer = tokio::spawn({
            let rung = Arc::clone(&rung);
            async move {
                loop {
                    rung.notified().await;
                    if let Err(error) = notify_now(&pool).await {
                        // Workers look by themselves as well, only later.
                        tracing::warn!(%error, "the workers could not be woken");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        rung.notify_one();
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Self(Arc::new(NotifierTask { rung, ringer }))
    }

    /// Rings at once, or soon after the ring before; many rings at once are one.
    pub fn notify(&self) {
        self.0.rung.notify_one();
    }
}

/// Wakes the workers before it returns, for whoever is about to end.
pub async fn notify_now(pool: &PgPool) -> Result<()> {
    sqlx::query!("/* db::wake::notify_now */ select pg_notify($1, '')", CHANNEL).execute(pool).await?;
    Ok(())
}

/// Hears the bell.
#[derive(Debug)]
pub struct WorkListener {
    pool: PgPool,
    listener: Option<PgListener>,
}

impl WorkListener {
    /// An ear that is not listening yet.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, listener: None }
    }

    /// Returns when the bell has rung, or may have rung unheard: after each (re)connection the caller has to look.
    pub async fn notified(&mut self) {
        if let Some(listener) = &mut self.listener {
            match listener.try_recv().await {
                Ok(Some(_)) => return,
                Ok(None) | Err(_) => self.listener = None,
            }
        }
        let mut pause = Duration::from_millis(100);
        loop {
            match self.listen().await {
                Ok(listener) => {
                    self.listener = Some(listener);
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot listen for wake-ups");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
    }

    async fn listen(&self) -> Result<PgListener> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.ignore_pool_close_event(true);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }
}
