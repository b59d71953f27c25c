//! Tests of access through Identity Center: scenarios 26 to 29.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule, WireEffect, WireRule};
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tests::fault_proxy::{ConnectionFault, DatabaseProxy};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::cloud::Grant;

use super::{assert_ready, attention, calls, create_external_account, error, onboard, retry, target_of};

fn slow_assignments(seconds: f64) -> Settings {
    let durations = Durations { assignment: DurationDistribution::constant(seconds), ..Durations::instant() };
    Settings { durations, ..Settings::instant() }
}

#[tokio::test]
async fn onboarding_waits_for_assignments_of_another_actor() {
    let freehold = Freehold::with(slow_assignments(300.0), CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let aws = freehold.aws(None);
    let permission_set_arn = aws.permission_set("support").await.expect("an answer").expect("the set");
    let group_id = aws.group("support").await.expect("an answer").expect("the group");
    let grant = Grant { permission_set_arn, group_id };
    for number in 0..15 {
        let account = create_external_account(&freehold, &format!("another-{number}")).await;
        aws.assign(&target_of(&freehold, &tenant, account.as_str()), &grant).await.expect("a request");
    }
    freehold.run_until_idle(&freehold.worker("worker-1"), super::MAX_SIMULATED_TIME).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    let (attempts, refused) = calls(&freehold, "ssoadmin:CreateAccountAssignment");
    assert_eq!(attempts - refused, 16, "one assignment per account");
    assert!((1..=25).contains(&refused), "{refused} refused requests in five minutes");
}

#[tokio::test]
async fn an_assignment_with_a_lost_response_is_found_in_progress() {
    let freehold = Freehold::with(slow_assignments(60.0), CONFIG).await;
    freehold
        .faulty_client
        .inject(WireRule::on("ssoadmin", "CreateAccountAssignment", WireEffect::ResetAfterCall).nth(1));
    assert_ready(&onboard(&freehold).await);
    assert_eq!(calls(&freehold, "ssoadmin:CreateAccountAssignment"), (1, 0), "(requests, refusals)");
}

#[tokio::test]
async fn an_assignment_of_a_crashed_worker_is_not_requested_again() {
    for cut in [ConnectionFault::CrashBeforeWrite, ConnectionFault::CrashAfterWrite] {
        let freehold = Freehold::with(slow_assignments(60.0), CONFIG).await;
        let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
        // The first request id that the worker stores belongs to the account, the second to the assignment.
        let proxy = DatabaseProxy::for_statement(&freehold.database.worker_url, "db::quotas::note_request", 1, cut);
        let first = freehold.worker_on("worker-1", proxy.url());
        tokio::select! {
            () = freehold.run_until_idle(&first, super::MAX_SIMULATED_TIME) => panic!("the worker survived"),
            () = proxy.wait_until_crashed() => {}
        }
        freehold.run_until_idle(&freehold.worker("worker-2"), super::MAX_SIMULATED_TIME).await;
        assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
        assert_eq!(calls(&freehold, "ssoadmin:CreateAccountAssignment"), (1, 0), "{cut:?}: (requests, refusals)");
    }
}

#[tokio::test]
async fn two_grants_of_one_permission_set_run_one_after_the_other() {
    let more = "\n[[access]]\npermission_set = \"support\"\ngroup = \"platform\"\n";
    let freehold = Freehold::with(Settings::default(), &format!("{CONFIG}{more}")).await;
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    let refusals = freehold.world.calls();
    let refusals: Vec<_> = refusals.recent().filter_map(|call| call.error.as_deref()).collect();
    assert!(refusals.contains(&"ConflictException"), "{refusals:?}");
    assert_eq!(freehold.world.assignments().len(), 2);
}

#[tokio::test]
async fn an_assignment_denied_by_a_new_account_is_retried() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let fault = Fault::failed("Received a 403 status error: Access denied by IAM. Please check your policy");
    // The number of failures exceeds the limit for other failures.
    freehold.world.inject(Rule::on("ssoadmin", "CreateAccountAssignment", fault).times(7));
    let outcome = onboard(&freehold).await;
    assert_ready(&outcome);
    assert_eq!(calls(&freehold, "ssoadmin:CreateAccountAssignment").0, 8);
}

#[tokio::test]
async fn an_exhausted_quota_that_does_not_reset_needs_attention() {
    let freehold = Freehold::instant().await;
    let fault =
        error("ServiceQuotaExceededException", "The account has 500 permission sets, the most that it can have");
    freehold.world.inject(Rule::on("ssoadmin", "CreateAccountAssignment", fault).nth(1));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "aws_quota_reached");
    assert!(message.contains("500 permission sets"), "{message}");
    assert_ready(&retry(&freehold, &tenant).await);
}

/// Returns a client of Identity Center with the credentials of the management account, and the id of its store.
async fn identity_store(freehold: &Freehold) -> (aws_sdk_identitystore::Client, String) {
    let credentials = Credentials::new(&freehold.world.settings().management_access_key, "secret", None, None, "tests");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(freehold_sandbox::http::client(&freehold.world))
        .build();
    let instances = aws_sdk_ssoadmin::Client::new(&config).list_instances().send().await.expect("an answer");
    let store = instances.instances()[0].identity_store_id().expect("a store").to_owned();
    (aws_sdk_identitystore::Client::new(&config), store)
}

#[tokio::test]
async fn an_admin_with_another_user_name_is_found_by_the_e_mail_address() {
    let freehold = Freehold::instant().await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    let (client, store) = identity_store(&freehold).await;
    let email = tenant.admin_email.as_ref().expect("an address").as_str();
    let name = aws_sdk_identitystore::types::Name::builder().given_name("Ada").family_name("Example").build();
    let address = aws_sdk_identitystore::types::Email::builder().value(email).r#type("work").primary(true).build();
    let user = client.create_user().identity_store_id(&store).user_name("ada").display_name("Ada").name(name);
    let user = user.emails(address).send().await.expect("a user").user_id;

    freehold.run_until_idle(&freehold.worker("worker-1"), super::MAX_SIMULATED_TIME).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
    let users = client.list_users().identity_store_id(&store).send().await.expect("users");
    assert_eq!(users.users().len(), 1, "another user was created");
    let groups = client.list_group_memberships_for_member().identity_store_id(&store);
    let groups = groups.member_id(aws_sdk_identitystore::types::MemberId::UserId(user)).send().await.expect("groups");
    assert_eq!(groups.group_memberships().len(), 1, "the user is not in the tenant's group");
}

#[tokio::test]
async fn an_admin_with_several_users_needs_attention() {
    let freehold = Freehold::instant().await;
    let several = error("ConflictException", "More than one user matches");
    freehold.world.inject(Rule::on("identitystore", "GetUserId", several).containing("emails.value").times(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), super::MAX_SIMULATED_TIME).await;
    let operation = freehold.operation_of(&tenant).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "call_not_possible");
    assert!(message.contains("several users") && message.contains("admin_email (AWS: emails.value)"), "{message}");
    assert_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn a_refused_admin_names_the_field_of_the_tenant() {
    let freehold = Freehold::instant().await;
    let refused = error("ValidationException", "1 validation error detected: Value at 'userName' failed to satisfy it");
    freehold.world.inject(Rule::on("identitystore", "CreateUser", refused).times(1));
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), super::MAX_SIMULATED_TIME).await;
    let operation = freehold.operation_of(&tenant).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "aws_refused");
    assert!(
        message.contains("the tenant's admin_email") && message.contains("Change admin_email with PATCH"),
        "{message}"
    );
    assert!(operation.attention.as_ref().is_some_and(|attention| attention.aws_request_id.is_some()));
    assert_ready(&retry(&freehold, &tenant).await);
}
