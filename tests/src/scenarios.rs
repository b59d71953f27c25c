//! Failure scenarios, each with Freehold's reaction and the tests that reproduce the failure. docs/scenarios.md is
//! generated from this table.

mod aws_codes;

use std::fmt::Write;

pub use aws_codes::AWS_CODES;

/// Kind of Freehold's reaction to a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Polls again later; the response is not treated as a failure.
    Wait,
    /// Repeats the call after checking the state.
    Retry,
    /// Uses the existing AWS object.
    Adopt,
    /// Treats the response as success.
    Done,
    /// Starts a fleet hold: one alert is sent, and the affected calls are paused until a probe succeeds.
    Hold,
    /// Stops the operation, which then needs attention and shows a code and a message.
    Park,
    /// Excludes the failure by its settings.
    Prevent,
    /// Serves viewers from the replica.
    Failover,
    /// Gives the error to the viewer, or shows the difference to operators.
    Report,
    /// Ends the operation as failed. The environment serves the release before.
    Fail,
    /// Starts no further update of the rollout until a person decides.
    Halt,
    /// Leaves the environment out of the rollout, with the reason.
    Skip,
}

#[derive(Debug)]
pub struct Scenario {
    pub number: u8,
    pub event: &'static str,
    pub behaviour: &'static [Behaviour],
    /// Description of Freehold's reaction.
    pub reaction: &'static str,
    /// Paths of the tests that reproduce the scenario.
    pub tests: &'static [&'static str],
}

use Behaviour::{Adopt, Done, Fail, Failover, Halt, Hold, Park, Prevent, Report, Retry, Skip, Wait};

const fn scenario(
    number: u8,
    event: &'static str,
    behaviour: &'static [Behaviour],
    reaction: &'static str,
    tests: &'static [&'static str],
) -> Scenario {
    Scenario { number, event, behaviour, reaction, tests }
}

/// All scenarios in the order of their numbers. The numbers 43 and 44 (StackSets), 48 (Control Tower) and
/// 49 (CodePipeline) are reserved for features that do not exist yet.
#[rustfmt::skip]
pub static SCENARIOS: &[Scenario] = &[
    scenario(1, "CreateAccount was sent, and the worker died or the answer was lost before its id was saved", &[Adopt, Retry],
        "The intent identifies the account: by name among the creation requests, then by e-mail address. \
         CreateAccount is repeated only after both searches have found nothing for five minutes.",
        &["steps::accounts::an_account_is_found_and_not_requested_again_after_a_lost_response",
          "steps::accounts::an_account_is_requested_again_only_after_five_minutes_without_it",
          "steps::step_faults::a_worker_that_crashes_after_a_call_is_replaced"]),
    scenario(2, "The request reached AWS twice: FAILED CONCURRENT_ACCOUNT_MODIFICATION", &[Adopt, Retry],
        "The account of the other request is adopted if it exists; otherwise CreateAccount is repeated after five \
         minutes.",
        &["scenarios::accounts::a_duplicated_request_creates_one_account"]),
    scenario(3, "FAILED EMAIL_ALREADY_EXISTS, and the account is this environment's", &[Adopt],
        "An active account that has the tags of this installation and environment and is mapped to no other \
         environment is adopted.",
        &["steps::accounts::an_account_with_the_email_address_and_freehold_tags_is_adopted"]),
    scenario(4, "FAILED EMAIL_ALREADY_EXISTS, and the account is external or closed", &[Park],
        "`account_email_taken` names the account with this address and the reason why it is not adopted.",
        &["steps::accounts::an_external_account_with_the_email_address_is_not_adopted",
          "scenarios::accounts::a_closed_account_with_the_email_address_is_not_adopted"]),
    scenario(5, "The account quota of the organisation is exhausted, reported at once or by FAILED ACCOUNT_LIMIT_EXCEEDED", &[Hold],
        "One fleet hold and one alert. Operations keep their queue position; the first one probes after 15 minutes, \
         then 30, then every hour.",
        &["scenarios::fleet_holds::an_exhausted_account_quota_causes_one_hold_one_alert_and_one_probe",
          "scenarios::fleet_holds::an_exhausted_account_quota_is_probed_once_an_hour",
          "scenarios::fleet_holds::an_account_creation_refused_by_the_quota_starts_a_fleet_hold",
          "scenarios::fleet_holds::a_worker_that_crashes_during_a_probe_does_not_block_the_fleet"]),
    scenario(6, "ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED: another actor holds the slots", &[Wait],
        "Retried every minute; the operation keeps its position in Freehold's own queue.",
        &["scenarios::accounts::onboarding_waits_for_slots_that_another_actor_uses"]),
    scenario(7, "Many calls fail with TooManyRequestsException", &[Wait],
        "The token bucket of the call is emptied, and the call is retried when a token is available. A throttled \
         call never counts as a failure.",
        &["scenarios::accounts::heavy_throttling_is_retried_until_it_ends"]),
    scenario(8, "ConcurrentModificationException on CreateAccount, MoveAccount or AttachPolicy", &[Wait],
        "Retried; never a reason to create another account.",
        &["scenarios::accounts::conflicts_are_retried_and_never_create_a_second_account",
          "scenarios::organization::bootstrap_waits_for_a_policy_change_in_progress"]),
    scenario(9, "FinalizingOrganizationException", &[Hold],
        "The same fleet hold as for an exhausted account quota, for one hour.",
        &["scenarios::fleet_holds::an_organisation_that_is_being_finalized_opens_a_hold_for_an_hour"]),
    scenario(10, "FAILED INTERNAL_FAILURE", &[Adopt, Retry],
        "The account is searched by e-mail address first. CreateAccount is repeated after five minutes, at most \
         three times in all; then the operation needs attention.",
        &["steps::accounts::internal_failures_are_retried_and_refused_creations_are_parked",
          "scenarios::accounts::an_account_created_by_a_failed_request_is_adopted"]),
    scenario(11, "FAILED for an e-mail address, an address, a payment method or a business validation", &[Park],
        "Each cause has its own attention code and says where to fix it.",
        &["scenarios::accounts::each_failure_that_a_person_must_fix_has_its_own_attention_code"]),
    scenario(12, "CreateAccount stays IN_PROGRESS", &[Wait, Park],
        "The operation needs attention after 15 minutes; no second request is sent.",
        &["scenarios::accounts::a_hanging_account_creation_needs_attention_and_is_not_repeated"]),
    scenario(13, "CreateAccountStatusNotFoundException: AWS no longer knows the request", &[Adopt, Wait],
        "The account itself is the evidence: it is found by its e-mail address and tags.",
        &["scenarios::accounts::the_account_of_an_expired_creation_request_is_found"]),
    scenario(14, "An unknown state, reason or error", &[Wait, Park],
        "An unknown state is polled until the deadline; an unknown failure is reported with AWS's message; an \
         unknown error is classified by its HTTP status.",
        &["scenarios::accounts::an_unknown_failure_is_reported_with_the_message_of_aws",
          "worker::aws::organizations::creations::an_unknown_state_counts_as_in_progress",
          "worker::aws::account::an_unknown_region_status_counts_as_enabling",
          "worker::aws::cloudformation::every_status_of_cloudformation_is_mapped",
          "worker::aws::errors::the_status_decides_on_an_unknown_error"]),
    scenario(15, "An empty page with a token for the next page", &[Retry],
        "Every list is read until a page has no token.",
        &["scenarios::accounts::empty_pages_do_not_end_a_list", "steps::cloud::an_empty_page_does_not_end_a_search"]),
    scenario(16, "MoveAccount: DuplicateAccountException", &[Done],
        "The account is already in the OU.",
        &["scenarios::organization::an_account_that_is_already_in_its_ou_is_accepted"]),
    scenario(17, "MoveAccount: SourceParentNotFoundException", &[Retry],
        "The parent of the account is read again, and the account is moved from there.",
        &["scenarios::organization::an_account_in_an_unexpected_ou_is_moved_to_its_own_ou"]),
    scenario(18, "DuplicatePolicyException, DuplicatePolicyAttachmentException, an OU that exists already", &[Adopt, Done],
        "An existing object is found by its name and updated; an existing attachment counts as done.",
        &["scenarios::organization::two_concurrent_bootstraps_prepare_the_organisation_once"]),
    scenario(19, "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED, POLICY_CONTENT_LIMIT_EXCEEDED", &[Park],
        "`freehold bootstrap` stops and names the policy that exceeds the limit and the fix.",
        &["scenarios::organization::a_guardrail_that_exceeds_a_limit_is_reported_with_the_fix"]),
    scenario(20, "PolicyTypeNotEnabledException, PolicyChangesInProgressException", &[Wait],
        "The policy type is enabled first; a change in progress is waited for.",
        &["scenarios::organization::bootstrap_waits_for_a_policy_change_in_progress"]),
    scenario(21, "TAG_POLICY_VIOLATION", &[Park],
        "`tag_policy_violated` names the tags.",
        &["scenarios::accounts::a_tag_policy_violation_has_its_own_attention_code"]),
    scenario(22, "AssumeRole: AccessDenied, minutes after SUCCEEDED", &[Wait],
        "Probed until it succeeds, at most 15 minutes.",
        &["scenarios::fresh_account::onboarding_waits_until_the_role_of_a_new_account_can_be_assumed"]),
    scenario(23, "InvalidClientTokenId, RegionDisabledException in a fresh account or region", &[Wait],
        "The same probe.",
        &["scenarios::fresh_account::every_error_code_of_a_new_account_is_retried"]),
    scenario(24, "OptInRequired, SubscriptionRequiredException from CloudFormation", &[Wait],
        "The same probe, which also calls CloudFormation.",
        &["scenarios::fresh_account::onboarding_waits_for_a_missing_service_subscription"]),
    scenario(25, "ExpiredToken during a wait", &[Retry],
        "The session is dropped, and the next poll opens another one.",
        &["scenarios::fresh_account::a_session_that_expires_during_a_wait_is_renewed",
          "steps::cloud::sessions_are_renewed_hourly_and_after_aws_has_expired_one"]),
    scenario(26, "CreateAccountAssignment: ThrottlingException, 15 are outstanding", &[Wait],
        "One of 15 slots is acquired before the call; assignments of other actors are waited for.",
        &["scenarios::identity_center::onboarding_waits_for_assignments_of_another_actor"]),
    scenario(27, "Identity Center: ConflictException", &[Wait, Done],
        "An earlier write is waited for; an object that exists already counts as done.",
        &["scenarios::identity_center::two_grants_of_one_permission_set_run_one_after_the_other"]),
    scenario(28, "An assignment FAILED: Received a 403 status error: Access denied by IAM", &[Retry, Park],
        "Retried without limit while the account is new (15 minutes), then four times, then `assignment_failed`.",
        &["scenarios::identity_center::an_assignment_denied_by_a_new_account_is_retried",
          "steps::accounts::a_failing_assignment_is_parked_and_can_be_retried"]),
    scenario(29, "ServiceQuotaExceededException: permission sets of an account", &[Park],
        "`aws_quota_reached`: the quota does not reset by itself.",
        &["scenarios::identity_center::an_exhausted_quota_that_does_not_reset_needs_attention"]),
    scenario(30, "EnableRegion: ConflictException, or TooManyRequestsException at 6 in the account or 50 in the organisation", &[Wait],
        "The state of the region is read again, and the opt-in is requested when the quota allows it.",
        &["scenarios::regions::onboarding_waits_for_a_region_opt_in_of_another_actor",
          "scenarios::regions::onboarding_waits_for_the_region_opt_in_quota"]),
    scenario(31, "A region is ENABLING for hours, or ENABLED before Lambda is there", &[Wait, Retry],
        "The deadline is 24 hours. A stack that fails because a service does not know the account yet is created \
         again, and the attempt is not counted.",
        &["scenarios::regions::a_region_opt_in_can_take_hours",
          "scenarios::regions::a_stack_is_created_later_if_lambda_is_not_yet_available"]),
    scenario(32, "A service control policy denies something inside a stack: ROLLBACK_COMPLETE", &[Park],
        "`stack_denied_by_policy` at once, with the resource and AWS's message; the failed stack is deleted.",
        &["scenarios::stacks::a_stack_denied_by_a_policy_needs_attention_immediately"]),
    scenario(33, "CreateStack: AlreadyExistsException", &[Adopt, Park],
        "A stack with the tags of the environment is adopted and updated; any other stack: `stack_name_taken`.",
        &["scenarios::stacks::an_existing_stack_with_freehold_tags_is_adopted_and_updated",
          "scenarios::stacks::an_external_stack_of_the_same_name_is_not_changed",
          "steps::accounts::a_stack_that_fails_after_a_lost_response_is_created_again"]),
    scenario(34, "CreateStack: TokenAlreadyExistsException, and the stack of that token no longer exists", &[Retry],
        "The next attempt uses a new token.",
        &["scenarios::stacks::the_token_of_a_deleted_stack_is_replaced"]),
    scenario(35, "ROLLBACK_COMPLETE, ROLLBACK_FAILED", &[Retry, Park],
        "The stack is deleted and created again with a new token, three times; then `stack_failed` with the first \
         failure of the stack.",
        &["steps::accounts::a_failed_stack_is_created_again_and_reported_if_it_keeps_failing",
          "scenarios::stacks::a_stack_with_a_failed_rollback_is_deleted_and_created_again"]),
    scenario(36, "ValidationError: No updates are to be performed", &[Done],
        "The stack is up to date.",
        &["scenarios::stacks::an_existing_stack_that_is_up_to_date_is_adopted"]),
    scenario(37, "UPDATE_ROLLBACK_FAILED, UPDATE_ROLLBACK_COMPLETE", &[Park, Retry],
        "`stack_update_stuck`; a retry continues the rollback (ContinueUpdateRollback). After a complete rollback: \
         `stack_failed` with the first failure of the update; a retry updates the stack again.",
        &["scenarios::stacks::a_retry_continues_a_failed_update_rollback",
          "scenarios::templates::a_rolled_back_update_is_reported_with_its_cause"]),
    scenario(38, "DELETE_FAILED; termination protection", &[Park, Retry],
        "`stack_not_deleted`; a retry keeps the resources that cannot be deleted (FORCE_DELETE_STACK). \
         `stack_protected` if a person has protected the stack.",
        &["scenarios::stacks::a_retry_keeps_resources_that_cannot_be_deleted",
          "scenarios::stacks::a_protected_stack_has_its_own_attention_code"]),
    scenario(39, "A faulty template: InsufficientCapabilitiesException, a missing output", &[Hold, Park],
        "One fleet hold and one alert; the operations wait for a corrected template, which the workers read every \
         minute. A template that another tenant has already: `stack_needs_capabilities`, `stack_rejected`, \
         `stack_url_output_missing`.",
        &["scenarios::templates::a_rejected_template_causes_one_hold_and_its_correction_lifts_it",
          "scenarios::templates::another_worker_with_a_corrected_template_lifts_the_hold",
          "scenarios::templates::a_rejected_template_stops_only_the_regions_that_use_it",
          "scenarios::templates::a_resource_with_a_faulty_property_starts_the_hold",
          "scenarios::templates::a_template_that_another_tenant_has_does_not_stop_the_fleet",
          "scenarios::templates::an_output_that_one_tenant_lacks_needs_attention"]),
    scenario(40, "LimitExceededException, which the SDK would retry by itself", &[Park],
        "`aws_quota_reached`; called once, because the SDK's retries are off.",
        &["scenarios::stacks::a_rejected_stack_is_reported_with_its_cause"]),
    scenario(41, "Throttling: Rate exceeded", &[Wait],
        "Same as 7, inside the account.",
        &["scenarios::stacks::throttling_inside_an_account_is_retried"]),
    scenario(42, "A stack reserves Lambda concurrency, but a new account has only ten", &[Park],
        "`stack_reserves_concurrency` at once; Freehold's sample template reserves none.",
        &["scenarios::stacks::reserved_concurrency_has_its_own_attention_code"]),
    scenario(45, "The home region is up, and the deployment of a replica has failed", &[Park],
        "The environment serves from its home region and is `degraded`. The operation needs attention; a retry deploys \
         the replica.",
        &["steps::replicas::a_failed_replica_degrades_the_environment_until_it_is_retried"]),
    scenario(46, "The account becomes SUSPENDED, PENDING_CLOSURE or CLOSED during the work", &[Park],
        "A step that is denied for longer than usual reads the account state from Organizations: `account_not_active`.",
        &["scenarios::fresh_account::an_account_that_is_closed_during_onboarding_is_reported"]),
    scenario(47, "CloseAccount: AccountAlreadyClosedException, ConflictException, CLOSE_ACCOUNT_QUOTA_EXCEEDED, CLOSE_ACCOUNT_REQUESTS_LIMIT_EXCEEDED", &[Done, Wait],
        "An account that is already closed counts as done; a closure in progress is polled; an exhausted quota is \
         waited for, for days if necessary.",
        &["scenarios::account_closure::closing_an_account_reports_closed_in_progress_or_quota_exhausted",
          "steps::cloud::closing_a_closed_account_is_not_an_error",
          "steps::offboarding::an_account_is_closed_only_after_a_second_person_approves"]),
    scenario(50, "Two workers, one tenant", &[Done],
        "A fence guards every write, and every step checks the state before it acts.",
        &["robustness::workers::a_worker_that_lost_its_lease_writes_nothing",
          "robustness::workers::two_workers_share_the_work_without_duplicates",
          "steps::step_replay::a_repeated_step_does_not_repeat_its_effects"]),
    scenario(51, "A distribution is still not deployed after an hour, and its stack fails", &[Retry],
        "The failed stack is deleted and created again, at most three times. The environment stays ready.",
        &["steps::front_door::a_distribution_that_does_not_stabilize_is_created_again"]),
    scenario(52, "The stack of a front door cannot be deleted: its distribution is not disabled yet", &[Retry],
        "The deletion is repeated. Nothing is retained, because a retained distribution would go on answering.",
        &["steps::front_door::a_distribution_that_is_not_disabled_yet_is_deleted_later"]),
    scenario(53, "A front door lacks one of the two permissions to call the function: 403", &[Prevent, Wait],
        "The parameter FrontDoor of the sample gives CloudFront both permissions together. With another template, the \
         front door is not `deployed` before it responds.",
        &["scenarios::front_door::the_sample_gives_cloudfront_both_permissions",
          "steps::front_door::a_front_door_whose_function_refuses_it_is_not_deployed"]),
    scenario(54, "A write through a front door that fails over, or whose home region is down", &[Prevent, Report],
        "CloudFront refuses a behaviour that fails over and allows POST. Paths of writes have one of their own, to the \
         home region alone; other paths refuse a write with 403. While the home region is down, writes fail \
         with 5xx.",
        &["scenarios::front_door::cloudfront_refuses_writes_to_an_origin_group",
          "scenarios::front_door::a_write_has_a_path_of_its_own_and_no_failover"]),
    scenario(55, "The home region is slow, not down", &[Failover],
        "The front door lists 504, as which CloudFront counts a time-out, and waits for 5 seconds.",
        &["scenarios::front_door::a_slow_home_region_fails_over_because_504_is_listed"]),
    scenario(56, "The home region and the replica are down", &[Report],
        "The viewer gets the error of the replica. The next request tries the home region first.",
        &["scenarios::front_door::the_viewer_gets_the_error_of_the_replica_if_both_regions_are_down"]),
    scenario(57, "The home region answers 403 or 404 by mistake", &[Prevent, Report],
        "The front door does not list these codes, so the replica does not mask the mistake.",
        &["scenarios::front_door::the_replica_does_not_mask_a_404_of_the_home_region"]),
    scenario(58, "The name of the front door's access control is taken", &[Park],
        "`stack_failed` after three attempts, with the name. A front door has no domain name of its own (CNAME) that \
         could be taken.",
        &["scenarios::front_door::a_taken_name_of_the_access_control_is_reported"]),
    scenario(59, "CloudFormation of the home region is down", &[Failover],
        "The front door fails over without a change of its stack, which is in us-east-1. The home can move to the \
         replica.",
        &["steps::front_door::an_environment_answers_at_its_front_door_while_its_home_region_is_lost",
          "steps::move_home::the_home_moves_while_the_old_one_is_down"]),
    scenario(60, "A change set fails with \"didn't contain changes\"", &[Done],
        "The stack has the template already. The release is recorded, and nothing is executed.",
        &["scenarios::updates::a_release_without_changes_is_recorded_without_an_update"]),
    scenario(61, "A change set is OBSOLETE after another update, or was deleted by another execution", &[Retry, Fail],
        "Another change set is created, at most five. A change set that is gone was executed only if the events of the \
         stack have its token.",
        &["scenarios::updates::a_change_set_that_became_obsolete_is_replaced",
          "scenarios::updates::a_change_set_that_another_execution_deletes_is_replaced",
          "scenarios::updates::the_execution_of_another_change_set_is_not_taken_for_the_own",
          "scenarios::updates::changes_by_hand_that_never_end_fail_the_update"]),
    scenario(62, "ChangeSetNotFound and InvalidChangeSetStatus, whose codes lack the ending Exception", &[Retry],
        "The state of the change set is read again; a missing one is replaced.",
        &["scenarios::updates::a_change_set_that_became_obsolete_is_replaced",
          "scenarios::updates::a_change_set_that_another_execution_deletes_is_replaced"]),
    scenario(63, "The worker dies after ExecuteChangeSet, or the answer is lost", &[Adopt],
        "The intent is written before the call. The next run finds the change set executed and follows the stack.",
        &["releases::walks::a_fault_at_any_call_of_an_update_gives_the_same_result",
          "rollouts::walks::a_fault_at_any_call_of_a_rollout_updates_each_environment_once"]),
    scenario(64, "A stack is left in REVIEW_IN_PROGRESS", &[Prevent, Park],
        "Freehold creates change sets of existing stacks only, so it leaves no such stack. One that a person has left: \
         `stack_name_taken`; a retry after its deletion deploys the stack.",
        &["scenarios::updates::a_stack_in_review_blocks_its_name_until_it_is_deleted"]),
    scenario(65, "The alarm of a rollback trigger is missing, or in ALARM before the update", &[Prevent, Fail],
        "Only alarms that both the old and the new template have guard an update. If one was deleted by hand or is in \
         ALARM, CloudFormation rolls the update back, and the failure names the alarm.",
        &["scenarios::update_alarms::a_missing_alarm_fails_the_update_and_is_named",
          "releases::update::an_alarm_of_the_stack_rolls_an_update_back"]),
    scenario(66, "An alarm fires during an update, or an environment fails in the bake", &[Fail, Halt],
        "UPDATE_ROLLBACK_COMPLETE is a failed environment. In the bake, Freehold reads the alarms: one that fires or \
         is missing is a failure, like a critical finding. The bake does not end before the alarms could be read.",
        &["rollouts::failures::an_alarm_during_an_update_fails_the_environment",
          "rollouts::failures::an_alarm_in_the_bake_halts_the_rollout",
          "rollouts::failures::a_bake_does_not_end_before_its_alarms_could_be_read",
          "rollouts::waves::a_critical_finding_in_the_bake_is_a_failure"]),
    scenario(67, "An alarm has no data: INSUFFICIENT_DATA for good", &[Done],
        "The alarm stops neither the update nor the rollout.",
        &["scenarios::update_alarms::an_alarm_without_data_does_not_stop_an_update"]),
    scenario(68, "One update more than the wave tolerates has failed", &[Halt],
        "The rollout halts at exactly this failure, and a strict wave never has more updates in progress than may \
         still fail. The failed environments serve the release before.",
        &["rollouts::failures::a_wave_halts_at_one_failure_more_than_it_tolerates",
          "rollouts::waves::a_strict_wave_halts_exactly_after_the_tolerated_failures",
          "rollouts::walks::nothing_starts_after_a_halt_despite_other_faults"]),
    scenario(69, "A worker dies in a wave; a pause during UPDATE_IN_PROGRESS", &[Adopt, Wait],
        "Another worker continues the rollout and its updates. In a pause, updates in progress finish, and none \
         starts.",
        &["rollouts::failures::updates_in_progress_finish_in_a_pause_without_their_worker",
          "rollouts::waves::another_worker_continues_the_rollout_of_a_dead_worker",
          "rollouts::walks::a_fault_at_any_call_of_a_rollout_updates_each_environment_once"]),
    scenario(70, "A tenant is offboarded, pinned or suspended during a rollout", &[Skip],
        "The environment is skipped with the reason, also if its update was in progress, and counts as no failure.",
        &["rollouts::failures::environments_that_leave_a_rollout_are_skipped_with_the_reason",
          "rollouts::members::environments_that_cannot_be_updated_are_skipped"]),
    scenario(71, "A stack was changed by hand; a rollback meets the change", &[Park, Report],
        "`stack_update_stuck`; a retry continues the rollback, and then the update fails. Reconcile reports a stack \
         without the template or the parameters of its release on record (`release_mismatch`).",
        &["scenarios::updates::a_rollback_that_meets_a_change_by_hand_needs_a_person",
          "steps::reconcile::releases::a_template_that_was_replaced_by_hand_is_found_and_deployed_again"]),
    scenario(72, "A template of 51,201 bytes; a template or code in S3 that AWS cannot read", &[Prevent, Park, Fail],
        "The check of the release counts bytes, and refuses a copy that is unreadable or on the S3 host of another \
         region. If only the deploying role cannot read it, the update needs attention: `aws_access_denied`. Freehold \
         does not look at the buckets of code: the update is rolled back and names the function.",
        &["scenarios::update_templates::the_size_of_a_template_is_limited_in_bytes",
          "scenarios::update_templates::a_copy_that_aws_cannot_read_refuses_the_release",
          "scenarios::update_templates::a_copy_that_the_deploying_role_cannot_read_needs_a_person",
          "scenarios::update_templates::code_in_a_bucket_of_another_region_rolls_the_update_back"]),
    scenario(73, "The role freehold-access lacks a right for a new resource type", &[Prevent, Fail],
        "The check of the release refuses a text with such a type. With a copy in S3, the update is rolled back and \
         names the right; the next update installs the baseline with the right first.",
        &["scenarios::update_templates::a_right_that_the_deploying_role_lacks_rolls_the_update_back",
          "releases::update::a_failed_update_leaves_the_release_before_serving"]),
];

/// Renders docs/scenarios.md, which lists the scenarios and the AWS error codes.
pub fn document() -> String {
    let mut text = String::from(
        "# Failure scenarios and how Freehold handles them\n\n\
         Generated from tests/src/scenarios.rs and tests/src/scenarios/aws_codes.rs. Regenerate with\n\
         `UPDATE_DOCS=1 cargo test --workspace --test main -- scenarios::table`. A code in backticks is the\n\
         `attention.code` of an operation that needs attention.\n\n\
         | | event | behaviour | reaction of Freehold | tests |\n|-|-|-|-|-|\n",
    );
    let list = |tests: &[&str]| tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join("<br>");
    for scenario in SCENARIOS {
        let kinds: Vec<_> = scenario.behaviour.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        let Scenario { number, event, reaction, tests, .. } = scenario;
        _ = writeln!(text, "| {number} | {event} | {} | {reaction} | {} |", kinds.join(", "), list(tests));
    }
    text.push_str(
        "\n## AWS codes\n\nEach code, reason or part of a message that a table of the worker knows (worker/src/aws/errors.rs, \
         worker/src/attention_codes.rs,\nworker/src/steps/shared/failure_tables.rs), with the tests that provoke it.\n\n\
         | AWS code | tests |\n|-|-|\n",
    );
    for (code, tests) in AWS_CODES {
        _ = writeln!(text, "| {code} | {} |", list(tests));
    }
    text
}
