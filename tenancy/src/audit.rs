//! The audit trail: what is recorded, and the chain that keeps it as it was.

mod anchor;
mod anchor_schedule;
mod verify;
mod writer;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use anchor::{Anchor, AnchorError, AnchorFile, AnchorFileContents, Signer};
pub use verify::{ChainDefect, Verifier};
pub use writer::{AuditWriter, OpenEntry};

use crate::string_enum::string_enum;
use crate::{OperationId, TenantId};

string_enum! {
    /// What kind of deed a record is about.
    AuditKind {
        /// A call of the REST API that may change something.
        ApiCall = "api.call",
        /// A call of AWS that changes something.
        AwsCall = "aws.call",
        /// A command of an operator that changes something and goes past the API.
        Command = "command",
        /// The oldest records were dropped because their time was over.
        Dropped = "audit.dropped",
    }
}

string_enum! {
    /// What came of a deed.
    AuditResult {
        /// It was done.
        Succeeded = "succeeded",
        /// It was not allowed, or not possible as things stand; nothing was done.
        Refused = "refused",
        /// It failed, or nobody knows whether it was done.
        Failed = "failed",
        /// Whoever did it died before it was known.
        Unknown = "unknown",
    }
}

/// Who does something, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// What kind of deed it is.
    pub kind: AuditKind,
    /// What is done: `createTenant`, as OpenAPI calls it; `organizations:CreateAccount`, as IAM does.
    pub action: String,
    /// Who does it.
    pub actor: Actor,
    /// From where a call came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The id of the request, as its caller was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The path of the resource, as far as there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The operation that it is done for, or to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<OperationId>,
    /// The step of the operation that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The account, and the role in it, as which AWS is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role: Option<String>,
}

impl AuditEntry {
    /// Somebody does something, and nothing more to say.
    pub fn new(kind: AuditKind, action: &str, actor: Actor) -> Self {
        Self {
            kind,
            action: action.to_owned(),
            actor,
            source: None,
            request_id: None,
            resource: None,
            operation_id: None,
            step: None,
            aws_role: None,
        }
    }
}

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Actor {
    /// Whoever a token names.
    Caller {
        /// `iss`
        issuer: String,
        /// `sub`
        subject: String,
        /// `client_id` or `azp`, or else the subject.
        client: String,
    },
    /// A process of Freehold's own.
    Process {
        /// What it is called.
        process: String,
    },
}

/// From where a call came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The address that the connection came from.
    pub address: String,
    /// `X-Forwarded-For`, which whoever is at that address vouches for, and nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
}

/// What came of a deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditOutcome {
    /// In a word.
    pub result: AuditResult,
    /// The HTTP status that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The code of the problem, ours or AWS's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The id that AWS gave the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_request_id: Option<String>,
}

impl AuditOutcome {
    /// What came of it, and nothing more to say.
    pub fn of(result: AuditResult) -> Self {
        Self { result, status: None, code: None, aws_request_id: None }
    }
}

/// A record in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// 1, 2, 3, …
    pub position: i64,
    /// When it got its place.
    pub recorded_at: DateTime<Utc>,
    /// The text, to the letter.
    pub text: String,
    /// What chains it to the one before.
    pub hash: Hash,
}

/// SHA-256.
pub type Hash = [u8; 32];

/// Where the trail ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// The latest position.
    pub position: i64,
    /// The hash there.
    pub hash: Hash,
}

impl ChainHead {
    /// The hash in hexadecimal digits.
    pub fn hash_text(&self) -> String {
        hex::encode(self.hash)
    }
}

/// The hash of a record that comes after one with the hash `before`.
pub fn chain_hash(before: &Hash, position: i64, recorded_at: DateTime<Utc>, text: &str) -> Hash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(position.to_be_bytes());
    hash.update(recorded_at.timestamp_micros().to_be_bytes());
    hash.update(text);
    hash.finalize().into()
}

/// The text of a record: the deed, with when, for whom and what came of it.
pub fn text(entry: Value, at: DateTime<Utc>, tenant: Option<TenantId>, outcome: Value) -> String {
    let mut record = serde_json::Map::new();
    record.insert("at".to_owned(), at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true).into());
    if let Value::Object(entry) = entry {
        record.extend(entry);
    }
    if let Some(tenant) = tenant {
        record.insert("tenant_id".to_owned(), tenant.to_string().into());
    }
    record.insert("outcome".to_owned(), outcome);
    Value::Object(record).to_string()
}
