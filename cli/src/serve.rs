//! `freehold api` and `freehold worker`, the two kinds of processes of an installation.

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
use freehold_tenancy::db::login::Process;
use freehold_worker::aws::{Aws, Connection};
use freehold_worker::limits::AwsRateLimiter;
use freehold_worker::template::needed_types;
use freehold_worker::{Worker, WorkerOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::database::{DatabaseArgs, Login, connect_and_check};
use crate::exit::Exit;
use crate::logging::LogArgs;
#[cfg(feature = "sandbox")]
use crate::sandbox::SimulatedAwsArgs;
use crate::worker_metrics::{self, MetricsServer};
use crate::{config, file_handles, shutdown, steps, telemetry};

/// Maximum number of database connections of an API process.
const MAX_API_CONNECTIONS: u32 = 20;

/// Maximum number of database connections of a worker: one per running operation, one that listens for notifications,
/// and some spare connections.
const MAX_WORKER_CONNECTIONS: u32 = 20;

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file; FREEHOLD_… variables override it (FREEHOLD_DATABASE__URL overrides database.url)
    #[arg(long, value_name = "FILE", default_value = "freehold.toml")]
    pub(crate) config: PathBuf,
}

/// Serve the REST API
///
/// Needs PostgreSQL and the public keys (JWKS) of your identity provider, but no AWS credentials. Any number of API
/// processes can share a database.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freehold api --config freehold.toml --listen 0.0.0.0:8080\n\n\
    Run `freehold migrate` first. The API documentation is at /docs, health checks are at /livez and /readyz. \
    Metrics for Prometheus are at /metrics on the address api.metrics_listen. On Ctrl-C or SIGTERM, the API finishes \
    open requests and stops.")]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Address to listen on [default: api.listen of the configuration]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    log: LogArgs,
    #[cfg(feature = "sandbox")]
    #[command(flatten)]
    simulated_aws: SimulatedAwsArgs,
}

/// Run a background worker, which creates and prepares AWS accounts
///
/// Needs PostgreSQL, and AWS credentials that may assume the control role: AWS_… environment variables, a profile or an
/// instance role. Any number of workers can share a database; they divide the operations among themselves.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  AWS_REGION=eu-central-1 freehold worker --config freehold.toml\n  \
    freehold worker steps\n\n\
    Run `freehold migrate` and `freehold bootstrap` first. On Ctrl-C or SIGTERM, the worker waits for its running AWS \
    calls and stops; other workers continue its operations. A second signal stops it immediately.")]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    command: Option<WorkerCommand>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Address for /metrics, /livez and /readyz [default: telemetry.worker_metrics_listen of the configuration]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    log: LogArgs,
    #[cfg(feature = "sandbox")]
    #[command(flatten)]
    simulated_aws: SimulatedAwsArgs,
}

#[derive(Debug, Subcommand)]
enum WorkerCommand {
    Steps(steps::StepsArgs),
}

pub(crate) async fn api(args: ApiArgs) -> anyhow::Result<Exit> {
    let shutdown = shutdown::listen_for_signals()?;
    #[cfg(feature = "sandbox")]
    let (mut config, kind) = match args.simulated_aws.config(&args.config)? {
        Some(config) => (config, InstallationKind::Sandbox),
        None => (config::load(&args.config.config)?, InstallationKind::Real),
    };
    #[cfg(not(feature = "sandbox"))]
    let (mut config, kind) = (config::load(&args.config.config)?, InstallationKind::Real);

    args.log.start_with_traces("info", telemetry::build_tracer(&config.telemetry, "freehold-api")?);
    if let Some(listen) = args.listen {
        config.api.listen = listen;
    }
    // Only workers sign the audit trail.
    if config.audit.signing_key.take().is_some() && kind == InstallationKind::Real {
        tracing::warn!("audit.signing_key must be set for workers only; the API does not use it");
    }
    // Only workers sign residency proofs.
    if config.proof.signing_key.take().is_some() && kind == InstallationKind::Real {
        tracing::warn!("proof.signing_key must be set for workers only; the API does not use it");
    }
    let login = Login::Process(Process::Api);
    let (pool, installation) = connect_and_check(&args.database, &config, kind, MAX_API_CONNECTIONS, login).await?;
    let listener = TcpListener::bind(config.api.listen).await;
    let listener = listener.with_context(|| format!("the API cannot listen on {}", config.api.listen))?;
    serve_api(pool, Arc::new(config), &installation, listener, shutdown).await?;
    Ok(Exit::Success)
}

/// Serves the API and writes its audit trail until `shutdown` is cancelled.
pub(crate) async fn serve_api(
    pool: PgPool,
    config: Arc<Config>,
    installation: &Installation,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    file_handles::raise_limit(&config.api.limits)?;
    let types = needed_types(&config);
    for (region, refusal) in types.refusals(&config) {
        tracing::warn!(%region, "requests for environments in {region} are refused: {refusal}");
    }
    let app = App::new(pool, Arc::clone(&config), installation.clock())?.with_installation_kind(installation.kind);
    let app = app.with_needed_types(types);
    let address = listener.local_addr()?;
    tracing::info!(%address, installation = %installation.id, "API started, listening on {address}");
    if let Some(address) = config.api.metrics_listen {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("api.metrics_listen: cannot listen on {address}"))?;
        tracing::info!(%address, "serving the metrics of this API on {address}");
        tokio::spawn(freehold_api::serve_metrics(app.clone(), listener, shutdown.clone()));
    }
    let (audit_writer, api_stopped) = (app.audit_writer(), CancellationToken::new());
    audit_writer.anchor_first(&config.audit, installation).await?;
    let serve = async {
        let result = freehold_api::serve(app, listener, shutdown).await;
        api_stopped.cancel();
        result
    };
    let (result, ()) = tokio::join!(serve, audit_writer.run(&config.audit, installation, api_stopped.clone()));
    Ok(result?)
}

pub(crate) async fn worker(args: WorkerArgs) -> anyhow::Result<Exit> {
    if let Some(WorkerCommand::Steps(args)) = &args.command {
        return steps::run(args);
    }
    let login = Login::Process(Process::Worker);
    let shutdown = shutdown::listen_for_signals()?;
    #[cfg(feature = "sandbox")]
    if let Some(config) = args.simulated_aws.config(&args.config)? {
        args.log.start_with_traces("info", telemetry::build_tracer(&config.telemetry, "freehold-worker")?);
        let address = args.metrics_listen.or(config.telemetry.worker_metrics_listen);
        let metrics_server = worker_metrics::start_recording(address).await?;
        let connection = args.simulated_aws.connection()?;
        let (database, kind) = (&args.database, InstallationKind::Sandbox);
        let (pool, installation) = connect_and_check(database, &config, kind, MAX_WORKER_CONNECTIONS, login).await?;
        let lease = args.simulated_aws.lease();
        run_worker(pool, Arc::new(config), &installation, connection, lease, metrics_server, shutdown).await?;
        return Ok(Exit::Success);
    }
    let (config, report) = config::load_with_report(&args.config.config)?;
    args.log.start_with_traces("info", telemetry::build_tracer(&config.telemetry, "freehold-worker")?);
    for warning in report.warnings {
        tracing::warn!("{warning}");
    }
    let address = args.metrics_listen.or(config.telemetry.worker_metrics_listen);
    let metrics_server = worker_metrics::start_recording(address).await?;
    let connection = Connection::from_environment().await?;
    let (database, kind) = (&args.database, InstallationKind::Real);
    let (pool, installation) = connect_and_check(database, &config, kind, MAX_WORKER_CONNECTIONS, login).await?;
    run_worker(pool, Arc::new(config), &installation, connection, None, metrics_server, shutdown).await?;
    Ok(Exit::Success)
}

/// Runs a worker, writes its audit trail, and serves its metrics and health checks if there is a server for them, until
/// `shutdown` is cancelled. `lease` overrides the default lease of a claim.
pub(crate) async fn run_worker(
    pool: PgPool,
    config: Arc<Config>,
    installation: &Installation,
    connection: Connection,
    lease: Option<Duration>,
    metrics_server: Option<MetricsServer>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let clock = installation.clock();
    let limits = Arc::new(AwsRateLimiter::new(pool.clone(), clock.clone(), config.quotas.clone()));
    let audit_writer = AuditWriter::new(pool.clone(), clock.clone());
    audit_writer.anchor_first(&config.audit, installation).await?;
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "worker".to_owned());
    let name = format!("{host}-{}", std::process::id());
    let aws = Aws::connect(Arc::clone(&config), clock.clone(), Some(limits), connection);
    let aws = aws.audited(audit_writer.clone(), &name);
    let options = WorkerOptions { lease, ..WorkerOptions::default() };
    let (worker_config, aws) = (Arc::clone(&config), Arc::new(aws));
    let worker = Worker::with_options(&name, pool.clone(), worker_config, clock, installation, aws, options)?;
    worker_metrics::serve(metrics_server, &pool, worker.aws_access(), &shutdown)?;
    tracing::info!(name, installation = %installation.id, "worker {name} started");
    let worker_stopped = CancellationToken::new();
    let work = async {
        Box::pin(worker.run(shutdown)).await;
        worker_stopped.cancel();
    };
    tokio::join!(work, audit_writer.run(&config.audit, installation, worker_stopped.clone()));
    Ok(())
}
