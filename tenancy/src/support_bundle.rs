//! Support bundle: the redacted data about one operation that support staff attach to a ticket.
//!
//! Each struct lists exactly the fields of one file of the archive. A field is a number, a time, an id, a value of an
//! enum, or an [`Identifier`] whose form was checked; it is never a text that AWS, a customer or an operator has
//! written. docs/decisions/0060-support-bundle.md gives the reasons.

mod configuration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::attention::{AttentionCode, Remedy};
use crate::audit::{AuditKind, AuditResult};
use crate::customer_sentence::UNKNOWN_CODE_SENTENCE;
use crate::event::EventType;
use crate::operation::{OperationKind, OperationState};
use crate::quota::Quota;
use crate::step::{StepName, StepState};
use crate::{AwsAccountId, EnvironmentId, InstallationId, OperationId, Region, TenantId};

pub use configuration::BundleConfig;

/// Maximum length of an [`Identifier`].
const MAX_IDENTIFIER_BYTES: usize = 128;

/// Data of a support bundle, read from the database at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct SupportBundle {
    pub operation: BundleOperation,
    /// Steps in the order of the workflow.
    pub steps: Vec<BundleStep>,
    /// Latest events, oldest first.
    pub events: Vec<BundleEvent>,
    /// Latest entries of the audit trail, oldest first.
    pub audit_entries: Vec<BundleAuditEntry>,
    pub versions: BundleVersions,
}

/// Operation of a support bundle: the content of `operation.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BundleOperation {
    pub id: OperationId,
    pub tenant_id: TenantId,
    pub environment_id: EnvironmentId,
    /// Installation of Freehold; `None` before its first process has started.
    pub installation_id: Option<InstallationId>,
    /// Latest account that was mapped to the environment.
    pub aws_account_id: Option<AwsAccountId>,
    pub home_region: Option<Region>,
    pub kind: OperationKind,
    pub state: OperationState,
    pub attention: Option<BundleAttention>,
    /// Cause of a failed operation.
    pub failure: Option<BundleAttention>,
    pub approval_required: Option<bool>,
    pub slots: Vec<BundleSlot>,
    pub wake_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
}

/// Reason why an operation needs attention or has failed, with texts of this version of Freehold in place of the
/// stored message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleAttention {
    /// Attention code; `None` if this version of Freehold does not define it.
    pub code: Option<AttentionCode>,
    pub title: &'static str,
    pub tell_customer: &'static str,
    pub remedies: Vec<Remedy>,
    pub aws_request_id: Option<Identifier>,
}

impl BundleAttention {
    /// Creates the reason from its stored code.
    pub fn new(code: Option<AttentionCode>, remedies: Vec<Remedy>, aws_request_id: Option<Identifier>) -> Self {
        let title = code.map_or("Unknown attention code", AttentionCode::title);
        let tell_customer = code.map_or(UNKNOWN_CODE_SENTENCE, AttentionCode::customer_sentence);
        Self { code, title, tell_customer, remedies, aws_request_id }
    }
}

/// Slot of an AWS quota that the operation holds or waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleSlot {
    pub quota: Option<Quota>,
    pub requested_at: DateTime<Utc>,
    /// Time at which the slot was granted; `None` while the operation is queued.
    pub granted_at: Option<DateTime<Utc>>,
    /// Id that AWS has assigned to the work, such as that of an account creation.
    pub aws_work_id: Option<Identifier>,
}

/// Step of the operation: an entry of `steps.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleStep {
    /// Name of the step; `None` if this version of Freehold does not define it.
    pub name: Option<StepName>,
    pub state: StepState,
    pub attempts: i32,
    pub attempts_without_progress: i32,
    pub attention_code: Option<AttentionCode>,
    pub attention_aws_request_id: Option<Identifier>,
    /// Whether the latest attempt failed.
    pub has_error: bool,
    /// Id of the AWS request that caused the latest error.
    pub last_error_aws_request_id: Option<Identifier>,
    /// Id of the account creation, which AWS assigns.
    pub account_creation_id: Option<Identifier>,
    /// Account that the step has recorded.
    pub aws_account_id: Option<AwsAccountId>,
    /// Time of the intent for a call that is not safe to repeat.
    pub intent_at: Option<DateTime<Utc>>,
    pub check_at: Option<DateTime<Utc>>,
    pub blocked_since: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub retried_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Event of the operation: a line of `events.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleEvent {
    pub seq: i64,
    /// Type of the event; `None` if this version of Freehold does not define it.
    pub r#type: Option<EventType>,
    pub occurred_at: DateTime<Utc>,
    pub step: Option<StepName>,
    pub code: Option<AttentionCode>,
    pub aws_account_id: Option<AwsAccountId>,
    pub region: Option<Region>,
}

/// Entry of the audit trail about the operation: a line of `audit.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleAuditEntry {
    pub position: i64,
    /// Start of the action.
    pub at: Option<DateTime<Utc>>,
    pub recorded_at: DateTime<Utc>,
    pub kind: Option<AuditKind>,
    /// Operation id of OpenAPI or IAM action.
    pub action: Option<Identifier>,
    pub actor: ActorKind,
    pub step: Option<StepName>,
    /// Id of the API request. An id that the caller has chosen is left out.
    pub request_id: Option<String>,
    /// Account of the role that made the AWS call.
    pub aws_account_id: Option<AwsAccountId>,
    pub result: Option<AuditResult>,
    /// HTTP status of the response.
    pub status: Option<u16>,
    /// Error code of the API or of AWS.
    pub code: Option<Identifier>,
    pub aws_request_id: Option<Identifier>,
}

/// Kind of an audited actor. The person or client is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    Caller,
    Process,
}

/// Versions of the programs: the content of `versions.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleVersions {
    /// Version of the API process.
    pub freehold: &'static str,
    /// Number of the latest migration of the database.
    pub schema: i64,
    pub postgresql: String,
}

/// Request id, action or error code. Its form was checked, because AWS, or a client, has chosen the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Identifier(String);

impl Identifier {
    /// Returns the text as an identifier, or `None` unless it consists of 1 to 128 ASCII letters, digits, `-`, `_` and
    /// at most one `:`. This excludes sentences, e-mail addresses, IP addresses, URLs and ARNs.
    pub fn parse(text: &str) -> Option<Self> {
        let is_permitted = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte);
        let has_form = (1..=MAX_IDENTIFIER_BYTES).contains(&text.len())
            && text.bytes().all(is_permitted)
            && text.matches(':').count() <= 1;
        has_form.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_not_a_sentence_an_address_or_an_arn() {
        for text in [
            "b25f48e8-84fd-11e6-80d9-574e0c4664cb",
            "car-0123456789abcdef",
            "organizations:CreateAccount",
            "AccessDeniedException",
            "validation_failed",
        ] {
            assert_eq!(Identifier::parse(text).as_ref().map(Identifier::as_str), Some(text));
        }
        let long = "x".repeat(MAX_IDENTIFIER_BYTES + 1);
        for text in [
            "",
            "Example GmbH",
            "admin@example.com",
            "203.0.113.7",
            "2001:db8::1",
            "https://example.com/hook",
            "arn:aws:iam::111122223333:role/x",
            "Müller",
            "a\nb",
            &long,
        ] {
            assert_eq!(Identifier::parse(text), None, "{text}");
        }
    }
}
