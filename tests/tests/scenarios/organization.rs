//! OUs and policies: scenarios 8 and 16 to 20.

use std::time::Duration;

use freehold_sandbox::faults::Rule;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::bootstrap::{Plan, Problem, apply, plan};
use freehold_worker::cloud::Cloud;

use super::{calls, error, is_ready, meanwhile, target};

/// One more residency than the organisation has been prepared for.
async fn with_another_residency() -> Freehold {
    let more = "\n[[residencies]]\nname = \"jp\"\nregions = [\"ap-northeast-1\"]\n";
    Freehold::instant().await.declaring(&format!("{CONFIG}{more}"))
}

async fn while_time_passes<T>(freehold: &Freehold, work: impl Future<Output = T>) -> T {
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

async fn planned(freehold: &Freehold) -> Plan {
    while_time_passes(freehold, plan(&freehold.aws(None), &freehold.config)).await.expect("a plan")
}

async fn applied(freehold: &Freehold, plan: Plan) -> Result<(), Problem> {
    while_time_passes(freehold, apply(&freehold.aws(None), plan, |_| {})).await
}

#[tokio::test]
async fn an_account_that_somebody_has_moved_there_meanwhile_is_where_it_should_be() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    meanwhile(&freehold, &freehold.worker("worker-1"), ("organizations", "MoveAccount", ""), async {
        let (aws, target) = (freehold.aws(None), target(&freehold, &tenant));
        let root = aws.parent_of(&target).await.expect("a parent");
        let ou = aws.residency_ou(&freehold.config.residencies[0]).await.expect("an answer").expect("an OU");
        aws.move_account(&target, &root, &ou.ou_id).await.expect("moved");
    })
    .await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(calls(&freehold, "organizations:MoveAccount"), (2, 1), "that it is there already is no fault");
}

#[tokio::test]
async fn an_account_that_somebody_has_moved_elsewhere_meanwhile_is_found_and_moved_on() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    meanwhile(&freehold, &freehold.worker("worker-1"), ("organizations", "MoveAccount", ""), async {
        let (aws, target) = (freehold.aws(None), target(&freehold, &tenant));
        let root = aws.parent_of(&target).await.expect("a parent");
        let elsewhere = aws.quarantine_ou().await.expect("an answer").expect("an OU");
        aws.move_account(&target, &root, &elsewhere).await.expect("moved");
    })
    .await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    let email = super::our_account(&freehold, &tenant).email;
    assert_eq!(freehold.world.account_by_email(&email).expect("the account").parent_name, "freehold-eu");
    assert_eq!(calls(&freehold, "organizations:MoveAccount"), (3, 1));
}

#[tokio::test]
async fn two_who_prepare_the_organisation_at_the_same_time_prepare_it_once() {
    let freehold = with_another_residency().await;
    let (one, other) = (planned(&freehold).await, planned(&freehold).await);
    applied(&freehold, one).await.expect("prepared");
    applied(&freehold, other).await.expect("prepared already");
    let names = |name: &str| freehold.world.units().iter().filter(|unit| unit.name == name).count();
    assert_eq!(names("freehold-jp"), 1);
    assert_eq!(planned(&freehold).await.actions.len(), 0, "nothing is left to do");
    for call in ["CreateOrganizationalUnit", "CreatePolicy", "AttachPolicy"] {
        assert_eq!(calls(&freehold, &format!("organizations:{call}")).1, 1, "{call} was there already once");
    }
}

#[tokio::test]
async fn a_policy_that_is_still_on_its_way_is_waited_for() {
    let freehold = with_another_residency().await;
    for (call, code) in [
        ("CreatePolicy", "PolicyChangesInProgressException"),
        ("AttachPolicy", "PolicyTypeNotEnabledException"),
        ("AttachPolicy", "ConcurrentModificationException"),
    ] {
        freehold.world.inject(Rule::on("organizations", call, error(code, "not yet")).nth(1));
    }
    let plan = planned(&freehold).await;
    applied(&freehold, plan).await.expect("prepared");
    assert_eq!(planned(&freehold).await.actions.len(), 0, "nothing is left to do");
    assert!(freehold.world.fault_hits().len() >= 2);
}

#[tokio::test]
async fn a_guardrail_that_does_not_fit_is_told_in_plain_words() {
    for (call, reason, told) in [
        ("AttachPolicy", "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED", "Detach or merge some"),
        ("CreatePolicy", "POLICY_CONTENT_LIMIT_EXCEEDED", "Split it"),
    ] {
        let freehold = with_another_residency().await;
        let fault = error("ConstraintViolationException", &format!("{reason}: You have reached a limit."));
        freehold.world.inject(Rule::on("organizations", call, fault));
        let plan = planned(&freehold).await;
        let problem = applied(&freehold, plan).await.expect_err("it does not fit").to_string();
        assert!(problem.contains(told) && problem.contains(reason), "{problem}");
    }
}
