//! Wakes workers with NOTIFY. Notifications are sent after the commit on one connection, because a NOTIFY inside a
//! transaction would serialise commits.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{PgPool, Result};

const NOTIFY_CHANNEL: &str = "freehold_wake";

/// Minimum time between two notifications. Requests during this time share one notification, which saves commits under
/// load.
const MIN_NOTIFY_INTERVAL: Duration = Duration::from_millis(10);

/// Notifier that wakes workers when new work may be due.
#[derive(Clone, Debug)]
pub struct WorkNotifier(Arc<NotifierTask>);

#[derive(Debug)]
struct NotifierTask {
    requested: Arc<Notify>,
    sender_task: JoinHandle<()>,
}

impl Drop for NotifierTask {
    fn drop(&mut self) {
        self.sender_task.abort();
    }
}

impl WorkNotifier {
    pub fn new(pool: PgPool) -> Self {
        let requested = Arc::new(Notify::new());
        let sender_task = tokio::spawn({
            let requested = Arc::clone(&requested);
            async move {
                loop {
                    requested.notified().await;
                    if let Err(error) = notify_now(&pool).await {
                        // Without a notification, workers start the work later.
                        tracing::warn!(%error, "the workers could not be woken");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        requested.notify_one();
                    }
                    tokio::time::sleep(MIN_NOTIFY_INTERVAL).await;
                }
            }
        });
        Self(Arc::new(NotifierTask { requested, sender_task }))
    }

    /// Requests a notification. Requests in quick succession share one notification.
    pub fn notify(&self) {
        self.0.requested.notify_one();
    }
}

/// Sends a notification before it returns. Used by a process that is about to exit.
pub async fn notify_now(pool: &PgPool) -> Result<()> {
    sqlx::query!("/* db::wake::notify_now */ select pg_notify($1, '')", NOTIFY_CHANNEL).execute(pool).await?;
    Ok(())
}

/// Listener for the notifications of [`WorkNotifier`].
#[derive(Debug)]
pub struct WorkListener {
    pool: PgPool,
    listener: Option<PgListener>,
}

impl WorkListener {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, listener: None }
    }

    /// Waits for a notification. Also returns after each (re)connection, because notifications may have been missed.
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
        listener.listen(NOTIFY_CHANNEL).await?;
        Ok(listener)
    }
}
