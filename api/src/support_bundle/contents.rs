//! Lists of the files in a support bundle and of the data that it leaves out.

use freehold_tenancy::OperationId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Contents of a support bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BundleContents {
    /// Operation that the bundle is about.
    #[schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: String,
    /// Files in the archive.
    pub files: Vec<BundleFile>,
    /// Data that the archive does not contain.
    pub left_out: Vec<LeftOutData>,
}

/// File in a support bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BundleFile {
    /// Name of the file.
    #[schema(example = "operation.json")]
    pub name: String,
    /// Description of the content.
    #[schema(example = "The operation: ids, state, attention code and times.")]
    pub description: String,
}

/// Data that a support bundle leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOutData {
    /// Description of the data.
    #[schema(example = "Company name, external id and labels of the tenant")]
    pub data: String,
    /// Reason why the data is left out.
    #[schema(example = "They identify the customer; the tenant id is enough to find them in Freehold.")]
    pub reason: String,
}

pub(super) const INDEX: &str = "index.html";
pub(super) const OPERATION: &str = "operation.json";
pub(super) const STEPS: &str = "steps.json";
pub(super) const EVENTS: &str = "events.ndjson";
pub(super) const AUDIT: &str = "audit.ndjson";
pub(super) const CONFIG: &str = "config.json";
pub(super) const VERSIONS: &str = "versions.json";

/// Files with their descriptions, in the order of the archive.
pub(super) const FILES: [(&str, &str); 7] = [
    (INDEX, "Page that explains what happened and what to do. It needs no other file."),
    (OPERATION, "The operation: ids, AWS account, region, state, attention code, remedies, slots and times."),
    (STEPS, "The steps: state, attempts, times, attention codes and ids of AWS requests."),
    (EVENTS, "The latest 10,000 events of the operation: type, time, step and code."),
    (
        AUDIT,
        "The latest 10,000 entries of the audit trail about the operation: action, result, error code and id of the \
         AWS request.",
    ),
    (CONFIG, "The configuration: account ids, regions, names of residencies and tiers, timeouts and quotas."),
    (VERSIONS, "Versions of Freehold, of the database schema and of PostgreSQL."),
];

/// Data that is left out, each with the reason.
pub(super) const LEFT_OUT: [(&str, &str); 8] = [
    (
        "Company name, external id and labels of the tenant, and names of its environments",
        "They identify the customer; the tenant id is enough to find them in Freehold.",
    ),
    ("E-mail addresses, and the people and clients that sent requests", "They are personal data."),
    ("Network addresses, and request ids that a client has chosen", "They are personal data, or free text."),
    (
        "Messages of attentions, errors and waits",
        "They quote AWS, which repeats e-mail addresses, names and values of parameters. The attention code, the error \
         code and the id of the AWS request say the same; `freehold operations show` prints the messages.",
    ),
    ("Reasons, notes and other texts of operators", "They are free text."),
    ("Names, ids, outputs and parameters of stacks", "The values of parameters and outputs can be secret."),
    ("Values of requests and changes in the audit trail", "They contain the data above."),
    (
        "Passwords, keys, tokens, URLs, ARNs, paths, groups and permission sets of the configuration",
        "They are secret, or show the inside of your organisation.",
    ),
];

impl BundleContents {
    /// Returns the contents of the support bundle about `operation`.
    pub(crate) fn of(operation: OperationId) -> Self {
        let files = FILES.map(|(name, description)| BundleFile { name: name.into(), description: description.into() });
        let left_out = LEFT_OUT.map(|(data, reason)| LeftOutData { data: data.into(), reason: reason.into() });
        Self { operation_id: operation.to_string(), files: files.into(), left_out: left_out.into() }
    }
}
