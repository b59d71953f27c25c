//! Audit trail: entries, records, and the hash chain that reveals later changes.

mod anchor;
mod anchor_schedule;
mod verify;
mod writer;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use anchor::{Anchor, AnchorError, AnchorFile, AnchorFileContents, Signer};
pub use anchor_schedule::anchor_first;
pub use verify::{ChainDefect, Verifier};
pub use writer::{AuditWriter, OpenEntry};

use crate::OperationId;
use crate::string_enum::string_enum;

string_enum! {
    /// Kind of an audited action.
    AuditKind {
        /// Write request to the REST API.
        ApiCall = "api.call",
        /// Write call to AWS.
        AwsCall = "aws.call",
        /// Write command of an operator that bypasses the API.
        Command = "command",
        /// Deletion of the oldest records at the end of their retention period.
        Dropped = "audit.dropped",
        /// Discovery of rows in the audit tables that Freehold did not write.
        Strays = "audit.strays",
    }
}

string_enum! {
    /// Result of an audited action.
    AuditResult {
        /// The action was carried out.
        Succeeded = "succeeded",
        /// The action was not permitted or not possible. Nothing was changed.
        Refused = "refused",
        /// The action failed; it may have been carried out.
        Failed = "failed",
        /// The process stopped before it recorded the result.
        Unknown = "unknown",
    }
}

/// Audited action with its actor and source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub kind: AuditKind,
    /// Operation id of OpenAPI, such as `createTenant`, or IAM action, such as `organizations:CreateAccount`.
    pub action: String,
    pub actor: Actor,
    /// Network address of the caller of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Id of the API request, as returned to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Path of the API resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Ids in the path of the API resource, decoded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Query parameters that the route declares.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Fields of the request body that the route records, without secrets and personal data.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub request: Map<String, Value>,
    /// Operation that caused the action, or that the action changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<OperationId>,
    /// Step of the operation that caused the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// ARN of the IAM role that makes the AWS call, or `ambient` if the process uses its own credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role: Option<String>,
}

impl AuditEntry {
    /// Creates an entry without optional fields.
    pub fn new(kind: AuditKind, action: &str, actor: Actor) -> Self {
        Self {
            kind,
            action: action.to_owned(),
            actor,
            source: None,
            request_id: None,
            resource: None,
            ids: Vec::new(),
            query: BTreeMap::new(),
            request: Map::new(),
            operation_id: None,
            step: None,
            aws_role: None,
        }
    }
}

/// Caller or process that carries out an audited action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Actor {
    /// Caller of the API, identified by the claims of its token.
    Caller {
        /// Claim `iss` of the token.
        issuer: String,
        /// Claim `sub` of the token.
        subject: String,
        /// Claim `client_id` or `azp` of the token, or the subject if both are missing.
        client: String,
    },
    /// Process of this installation, such as a worker.
    Process { process: String },
}

/// Network address of an API caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Peer address of the connection.
    pub address: String,
    /// Value of the header `X-Forwarded-For`. It can be trusted only if the peer is a trusted proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
}

/// Outcome of an audited action: the result and details of the response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditOutcome {
    pub result: AuditResult,
    /// HTTP status of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Error code of the API or of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Request id that AWS returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_request_id: Option<String>,
    /// Ids of the objects that the action created or started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Changed fields, each with its old and new value, or `changed` for a secret or personal data.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub changes: Map<String, Value>,
}

impl AuditOutcome {
    /// Creates an outcome without optional fields.
    pub fn of(result: AuditResult) -> Self {
        Self { result, status: None, code: None, aws_request_id: None, ids: Vec::new(), changes: Map::new() }
    }
}

/// Record of the audit trail, which is linked to the previous record by a hash.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Position of the record in the audit trail: 1, 2, 3, …
    pub position: i64,
    /// Time at which the record was added to the chain.
    pub recorded_at: DateTime<Utc>,
    /// JSON text of the record, byte for byte as it was hashed.
    pub text: String,
    /// Hash over the previous hash, position, time and text.
    pub hash: Hash,
}

/// SHA-256 hash of a record.
pub type Hash = [u8; 32];

/// Position and hash of the last record in the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    pub position: i64,
    pub hash: Hash,
}

impl ChainHead {
    /// Returns the hash in hexadecimal digits.
    pub fn hash_text(&self) -> String {
        hex::encode(self.hash)
    }
}

/// Returns the hash of a record that follows a record with the hash `previous`.
pub fn chain_hash(previous: &Hash, position: i64, recorded_at: DateTime<Utc>, text: &str) -> Hash {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(position.to_be_bytes());
    hash.update(recorded_at.timestamp_micros().to_be_bytes());
    hash.update(text);
    hash.finalize().into()
}
