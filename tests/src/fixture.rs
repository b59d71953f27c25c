//! Fixture for tests of the worker: a simulated organisation, a real PostgreSQL, the real AWS SDK, and a manual clock.

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
use freehold_tenancy::front_door::FrontDoor;
use freehold_tenancy::operation::Operation;
use freehold_tenancy::replica::Replica;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{Clock, Config};
use freehold_worker::aws::{AccessKey, Aws, Connection};
use freehold_worker::iam_policies::{self, PolicyRole};
use freehold_worker::limits::AwsRateLimiter;
use freehold_worker::{Worker, bootstrap};
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;

use crate::database::Database;
use crate::signup;
use crate::step_faults::FaultInjector;

/// Default configuration of the tests.
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

/// Returns [`CONFIG`] with a residency `eu` that allows front doors.
pub fn config_with_edge() -> String {
    let regions = "regions = [\"eu-central-1\", \"eu-west-1\"]";
    CONFIG.replace(regions, &format!("{regions}\n    edge = true"))
}

/// Returns the policy of the control role from `deploy/iam`, with its example ids and with the permissions for
/// `freehold bootstrap`.
pub fn control_policy() -> Document {
    with_bootstrap(iam_file("control-role"))
}

fn iam_file(name: &str) -> Value {
    let path = format!("{}/../deploy/iam/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a policy");
    serde_json::from_str(&text).expect("a policy in JSON")
}

fn with_bootstrap(mut policy: Value) -> Document {
    let statements = iam_file("bootstrap")["Statement"].as_array().expect("statements").clone();
    policy["Statement"].as_array_mut().expect("statements").extend(statements);
    Document::from_value(policy).expect("a policy")
}

/// Gives the roles in the management account the policies of `deploy/iam`, with the ids of the bootstrapped
/// organisation, as an administrator does. The control role keeps the permissions for `freehold bootstrap`.
pub async fn install_policies(world: &World, aws: &Aws, config: &Config) {
    let ids = iam_policies::read_ids(aws, config).await.expect("the ids of the organisation");
    let settings = world.settings();
    world.replace_role_policy(&settings.control_role, with_bootstrap(iam_policies::policy(PolicyRole::Control, &ids)));
    let people = Document::from_value(iam_policies::policy(PolicyRole::People, &ids)).expect("a policy");
    world.replace_role_policy(&settings.people_role, people);
}

/// Installation with a simulated AWS organisation.
pub struct Freehold {
    /// Simulated AWS organisation, in which `freehold bootstrap` has created all required objects.
    pub world: World,
    /// Workers' HTTP client, which can inject faults into any AWS call.
    pub faulty_client: FaultyClient,
    /// Workers' HTTP client, which can inject a fault at one call of one step.
    pub step_faults: FaultInjector,
    /// Clock of all components; only the test advances the clock.
    pub clock: Clock,
    pub config: Arc<Config>,
    pub installation: Installation,
    pub database: Arc<Database>,
    signups: AtomicU64,
    _aws_server: freehold_sandbox::http::RunningServer,
}

impl Freehold {
    /// Starts an installation whose simulated AWS finishes all work immediately.
    pub async fn instant() -> Self {
        Self::with(Settings::instant(), CONFIG).await
    }

    /// Starts an installation with the configuration `config`. `settings` are the settings of the simulated
    /// organisation.
    pub async fn with(settings: Settings, config: &str) -> Self {
        let start = "2026-01-01T00:00:00Z".parse().expect("a time");
        let clock = Clock::manual(start);
        let config = Arc::new(Config::parse(config).expect("a configuration"));
        let database = Arc::new(Database::new().await);
        let scale = Scale { anchored_at: start, origin: start, speed: 1.0 };
        let organization = &config.organization;
        let (kind, management) = (InstallationKind::Sandbox, &organization.management_account_id);
        let installation =
            installation::ensure(&database.pool, kind, management, Some(scale), start).await.expect("an installation");
        let settings =
            Settings { control_policy: settings.control_policy.or_else(|| Some(control_policy())), ..settings };
        let world = World::new(settings, clock.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        // Function URLs are called over loopback, all other services in process.
        let aws_server = freehold_sandbox::http::serve(&world, listener).expect("a simulated AWS");
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
            _aws_server: aws_server,
        };
        freehold.bootstrap().await;
        freehold
    }

    /// Replaces the configuration; the organisation does not change.
    #[must_use]
    pub fn with_config(mut self, config: &str) -> Self {
        self.config = Arc::new(Config::parse(config).expect("a configuration"));
        self
    }

    /// Prepares the organisation for the current configuration, as `freehold bootstrap` does.
    pub async fn bootstrap(&self) {
        let limits =
            AwsRateLimiter::new(self.database.worker_pool.clone(), self.clock.clone(), self.config.quotas.clone());
        let aws = self.aws(Some(Arc::new(limits)));
        let prepare = async {
            let plan = bootstrap::plan(&aws, &self.config).await.expect("a plan");
            bootstrap::apply(&aws, plan, |_| {}).await.expect("a bootstrapped organisation");
            install_policies(&self.world, &aws, &self.config).await;
        };
        tokio::select! {
            () = prepare => {}
            () = self.run_clock() => {}
        }
        // Changes of policies take effect after a delay.
        self.clock.advance(std::time::Duration::from_mins(1));
    }

    /// Advances the clock by one second per millisecond of real time, until the future is dropped.
    pub async fn run_clock(&self) {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            self.clock.advance(std::time::Duration::from_secs(1));
        }
    }

    /// Returns an AWS client with the credentials of Freehold's account.
    pub fn aws(&self, limits: Option<Arc<AwsRateLimiter>>) -> Aws {
        self.aws_with_key(&self.world.settings().freehold_access_key, limits)
    }

    /// Returns an AWS client with the credentials of an administrator of the management account, for changes outside
    /// Freehold.
    pub async fn administrator(&self) -> Aws {
        let aws = self.aws_with_key(&self.world.settings().management_access_key, None);
        aws.as_administrator().await.expect("an administrator")
    }

    /// Returns an AWS client with the access key `id`.
    pub fn aws_with_key(&self, id: &str, limits: Option<Arc<AwsRateLimiter>>) -> Aws {
        let key = AccessKey { id, secret: "secret" };
        let connection = Connection::in_process(key, "eu-central-1", self.step_faults.shared());
        Aws::connect(Arc::clone(&self.config), self.clock.clone(), limits, connection)
    }

    /// Returns a worker that shares no memory with other workers, like a separate process.
    pub fn worker(&self, name: &str) -> Arc<Worker> {
        self.worker_on(name, &self.database.worker_url)
    }

    /// Returns a worker that connects to the database at `url`.
    pub fn worker_on(&self, name: &str, url: &str) -> Arc<Worker> {
        self.worker_with_key(name, url, &self.world.settings().freehold_access_key)
    }

    /// Returns a worker that connects to the database at `url` and calls AWS with the access key `id`.
    pub fn worker_with_key(&self, name: &str, url: &str, id: &str) -> Arc<Worker> {
        // Separate connections, which are closed when the worker crashes within a transaction.
        let pool = PgPoolOptions::new().max_connections(10).connect_lazy(url).expect("a pool");
        let limits = AwsRateLimiter::new(pool.clone(), self.clock.clone(), self.config.quotas.clone());
        let audit_writer = AuditWriter::new(pool.clone(), self.clock.clone());
        let cloud = Arc::new(self.aws_with_key(id, Some(Arc::new(limits))).audited(audit_writer, name));
        let config = Arc::clone(&self.config);
        Arc::new(Worker::new(name, pool, config, self.clock.clone(), &self.installation, cloud).expect("a worker"))
    }

    /// Returns the connections of the test itself, as an administrator.
    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// Signs up a tenant with one environment, as the API does.
    pub async fn sign_up(&self, company: &str, home_region: &str, tier: &str) -> Tenant {
        // The random values of the simulated AWS depend on these ids, which are therefore the same in every run.
        let id = self.signups.fetch_add(1, Ordering::Relaxed).into();
        let tenant = signup::new_tenant(&self.config, self.clock.now(), id, company, home_region, tier);
        signup::accept_signup(&self.database.api_pool, &self.config, &tenant).await;
        tenant
    }

    /// Signs up a tenant of the tier `standard` with one environment, which has replicas in `replicas`.
    pub async fn sign_up_with_replicas(&self, company: &str, home_region: &str, replicas: &[&str]) -> Tenant {
        self.sign_up_environment(company, home_region, replicas, false).await
    }

    /// Signs up a tenant like [`Self::sign_up_with_replicas`], whose environment has a front door.
    pub async fn sign_up_with_front_door(&self, company: &str, home_region: &str, replicas: &[&str]) -> Tenant {
        self.sign_up_environment(company, home_region, replicas, true).await
    }

    async fn sign_up_environment(
        &self,
        company: &str,
        home_region: &str,
        replicas: &[&str],
        front_door: bool,
    ) -> Tenant {
        let (id, now) = (self.signups.fetch_add(1, Ordering::Relaxed).into(), self.clock.now());
        let mut tenant = signup::new_tenant(&self.config, now, id, company, home_region, "standard");
        let replicas: Vec<_> = replicas.iter().map(|region| region.parse().expect("a region")).collect();
        tenant.environments[0].replicas = Replica::of_new_environment(&replicas, now);
        tenant.environments[0].front_door = front_door.then(|| FrontDoor::requested(now));
        signup::accept_signup(&self.database.api_pool, &self.config, &tenant).await;
        tenant
    }

    /// Reads the tenant from the database.
    pub async fn reload_tenant(&self, tenant: &Tenant) -> Tenant {
        tenants::get(self.pool(), tenant.id).await.expect("a result").expect("the tenant")
    }

    /// Reads all tenants from the database, at most 1000.
    pub async fn tenants(&self) -> Vec<Tenant> {
        tenants::list(self.pool(), &tenants::TenantFilter::default(), None, 1000).await.expect("a result")
    }

    /// Reads the latest operation of the tenant's only environment.
    pub async fn operation_of(&self, tenant: &Tenant) -> Operation {
        let id = tenant.environments[0].operation_id;
        operations::get(self.pool(), id).await.expect("a result").expect("the operation")
    }

    /// Runs `worker` and advances the clock, by at most `at_most`, until no work is scheduled.
    pub async fn run_until_idle(&self, worker: &Arc<Worker>, at_most: TimeDelta) {
        let until = self.clock.now() + at_most;
        while self.run_due_and_advance(worker).await.is_some_and(|at| at <= until) {}
    }

    /// Runs all due work, then advances the clock to the next wake-up. Returns the time of that wake-up, or `None` if
    /// no wake-up is scheduled.
    pub async fn run_due_and_advance(&self, worker: &Arc<Worker>) -> Option<DateTime<Utc>> {
        worker.drain().await.expect("the due work");
        let next = operations::next_wake(self.pool()).await.expect("a result")?;
        self.clock.advance_to(next);
        Some(next)
    }
}
