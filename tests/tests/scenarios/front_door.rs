//! Tests of front doors, whose home region fails: scenarios 53 to 58.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::OutageForm;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::environment::Environment;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::fixture::{Freehold, config_with_edge};
use freehold_tests::front_door::{Viewed, deploy_front_door, front_door_failure, view};
use freehold_worker::template::front_door;
use reqwest::Method;

use super::region;
use crate::steps::front_door::change;

const HOME: &str = "eu-central-1";
const REPLICA: &str = "eu-west-1";

/// SHA-256 of the body `order`, which viewers must send with a body.
const HASH_OF_BODY: &str = "3eeb7e96e59ce40f9cb1a089daba079fd699f6867a30f6634af8570967b2375a";

/// Creates a tenant with a replica and, if `front_door` is true, a front door with a path for writes.
async fn create_tenant(settings: &str, front_door: bool) -> (Freehold, Tenant) {
    let writes = "[front_door]\nwrite_paths = [\"/write/*\"]";
    let config = format!("{}\n{writes}\n{settings}", config_with_edge());
    let freehold = Freehold::with(Settings::instant(), &config).await;
    let tenant = if front_door {
        freehold.sign_up_with_front_door("Example", HOME, &[REPLICA]).await
    } else {
        freehold.sign_up_with_replicas("Example", HOME, &[REPLICA]).await
    };
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(30)).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert!(tenant.environments[0].ready_at.is_some(), "{tenant:#?}");
    (freehold, tenant)
}

/// Front door of an environment with a replica.
struct FrontDoor {
    freehold: Freehold,
    url: String,
}

impl FrontDoor {
    /// Returns the front door that Freehold has deployed.
    async fn deployed(settings: &str) -> Self {
        let (freehold, tenant) = create_tenant(settings, true).await;
        let front_door = tenant.environments[0].front_door.as_ref().expect("a front door");
        Self { url: front_door.url.clone().expect("a URL"), freehold }
    }

    /// Deploys another distribution by hand, with a changed template of Freehold.
    async fn with(change: impl FnOnce(String) -> String) -> Self {
        let (freehold, tenant) = create_tenant("", true).await;
        let stack = deploy_front_door(&freehold, environment(&tenant), "variant", &change(template())).await;
        assert_eq!(stack.status_text, "CREATE_COMPLETE");
        Self { url: stack.outputs["FrontDoorUrl"].clone(), freehold }
    }

    fn stop(&self, stopped: &str, form: OutageForm) {
        self.freehold.world.stop_region(region(stopped), form);
    }

    async fn get(&self) -> Viewed {
        view(&self.freehold, &self.url, Method::GET, |request| request).await
    }

    async fn post(&self, path: &str) -> Viewed {
        let url = format!("{}{path}", self.url);
        view(&self.freehold, &url, Method::POST, |request| {
            request.header("x-amz-content-sha256", HASH_OF_BODY).body("order")
        })
        .await
    }
}

fn environment(tenant: &Tenant) -> &Environment {
    &tenant.environments[0]
}

fn template() -> String {
    front_door::template(&["/write/*".to_owned()])
}

fn from(region: &str) -> Viewed {
    (200, Some(region.to_owned()))
}

fn error(status: u16) -> Viewed {
    (status, None)
}

#[tokio::test]
async fn the_sample_gives_cloudfront_both_permissions() {
    let sample = include_str!("../../../stacks/tenant.yaml");
    let file = tempfile::NamedTempFile::new().unwrap();
    for permission in ["FrontDoorMayCallUrl", "FrontDoorMayInvokeThroughUrl"] {
        let permission = format!("  {permission}:\n    Type: AWS::Lambda::Permission\n    Condition: HasFrontDoor\n");
        let removed = sample.replace(&permission, &permission.replace("HasFrontDoor", "Never"));
        assert_ne!(removed, sample);
        let removed = removed.replace("\nConditions:\n", "\nConditions:\n  Never: !Equals [a, b]\n");
        std::fs::write(file.path(), removed).unwrap();
        let door = FrontDoor::deployed(&format!("[stack]\ntemplate = {:?}", file.path())).await;
        assert_eq!(door.get().await, error(403), "without {permission}");
    }
    assert_eq!(FrontDoor::deployed("").await.get().await, from(HOME));
}

#[tokio::test]
async fn a_write_has_a_path_of_its_own_and_no_failover() {
    let door = FrontDoor::deployed("").await;
    assert_eq!(door.post("write/orders").await, from(HOME));
    assert_eq!(door.post("").await, error(403), "the other paths allow only GET, HEAD and OPTIONS");
    for (form, status) in [(OutageForm::Refused, 502), (OutageForm::Hanging, 504), (OutageForm::Unavailable, 503)] {
        door.stop(HOME, form);
        assert_eq!(door.post("write/orders").await, error(status), "{form}");
        assert_eq!(door.get().await, from(REPLICA), "{form}");
    }
}

#[tokio::test]
async fn cloudfront_refuses_writes_to_an_origin_group() {
    let (freehold, tenant) = create_tenant("", false).await;
    let all = "AllowedMethods: [GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE]\n";
    let refused = front_door::template(&[]).replace("AllowedMethods: [GET, HEAD, OPTIONS]\n", all);
    let stack = deploy_front_door(&freehold, environment(&tenant), "variant", &refused).await;
    assert_eq!(stack.status_text, "ROLLBACK_COMPLETE");
    let reason = front_door_failure(&freehold, environment(&tenant), &stack).await;
    assert!(reason.contains("AllowedMethods cannot include POST, PUT, PATCH, or DELETE"), "{reason}");
}

#[tokio::test]
async fn a_slow_home_region_fails_over_because_504_is_listed() {
    let door = FrontDoor::deployed("").await;
    door.stop(HOME, OutageForm::Hanging);
    assert_eq!(door.get().await, from(REPLICA));
    let without_504 = |template: String| {
        template.replace("Quantity: 4", "Quantity: 3").replace("[500, 502, 503, 504]", "[500, 502, 503]")
    };
    let door = FrontDoor::with(without_504).await;
    door.stop(HOME, OutageForm::Hanging);
    assert_eq!(door.get().await, error(504));
}

#[tokio::test]
async fn the_viewer_gets_the_error_of_the_replica_if_both_regions_are_down() {
    let door = FrontDoor::deployed("").await;
    door.stop(HOME, OutageForm::Refused);
    for (form, status) in [(OutageForm::Refused, 502), (OutageForm::Hanging, 504), (OutageForm::Unavailable, 503)] {
        door.stop(REPLICA, form);
        assert_eq!(door.get().await, error(status), "{form}");
    }
    door.freehold.world.end_outages();
    assert_eq!(door.get().await, from(HOME), "CloudFront does not remember the failures");
}

#[tokio::test]
async fn the_replica_does_not_mask_a_404_of_the_home_region() {
    let door = FrontDoor::deployed("").await;
    door.stop(HOME, OutageForm::NotFound);
    assert_eq!(door.get().await, error(404));
    let with_404 = |template: String| {
        template.replace("Quantity: 4", "Quantity: 5").replace("[500, 502, 503, 504]", "[404, 500, 502, 503, 504]")
    };
    let door = FrontDoor::with(with_404).await;
    door.stop(HOME, OutageForm::NotFound);
    assert_eq!(door.get().await, from(REPLICA), "a listed status fails over");
}

#[tokio::test]
async fn a_taken_name_of_the_access_control_is_reported() {
    let (freehold, tenant) = create_tenant("", false).await;
    let taken = deploy_front_door(&freehold, environment(&tenant), "freehold-front-door", &template()).await;
    assert_eq!(taken.status_text, "CREATE_COMPLETE");
    change(&freehold, &tenant, &[REPLICA], true).await;
    freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::hours(1)).await;
    let operation = freehold.operation_of(&freehold.reload_tenant(&tenant).await).await;
    let attention = operation.attention.as_ref().expect("an attention");
    assert_eq!(attention.code, AttentionCode::StackFailed.as_str());
    assert!(attention.message.contains("'freehold-front-door' already exists"), "{}", attention.message);
}
