//! `freehold sandbox`: run all parts of Freehold in one process, with a private PostgreSQL and a simulated AWS.

pub(crate) mod aws;
pub(crate) mod config;
pub(crate) mod data_dir;
mod database;
mod demo;
mod fault;
mod issuer;
mod openid;
mod port;
mod welcome;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use freehold_tenancy::Config;
use freehold_tenancy::db::installation::Installation;
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use crate::running_sandbox::RunningSandbox;
pub(crate) use crate::simulated_aws::SimulatedAwsArgs;
pub(crate) use issuer::{Claims, Issuer};

use crate::client::ApiClient;
use crate::exit::Exit;
use crate::logging::LogArgs;
use crate::serve::{run_worker, serve_api};
use crate::{output, secret_arg, shutdown};
use aws::SimulatedAws;
use data_dir::DataDir;
use database::Database;

/// Try Freehold with a simulated AWS organisation and a private PostgreSQL
///
/// Starts PostgreSQL, a simulated AWS, the REST API and a worker, and prepares the simulated organisation. All of them
/// listen on loopback only. A sandbox cannot access real systems: it ignores DATABASE_URL and all AWS configuration.
/// The worker calls the simulated AWS over HTTP with the real AWS SDK.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold sandbox --demo                      create four tenants, then keep running\n  \
    freehold sandbox --demo --exit-after-demo    create four tenants, then exit\n  \
    freehold sandbox --data ./sandbox            keep the data for the next start\n\n\
    In another terminal, while the sandbox runs:\n  \
    freehold tenants create --company-name 'Example GmbH' --admin-email admin@example.com \\\n    \
    --home-region eu-central-1 --wait\n  \
    freehold sandbox fault region-down eu-central-1 --for 30m\n\n\
    Ctrl-C stops the sandbox.")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SandboxArgs {
    #[command(subcommand)]
    command: Option<SandboxCommand>,
    #[command(flatten)]
    start: StartArgs,
}

#[derive(Debug, Subcommand)]
enum SandboxCommand {
    Fault(fault::FaultArgs),
}

// Not a doc comment, which would replace the description of the command.
// Arguments with which a sandbox starts.
#[derive(Debug, Args)]
struct StartArgs {
    /// Create four tenants in three home regions, print each step, and lose a region
    #[arg(long)]
    demo: bool,
    /// Exit after the demo, with 0 if all four tenants are ready and a front door survives, else with 1
    #[arg(long, requires = "demo")]
    exit_after_demo: bool,
    /// Speed of the simulated clock relative to real time
    #[arg(long, value_name = "N", default_value = "20", value_parser = parse_speed)]
    speed: f64,
    /// Port of the API [default: 8080, or a free port if 8080 is in use]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Port of the simulated AWS [default: a free port]
    #[arg(long, value_name = "PORT")]
    aws_port: Option<u16>,
    /// Directory in which to keep the data for the next start [default: a temporary directory, deleted on exit]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// PostgreSQL URL of an administrator; the database must be empty or a sandbox's [default: a private PostgreSQL]
    #[arg(long, value_name = "URL", value_parser = secret_arg::parse)]
    database_url: Option<SecretString>,
    /// Configuration file; its organisation must be the simulated one [default: built-in]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "must be a number, e.g. 20")?;
    if (0.1..=1_000.0).contains(&speed) { Ok(speed) } else { Err("must be from 0.1 to 1000".to_owned()) }
}

pub(crate) async fn run(args: SandboxArgs) -> anyhow::Result<Exit> {
    match args.command {
        Some(SandboxCommand::Fault(args)) => fault::run(args).await,
        None => start(args.start).await,
    }
}

async fn start(args: StartArgs) -> anyhow::Result<Exit> {
    args.log.start("warn");
    let shutdown = shutdown::listen_for_signals()?;
    let interrupted = if args.exit_after_demo { Exit::Failure } else { Exit::Success };
    let sandbox = tokio::select! {
        started = Sandbox::start(&args, &shutdown) => started?,
        () = shutdown.cancelled() => return Ok(interrupted),
    };
    let result = tokio::select! {
        result = sandbox.print_welcome_and_run_demo(&args) => result,
        () = shutdown.cancelled() => Ok(interrupted),
    };
    if result.is_ok() && !args.exit_after_demo {
        shutdown.cancelled().await;
        output::print_note("stopping the sandbox …");
    }
    sandbox.stop().await?;
    result
}

/// Running sandbox with its database, simulated AWS, API and worker.
struct Sandbox {
    data_dir: DataDir,
    database: Database,
    aws: SimulatedAws,
    config: Arc<Config>,
    installation: Installation,
    api: ApiClient,
    token: SecretString,
    registration: crate::running_sandbox::RegistrationGuard,
    /// Token that stops the API and the worker when it is cancelled.
    stop_processes: CancellationToken,
    processes: JoinSet<anyhow::Result<()>>,
}

impl Sandbox {
    async fn start(args: &StartArgs, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        output::print_note("starting PostgreSQL …");
        let mut config = config::load(args.config.as_deref())?;
        let database = Database::start(args).await?;
        let data_dir = DataDir::open(args.data.as_deref(), database.directory())?;
        let installation = database.prepare(&config, &data_dir, args.speed).await?;

        let issuer = Issuer::open(data_dir.directory())?;
        let session = data_dir.saved_session();
        let api_listener = port::bind(args.port, session.api_port, Some(8080), "API", "--port").await?;
        config::configure_api(&mut config, &issuer, api_listener.local_addr()?);
        let openid_listener = port::bind(None, None, None, "OpenID provider", "").await?;
        let openid_url = format!("http://{}", openid_listener.local_addr()?);
        config::configure_console(&mut config, &openid_url);
        let config = Arc::new(config);

        output::print_note("starting the simulated AWS and preparing its organisation …");
        let aws_listener = port::bind(args.aws_port, session.aws_port, None, "simulated AWS", "--aws-port").await?;
        let aws = SimulatedAws::start(&data_dir, &installation, aws_listener)?;
        aws.bootstrap(&config, &installation).await?;

        let token = issuer.default_token()?;
        let (stop_processes, mut processes) = (CancellationToken::new(), JoinSet::new());
        let openid = Issuer::open(data_dir.directory())?;
        let console = config.console.url.clone().unwrap_or_default();
        let openid = openid::Provider::new(openid, openid_url, &console, &config.api.roles);
        processes.spawn(shut_down_after(shutdown, openid.serve(openid_listener, stop_processes.clone())));
        let api_url = format!("http://{}", config.api.listen);
        data_dir.update_session(|session| {
            session.api_port = Some(config.api.listen.port());
            session.aws_port = Some(aws.port());
        })?;
        processes.spawn(shut_down_after(shutdown, {
            let pool = database.pool(&config, Some(&config.database.api_role)).await?;
            let (config, installation) = (Arc::clone(&config), installation.clone());
            let stop = stop_processes.clone();
            async move { serve_api(pool, config, &installation, api_listener, stop).await }
        }));
        processes.spawn(shut_down_after(shutdown, {
            let pool = database.pool(&config, Some(&config.database.worker_role)).await?;
            let (connection, stop) = (aws.worker_connection()?, stop_processes.clone());
            let (config, installation) = (Arc::clone(&config), installation.clone());
            async move { run_worker(pool, config, &installation, connection, None, None, stop).await }
        }));
        let running = RunningSandbox {
            pid: std::process::id(),
            api_url: api_url.clone(),
            aws_url: aws.url(),
            start_url: aws.world().start_url(),
            sso_region: aws.world().settings().home_region.parse()?,
            jwks: issuer.jwks_path(),
            key: issuer.key_path(),
            token: issuer.write_token(&token)?,
        };
        let api = ApiClient::new(api_url.parse()?, token.clone(), false)?;
        let registration = running.register()?;
        Ok(Self { data_dir, database, aws, config, installation, api, token, registration, stop_processes, processes })
    }

    /// Prints the addresses of the sandbox, then runs the demo if requested.
    async fn print_welcome_and_run_demo(&self, args: &StartArgs) -> anyhow::Result<Exit> {
        welcome::print_welcome(self, args)?;
        if !args.demo {
            return Ok(Exit::Success);
        }
        let all_ready = demo::run(&self.api, &self.aws, &self.config, &self.installation).await?;
        if !args.exit_after_demo {
            output::print_line("\nThe sandbox keeps running. Ctrl-C stops it.")?;
        }
        Ok(if all_ready { Exit::Success } else { Exit::Failure })
    }

    /// Stops all components. Each component is stopped before the components that it depends on.
    async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.registration);
        self.stop_processes.cancel();
        let mut stopped = Ok(());
        while let Some(process) = self.processes.join_next().await {
            stopped = stopped.and(process.map_err(anyhow::Error::from).and_then(|result| result));
        }
        let saved = self.aws.stop(&self.data_dir).await;
        self.database.stop().await?;
        stopped.and(saved)
    }
}

/// Runs `process` (the API or the worker), and shuts down the whole sandbox when `process` stops.
fn shut_down_after<P>(shutdown: &CancellationToken, process: P) -> impl Future<Output = anyhow::Result<()>> + use<P>
where
    P: Future<Output = anyhow::Result<()>>,
{
    let shutdown = shutdown.clone();
    async move {
        let result = process.await;
        shutdown.cancel();
        result
    }
}
