//! Tests of OUs and policies: scenarios 8 and 16 to 20.

use std::time::Duration;

use freehold_sandbox::faults::Rule;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::bootstrap::{BootstrapError, Plan, apply, plan};

use super::{assert_ready, calls, error, run_during_call, target};

/// Returns an installation with a residency whose OU does not exist yet.
async fn with_unprepared_residency() -> Freehold {
    let more = "\n[[residencies]]\nname = \"jp\"\nregions = [\"ap-northeast-1\"]\n";
    Freehold::instant().await.with_config(&format!("{CONFIG}{more}"))
}

async fn run_while_clock_advances<T>(freehold: &Freehold, work: impl Future<Output = T>) -> T {
    let time = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            freehold.clock.advance(Duration::from_secs(1));
        }
    };
    tokio::select! {
        done = work => done,
        () = time => unreachable!("time does not end"),
    }
}

async fn make_plan(freehold: &Freehold) -> Plan {
    run_while_clock_advances(freehold, plan(&freehold.aws(None), &freehold.config)).await.expect("a plan")
}

async fn apply_plan(freehold: &Freehold, plan: Plan) -> Result<(), BootstrapError> {
    run_while_clock_advances(freehold, apply(&freehold.aws(None), plan, |_| {})).await
}

#[tokio::test]
async fn an_account_that_is_already_in_its_ou_is_accepted() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    run_during_call(&freehold, &freehold.worker("worker-1"), ("organizations", "MoveAccount", ""), async {
        let (aws, target) = (freehold.aws(None), target(&freehold, &tenant));
        let root = aws.parent_of(&target).await.expect("a parent");
        let ou = aws.residency_ou(&freehold.config.residencies[0]).await.expect("an answer").expect("an OU");
        aws.move_account(&target, &root, &ou.ou_id).await.expect("a move");
    })
    .await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(calls(&freehold, "organizations:MoveAccount"), (2, 1), "(calls, refusals)");
}

#[tokio::test]
async fn an_account_in_an_unexpected_ou_is_moved_to_its_own_ou() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    run_during_call(&freehold, &freehold.worker("worker-1"), ("organizations", "MoveAccount", ""), async {
        let (aws, target) = (freehold.aws(None), target(&freehold, &tenant));
        let root = aws.parent_of(&target).await.expect("a parent");
        let elsewhere = aws.quarantine_ou().await.expect("an answer").expect("an OU");
        aws.move_account(&target, &root, &elsewhere).await.expect("a move");
    })
    .await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    let email = super::account_request(&freehold, &tenant).email;
    assert_eq!(freehold.world.account_by_email(&email).expect("the account").parent_name, "freehold-eu");
    assert_eq!(calls(&freehold, "organizations:MoveAccount"), (3, 1));
}

#[tokio::test]
async fn two_concurrent_bootstraps_prepare_the_organisation_once() {
    let freehold = with_unprepared_residency().await;
    let (one, other) = (make_plan(&freehold).await, make_plan(&freehold).await);
    apply_plan(&freehold, one).await.expect("an applied plan");
    apply_plan(&freehold, other).await.expect("an applied plan");
    let names = |name: &str| freehold.world.units().iter().filter(|unit| unit.name == name).count();
    assert_eq!(names("freehold-jp"), 1);
    assert_eq!(make_plan(&freehold).await.actions.len(), 0, "remaining actions");
    for call in ["CreateOrganizationalUnit", "CreatePolicy", "AttachPolicy"] {
        assert_eq!(calls(&freehold, &format!("organizations:{call}")).1, 1, "refusals of {call}");
    }
}

#[tokio::test]
async fn bootstrap_waits_for_a_policy_change_in_progress() {
    let freehold = with_unprepared_residency().await;
    for (call, code) in [
        ("CreatePolicy", "PolicyChangesInProgressException"),
        ("AttachPolicy", "PolicyTypeNotEnabledException"),
        ("AttachPolicy", "ConcurrentModificationException"),
    ] {
        freehold.world.inject(Rule::on("organizations", call, error(code, "not yet")).nth(1));
    }
    let plan = make_plan(&freehold).await;
    apply_plan(&freehold, plan).await.expect("an applied plan");
    assert_eq!(make_plan(&freehold).await.actions.len(), 0, "remaining actions");
    assert!(freehold.world.fault_hits().len() >= 2);
}

#[tokio::test]
async fn a_guardrail_that_exceeds_a_limit_is_reported_with_the_fix() {
    for (call, reason, message) in [
        ("AttachPolicy", "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED", "Detach or merge policies"),
        ("CreatePolicy", "POLICY_CONTENT_LIMIT_EXCEEDED", "Split the residency"),
    ] {
        let freehold = with_unprepared_residency().await;
        let fault = error("ConstraintViolationException", &format!("{reason}: You have reached a limit."));
        freehold.world.inject(Rule::on("organizations", call, fault));
        let plan = make_plan(&freehold).await;
        let problem = apply_plan(&freehold, plan).await.expect_err("a limit").to_string();
        assert!(problem.contains(message) && problem.contains(reason), "{problem}");
    }
}
