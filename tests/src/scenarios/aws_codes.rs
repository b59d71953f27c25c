//! AWS error codes in the worker's tables, each with the tests in which AWS returns the code.

/// AWS error codes, failure reasons or parts of messages from the worker's tables, each with the paths of its tests.
#[rustfmt::skip]
pub static AWS_CODES: &[(&str, &[&str])] = &[
    ("ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("ACCOUNT_LIMIT_EXCEEDED", &[
        "scenarios::fleet_holds::an_account_creation_refused_by_the_quota_starts_a_fleet_hold",
    ]),
    ("ACCOUNT_NUMBER_LIMIT_EXCEEDED", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("Access denied by IAM", &[
        "scenarios::identity_center::an_assignment_denied_by_a_new_account_is_retried",
        "steps::accounts::a_failing_assignment_is_parked_and_can_be_retried",
    ]),
    ("AccessDenied", &["scenarios::fresh_account::onboarding_waits_until_the_role_of_a_new_account_can_be_assumed"]),
    ("AccessDeniedException", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("AccessDeniedForDependencyException", &["worker::aws::errors::every_row_is_needed"]),
    ("AccountAlreadyClosedException", &["worker::aws::errors::every_row_is_needed"]),
    ("AccountNotFoundException", &["worker::attention_codes::every_row_is_needed"]),
    ("AlreadyExistsException", &["scenarios::stacks::the_token_of_a_deleted_stack_is_replaced"]),
    ("CLOSE_ACCOUNT_QUOTA_EXCEEDED", &[
        "scenarios::account_closure::closing_an_account_reports_closed_in_progress_or_quota_exhausted",
    ]),
    ("CLOSE_ACCOUNT_REQUESTS_LIMIT_EXCEEDED", &[
        "scenarios::account_closure::closing_an_account_reports_closed_in_progress_or_quota_exhausted",
    ]),
    ("CONCURRENT_ACCOUNT_MODIFICATION", &["scenarios::accounts::a_duplicated_request_creates_one_account"]),
    ("CONCURRENT_MODIFICATION", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("ChildNotFoundException", &["remedies::every_attention_code_has_remedies_that_work"]),
    ("ConcurrentModificationException", &[
        "scenarios::accounts::conflicts_are_retried_and_never_create_a_second_account",
        "scenarios::organization::bootstrap_waits_for_a_policy_change_in_progress",
    ]),
    ("ConflictException", &["scenarios::identity_center::two_grants_of_one_permission_set_run_one_after_the_other"]),
    ("CreateAccountStatusNotFoundException", &[
        "scenarios::accounts::the_account_of_an_expired_creation_request_is_found",
    ]),
    ("DestinationParentNotFoundException", &["remedies::retries::an_account_is_placed_after_its_ou_was_replaced"]),
    ("DuplicateAccountException", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("DuplicateOrganizationalUnitException", &["worker::aws::errors::every_row_is_needed"]),
    ("DuplicatePolicyAttachmentException", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("DuplicatePolicyException", &["worker::aws::errors::every_row_is_needed"]),
    ("EMAIL_ALREADY_EXISTS", &["steps::accounts::an_account_with_the_email_address_and_freehold_tags_is_adopted"]),
    ("ExpiredToken", &[
        "scenarios::fresh_account::a_session_that_expires_during_a_wait_is_renewed",
        "steps::cloud::sessions_are_renewed_hourly_and_after_aws_has_expired_one",
    ]),
    ("ExpiredTokenException", &["scenarios::fresh_account::a_session_that_expires_during_a_wait_is_renewed"]),
    ("FAILED_BUSINESS_VALIDATION", &["worker::steps::shared::failure_tables::every_row_is_needed"]),
    ("FinalizingOrganizationException", &[
        "scenarios::fleet_holds::an_organisation_that_is_being_finalized_opens_a_hold_for_an_hour",
    ]),
    ("INTERNAL_FAILURE", &[
        "steps::accounts::internal_failures_are_retried_and_refused_creations_are_parked",
        "scenarios::accounts::an_account_created_by_a_failed_request_is_adopted",
    ]),
    ("INVALID_ADDRESS", &["scenarios::accounts::each_failure_that_a_person_must_fix_has_its_own_attention_code"]),
    ("INVALID_EMAIL", &["scenarios::accounts::each_failure_that_a_person_must_fix_has_its_own_attention_code"]),
    ("INVALID_IDENTITY_FOR_BUSINESS_VALIDATION", &[
        "scenarios::accounts::each_failure_that_a_person_must_fix_has_its_own_attention_code",
    ]),
    ("INVALID_PAYMENT_INSTRUMENT", &[
        "steps::accounts::internal_failures_are_retried_and_refused_creations_are_parked",
    ]),
    ("InsufficientCapabilitiesException", &[
        "scenarios::templates::a_template_that_another_tenant_has_does_not_stop_the_fleet",
    ]),
    ("InternalError", &["worker::aws::errors::every_row_is_needed"]),
    ("InternalFailure", &["worker::aws::errors::every_row_is_needed"]),
    ("InternalServerException", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("InvalidAccessKeyId", &["worker::aws::errors::every_row_is_needed"]),
    ("InvalidClientTokenId", &["scenarios::fresh_account::every_error_code_of_a_new_account_is_retried"]),
    ("LimitExceededException", &["scenarios::stacks::a_rejected_stack_is_reported_with_its_cause"]),
    ("MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED", &[
        "scenarios::organization::a_guardrail_that_exceeds_a_limit_is_reported_with_the_fix",
    ]),
    ("MISSING_BUSINESS_VALIDATION", &["worker::steps::shared::failure_tables::every_row_is_needed"]),
    ("MISSING_PAYMENT_INSTRUMENT", &[
        "scenarios::accounts::each_failure_that_a_person_must_fix_has_its_own_attention_code",
    ]),
    ("No updates are to be performed", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("NotAuthorized", &["worker::aws::errors::every_row_is_needed"]),
    ("OperationInProgressException", &["worker::aws::errors::every_row_is_needed"]),
    ("OptInRequired", &["scenarios::fresh_account::onboarding_waits_for_a_missing_service_subscription"]),
    ("PENDING_BUSINESS_VALIDATION", &[
        "scenarios::accounts::each_failure_that_a_person_must_fix_has_its_own_attention_code",
    ]),
    ("POLICY_CONTENT_LIMIT_EXCEEDED", &[
        "scenarios::organization::a_guardrail_that_exceeds_a_limit_is_reported_with_the_fix",
    ]),
    ("PolicyChangesInProgressException", &["scenarios::organization::bootstrap_waits_for_a_policy_change_in_progress"]),
    ("PolicyTypeAlreadyEnabledException", &["worker::aws::errors::every_row_is_needed"]),
    ("PolicyTypeNotEnabledException", &["scenarios::organization::bootstrap_waits_for_a_policy_change_in_progress"]),
    ("RegionDisabled", &["scenarios::fresh_account::every_error_code_of_a_new_account_is_retried"]),
    ("RegionDisabledException", &["scenarios::fresh_account::every_error_code_of_a_new_account_is_retried"]),
    ("RequestLimitExceeded", &["worker::aws::errors::every_row_is_needed"]),
    ("RequestTimeout", &["worker::aws::errors::every_row_is_needed"]),
    ("ResourceNotFoundException", &["worker::aws::errors::every_row_is_needed"]),
    ("S3 error: Access Denied", &[
        "scenarios::template_copies::an_unreadable_copy_is_reported_after_the_propagation_time",
    ]),
    ("ServiceException", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("ServiceQuotaExceededException", &[
        "scenarios::identity_center::an_exhausted_quota_that_does_not_reset_needs_attention",
    ]),
    ("ServiceUnavailable", &["worker::aws::errors::every_row_is_needed"]),
    ("ServiceUnavailableException", &["worker::aws::errors::every_row_is_needed"]),
    ("SlowDown", &["worker::aws::errors::every_row_is_needed"]),
    ("SourceParentNotFoundException", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("SubscriptionRequiredException", &[
        "scenarios::fresh_account::onboarding_waits_for_a_missing_service_subscription",
    ]),
    ("TAG_POLICY_VIOLATION", &["scenarios::accounts::a_tag_policy_violation_has_its_own_attention_code"]),
    ("TerminationProtection", &["scenarios::stacks::a_protected_stack_has_its_own_attention_code"]),
    ("ThrottledException", &["worker::aws::errors::every_row_is_needed"]),
    ("Throttling", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("ThrottlingException", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("TokenAlreadyExistsException", &["scenarios::stacks::the_token_of_a_deleted_stack_is_replaced"]),
    ("TooManyRequestsException", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("UNKNOWN_BUSINESS_VALIDATION", &["worker::steps::shared::failure_tables::every_row_is_needed"]),
    ("UnauthorizedOperation", &["worker::aws::errors::every_row_is_needed"]),
    ("UnrecognizedClientException", &[
        "worker::aws::errors::every_row_is_needed",
        "worker::steps::shared::failure_tables::every_row_is_needed",
    ]),
    ("UnreservedConcurrentExecution below its minimum", &[
        "scenarios::stacks::reserved_concurrency_has_its_own_attention_code",
    ]),
    ("WAIT_PERIOD_ACTIVE", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("already", &["worker::aws::errors::every_known_failure_has_its_kind"]),
    ("explicit deny", &["scenarios::stacks::a_stack_denied_by_a_policy_needs_attention_immediately"]),
    ("needs a subscription", &["scenarios::fresh_account::onboarding_waits_for_a_missing_service_subscription"]),
    ("security token included in the request is invalid", &[
        "scenarios::regions::a_stack_is_created_later_if_lambda_is_not_yet_available",
    ]),
    ("HTTP 403", &["worker::aws::errors::the_status_decides_on_an_unknown_error"]),
    ("HTTP 429", &["worker::aws::errors::the_status_decides_on_an_unknown_error"]),
    ("HTTP 500", &["worker::aws::errors::the_status_decides_on_an_unknown_error"]),
];
