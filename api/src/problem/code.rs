//! Table of all problem codes. The meaning of a published code never changes.

use axum::http::StatusCode;

macro_rules! codes {
    ($($status:literal $code:literal $variant:ident: $title:literal;)+) => {
        /// Problem code with its HTTP status and title.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $(#[doc = $title] $variant,)+
        }

        impl Code {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            pub(crate) fn status(self) -> StatusCode {
                let status: u16 = match self { $(Self::$variant => $status),+ };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    };
}

codes! {
    400 "bad_request"                 BadRequest:               "The request is malformed";
    400 "invalid_json"                InvalidJson:              "The body is not valid JSON";
    400 "invalid_query"               InvalidQuery:             "Invalid query parameters";
    400 "invalid_page_token"          InvalidPageToken:         "The page token belongs to another list";
    400 "invalid_last_event_id"       InvalidLastEventId:       "Last-Event-ID is invalid";
    400 "idempotency_key_required"    IdempotencyKeyRequired:   "The Idempotency-Key header is missing";
    400 "idempotency_key_invalid"     IdempotencyKeyInvalid:    "The Idempotency-Key header is invalid";
    401 "token_missing"               TokenMissing:             "A bearer token is required";
    401 "token_invalid"               TokenInvalid:             "The bearer token is invalid";
    401 "token_expired"               TokenExpired:             "The bearer token has expired";
    403 "insufficient_scope"          InsufficientScope:        "The token lacks a required scope";
    403 "tenant_claim_invalid"        TenantClaimInvalid:       "The tenant claim of the token is invalid";
    403 "approver_is_requester"       ApproverIsRequester:      "The approver must be another person";
    403 "started_by_operator"         StartedByOperator:        "An operator has started the offboarding";
    403 "cross_site_request"          CrossSiteRequest:         "The request comes from another site";
    403 "sign_in_failed"              SignInFailed:             "The sign-in has failed";
    404 "route_not_found"             RouteNotFound:            "The route does not exist";
    404 "tenant_not_found"            TenantNotFound:           "The tenant does not exist";
    404 "environment_not_found"       EnvironmentNotFound:      "The environment does not exist";
    404 "operation_not_found"         OperationNotFound:        "The operation does not exist";
    404 "residency_proof_not_found"   ResidencyProofNotFound:   "The environment has no residency proof yet";
    404 "release_not_found"           ReleaseNotFound:          "The release does not exist";
    404 "rollout_not_found"           RolloutNotFound:          "The rollout does not exist";
    404 "approval_not_found"          ApprovalNotFound:         "The approval does not exist";
    404 "account_not_found"           AccountNotFound:          "The account was never mapped to a tenant";
    404 "webhook_not_found"           WebhookNotFound:          "The webhook endpoint or delivery does not exist";
    405 "method_not_allowed"          MethodNotAllowed:         "The route does not support this method";
    406 "not_acceptable"              NotAcceptable:            "No requested format is available";
    408 "body_timeout"                BodyTimeout:              "The body did not arrive in time";
    409 "idempotency_key_in_flight"   IdempotencyKeyInFlight:   "The same request is still running";
    409 "external_id_taken"           ExternalIdTaken:          "An active tenant has this external id";
    409 "environment_exists"          EnvironmentExists:        "The tenant has an environment with this name";
    409 "too_many_environments"       TooManyEnvironments:      "The tenant has too many environments";
    409 "legal_hold"                  LegalHold:                "The tenant is under a legal hold";
    409 "tenant_offboarded"           TenantOffboarded:         "The tenant is offboarded";
    409 "tenant_suspended"            TenantSuspended:          "The tenant is suspended";
    409 "not_restorable"              NotRestorable:            "The environment cannot be restored";
    409 "account_closing_disabled"    AccountClosingDisabled:   "Closing accounts is disabled";
    409 "operation_in_progress"       OperationInProgress:      "Another operation on the environment is open";
    409 "environment_not_ready"       EnvironmentNotReady:      "The environment is not ready";
    409 "release_not_ready"           ReleaseNotReady:          "The release is not ready";
    409 "release_not_approved"        ReleaseNotApproved:       "The release is not approved";
    409 "release_hash_mismatch"       ReleaseHashMismatch:      "The release has another hash";
    409 "rollout_in_progress"         RolloutInProgress:        "Another rollout has not finished";
    409 "invalid_transition"          InvalidTransition:        "The state does not allow the request";
    409 "wave_hash_mismatch"          WaveHashMismatch:         "The wave has another hash";
    409 "no_failures"                 NoFailures:               "No environment has failed";
    409 "outside_window"              OutsideWindow:            "No maintenance window is open";
    409 "pinned"                      Pinned:                   "The environment is pinned to its release";
    409 "change_freeze"               ChangeFreeze:             "A change freeze is in force";
    409 "replica_not_ready"           ReplicaNotReady:          "The replica is not ready";
    409 "operation_not_cancelable"    OperationNotCancelable:   "The operation cannot be canceled";
    409 "remedy_not_offered"          RemedyNotOffered:         "This action is not available for the operation";
    409 "account_protected"           AccountProtected:         "The account is protected";
    409 "approval_pending"            ApprovalPending:          "Another request is waiting for approval";
    409 "approval_not_pending"        ApprovalNotPending:       "No matching request is waiting for approval";
    409 "approval_outdated"           ApprovalOutdated:         "The requested change is no longer possible";
    409 "operation_not_parked"        OperationNotParked:       "The operation does not need attention";
    409 "residency_proofs_not_configured" ResidencyProofsNotConfigured: "Residency proofs are not configured";
    409 "secrets_key_missing"         SecretsKeyMissing:        "The encryption key for secrets is missing";
    409 "too_many_webhooks"           TooManyWebhooks:          "The limit of webhook endpoints is reached";
    409 "webhook_disabled"            WebhookDisabled:          "The webhook endpoint is disabled";
    410 "feed_position_expired"       FeedPositionExpired:      "The feed position has expired";
    412 "precondition_failed"         PreconditionFailed:       "The resource has changed since you read it";
    413 "body_too_large"              BodyTooLarge:             "The body is too large";
    415 "unsupported_media_type"      UnsupportedMediaType:     "The body must be JSON";
    422 "validation_failed"           ValidationFailed:         "Some fields are invalid";
    422 "idempotency_key_reused"      IdempotencyKeyReused:     "The Idempotency-Key belongs to another request";
    428 "precondition_required"       PreconditionRequired:     "If-Match is missing";
    429 "too_many_requests"           TooManyRequests:          "Rate limit exceeded";
    429 "too_many_streams"            TooManyStreams:           "The client has too many open streams";
    429 "support_bundle_in_progress"  SupportBundleInProgress:  "Another support bundle is being created";
    429 "daily_account_limit_reached" DailyAccountLimitReached: "Daily account limit reached";
    500 "internal_error"              InternalError:            "Internal server error";
    503 "database_unavailable"        DatabaseUnavailable:      "The database is unavailable";
    503 "too_many_exports"            TooManyExports:           "Too many exports are running";
    503 "stream_limit_reached"        StreamLimitReached:       "The process has too many open streams";
    503 "too_many_connections"        TooManyConnections:       "Too many connections are open";
    503 "database_not_migrated"       DatabaseNotMigrated:      "The database schema is not up to date";
    503 "signing_keys_unavailable"    SigningKeysUnavailable:   "The token signing keys are unavailable";
    504 "timeout"                     Timeout:                  "The request took too long";
    505 "http_version_not_supported"  HttpVersionNotSupported:  "HTTP/1.1 or later is required";
}
