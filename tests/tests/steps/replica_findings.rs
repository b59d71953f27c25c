//! Tests of the comparison of replicas with AWS, after they were broken by hand.

use std::time::Duration;

use aws_sdk_cloudformation::types::Parameter;
use freehold_sandbox::Settings;
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::replica::ReplicaState;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::reconcile::RepairMode;

use super::reconcile::administrator::Administrator;
use super::reconcile::compare;
use super::replicas::{AN_HOUR, environment, states, tenant_stacks};

const STACK: &str = "freehold-tenant";

#[tokio::test]
async fn three_things_that_were_broken_by_hand_in_replicas_are_found() {
    let config = CONFIG.replace("\"eu-west-1\"", "\"eu-west-1\", \"eu-west-2\", \"eu-west-3\"");
    let freehold = Freehold::with(Settings::instant(), &config).await;
    let replicas = ["eu-west-1", "eu-west-2", "eu-west-3"];
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-1", &replicas).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, AN_HOUR).await;
    let ready = environment(&freehold, &tenant).await;
    assert_eq!(ready.state, EnvironmentState::Ready);
    let account = ready.aws_account_id.as_ref().expect("an account").to_string();
    let administrator = Administrator::of(&freehold);
    // A change counts as made by hand if it is later than the deployment on record.
    freehold.clock.advance(Duration::from_mins(1));
    // A stack is deleted, one gets another tier, and one another home region.
    administrator.delete_stack_in(&account, "eu-west-1", STACK).await;
    for (region, name, value) in [("eu-west-2", "Tier", "gold"), ("eu-west-3", "HomeRegion", "eu-west-3")] {
        let parameter = Parameter::builder().parameter_key(name).parameter_value(value).build();
        administrator.set_parameter(&account, region, STACK, parameter).await;
    }
    freehold.clock.advance(Duration::from_hours(1));
    let report = compare(&freehold, RepairMode::Off).await;
    let mut found: Vec<_> =
        report.findings.iter().map(|one| (one.finding.subject.clone(), one.finding.kind.as_str())).collect();
    found.sort();
    let subject = |region: &str| format!("{account}/{region}/{STACK}");
    let expected = [
        (subject("eu-west-1"), "stack_missing"),
        (subject("eu-west-2"), "stack_drifted"),
        (subject("eu-west-3"), "stack_drifted"),
    ];
    assert_eq!(found, expected);
    let broken = environment(&freehold, &tenant).await;
    assert_eq!(broken.state, EnvironmentState::Degraded);
    let failed = replicas.map(|one| (one, if one == "eu-west-1" { ReplicaState::Failed } else { ReplicaState::Ready }));
    assert_eq!(states(&broken), failed);

    compare(&freehold, RepairMode::All).await;
    freehold.run_until_idle(&worker, AN_HOUR).await;
    freehold.clock.advance(Duration::from_mins(10));
    compare(&freehold, RepairMode::Off).await;
    let repaired = environment(&freehold, &tenant).await;
    assert_eq!(states(&repaired), replicas.map(|one| (one, ReplicaState::Ready)));
    assert_eq!(tenant_stacks(&freehold), ["eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3"]);
}
