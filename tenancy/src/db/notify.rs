//! Wakes workers, and the API processes whose callers follow operations, with NOTIFY. Notifications are sent after the
//! commit on one connection, because a NOTIFY inside a transaction would serialise commits.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{PgPool, Result};

/// Channel of notifications that new work may be due, which wake workers.
const WORK_CHANNEL: &str = "freehold_wake";

/// Channel of notifications that a worker has written events, which wake the API processes.
const CHANGES_CHANNEL: &str = "freehold_changes";

/// Minimum time between two notifications of new work. Requests during this time share one notification, which saves
/// commits under load.
const MIN_WORK_INTERVAL: Duration = Duration::from_millis(10);

/// Minimum time between two notifications of changes.
const MIN_CHANGES_INTERVAL: Duration = Duration::from_millis(50);

/// Notifier that wakes workers when new work may be due.
#[derive(Clone, Debug)]
pub struct WorkNotifier(Arc<NotifierTask>);

/// Notifier that tells the API processes that operations have new events.
#[derive(Clone, Debug)]
pub struct ChangeNotifier(Arc<NotifierTask>);

#[derive(Debug)]
struct NotifierTask {
    requested: Arc<Notify>,
    sender_task: JoinHandle<()>,
}

impl NotifierTask {
    fn start(pool: PgPool, channel: &'static str, min_interval: Duration) -> Arc<Self> {
        let requested = Arc::new(Notify::new());
        let sender_task = tokio::spawn({
            let requested = Arc::clone(&requested);
            async move {
                loop {
                    requested.notified().await;
                    if let Err(error) = send(&pool, channel).await {
                        // Without a notification, the receivers find the work or the change later.
                        tracing::warn!(channel, %error, "cannot send a notification; will retry");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        requested.notify_one();
                    }
                    tokio::time::sleep(min_interval).await;
                }
            }
        });
        Arc::new(Self { requested, sender_task })
    }
}

impl Drop for NotifierTask {
    fn drop(&mut self) {
        self.sender_task.abort();
    }
}

impl WorkNotifier {
    pub fn new(pool: PgPool) -> Self {
        Self(NotifierTask::start(pool, WORK_CHANNEL, MIN_WORK_INTERVAL))
    }

    /// Requests a notification. Requests in quick succession share one notification.
    pub fn notify(&self) {
        self.0.requested.notify_one();
    }
}

impl ChangeNotifier {
    pub fn new(pool: PgPool) -> Self {
        Self(NotifierTask::start(pool, CHANGES_CHANNEL, MIN_CHANGES_INTERVAL))
    }

    /// Requests a notification. Requests in quick succession share one notification.
    pub fn notify(&self) {
        self.0.requested.notify_one();
    }
}

/// Sends a notification of new work before it returns. Used by a process that is about to exit.
pub async fn notify_now(pool: &PgPool) -> Result<()> {
    send(pool, WORK_CHANNEL).await
}

async fn send(pool: &PgPool, channel: &str) -> Result<()> {
    sqlx::query!("/* db::wake::notify_now */ select pg_notify($1, '')", channel).execute(pool).await?;
    Ok(())
}

/// Listener for the notifications of [`WorkNotifier`] and, if it listens for changes, of [`ChangeNotifier`].
#[derive(Debug)]
pub struct WorkListener {
    pool: PgPool,
    channels: &'static [&'static str],
    listener: Option<PgListener>,
}

impl WorkListener {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, channels: &[WORK_CHANNEL], listener: None }
    }

    /// Returns a listener for all notifications after which operations can have new events. Requests to the API are
    /// notified as new work.
    pub fn for_changes(pool: PgPool) -> Self {
        Self { pool, channels: &[WORK_CHANNEL, CHANGES_CHANNEL], listener: None }
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
        listener.listen_all(self.channels.iter().copied()).await?;
        Ok(listener)
    }
}
