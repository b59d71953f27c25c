//! Access through Identity Center: scenarios 26 to 29.

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_sandbox::settings::{Durations, Spread};
use freehold_tests::fault_proxy::{ConnectionFault, JournalWire};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::cloud::{Cloud, Grant};

use super::{attention, calls, error, is_ready, onboard, retry, somebody_elses_account, target_of};

fn slow_assignments(seconds: f64) -> Settings {
    let durations = Durations { assignment: Spread::exactly(seconds), ..Durations::instant() };
    Settings { durations, ..Settings::instant() }
}

#[tokio::test]
async fn assignments_that_another_actor_has_outstanding_are_waited_for() {
    let freehold = Freehold::with(slow_assignments(300.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let aws = freehold.aws(None);
    let permission_set_arn = aws.permission_set("support").await.expect("an answer").expect("the set");
    let group_id = aws.group("support").await.expect("an answer").expect("the group");
    let grant = Grant { permission_set_arn, group_id };
    for number in 0..15 {
        let account = somebody_elses_account(&freehold, &format!("another-{number}")).await;
        aws.assign(&target_of(&freehold, &tenant, account.as_str()), &grant).await.expect("accepted");
    }
    freehold.settle(&freehold.worker("worker-1"), super::LONG).await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    let (asked, refused) = calls(&freehold, "ssoadmin:CreateAccountAssignment");
    assert_eq!(asked - refused, 16, "one each");
    assert!((1..=25).contains(&refused), "asked in vain {refused} times in five minutes");
}

#[tokio::test]
async fn an_assignment_whose_answer_was_lost_is_found_while_aws_is_at_it() {
    let freehold = Freehold::with(slow_assignments(60.0), CONFIG).await;
    freehold.wire.inject(WireRule::on("ssoadmin", "CreateAccountAssignment", WireEffect::ResetAfterCall).nth(1));
    is_ready(&onboard(&freehold).await);
    assert_eq!(calls(&freehold, "ssoadmin:CreateAccountAssignment"), (1, 0), "asked for again");
}

#[tokio::test]
async fn an_assignment_whose_worker_has_died_is_not_asked_for_again_while_aws_is_at_it() {
    for cut in [ConnectionFault::DiesBefore, ConnectionFault::DiesAfter] {
        let freehold = Freehold::with(slow_assignments(60.0), CONFIG).await;
        let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
        // What is noted first is the request for the account, and then the one for the assignment.
        let wire = JournalWire::at(&freehold.database.url, "db::quotas::note_request", 1, cut);
        let first = freehold.worker_on("worker-1", wire.url());
        tokio::select! {
            () = freehold.settle(&first, super::LONG) => panic!("nobody died"),
            () = wire.died() => {}
        }
        freehold.settle(&freehold.worker("worker-2"), super::LONG).await;
        is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
        assert_eq!(calls(&freehold, "ssoadmin:CreateAccountAssignment"), (1, 0), "{cut:?}: asked for again");
    }
}

#[tokio::test]
async fn two_grants_of_one_permission_set_follow_each_other() {
    let more = "\n[[access]]\npermission_set = \"support\"\ngroup = \"platform\"\n";
    let freehold = Freehold::with(Settings::default(), &format!("{CONFIG}{more}")).await;
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    let refusals = freehold.world.calls();
    let refusals: Vec<_> = refusals.recent().filter_map(|call| call.error.as_deref()).collect();
    assert!(refusals.contains(&"ConflictException"), "{refusals:?}");
    assert_eq!(freehold.world.assignments().len(), 2);
}

#[tokio::test]
async fn identity_center_that_is_not_let_into_a_fresh_account_yet_is_asked_again_and_again() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let fault = Fault::failed("Received a 403 status error: Access denied by IAM. Please check your policy");
    // More often than a failure of another kind is borne.
    freehold.world.inject(Rule::on("ssoadmin", "CreateAccountAssignment", fault).times(7));
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    assert_eq!(calls(&freehold, "ssoadmin:CreateAccountAssignment").0, 8);
}

#[tokio::test]
async fn a_quota_that_waiting_does_not_raise_is_told() {
    let freehold = Freehold::instant().await;
    let fault =
        error("ServiceQuotaExceededException", "The account has 500 permission sets, the most that it can have");
    freehold.world.inject(Rule::on("ssoadmin", "CreateAccountAssignment", fault).nth(1));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "aws_quota_reached");
    assert!(message.contains("500 permission sets"), "{message}");
    is_ready(&retry(&freehold, &tenant).await);
}
