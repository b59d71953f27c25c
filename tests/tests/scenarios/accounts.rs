//! Asking for accounts: scenarios 2 to 15 and 21.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_sandbox::settings::{Durations, Spread};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::world_snapshot::accounts_asked_for;
use freehold_worker::cloud::{Cloud, NewAccount, Tags};

use super::{LONG, attention, calls, error, is_ready, meanwhile, onboard, our_account, retry, target};

/// Everything at once but for CreateAccount, which takes exactly so many seconds.
fn slow_creations(seconds: f64) -> Settings {
    let durations = Durations { create_account: Spread::exactly(seconds), ..Durations::instant() };
    Settings { durations, ..Settings::instant() }
}

#[tokio::test]
async fn a_request_that_reached_aws_twice_makes_one_account() {
    let freehold = Freehold::with(slow_creations(60.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    // The first time; the worker's own is the second.
    freehold.aws(None).create_account(&our_account(&freehold, &tenant)).await.expect("accepted");
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    let ended = (freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await);
    is_ready(&ended);
    let failed = freehold.world.create_requests()[1].state.clone();
    assert!(format!("{failed:?}").contains("CONCURRENT_ACCOUNT_MODIFICATION"), "{failed:?}");
    assert_eq!(accounts_asked_for(&freehold.world), 2, "a third request");
    assert_eq!(freehold.world.accounts().len(), 3, "the management account, Freehold's own and this one");
}

#[tokio::test]
async fn a_closed_account_with_the_email_address_is_not_taken_back() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let aws = freehold.aws(None);
    aws.create_account(&our_account(&freehold, &tenant)).await.expect("made");
    aws.close_account(&target(&freehold, &tenant)).await.expect("closed");
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    let operation = freehold.operation_of(&tenant).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "account_email_taken");
    assert!(message.contains("not active"), "{message}");
    assert_eq!(freehold.tenant_now(&tenant).await.environments[0].aws_account_id, None);
}

#[tokio::test]
async fn places_that_another_actor_has_taken_are_waited_for() {
    let freehold = Freehold::with(slow_creations(600.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let aws = freehold.aws(None);
    let takes_all = async {
        for number in 0..5 {
            let name = format!("another-{number}");
            let account = NewAccount { email: format!("{name}@example.com"), name, tags: Tags::new() };
            aws.create_account(&account).await.expect("accepted");
        }
    };
    // Freehold has counted, and the places are taken while its own call is on its way.
    let call = ("organizations", "CreateAccount", "freehold:tenant");
    meanwhile(&freehold, &freehold.worker("worker-1"), call, takes_all).await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    let (asked, refused) = calls(&freehold, "organizations:CreateAccount");
    assert!(refused > 0, "there was a place at once");
    assert_eq!(asked - refused, 5 + 1);
    assert!(asked <= 5 + 1 + 12, "asked {asked} times in ten minutes");
}

#[tokio::test]
async fn a_storm_of_throttling_is_sat_out() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    freehold.world.inject(Rule::on("organizations", "*", Fault::Throttle).times(40));
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    assert_eq!(freehold.world.fault_hits().len(), 40);
    assert_eq!(accounts_asked_for(&freehold.world), 1);
}

#[tokio::test]
async fn a_conflict_with_another_change_is_asked_again_and_never_makes_a_second_account() {
    for call in ["CreateAccount", "MoveAccount"] {
        let freehold = Freehold::instant().await;
        let conflict = "The request failed because it conflicts with another attempt to modify the same entity.";
        let fault = error("ConcurrentModificationException", conflict);
        // More often than a fault of unknown cause is borne.
        freehold.world.inject(Rule::on("organizations", call, fault).times(15));
        let ended = onboard(&freehold).await;
        is_ready(&ended);
        assert_eq!(freehold.world.fault_hits().len(), 15, "{call}");
        assert_eq!(accounts_asked_for(&freehold.world), 1, "{call}");
    }
}

#[tokio::test]
async fn an_account_that_aws_made_although_it_says_it_failed_is_adopted() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.aws(None).create_account(&our_account(&freehold, &tenant)).await.expect("made");
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("INTERNAL_FAILURE")).nth(1));
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    assert_eq!(accounts_asked_for(&freehold.world), 2, "asked again although the account is there");
}

#[tokio::test]
async fn what_only_a_person_can_mend_is_told_with_its_own_code() {
    for (reason, expected) in [
        ("INVALID_EMAIL", "account_email_invalid"),
        ("INVALID_ADDRESS", "organization_address_invalid"),
        ("MISSING_PAYMENT_INSTRUMENT", "payment_instrument_needed"),
        ("INVALID_PAYMENT_INSTRUMENT", "payment_instrument_needed"),
        ("PENDING_BUSINESS_VALIDATION", "business_validation_needed"),
        ("INVALID_IDENTITY_FOR_BUSINESS_VALIDATION", "business_validation_needed"),
    ] {
        let freehold = Freehold::instant().await;
        freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed(reason)).nth(1));
        let (tenant, operation) = onboard(&freehold).await;
        let (code, message) = attention(&operation);
        assert_eq!(code, expected);
        assert!(message.contains(reason), "{message}");
        is_ready(&retry(&freehold, &tenant).await);
        assert_eq!(accounts_asked_for(&freehold.world), 2);
    }
}

#[tokio::test]
async fn a_creation_that_hangs_is_told_and_no_other_account_is_asked_for() {
    let freehold = Freehold::instant().await;
    let signed_up = freehold.clock.now();
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let its_own = tenant.environments[0].id.to_string();
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::Stuck).containing(&its_own));
    let another = freehold.sign_up("Another", "us-east-1", "standard").await;
    freehold.settle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    let operation = freehold.operation_of(&tenant).await;
    assert!(!attention(&operation).0.is_empty());
    assert_eq!(accounts_asked_for(&freehold.world), 2, "one each");
    // One tenant's trouble is not another's.
    let ready_at = freehold.tenant_now(&another).await.environments[0].ready_at.expect("the other is ready");
    assert!(ready_at - signed_up < TimeDelta::minutes(5), "ready after {}", ready_at - signed_up);
}

#[tokio::test]
async fn a_request_that_aws_has_forgotten_is_found_by_its_account() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let unknown = "You specified a create account request that doesn't exist.";
    let fault = error("CreateAccountStatusNotFoundException", unknown);
    freehold.world.inject(Rule::on("organizations", "DescribeCreateAccountStatus", fault));
    let ended = onboard(&freehold).await;
    is_ready(&ended);
    assert_ne!(freehold.world.fault_hits().len(), 0);
    assert_eq!(accounts_asked_for(&freehold.world), 1);
}

#[tokio::test]
async fn a_failure_that_nobody_knows_is_told_in_the_words_of_aws() {
    let freehold = Freehold::instant().await;
    freehold.world.inject(Rule::on("organizations", "CreateAccount", Fault::failed("A_REASON_OF_NEXT_YEAR")).nth(1));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "account_creation_failed");
    assert!(message.contains("A_REASON_OF_NEXT_YEAR"), "{message}");
    is_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn empty_pages_hide_nothing() {
    let freehold = Freehold::instant().await;
    let lists = [
        "ListAccounts",
        "ListCreateAccountStatus",
        "ListTagsForResource",
        "ListParents",
        "ListRoots",
        "ListOrganizationalUnitsForParent",
        "ListPoliciesForTarget",
        "ListInstances",
        "ListPermissionSets",
        "ListAccountAssignments",
    ];
    // A failure of ours that AWS made good all the same, and a lost answer, so that every list is read.
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.aws(None).create_account(&our_account(&freehold, &tenant)).await.expect("made");
    freehold.wire.inject(WireRule::on("organizations", "CreateAccount", WireEffect::ResetAfterCall).nth(1));
    for list in lists {
        freehold.world.inject(Rule::on("*", list, Fault::EmptyPage).nth(1));
    }
    freehold.settle(&freehold.worker("worker-1"), LONG).await;
    is_ready(&(freehold.tenant_now(&tenant).await, freehold.operation_of(&tenant).await));
    let mut hit: Vec<_> = freehold.world.fault_hits().into_iter().map(|hit| hit.operation).collect();
    hit.sort();
    let named = |list: &str| hit.iter().any(|operation| operation.ends_with(&format!(":{list}")));
    let unread: Vec<_> = lists.into_iter().filter(|list| !named(list)).collect();
    assert_eq!(unread, [""; 0], "lists that were not read");
}

#[tokio::test]
async fn a_tag_policy_in_the_way_is_told_as_one() {
    let freehold = Freehold::instant().await;
    let fault =
        error("ConstraintViolationException", "TAG_POLICY_VIOLATION: the tags do not comply with the tag policy.");
    freehold.world.inject(Rule::on("organizations", "CreateAccount", fault).nth(1));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "tag_policy_violated");
    assert!(message.contains("freehold:environment"), "{message}");
    is_ready(&retry(&freehold, &tenant).await);
}
