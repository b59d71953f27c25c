//! Residency proof: a signed document about the regions of an environment. A worker writes it from its own observations
//! in AWS.

mod jws;
mod report;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::environment_stack::StackKind;
use crate::finding::{FindingKind, Severity};
use crate::replica::ReplicaState;
use crate::string_enum::string_enum;
use crate::{
    AwsAccountId, EnvironmentId, EnvironmentName, InstallationId, OperationId, Region, ResidencyName, TenantId,
};

pub use jws::{ProofKeyError, ProofSigner, PublicKey, VerifyError, payload, verify};
pub use report::{Block, Section, format_time, sections, verdict};

/// Version of the document. A change of the meaning of a field raises it.
pub const PROOF_VERSION: u32 = 1;

/// Status of a stack that AWS does not have.
pub const STACK_NOT_FOUND: &str = "NOT_FOUND";

/// Status of a stack that AWS did not let the worker read.
pub const STACK_NOT_READABLE: &str = "NOT_READABLE";

/// Statements that a residency proof does not make, in plain language.
pub const NOT_PROVED: [&str; 4] = [
    "It describes one moment. The rules or the resources may have changed since then; ask for a refreshed proof.",
    "It does not look into the data: it proves where resources can be created, not what an application sends elsewhere \
     over the internet.",
    "It relies on the answers of AWS. Compare them with your own read access to the account if you have it.",
    "The signature proves who has written the document, and that it was not changed since. The key belongs to the \
     provider, so obtain the public key from another source than the document.",
];

/// Signed document about the regions of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofDocument {
    /// Version of the document, see [`PROOF_VERSION`].
    pub version: u32,
    pub installation_id: InstallationId,
    pub tenant_id: TenantId,
    pub environment_id: EnvironmentId,
    /// Name of the environment, such as `production`.
    pub environment: EnvironmentName,
    /// Operation whose worker has made the observations.
    pub operation_id: OperationId,
    /// Time at which the observations started.
    pub observed_at: DateTime<Utc>,
    pub aws_account_id: AwsAccountId,
    pub residency: ResidencyName,
    /// Whether everything that was observed keeps the environment within its residency.
    pub conforms: bool,
    /// Reasons why the environment does not conform, in plain language; empty if it does.
    pub reasons: Vec<String>,
    /// Regions that were requested for the environment: home first, then replicas.
    pub requested_regions: Vec<Region>,
    /// Regions that the policy is required to allow.
    pub allowed_regions: Vec<Region>,
    /// Name of the policy that enforces the residency.
    pub guardrail: String,
    /// The account and everything above it up to the root of the organisation, with the attached policies.
    pub attachments: Vec<Attachment>,
    /// The attached policies with their texts.
    pub policies: Vec<AttachedPolicy>,
    /// Attempt to use a region outside the residency.
    pub denied_region: RegionProbe,
    pub stacks: Vec<ProofStack>,
    pub replicas: Vec<ProofReplica>,
    /// Status of the CloudFormation stack of the front door; `None` if the environment has no front door.
    pub front_door: Option<String>,
    /// Whether the residency allows a front door.
    pub front_door_allowed: bool,
    /// Roles and services to which the policy does not apply, in plain language.
    pub exemptions: Vec<String>,
    /// Open findings about the environment: differences between AWS and the records of the provider.
    pub drift: Vec<Drift>,
    /// Data that leave the regions anyway, in plain language.
    pub leaves_region: Vec<String>,
}

string_enum! {
    /// Kind of a target to which policies are attached.
    AttachmentKind {
        Account = "account",
        OrganizationalUnit = "organizational_unit",
        Root = "root",
    }
}

/// Account, organizational unit or root with the policies that are attached to it directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub kind: AttachmentKind,
    /// Id of the target in AWS Organizations.
    pub id: String,
    /// Name of the organizational unit; `None` for accounts and roots.
    pub name: Option<String>,
    /// Ids of the attached policies.
    pub policies: Vec<String>,
}

/// Service control policy that applies to the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedPolicy {
    pub id: String,
    pub name: String,
    /// SHA-256 of the text in hexadecimal digits.
    pub sha256: String,
    /// Text of the policy, as AWS has returned it.
    pub text: String,
    /// Whether the policy is the one that enforces the residency.
    pub is_guardrail: bool,
    /// Whether the text has the content that the provider requires; `None` if the policy is not the guardrail.
    pub matches_expected: Option<bool>,
}

string_enum! {
    /// Result of the attempt to use a region outside the residency.
    ProbeResult {
        /// A policy denied the call explicitly.
        Denied = "denied",
        /// The call was possible.
        Allowed = "allowed",
        /// The call was refused, but not by a policy that denies it explicitly.
        RefusedWithoutPolicy = "refused_without_policy",
        /// The role could not be used, so that no call was made.
        NotObserved = "not_observed",
        /// The residency contains all regions that need no opt-in.
        NoOtherRegion = "no_other_region",
    }
}

/// Attempt to use a region outside the residency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionProbe {
    /// Region of the attempt; `None` if there is no region to try.
    pub region: Option<Region>,
    /// Role that made the call. The policy applies to it in the same way as to the customer.
    pub role: String,
    /// Call of AWS that was attempted.
    pub call: String,
    pub result: ProbeResult,
    pub at: DateTime<Utc>,
}

/// CloudFormation stack of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofStack {
    pub kind: StackKind,
    /// Region of the environment that the stack serves: `home`, `replica` or `all regions`.
    pub serves: String,
    pub region: Region,
    pub name: String,
    /// ARN of the stack that AWS has returned; `None` if there is none.
    pub stack_id: Option<String>,
    /// Status that CloudFormation reports, [`STACK_NOT_FOUND`] or [`STACK_NOT_READABLE`].
    pub status: String,
    /// Whether the stack is on record as completely created.
    pub is_expected: bool,
}

/// Replica of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofReplica {
    pub region: Region,
    pub state: ReplicaState,
    pub since: DateTime<Utc>,
}

/// Open finding about the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub kind: FindingKind,
    pub severity: Severity,
    pub since: DateTime<Utc>,
}

/// Proof that a worker has signed, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedProof {
    pub observed_at: DateTime<Utc>,
    pub conforms: bool,
    /// Id of the key that has signed the proof.
    pub key_id: String,
    /// The document as a compact JWS.
    pub jws: String,
}

/// Reads public keys from a file if `text` is the path of one, or else from `text` itself, see
/// [`PublicKey::parse_all`].
pub fn read_public_keys(text: &str) -> Result<Vec<PublicKey>, ProofKeyError> {
    let path = PathBuf::from(text);
    if path.is_file() {
        let content = std::fs::read_to_string(&path).map_err(|error| ProofKeyError::File(path, error.to_string()))?;
        return PublicKey::parse_all(&content);
    }
    PublicKey::parse_all(text)
}
