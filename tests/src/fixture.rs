//! A whole Freehold around a simulated organisation: real PostgreSQL, the real SDK, a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use freehold_sandbox::World;
use freehold_sandbox::faults::FaultyClient;
use freehold_sandbox::policy::Document;
use freehold_sandbox::settings::Settings;
use freehold_tenancy::audit::AuditWriter;
use freehold_tenancy::clock::Scale;
use freehold_tenancy::db::installation::{Installation, InstallationKind};
use freehold_tenancy::db::{PgPool, installation, operations, tenants};
use freehold_tenancy::operation::Operation;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{Clock, Config};
use freehold_worker::aws::{AccessKey, Aws, Connection};
use freehold_worker::limits::Limits;
use freehold_worker::{Worker, bootstrap};
use sqlx::postgres::PgPoolOptions;

use crate::database::Database;
use crate::signup;
use crate::step_faults::FaultInjector;

/// What the operator of the tests has declared.
pub const CONFIG: &str = r#"
    [organization]
    management_account_id = "111122223333"
    freehold_account_id = "444455556666"
    control_role_arn = "arn:aws:iam::111122223333:role/freehold-control"
    account_email = "aws+{environment_id}@example.com"

    [identity_center]
    region = "eu-central-1"

    [[residencies]]
    name = "eu"
    regions = ["eu-central-1", "eu-west-1"]
    [[residencies]]
    name = "us"
    regions = ["us-east-1", "us-west-2"]
    [[residencies]]
    name = "ch"
    regions = ["eu-central-2"]

    [[permission_sets]]
    name = "support"
    description = "Reads, to help"
    managed_policies = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    [[permission_sets]]
    name = "tenant-admin"
    description = "The tenant's own administrators"
    session_duration = "PT8H"
    managed_policies = ["arn:aws:iam::aws:policy/AdministratorAccess"]

    [[access]]
    permission_set = "support"
    group = "support"

    [[tiers]]
    name = "standard"
    [[tiers]]
    name = "enterprise"
    tenant_group_permission_set = "tenant-admin"
"#;

/// What the control role may do: what `deploy/iam` says, with what `freehold bootstrap` needs.
pub fn control_policy() -> Document {
    let [mut all, bootstrap] = ["control-role", "bootstrap"].map(|name| {
        let path = format!("{}/../deploy/iam/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a policy");
        serde_json::from_str::<serde_json::Value>(&text).expect("a policy in JSON")
    });
    let more = bootstrap["Statement"].as_array().expect("statements").clone();
    all["Statement"].as_array_mut().expect("statements").extend(more);
    Document::from_value(all).expect("a policy")
}

/// A whole Freehold.
pub struct Freehold {
    /// The simulated organisation, bootstrapped.
    pub world: World,
    /// The wire between the workers and it.
    pub faulty_client: FaultyClient,
    /// What can go wrong at one call of one step.
    pub step_faults: FaultInjector,
    /// Everybody's clock; it moves when the test moves it.
    pub clock: Clock,
    /// What the operator has declared.
    pub config: Arc<Config>,
    /// What the database belongs to.
    pub installation: Installation,
    /// The database.
    pub database: Database,
    signups: AtomicU64,
    _served: freehold_sandbox::http::Served,
}

impl Freehold {
    /// With an organisation that does everything at once.
    pub async fn instant() -> Self {
        Self::with(Settings::instant(), CONFIG).await
    }

    /// With an organisation set up like this, and this configuration.
    pub async fn with(settings: Settings, config: &str) -> Self {
        let start = "2026-01-01T00:00:00Z".parse().expect("a time");
        let clock = Clock::manual(start);
        let config = Arc::new(Config::parse(config).expect("a configuration"));
        let database = Database::new().await;
        let scale = Scale { anchored_at: start, origin: start, speed: 1.0 };
        let organization = &config.organization;
        let (kind, management) = (InstallationKind::Sandbox, &organization.management_account_id);
        let installation =
            installation::ensure(&database.pool, kind, management, Some(scale), start).await.expect("an installation");
        let settings =
            Settings { control_policy: settings.control_policy.or_else(|| Some(control_policy())), ..settings };
        let world = World::new(settings, clock.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        // Function URLs are reached over loopback; everything else in process.
        let served = freehold_sandbox::http::serve(&world, listener).expect("a served world");
        let faulty_client = FaultyClient::new(freehold_sandbox::http::client(&world), clock.clone());
        let step_faults = FaultInjector::new(faulty_client.shared());
        let freehold = Self {
            world,
            faulty_client,
            step_faults,
            clock,
            config,
            installation,
            database,
            signups: AtomicU64::new(1),
            _served: served,
        };
        freehold.bootstrap().await;
        freehold
    }

    /// With this configuration from now on; the organisation stays as it is.
    #[must_use]
    pub fn with_config(mut self, config: &str) -> Self {
        self.config = Arc::new(Config::parse(config).expect("a configuration"));
        self
    }

    async fn bootstrap(&self) {
        let limits = Limits::new(self.pool().clone(), self.clock.clone(), self.config.quotas.clone());
        let aws = self.aws(Some(Arc::new(limits)));
        let prepare = async {
            let plan = bootstrap::plan(&aws, &self.config).await.expect("a plan");
            bootstrap::apply(&aws, plan, |_| {}).await.expect("a bootstrapped organisation");
        };
        tokio::select! {
            () = prepare => {}
            () = self.run_clock() => {}
        }
        // Policies need their time to reach everywhere.
        self.clock.advance(std::time::Duration::from_mins(1));
    }

    /// Lets the clock run on by itself.
    pub async fn run_clock(&self) {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            self.clock.advance(std::time::Duration::from_secs(1));
        }
    }

    /// AWS as Freehold's account reaches it.
    pub fn aws(&self, limits: Option<Arc<Limits>>) -> Aws {
        let key = AccessKey { id: &self.world.settings().freehold_access_key, secret: "secret" };
        let connection = Connection::in_process(key, "eu-central-1", self.step_faults.shared());
        Aws::connect(Arc::clone(&self.config), self.clock.clone(), limits, connection)
    }

    /// A worker, as a process of its own would be: nothing in memory is shared with another.
    pub fn worker(&self, name: &str) -> Arc<Worker> {
        self.worker_on(name, &self.database.url)
    }

    /// A worker that finds the database at `url`.
    pub fn worker_on(&self, name: &str, url: &str) -> Arc<Worker> {
        // Connections of its own: those of a worker that dies in the middle of a transaction die with it.
        let pool = PgPoolOptions::new().max_connections(10).connect_lazy(url).expect("a pool");
        let limits = Limits::new(pool.clone(), self.clock.clone(), self.config.quotas.clone());
        let audit_writer = AuditWriter::new(pool.clone(), self.clock.clone());
        let cloud = Arc::new(self.aws(Some(Arc::new(limits))).audited(audit_writer, name));
        let config = Arc::clone(&self.config);
        Arc::new(Worker::new(name, pool, config, self.clock.clone(), &self.installation, cloud).expect("a worker"))
    }

    /// Connections to the database.
    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// Signs up a tenant with one environment, as the API would.
    pub async fn sign_up(&self, company: &str, home_region: &str, tier: &str) -> Tenant {
        // Everything that the simulator draws hangs on these ids: the same in every run.
        let drawn = self.signups.fetch_add(1, Ordering::Relaxed).into();
        let tenant = signup::new_tenant(&self.config, self.clock.now(), drawn, company, home_region, tier);
        signup::accept_signup(self.pool(), &tenant).await;
        tenant
    }

    /// The tenant as it is now.
    pub async fn reload_tenant(&self, tenant: &Tenant) -> Tenant {
        tenants::get(self.pool(), tenant.id).await.expect("an answer").expect("the tenant")
    }

    /// Every tenant as it is now, at most a thousand.
    pub async fn tenants(&self) -> Vec<Tenant> {
        tenants::list(self.pool(), &tenants::TenantFilter::default(), None, 1000).await.expect("an answer")
    }

    /// The operation of the tenant's only environment as it is now.
    pub async fn operation_of(&self, tenant: &Tenant) -> Operation {
        let id = tenant.environments[0].operation_id;
        operations::get(self.pool(), id).await.expect("an answer").expect("the operation")
    }

    /// Lets `worker` work and time pass until nothing is due any more, at most for `at_most` of simulated time.
    pub async fn run_until_idle(&self, worker: &Arc<Worker>, at_most: TimeDelta) {
        let until = self.clock.now() + at_most;
        while self.run_due_and_advance(worker).await.is_some_and(|at| at <= until) {}
    }

    /// Lets `worker` do what is due, then moves the clock to what is due next, and answers when that is.
    pub async fn run_due_and_advance(&self, worker: &Arc<Worker>) -> Option<DateTime<Utc>> {
        worker.drain().await.expect("what is due to be carried on");
        let next = operations::next_wake(self.pool()).await.expect("an answer")?;
        self.clock.advance_to(next);
        Some(next)
    }
}
