//! `freehold api` and `freehold worker`: the two processes of an installation, any number of each.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use freehold_api::App;
use freehold_tenancy::Config;
use freehold_tenancy::audit::AuditWriter;
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::installation::{Installation, InstallationKind};
use freehold_worker::aws::{Aws, Connection};
use freehold_worker::limits::Limits;
use freehold_worker::{Worker, WorkerOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::database::{DatabaseArgs, open};
use crate::exit::Exit;
use crate::logging::LogArgs;
#[cfg(feature = "sandbox")]
use crate::sandbox::SimulatedAwsArgs;
use crate::{shutdown, steps, telemetry, worker_metrics};

/// Connections that the API keeps to the database.
const API_CONNECTIONS: u32 = 20;

/// Connections that a worker keeps: one for each operation under way, the ear and a few besides.
const WORKER_CONNECTIONS: u32 = 20;

/// Where the configuration and the database are.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration; FREEHOLD_… variables override it (FREEHOLD_DATABASE__URL is url of [database])
    #[arg(long, value_name = "FILE", default_value = "freehold.toml")]
    pub(crate) config: PathBuf,
}

/// Serve the REST API
///
/// It needs PostgreSQL and the keys of whoever issues your tokens, and no AWS credentials. Any number of such processes
/// may share a database.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freehold api --config freehold.toml --listen 0.0.0.0:8080\n\n\
    Run `freehold migrate` once before. The documentation of the API is at /docs, its state at /livez and /readyz,\n\
    measurements for Prometheus at /metrics. It ends on Ctrl-C or SIGTERM, after the answers that have begun.")]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where to listen; listen of [api] if left out
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    log: LogArgs,
    #[cfg(feature = "sandbox")]
    #[command(flatten)]
    stand_in: SimulatedAwsArgs,
}

/// Run the background worker, which vends and prepares AWS accounts
///
/// It needs PostgreSQL, and AWS credentials that may assume the control role: the usual environment variables, a profile
/// or the role of the machine. Any number of such processes may share a database; they share the work.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  AWS_REGION=eu-central-1 freehold worker --config freehold.toml\n  \
    freehold worker steps\n\n\
    Run `freehold migrate` and `freehold bootstrap` once before. It ends on Ctrl-C or SIGTERM, after the calls that are\n\
    under way; what it was doing is taken up by another worker at once, or by the next. A second one ends it at once.")]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    command: Option<WorkerCommand>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where to tell how the worker is doing, at /metrics, /livez and /readyz; worker_metrics_listen of [telemetry] if left out
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    log: LogArgs,
    #[cfg(feature = "sandbox")]
    #[command(flatten)]
    stand_in: SimulatedAwsArgs,
}

#[derive(Debug, Subcommand)]
enum WorkerCommand {
    Steps(steps::StepsArgs),
}

pub(crate) async fn api(args: ApiArgs) -> anyhow::Result<Exit> {
    let shutdown = shutdown::asked()?;
    #[cfg(feature = "sandbox")]
    let (mut config, kind) = match args.stand_in.config(&args.config)? {
        Some(config) => (config, InstallationKind::Sandbox),
        None => (Config::load(&args.config.config)?, InstallationKind::Real),
    };
    #[cfg(not(feature = "sandbox"))]
    let (mut config, kind) = (Config::load(&args.config.config)?, InstallationKind::Real);

    args.log.begin_traced("info", telemetry::tracer(&config.telemetry, "freehold-api")?);
    if let Some(listen) = args.listen {
        config.api.listen = listen;
    }
    let (pool, installation) = open(&args.database, &config, kind, API_CONNECTIONS).await?;
    let listener = TcpListener::bind(config.api.listen).await;
    let listener = listener.with_context(|| format!("the API cannot listen on {}", config.api.listen))?;
    serve_api(pool, Arc::new(config), &installation, listener, shutdown).await?;
    Ok(Exit::Done)
}

/// Serves the API of an installation until `shutdown`.
pub(crate) async fn serve_api(
    pool: PgPool,
    config: Arc<Config>,
    installation: &Installation,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!(address = %listener.local_addr()?, installation = %installation.id, "serving the API");
    let app = App::new(pool, Arc::clone(&config), installation.clock())?.with_installation_kind(installation.kind);
    let (audit_writer, ended) = (app.audit_writer(), CancellationToken::new());
    let serving = async {
        let served = freehold_api::serve(app, listener, shutdown).await;
        ended.cancel();
        served
    };
    let (served, ()) = tokio::join!(serving, audit_writer.run(&config.audit, installation, ended.clone()));
    Ok(served?)
}

pub(crate) async fn worker(args: WorkerArgs) -> anyhow::Result<Exit> {
    if let Some(WorkerCommand::Steps(args)) = &args.command {
        return steps::run(args);
    }
    let shutdown = shutdown::asked()?;
    #[cfg(feature = "sandbox")]
    if let Some(config) = args.stand_in.config(&args.config)? {
        args.log.begin_traced("info", telemetry::tracer(&config.telemetry, "freehold-worker")?);
        let told = worker_metrics::begin(args.metrics_listen.or(config.telemetry.worker_metrics_listen)).await?;
        let connection = args.stand_in.connection()?;
        let (pool, installation) = open(&args.database, &config, InstallationKind::Sandbox, WORKER_CONNECTIONS).await?;
        worker_metrics::serve(told, &pool, &shutdown);
        run_worker(pool, Arc::new(config), &installation, connection, args.stand_in.lease(), shutdown).await?;
        return Ok(Exit::Done);
    }
    let config = Config::load(&args.config.config)?;
    args.log.begin_traced("info", telemetry::tracer(&config.telemetry, "freehold-worker")?);
    let told = worker_metrics::begin(args.metrics_listen.or(config.telemetry.worker_metrics_listen)).await?;
    let connection = Connection::ambient().await?;
    let (pool, installation) = open(&args.database, &config, InstallationKind::Real, WORKER_CONNECTIONS).await?;
    worker_metrics::serve(told, &pool, &shutdown);
    run_worker(pool, Arc::new(config), &installation, connection, None, shutdown).await?;
    Ok(Exit::Done)
}

/// Runs a worker of an installation until `shutdown`; `lease` in place of how long a claim usually holds.
pub(crate) async fn run_worker(
    pool: PgPool,
    config: Arc<Config>,
    installation: &Installation,
    connection: Connection,
    lease: Option<Duration>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let clock = installation.clock();
    let limits = Arc::new(Limits::new(pool.clone(), clock.clone(), config.quotas.clone()));
    let audit_writer = AuditWriter::new(pool.clone(), clock.clone());
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "worker".to_owned());
    let name = format!("{host}-{}", std::process::id());
    tracing::info!(name, installation = %installation.id, "working");
    let aws = Aws::connect(Arc::clone(&config), clock.clone(), Some(limits), connection);
    let aws = aws.audited(audit_writer.clone(), &name);
    let options = WorkerOptions { lease, ..WorkerOptions::default() };
    let (worker_config, aws) = (Arc::clone(&config), Arc::new(aws));
    let worker = Worker::with_options(name, pool, worker_config, clock, installation, aws, options)?;
    let ended = CancellationToken::new();
    let working = async {
        Box::pin(worker.run(shutdown)).await;
        ended.cancel();
    };
    tokio::join!(working, audit_writer.run(&config.audit, installation, ended.clone()));
    Ok(())
}
