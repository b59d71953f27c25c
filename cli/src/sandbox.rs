//! `freehold sandbox`: all of Freehold on one machine, with a simulated AWS and nothing to set up.

pub(crate) mod aws;
pub(crate) mod config;
pub(crate) mod data_dir;
mod database;
mod demo;
mod issuer;
mod port;
mod welcome;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use crate::running_sandbox::Running;
pub(crate) use crate::simulated_aws::SimulatedAwsArgs;
pub(crate) use issuer::{Claims, Issuer};

use crate::client::Api;
use crate::exit::Exit;
use crate::logging::LogArgs;
use crate::serve::{run_worker, serve_api};
use crate::{output, shutdown};
use aws::SimulatedAws;
use data_dir::Home;
use database::Database;

/// Try Freehold with a simulated AWS organisation and a private PostgreSQL
///
/// Starts PostgreSQL, a simulated AWS, the REST API and a worker in one process, none of which is reachable from outside
/// this machine, and prepares the simulated organisation. It can touch nothing real: it reads neither DATABASE_URL nor
/// any AWS configuration. The worker speaks to the simulated AWS through the real SDK, over HTTP.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold sandbox --demo               sign up three customers, and look around afterwards\n  \
    freehold sandbox --demo --exit-after-demo        the same, and end: 0 if all three are ready\n  \
    freehold sandbox --data ./sandbox     keep database and simulated AWS, and go on from there next time\n\n\
    While it runs, in another terminal:\n  \
    freehold tenants create --company-name 'Example GmbH' --admin-email admin@example.com \\\n    \
    --home-region eu-central-1 --wait\n\n\
    Ctrl-C ends everything that it started.")]
pub(crate) struct SandboxArgs {
    /// Sign up three customers in three home regions and show every step
    #[arg(long)]
    demo: bool,
    /// End after the demo, with 0 if all three tenants are ready, else with 1
    #[arg(long, requires = "demo")]
    exit_after_demo: bool,
    /// Simulated seconds a second
    #[arg(long, value_name = "N", default_value = "20", value_parser = speed)]
    speed: f64,
    /// The port of the API [default: 8080, or a free one]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The port of the simulated AWS [default: a free one]
    #[arg(long, value_name = "PORT")]
    aws_port: Option<u16>,
    /// Where to keep database and simulated AWS; without it, they are gone at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A PostgreSQL to use in place of a private one; its database must be empty, or a sandbox's
    #[arg(long, value_name = "URL")]
    database_url: Option<SecretString>,
    /// A configuration in place of the built-in one; its organisation must be the simulated one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "this is a number such as 20")?;
    if (0.1..=1_000.0).contains(&speed) { Ok(speed) } else { Err("this is from 0.1 to 1000".to_owned()) }
}

pub(crate) async fn run(args: SandboxArgs) -> anyhow::Result<Exit> {
    args.log.begin("warn");
    let shutdown = shutdown::asked()?;
    let interrupted = if args.exit_after_demo { Exit::Failed } else { Exit::Done };
    let sandbox = tokio::select! {
        started = Sandbox::start(&args, &shutdown) => started?,
        () = shutdown.cancelled() => return Ok(interrupted),
    };
    let shown = tokio::select! {
        shown = sandbox.show(&args) => shown,
        () = shutdown.cancelled() => Ok(interrupted),
    };
    if shown.is_ok() && !args.exit_after_demo {
        shutdown.cancelled().await;
        output::note("ending everything that was started");
    }
    sandbox.end().await?;
    shown
}

/// Everything that was started.
struct Sandbox {
    home: Home,
    database: Database,
    aws: SimulatedAws,
    api: Api,
    token: SecretString,
    running: crate::running_sandbox::RunningGuard,
    /// Ends the API and the worker.
    ending: CancellationToken,
    processes: JoinSet<anyhow::Result<()>>,
}

impl Sandbox {
    async fn start(args: &SandboxArgs, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        output::note("starting PostgreSQL …");
        let mut config = config::config(args.config.as_deref())?;
        let database = Database::start(args).await?;
        let home = Home::open(args.data.as_deref(), database.directory())?;
        let installation = database.prepare(&config, &home, args.speed).await?;

        let issuer = Issuer::open(home.directory())?;
        let last_time = home.last_time();
        let api_listener = port::bind(args.port, last_time.api_port, Some(8080), "API", "--port").await?;
        config::adapt(&mut config, &issuer, api_listener.local_addr()?);
        let config = Arc::new(config);

        output::note("starting the simulated AWS and preparing its organisation …");
        let aws_listener = port::bind(args.aws_port, last_time.aws_port, None, "simulated AWS", "--aws-port").await?;
        let aws = SimulatedAws::start(&home, &installation, aws_listener)?;
        aws.prepare(&config, &installation).await?;

        let token = issuer.default_token()?;
        let (ending, mut processes) = (CancellationToken::new(), JoinSet::new());
        let api_url = format!("http://{}", config.api.listen);
        home.for_next_time(|next| {
            next.api_port = Some(config.api.listen.port());
            next.aws_port = Some(aws.port());
        })?;
        processes.spawn(process(shutdown, {
            let (pool, config, installation) = (database.pool().await?, Arc::clone(&config), installation.clone());
            let ending = ending.clone();
            async move { serve_api(pool, config, &installation, api_listener, ending).await }
        }));
        processes.spawn(process(shutdown, {
            let (pool, connection, ending) = (database.pool().await?, aws.worker_connection()?, ending.clone());
            async move { run_worker(pool, config, &installation, connection, None, ending).await }
        }));
        let running = Running {
            pid: std::process::id(),
            api_url: api_url.clone(),
            aws_url: aws.url(),
            jwks: issuer.jwks(),
            key: issuer.key(),
            token: issuer.keep(&token)?,
        };
        let api = Api::new(api_url.parse()?, token.clone())?;
        Ok(Self { home, database, aws, api, token, running: running.announce()?, ending, processes })
    }

    /// What there is to see: where everything is, and the demo if it was asked for.
    async fn show(&self, args: &SandboxArgs) -> anyhow::Result<Exit> {
        welcome::welcome(self, args)?;
        if !args.demo {
            return Ok(Exit::Done);
        }
        let all_ready = demo::run(&self.api, &self.aws).await?;
        if !args.exit_after_demo {
            output::line("\nThe sandbox goes on. Look around; Ctrl-C ends it.")?;
        }
        Ok(if all_ready { Exit::Done } else { Exit::Failed })
    }

    /// Ends everything in the order in which it leans on each other.
    async fn end(mut self) -> anyhow::Result<()> {
        drop(self.running);
        self.ending.cancel();
        let mut ended = Ok(());
        while let Some(process) = self.processes.join_next().await {
            ended = ended.and(process.map_err(anyhow::Error::from).and_then(|process| process));
        }
        let saved = self.aws.end(&self.home).await;
        self.database.end().await?;
        ended.and(saved)
    }
}

/// One of the sandbox's processes: where it ends by itself, everything ends.
fn process<P>(shutdown: &CancellationToken, process: P) -> impl Future<Output = anyhow::Result<()>> + use<P>
where
    P: Future<Output = anyhow::Result<()>>,
{
    let shutdown = shutdown.clone();
    async move {
        let ended = process.await;
        shutdown.cancel();
        ended
    }
}
