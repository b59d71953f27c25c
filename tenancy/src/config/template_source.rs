//! Template URLs and capabilities of the tenant stack, for templates that are too large or too special for a plain
//! CreateStack call.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

/// Required prefix of the bucket name, because the roles of Freehold may read only buckets with this prefix.
pub const TEMPLATE_BUCKET_PREFIX: &str = "freehold-templates-";

/// Maximum length of a template URL ("Select a stack template").
const MAX_URL_LENGTH: usize = 1_024;

/// Capability that a caller of CloudFormation acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Capability {
    /// The template creates IAM resources.
    #[serde(rename = "CAPABILITY_IAM")]
    Iam,
    /// The template creates IAM resources, also with names of its own. Includes [`Capability::Iam`].
    #[serde(rename = "CAPABILITY_NAMED_IAM")]
    NamedIam,
    /// The template uses macros, which CloudFormation expands without a review of the result.
    #[serde(rename = "CAPABILITY_AUTO_EXPAND")]
    AutoExpand,
}

impl Capability {
    /// Returns the name in the API of CloudFormation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iam => "CAPABILITY_IAM",
            Self::NamedIam => "CAPABILITY_NAMED_IAM",
            Self::AutoExpand => "CAPABILITY_AUTO_EXPAND",
        }
    }

    /// Returns whether `granted` contains this capability or one that includes it.
    pub fn is_granted_by(self, granted: &[Self]) -> bool {
        granted.contains(&self) || (self == Self::Iam && granted.contains(&Self::NamedIam))
    }
}

/// Entry of `[stack.template_urls]`: the copy of the template in the S3 of one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateUrl {
    /// URL of one version of an S3 object.
    pub url: String,
    /// SHA-256 of the object in lower-case hexadecimal digits.
    pub sha256: String,
}

impl TemplateUrl {
    /// Returns whether `body` has the configured hash.
    pub fn has_content(&self, body: &str) -> bool {
        sha256_of(body) == self.sha256
    }

    /// Returns the rules that the entry of `region` violates, each with the name of the field.
    pub fn violations(&self, region: &str) -> Vec<(&'static str, String)> {
        let mut violations = Vec::new();
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        if !is_digest(&self.sha256) {
            violations.push(("sha256", "must be 64 lower-case hexadecimal digits".to_owned()));
        }
        if let Some(violation) = self.url_violation(region) {
            violations.push(("url", violation));
        }
        violations
    }

    fn url_violation(&self, region: &str) -> Option<String> {
        let example =
            format!("https://{TEMPLATE_BUCKET_PREFIX}example.s3.{region}.amazonaws.com/stack.yaml?versionId=…");
        let Ok(url) = Url::parse(&self.url) else { return Some(format!("must be a URL such as {example}")) };
        if self.url.len() > MAX_URL_LENGTH {
            return Some(format!("must have at most {MAX_URL_LENGTH} characters, not {}", self.url.len()));
        }
        if url.scheme() != "https" || url.port().is_some() || url.username() != "" || url.password().is_some() {
            return Some(format!("must start with https:// and have no port and no user name, such as {example}"));
        }
        let host = url.host_str().unwrap_or_default();
        let endpoint = format!("s3.{region}.amazonaws.com");
        let (bucket, key) = match host.strip_suffix(&endpoint) {
            Some("") => url.path().trim_start_matches('/').split_once('/').unwrap_or_default(),
            Some(bucket) if bucket.ends_with('.') => (bucket.trim_end_matches('.'), url.path().trim_start_matches('/')),
            _ => return Some(format!("must be on the S3 host of {region}, such as {example}")),
        };
        if key.is_empty() {
            return Some(format!("must have the key of an object, such as {example}"));
        }
        if !bucket.starts_with(TEMPLATE_BUCKET_PREFIX) || bucket.len() == TEMPLATE_BUCKET_PREFIX.len() {
            return Some(format!(
                "must be in a bucket whose name starts with {TEMPLATE_BUCKET_PREFIX}, because the roles of Freehold \
                 may read no other bucket"
            ));
        }
        let query: Vec<_> = url.query_pairs().collect();
        let is_pinned =
            matches!(query.as_slice(), [(name, id)] if name == "versionId" && !matches!(&**id, "" | "null"));
        if !is_pinned || url.fragment().is_some() {
            return Some(
                "must end with ?versionId= and the id of a version, because a version cannot change".to_owned(),
            );
        }
        None
    }
}

/// Returns the SHA-256 of a text in lower-case hexadecimal digits.
pub fn sha256_of(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(url: &str) -> Option<String> {
        let entry = TemplateUrl { url: url.to_owned(), sha256: sha256_of("x") };
        let violations = entry.violations("eu-central-1");
        assert!(violations.iter().all(|(field, _)| *field == "url"), "{violations:?}");
        violations.into_iter().next().map(|(_, violation)| violation)
    }

    #[test]
    fn a_template_url_names_one_version_in_the_s3_of_its_region() {
        for url in [
            "https://freehold-templates-example.s3.eu-central-1.amazonaws.com/a/stack.yaml?versionId=3sL4kq",
            "https://s3.eu-central-1.amazonaws.com/freehold-templates-example/stack.yaml?versionId=3sL4kq",
        ] {
            assert_eq!(violation(url), None, "{url}");
        }
        for (url, expected) in [
            ("stack.yaml", "must be a URL such as https://freehold-templates-example.s3.eu-central-1"),
            ("http://freehold-templates-x.s3.eu-central-1.amazonaws.com/a?versionId=1", "must start with https://"),
            ("https://u@freehold-templates-x.s3.eu-central-1.amazonaws.com/a?versionId=1", "must start with https://"),
            (
                "https://freehold-templates-x.s3.eu-west-1.amazonaws.com/a?versionId=1",
                "must be on the S3 host of eu-central-1",
            ),
            ("https://s3.eu-central-1.amazonaws.com.example.com/b/a?versionId=1", "must be on the S3 host of"),
            ("https://evils3.eu-central-1.amazonaws.com/a?versionId=1", "must be on the S3 host of"),
            (
                "https://freehold-templates-x.s3.eu-central-1.amazonaws.com/?versionId=1",
                "must have the key of an object",
            ),
            ("https://s3.eu-central-1.amazonaws.com/other/a?versionId=1", "must be in a bucket whose name starts"),
            ("https://freehold-templates-x.s3.eu-central-1.amazonaws.com/a", "must end with ?versionId="),
            (
                "https://freehold-templates-x.s3.eu-central-1.amazonaws.com/a?versionId=null",
                "must end with ?versionId=",
            ),
            (
                "https://freehold-templates-x.s3.eu-central-1.amazonaws.com/a?versionId=1&x=2",
                "must end with ?versionId=",
            ),
        ] {
            let found = violation(url).unwrap_or_default();
            assert!(found.starts_with(expected), "{url}: {found}");
        }
    }

    #[test]
    fn a_named_iam_capability_includes_the_plain_one() {
        assert!(Capability::Iam.is_granted_by(&[Capability::NamedIam]));
        assert!(!Capability::NamedIam.is_granted_by(&[Capability::Iam]));
        assert!(!Capability::AutoExpand.is_granted_by(&[Capability::NamedIam]));
    }
}
