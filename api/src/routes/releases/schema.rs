//! Schemas of releases.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use freehold_tenancy::release;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Copy of a template in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseUrl {
    /// URL of one version of an S3 object in the region.
    #[schema(example = "https://freehold-templates-example.s3.eu-central-1.amazonaws.com/app.yaml?versionId=example")]
    pub url: String,
    /// SHA-256 of the object in lower-case hexadecimal digits.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub sha256: String,
}

/// New release of the tenant stack. Each region in which environments can run needs a template: `template`, an entry
/// of `region_templates`, or one of `urls`. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRelease {
    /// CloudFormation template, as YAML or JSON, for the regions without one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 51_200)]
    pub template: Option<String>,
    /// Templates that replace `template` in single regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region_templates: Option<BTreeMap<String, String>>,
    /// Copies of templates in the S3 of each region, for templates of more than 51,200 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<BTreeMap<String, ReleaseUrl>>,
    /// Values of parameters that the templates declare, in addition to those that Freehold passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<BTreeMap<String, String>>,
    /// Values that replace `parameters` in single regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region_parameters: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Description for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Shop 2.4: faster search", max_length = 2000)]
    pub notes: Option<String>,
}

/// Release of the tenant stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// Id of the release.
    #[schema(example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub id: String,
    /// Hash of the content, to which an approval is bound.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub sha256: String,
    /// `api`, or `configuration` for the `[stack]` of the configuration.
    #[schema(example = "api")]
    pub source: String,
    /// `checking`, `ready` or `refused`.
    #[schema(example = "ready")]
    pub state: String,
    /// Reasons why the release was refused, each starting with the name of a field.
    pub problems: Vec<String>,
    /// Description by the registrant.
    #[schema(required = true, example = "Shop 2.4: faster search")]
    pub notes: Option<String>,
    /// Subject of the token that registered the release.
    pub registered_by: String,
    /// Time of the registration.
    pub registered_at: DateTime<Utc>,
    /// Time at which the check ended; `null` before.
    #[schema(required = true)]
    pub checked_at: Option<DateTime<Utc>>,
    /// Whether the release may be deployed in production. A release of the configuration needs no approval.
    pub is_approved: bool,
    /// Subject of the token that approved the release; `null` before.
    #[schema(required = true)]
    pub approved_by: Option<String>,
    /// Time of the approval; `null` before.
    #[schema(required = true)]
    pub approved_at: Option<DateTime<Utc>>,
    /// Whether new environments get the release. Without a default release, they get the `[stack]` of the
    /// configuration.
    pub is_default: bool,
    /// Content as it was registered; only in the answer for one release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Value>,
}

impl From<release::Release> for Release {
    fn from(release: release::Release) -> Self {
        let is_approved = release.is_approved();
        let (approved_by, approved_at) = release.approval.map(|approval| (approval.by.subject, approval.at)).unzip();
        Self {
            id: release.id.to_string(),
            sha256: release.sha256,
            source: release.source.to_string(),
            state: release.state.to_string(),
            problems: release.problems,
            notes: release.notes,
            registered_by: release.registered_by.subject,
            registered_at: release.created_at,
            checked_at: release.checked_at,
            is_approved,
            approved_by,
            approved_at,
            is_default: release.is_default,
            content: None,
        }
    }
}

/// Page of releases, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReleasePage {
    /// Releases of this page.
    pub releases: Vec<Release>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Approval of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseApproval {
    /// Hash of the release that the approver has reviewed.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub sha256: String,
}

/// Environment to preview a release in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPreview {
    /// Id of the environment.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub environment_id: String,
}

/// Update of an environment to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUpdate {
    /// Id of the release.
    #[schema(example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub release: String,
    /// Whether the update may start outside the maintenance windows of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_window: Option<bool>,
    /// All parameters of the environment, which take precedence over those of the release, in this update and in all
    /// later ones. Without this field, the environment keeps its parameters; `{}` removes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({ "InstanceSize": "large" }))]
    pub parameters: Option<BTreeMap<String, String>>,
    /// Reason for the audit trail, as a sentence of 1 to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "The customer has asked for the new search.", max_length = 500)]
    pub reason: Option<String>,
}

/// Operation that was started, or was open already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseOperation {
    /// Id of the operation; `null` if the environment has the release already.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub operation_id: Option<String>,
}

/// Region of an environment that has a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseRegion {
    /// Id of the tenant.
    pub tenant_id: String,
    /// Id of the environment.
    pub environment_id: String,
    /// Name of the environment.
    #[schema(example = "production")]
    pub environment: String,
    /// Region of the stack.
    #[schema(example = "eu-central-1")]
    pub region: String,
    /// `home` or `replica`.
    #[schema(example = "home")]
    pub role: String,
    /// Time of the last completed change of the stack.
    #[schema(required = true)]
    pub since: Option<DateTime<Utc>>,
}

/// Page of the environments that have a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseRegionPage {
    /// Regions of environments, in the order of the environments.
    pub regions: Vec<ReleaseRegion>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Difference between two releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseDiff {
    /// Id of the older side.
    pub against: String,
    /// Id of the release.
    pub release: String,
    /// Unified difference of the template text and of each regional text; empty if they are equal.
    pub templates: BTreeMap<String, String>,
    /// Changed parameters, each with its old and new value; `null` where a side has none.
    pub parameters: BTreeMap<String, [Option<String>; 2]>,
    /// Regions whose copy in S3 differs.
    pub urls: Vec<String>,
}
