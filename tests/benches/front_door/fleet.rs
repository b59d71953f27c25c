//! Environments with a replica and a front door in a simulated AWS, which is then served with a clock of its own.

use chrono::TimeDelta;
use freehold_sandbox::http::{RunningServer, serve};
use freehold_sandbox::{Settings, World};
use freehold_tenancy::Clock;
use freehold_tenancy::clock::Scale;
use freehold_tenancy::front_door::FrontDoorState;
use freehold_tests::fixture::{Freehold, config_with_edge};
use tokio::net::TcpListener;

pub(crate) const HOME: &str = "eu-central-1";
const REPLICA: &str = "eu-west-1";

/// Path pattern of writes.
const WRITES: &str = "[front_door]\nwrite_paths = [\"/write/*\"]";

pub(crate) struct Fleet {
    pub(crate) world: World,
    server: RunningServer,
}

impl Fleet {
    /// Onboards environments and serves their simulated AWS with a clock of this speed.
    pub(crate) async fn start(environments: usize, speed: f64) -> Self {
        let freehold = Freehold::with(Settings::instant(), &format!("{}\n{WRITES}", config_with_edge())).await;
        for number in 1..=environments {
            freehold.sign_up_with_front_door(&format!("Example {number} GmbH"), HOME, &[REPLICA]).await;
        }
        freehold.run_until_idle(&freehold.worker("worker"), TimeDelta::hours(12)).await;
        for environment in freehold.tenants().await.iter().flat_map(|tenant| &tenant.environments) {
            let state = environment.front_door.as_ref().map(|front_door| front_door.state);
            assert_eq!(state, Some(FrontDoorState::Deployed), "{environment:#?}");
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
