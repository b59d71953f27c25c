//! The sandbox's AWS: the simulated world behind a loopback port, prepared as a real organisation would be.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use freehold_sandbox::http::{Served, serve};
use freehold_sandbox::{Settings, Spread, World};
use freehold_tenancy::Config;
use freehold_tenancy::db::installation::Installation;
use freehold_worker::aws::{AccessKey, Aws, Connection};
use freehold_worker::bootstrap::{apply, plan};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::data_dir::Home;
use crate::output;

/// How often a world that is kept is looked at for changes.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The simulated AWS, being served.
pub(super) struct SimulatedAws {
    world: World,
    served: Served,
    saver: Option<JoinHandle<()>>,
}

/// How the sandbox's world differs from the usual one: an opt-in region takes five minutes instead of a quarter of an
/// hour, because somebody is watching.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.durations.region_opt_in = Spread::around(300.0);
    settings
}

impl SimulatedAws {
    pub(super) fn start(home: &Home, installation: &Installation, listener: TcpListener) -> anyhow::Result<Self> {
        let clock = installation.clock();
        let (world, saver) = match home.world() {
            Some(file) => {
                let world = World::open(&file, settings(), clock)?;
                let saver = tokio::spawn(save_changes(world.clone(), home.clone()));
                (world, Some(saver))
            }
            None => (World::new(settings(), clock), None),
        };
        let served = serve(&world, listener).context("the simulated AWS cannot be served")?;
        Ok(Self { world, served, saver })
    }

    /// Prepares the organisation as its administrator.
    pub(super) async fn prepare(&self, config: &Arc<Config>, installation: &Installation) -> anyhow::Result<()> {
        let key = &self.world.settings().management_access_key;
        let aws = Aws::connect(Arc::clone(config), installation.clock(), None, self.connection(key)?);
        let plan = plan(&aws, config).await?;
        for warning in &plan.warnings {
            tracing::info!(warning, "bootstrap");
        }
        let count = plan.actions.len();
        apply(&aws, plan, |action| tracing::info!(%action, "bootstrap")).await?;
        output::note(match count {
            0 => "  it was prepared already".to_owned(),
            count => format!("  {count} things done, as `freehold bootstrap` does them"),
        });
        Ok(())
    }

    /// How the worker reaches it: with the credentials of Freehold's own account.
    pub(super) fn worker_connection(&self) -> anyhow::Result<Connection> {
        self.connection(&self.world.settings().freehold_access_key)
    }

    fn connection(&self, key: &str) -> anyhow::Result<Connection> {
        let key = AccessKey { id: key, secret: "sandbox" };
        Ok(Connection::loopback(key, &self.world.settings().home_region, &self.url())?)
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn url(&self) -> String {
        self.served.url()
    }

    pub(super) fn port(&self) -> u16 {
        self.served.address().port()
    }

    /// Stops serving and saves the world where it is kept.
    pub(super) async fn end(self, home: &Home) -> anyhow::Result<()> {
        self.served.stop();
        if let Some(saver) = self.saver {
            saver.abort();
            // A save that has begun comes to its end first.
            _ = saver.await;
        }
        save(&self.world, home)
    }
}

/// Saves a world whenever something was asked of it.
async fn save_changes(world: World, home: Home) {
    let mut saved = None;
    loop {
        let calls: u64 = world.state().calls.by_operation().values().map(|count| count.calls).sum();
        if saved != Some(calls) {
            let (world, home) = (world.clone(), home.clone());
            match tokio::task::spawn_blocking(move || save(&world, &home)).await {
                Ok(Ok(())) => saved = Some(calls),
                Ok(Err(error)) => tracing::warn!(%error, "the simulated world could not be saved"),
                Err(error) => tracing::warn!(%error, "the simulated world could not be saved"),
            }
        }
        tokio::time::sleep(SAVE_EVERY).await;
    }
}

/// Saves a world, where it is kept, and until when it came: a clock that went back would have it wait for its own past.
fn save(world: &World, home: &Home) -> anyhow::Result<()> {
    if let Some(file) = home.world() {
        world.save(&file)?;
        home.for_next_time(|next| next.clock = Some(world.clock().now()))?;
    }
    Ok(())
}
