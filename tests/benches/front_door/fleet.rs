//! Environments with a replica and a front door in a simulated AWS, which is then served with a clock of its own.

use chrono::TimeDelta;
use freehold_sandbox::http::{RunningServer, serve};
use freehold_sandbox::{Settings, World};
use freehold_tenancy::clock::Scale;
use freehold_tenancy::config::Capability;
use freehold_tenancy::environment::Environment;
use freehold_tenancy::{Clock, Config, TenantId};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::aws::Aws;
use freehold_worker::cloud::{NewStack, Role, Tags, Target};
use freehold_worker::template::front_door;
use tokio::net::TcpListener;

pub(crate) const HOME: &str = "eu-central-1";
const REPLICA: &str = "eu-west-1";

/// Path pattern of writes.
const WRITES: &str = "/write/*";

const TENANT_TEMPLATE: &str = include_str!("../../../stacks/tenant.yaml");

/// Lets CloudFront call the functions, and the role that deploys stacks create distributions.
const FRONT_DOOR_CONFIG: &str = r#"
    [stack.parameters]
    FrontDoor = "true"
    [[access_role.statements]]
    Effect = "Allow"
    Action = "cloudfront:*"
    Resource = "*"
"#;

pub(crate) struct Fleet {
    pub(crate) world: World,
    server: RunningServer,
}

impl Fleet {
    /// Onboards environments and serves their simulated AWS with a clock of this speed.
    pub(crate) async fn start(environments: usize, speed: f64) -> Self {
        let freehold = Freehold::with(Settings::instant(), &format!("{CONFIG}{FRONT_DOOR_CONFIG}")).await;
        for number in 1..=environments {
            freehold.sign_up(&format!("Example {number} GmbH"), HOME, "standard").await;
        }
        freehold.run_until_idle(&freehold.worker("worker"), TimeDelta::hours(12)).await;
        let aws = freehold.aws(None);
        for tenant in freehold.tenants().await {
            for environment in &tenant.environments {
                deploy_front_door(&freehold.world, &aws, &freehold.config, tenant.id, environment).await;
            }
        }
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("world.json");
        freehold.world.save(&file).expect("a saved world");
        let scale = Scale { anchored_at: Clock::real().now(), origin: freehold.clock.now(), speed };
        let world = World::load(&file, Clock::scaled(scale)).expect("a loaded world");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let server = serve(&world, listener).expect("a server");
        Self { world, server }
    }

    /// Returns the URLs of all front doors, as the server answers them.
    pub(crate) fn front_doors(&self) -> Vec<String> {
        let outputs = self.world.stacks().into_iter().filter_map(|stack| stack.outputs.get("DomainName").cloned());
        let labels = outputs.filter_map(|domain| domain.split('.').next().map(str::to_owned));
        labels.map(|label| format!("{}/cloudfront/{label}", self.server.url())).collect()
    }
}

/// Deploys the replica and the front door of an environment that is ready.
async fn deploy_front_door(world: &World, aws: &Aws, config: &Config, tenant: TenantId, environment: &Environment) {
    let account = environment.aws_account_id.clone().expect("an account");
    let target = Target::new(account.clone(), environment.id, &config.organization).expect("a target");
    let parameters = [
        ("TenantId", tenant.to_string()),
        ("EnvironmentId", environment.id.to_string()),
        ("HomeRegion", HOME.to_owned()),
        ("VerifyRoleArn", format!("arn:aws:iam::{account}:role/freehold-verify")),
        ("FrontDoor", "true".to_owned()),
    ];
    let replica = stack("freehold-tenant", TENANT_TEMPLATE.to_owned(), environment, parameters.into());
    deploy(aws, &target, REPLICA, &replica).await;
    let domains = [HOME, REPLICA].map(|region| function_domain(world, account.as_str(), region));
    let parameters = [
        ("EnvironmentId", environment.id.to_string()),
        ("HomeDomain", domains[0].clone()),
        ("ReplicaDomain", domains[1].clone()),
    ];
    let template = front_door::template(&[WRITES.to_owned()]);
    deploy(aws, &target, "us-east-1", &stack("freehold-front-door", template, environment, parameters.into())).await;
}

async fn deploy(aws: &Aws, target: &Target, region: &str, stack: &NewStack) {
    let region = region.parse().expect("a region");
    let id = aws.create_stack(target, Role::Access, region, stack).await.expect("a stack");
    let state = aws.stack(target, Role::Access, region, &id).await.expect("a response").expect("the stack");
    assert_eq!(state.status_text, "CREATE_COMPLETE", "{}", stack.name);
}

fn stack(name: &str, template: String, environment: &Environment, parameters: Vec<(&str, String)>) -> NewStack {
    NewStack {
        name: name.to_owned(),
        template,
        template_url: None,
        capabilities: vec![Capability::NamedIam],
        parameters: parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        tags: Tags::from([("freehold:environment".to_owned(), environment.id.to_string())]),
        token: format!("{name}-1"),
    }
}

/// Returns the domain name of the function URL of an account in a region.
fn function_domain(world: &World, account: &str, region: &str) -> String {
    let stacks = world.stacks().into_iter();
    let url = stacks
        .filter(|stack| stack.account == account && stack.region == region)
        .find_map(|stack| stack.outputs.get("FunctionUrl").cloned());
    let url = url.expect("a function URL");
    url.trim_start_matches("https://").trim_end_matches('/').to_owned()
}
