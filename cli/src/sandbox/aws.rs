//! Simulated AWS of a sandbox, which is served on a loopback port.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use freehold_sandbox::http::{RunningServer, serve};
use freehold_sandbox::policy::Document;
use freehold_sandbox::{DurationDistribution, Settings, World};
use freehold_tenancy::Config;
use freehold_tenancy::db::installation::Installation;
use freehold_worker::aws::{AccessKey, Aws, Connection};
use freehold_worker::bootstrap::{apply, plan};
use freehold_worker::iam_policies::{self, PolicyRole};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::data_dir::DataDir;
use crate::output;

const SAVE_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct SimulatedAws {
    world: World,
    server: RunningServer,
    save_task: Option<JoinHandle<()>>,
}

/// Returns the settings of the simulated AWS. A region opt-in takes 5 minutes instead of 15, to shorten the demo.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.durations.region_opt_in = DurationDistribution::with_median(300.0);
    settings
}

impl SimulatedAws {
    pub(super) fn start(
        data_dir: &DataDir,
        installation: &Installation,
        listener: TcpListener,
    ) -> anyhow::Result<Self> {
        let clock = installation.clock();
        let (world, save_task) = match data_dir.world_file() {
            Some(file) => {
                let world = World::open(&file, settings(), clock)?;
                let save_task = tokio::spawn(save_changes(world.clone(), data_dir.clone()));
                (world, Some(save_task))
            }
            None => (World::new(settings(), clock), None),
        };
        let server = serve(&world, listener).context("cannot serve the simulated AWS")?;
        Ok(Self { world, server, save_task })
    }

    /// Prepares the simulated organisation like `freehold bootstrap`, with administrator credentials.
    pub(super) async fn bootstrap(&self, config: &Arc<Config>, installation: &Installation) -> anyhow::Result<()> {
        let key = &self.world.settings().management_access_key;
        let aws = Aws::connect(Arc::clone(config), installation.clock(), None, self.connection(key)?);
        let plan = plan(&aws, config).await?;
        for warning in &plan.warnings {
            tracing::info!(warning, "bootstrap of the simulated organisation");
        }
        let count = plan.actions.len();
        apply(&aws, plan, |action| tracing::info!(%action, "bootstrap of the simulated organisation")).await?;
        output::print_note(match count {
            0 => "  the organisation was already prepared".to_owned(),
            count => format!("  applied {count} changes, as `freehold bootstrap` does"),
        });
        self.install_policies(&aws, config).await
    }

    /// Gives Freehold's roles in the management account the policies of deploy/iam.
    async fn install_policies(&self, aws: &Aws, config: &Config) -> anyhow::Result<()> {
        let ids = iam_policies::read_ids(aws, config).await?;
        let settings = self.world.settings();
        let roles = [(&settings.control_role, PolicyRole::Control), (&settings.people_role, PolicyRole::People)];
        for (name, role) in roles {
            let policy = Document::from_value(iam_policies::policy(role, &ids)).map_err(anyhow::Error::msg)?;
            self.world.replace_role_policy(name, policy);
        }
        Ok(())
    }

    /// Returns an AWS connection with the credentials of Freehold's own account.
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
        self.server.url()
    }

    pub(super) fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Stops the server and saves the state of the simulated AWS.
    pub(super) async fn stop(self, data_dir: &DataDir) -> anyhow::Result<()> {
        self.server.stop();
        if let Some(save_task) = self.save_task {
            save_task.abort();
            // A save that is in progress finishes first.
            _ = save_task.await;
        }
        save(&self.world, data_dir)
    }
}

/// Saves the simulated AWS at regular intervals if it received calls since it was last saved.
async fn save_changes(world: World, data_dir: DataDir) {
    let mut saved = None;
    loop {
        let calls: u64 = world.state().calls.by_operation().values().map(|count| count.calls).sum();
        if saved != Some(calls) {
            let (world, data_dir) = (world.clone(), data_dir.clone());
            match tokio::task::spawn_blocking(move || save(&world, &data_dir)).await {
                Ok(Ok(())) => saved = Some(calls),
                Ok(Err(error)) => tracing::warn!(%error, "cannot save the simulated AWS; will retry"),
                Err(error) => tracing::warn!(%error, "cannot save the simulated AWS; will retry"),
            }
        }
        tokio::time::sleep(SAVE_INTERVAL).await;
    }
}

/// Saves the simulated AWS and the time of its clock, if the sandbox has a data directory. The clock continues from
/// that time at the next start, because an earlier time would delay changes that are already scheduled.
fn save(world: &World, data_dir: &DataDir) -> anyhow::Result<()> {
    if let Some(file) = data_dir.world_file() {
        world.save(&file)?;
        data_dir.update_session(|session| session.clock = Some(world.clock().now()))?;
    }
    Ok(())
}
