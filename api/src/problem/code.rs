//! The table of everything that can go wrong, as callers see it. A code, once published, keeps its meaning.

use axum::http::StatusCode;

macro_rules! codes {
    ($($status:literal $code:literal $variant:ident: $title:literal;)+) => {
        /// A stable code, with the status and the title that go with it.
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
    400 "bad_request"               BadRequest:             "The request cannot be understood";
    400 "invalid_json"              InvalidJson:            "The body is not JSON";
    400 "invalid_query"             InvalidQuery:           "The query does not fit";
    400 "invalid_page_token"        InvalidPageToken:       "The page token does not belong to this list";
    400 "invalid_last_event_id"     InvalidLastEventId:     "Last-Event-ID is not the id of an event";
    400 "idempotency_key_required"  IdempotencyKeyRequired: "The Idempotency-Key header is missing";
    400 "idempotency_key_invalid"   IdempotencyKeyInvalid:  "The Idempotency-Key header does not fit";
    401 "token_missing"             TokenMissing:           "A bearer token is needed";
    401 "token_invalid"             TokenInvalid:           "The bearer token is not accepted";
    401 "token_expired"             TokenExpired:           "The bearer token has expired";
    403 "insufficient_scope"        InsufficientScope:      "The token does not allow this";
    403 "tenant_claim_invalid"      TenantClaimInvalid:     "The token names no tenant where it should";
    403 "approver_is_requester"     ApproverIsRequester:    "Another person has to approve this";
    404 "route_not_found"           RouteNotFound:          "There is nothing at this address";
    404 "tenant_not_found"          TenantNotFound:         "There is no such tenant";
    404 "environment_not_found"     EnvironmentNotFound:    "There is no such environment";
    404 "operation_not_found"       OperationNotFound:      "There is no such operation";
    404 "account_not_found"         AccountNotFound:        "No such account was ever mapped";
    404 "webhook_not_found"         WebhookNotFound:        "There is no such webhook endpoint or delivery";
    405 "method_not_allowed"        MethodNotAllowed:       "This address does not answer to this method";
    406 "not_acceptable"            NotAcceptable:          "The answer does not come in this format";
    409 "idempotency_key_in_flight" IdempotencyKeyInFlight: "The same request is being worked on";
    409 "external_id_taken"         ExternalIdTaken:        "A live tenant has this external id";
    409 "environment_exists"        EnvironmentExists:      "The tenant has an environment of this name";
    409 "too_many_environments"     TooManyEnvironments:    "The tenant has as many environments as it may have";
    409 "legal_hold"                LegalHold:              "Nothing of the tenant may be destroyed";
    409 "tenant_offboarded"         TenantOffboarded:       "The tenant is gone";
    409 "not_restorable"            NotRestorable:          "There is nothing to be restored";
    409 "account_closing_disabled"          AccountClosingDisabled:        "Accounts are never closed here";
    409 "operation_not_cancelable"  OperationNotCancelable: "The operation cannot be canceled";
    409 "remedy_not_offered"        RemedyNotOffered:       "The operation does not wait for this";
    409 "account_protected"         AccountProtected:       "The account is left alone";
    409 "approval_pending"          ApprovalPending:        "Something else waits for approval";
    409 "approval_not_pending"      ApprovalNotPending:     "Nothing of this kind waits for approval";
    409 "operation_not_parked"      OperationNotParked:     "The operation does not wait for a person";
    409 "secrets_key_missing"       SecretsKeyMissing:      "There is no key to encrypt secrets with";
    409 "too_many_webhooks"         TooManyWebhooks:        "There are as many webhook endpoints as there may be";
    409 "webhook_disabled"          WebhookDisabled:        "The webhook endpoint is disabled";
    410 "feed_position_expired"        FeedPositionExpired:       "The feed is no longer kept from there on";
    412 "precondition_failed"       PreconditionFailed:     "It is no longer what it was";
    413 "body_too_large"            BodyTooLarge:           "The body is too large";
    415 "unsupported_media_type"    UnsupportedMediaType:   "The body must be JSON";
    422 "validation_failed"         ValidationFailed:       "Some fields do not fit";
    422 "idempotency_key_reused"    IdempotencyKeyReused:   "The Idempotency-Key belongs to another request";
    428 "precondition_required"     PreconditionRequired:   "If-Match is missing";
    429 "too_many_requests"         TooManyRequests:        "The client asks too often";
    429 "daily_account_limit_reached"         DailyAccountLimitReached:       "The client has signed up as many as it may in a day";
    500 "internal_error"            InternalError:          "Something went wrong on our side";
    503 "database_unavailable"      DatabaseUnavailable:    "The database cannot be reached";
    503 "too_many_exports"              TooManyExports:            "Others are being sent everything";
    503 "database_not_migrated"              DatabaseNotMigrated:            "The database is not up to date";
    503 "signing_keys_unavailable"    SigningKeysUnavailable:   "The keys that tokens are checked with cannot be had";
    504 "timeout"                   Timeout:                "The request took too long";
    505 "http_version_not_supported" HttpVersionNotSupported: "This takes HTTP/1.1 or later";
}
