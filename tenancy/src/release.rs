//! Release: an immutable version of the tenant stack.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::{TemplateUrl, sha256_of};
pub use crate::environment_stack::{DeployedRelease, StackParameters};
use crate::requester::Requester;
use crate::string_enum::string_enum;
use crate::{Region, ReleaseId};

/// Field of the input of an operation with the release that it deploys or previews.
pub const RELEASE_FIELD: &str = "release";

/// Field of the input of an update with the rollout that has started it.
pub const ROLLOUT_FIELD: &str = "rollout";

/// Field of the input of an operation with the parameters of the environment, as they were at the request.
pub const PARAMETERS_FIELD: &str = "parameters";

/// Fact of the step `preview-release` with the changes of each region, the home region first.
pub const PREVIEW_FACT: &str = "changes";

string_enum! {
    /// State of a release.
    ReleaseState {
        /// A worker has not checked the release yet.
        Checking = "checking",
        /// The release passed the checks. It can be deployed once it is approved.
        Ready = "ready",
        /// The release did not pass the checks, and is never deployed.
        Refused = "refused",
    }
}

string_enum! {
    /// Place from which a release comes.
    ReleaseSource {
        /// A registration over the API.
        Api = "api",
        /// The `[stack]` of the configuration, as a worker has read it. Access to the configuration is its approval.
        Configuration = "configuration",
    }
}

/// Content of a release, to which its hash and its approval are bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseContent {
    /// Template of the regions without one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Templates that replace `template` in single regions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub region_templates: BTreeMap<Region, String>,
    /// Copies in the S3 of each region, which CloudFormation reads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub urls: BTreeMap<Region, TemplateUrl>,
    /// Parameters in addition to those that Freehold passes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: StackParameters,
    /// Parameters that replace `parameters` in single regions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub region_parameters: BTreeMap<Region, StackParameters>,
}

/// Template of a release in one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseTemplate<'a> {
    Text(&'a str),
    Url(&'a TemplateUrl),
}

impl ReleaseContent {
    /// Returns the SHA-256 of the content in lower-case hexadecimal digits.
    pub fn sha256(&self) -> String {
        sha256_of(&json!(self).to_string())
    }

    /// Returns the template of a region, or `None` if the release has none for it.
    pub fn template_in(&self, region: Region) -> Option<ReleaseTemplate<'_>> {
        let url = self.urls.get(&region).map(ReleaseTemplate::Url);
        url.or_else(|| self.text_in(region).map(ReleaseTemplate::Text))
    }

    /// Returns the text of a region's template, or `None` if the release has only a copy in S3, or no template.
    pub fn text_in(&self, region: Region) -> Option<&str> {
        self.region_templates.get(&region).or(self.template.as_ref()).map(String::as_str)
    }

    /// Returns the parameters of a region, with those of the environment, which take precedence.
    pub fn parameters_in(&self, region: Region, of_environment: &StackParameters) -> StackParameters {
        let of_region = self.region_parameters.get(&region).into_iter().flatten();
        let all = self.parameters.iter().chain(of_region).chain(of_environment);
        all.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// Consent of a second person to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseApproval {
    pub by: Requester,
    pub at: DateTime<Utc>,
}

/// Immutable version of the tenant stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    pub id: ReleaseId,
    pub source: ReleaseSource,
    /// Hash of the content.
    pub sha256: String,
    pub content: ReleaseContent,
    /// Description by the registrant.
    pub notes: Option<String>,
    pub registered_by: Requester,
    pub created_at: DateTime<Utc>,
    pub state: ReleaseState,
    /// Reasons why the release was refused, each starting with the name of a field.
    pub problems: Vec<String>,
    /// Names of the parameters that the template of each region declares; empty before the check.
    pub declared_parameters: BTreeMap<Region, Vec<String>>,
    /// Time at which the check ended; `None` before.
    pub checked_at: Option<DateTime<Utc>>,
    /// Approval; `None` before, and for a release of the configuration.
    pub approval: Option<ReleaseApproval>,
    /// Whether new environments get the release.
    pub is_default: bool,
}

impl Release {
    /// Returns whether the release may be deployed in production.
    pub fn is_approved(&self) -> bool {
        self.source == ReleaseSource::Configuration || self.approval.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(entries: &[(&str, &str)]) -> StackParameters {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn parameters_of_the_environment_take_precedence() {
        let (home, other): (Region, Region) = ("eu-central-1".parse().unwrap(), "us-east-1".parse().unwrap());
        let content = ReleaseContent {
            parameters: parameters(&[("Size", "1"), ("Bucket", "code"), ("Level", "info")]),
            region_parameters: BTreeMap::from([(home, parameters(&[("Bucket", "code-eu"), ("Level", "warn")]))]),
            ..ReleaseContent::default()
        };
        let own = parameters(&[("Level", "debug")]);
        let expected = parameters(&[("Size", "1"), ("Bucket", "code-eu"), ("Level", "debug")]);
        assert_eq!(content.parameters_in(home, &own), expected);
        assert_eq!(content.parameters_in(other, &StackParameters::new()), content.parameters);
    }

    #[test]
    fn a_region_has_its_url_or_its_own_template_or_the_common_one() {
        let [first, second, third] = ["eu-central-1", "eu-central-2", "us-east-1"].map(|one| one.parse().unwrap());
        let url = TemplateUrl { url: "https://example.com".to_owned(), sha256: "0".repeat(64) };
        let content = ReleaseContent {
            template: Some("common".to_owned()),
            region_templates: BTreeMap::from([(second, "own".to_owned())]),
            urls: BTreeMap::from([(third, url.clone())]),
            ..ReleaseContent::default()
        };
        assert_eq!(content.template_in(first), Some(ReleaseTemplate::Text("common")));
        assert_eq!(content.template_in(second), Some(ReleaseTemplate::Text("own")));
        assert_eq!(content.template_in(third), Some(ReleaseTemplate::Url(&url)));
        assert_eq!(ReleaseContent::default().template_in(first), None);
    }

    #[test]
    fn the_hash_changes_with_each_part_of_the_content() {
        let region: Region = "eu-central-1".parse().unwrap();
        let base = ReleaseContent { template: Some("a".to_owned()), ..ReleaseContent::default() };
        let others = [
            ReleaseContent { template: Some("b".to_owned()), ..base.clone() },
            ReleaseContent { region_templates: BTreeMap::from([(region, "b".to_owned())]), ..base.clone() },
            ReleaseContent { parameters: parameters(&[("Size", "1")]), ..base.clone() },
            ReleaseContent {
                region_parameters: BTreeMap::from([(region, parameters(&[("Size", "1")]))]),
                ..base.clone()
            },
        ];
        let hashes: std::collections::BTreeSet<_> = others.iter().chain([&base]).map(ReleaseContent::sha256).collect();
        assert_eq!(hashes.len(), 5);
        let stored: ReleaseContent = serde_json::from_value(json!(others[3])).unwrap();
        assert_eq!(stored.sha256(), others[3].sha256());
    }
}
