//! Configuration of distributions and origin access controls, as it is stored.

use serde::{Deserialize, Serialize};

/// Methods that fail over to the second origin of a group, and the only ones that a behaviour with a group can allow.
pub(super) const FAILOVER_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distribution {
    /// Id such as `E2QWRUHEXAMPLE`.
    pub id: String,
    /// First label of the domain name, such as `d111111abcdef8`.
    pub label: String,
    pub config: DistributionConfig,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributionConfig {
    pub enabled: bool,
    pub comment: String,
    pub origins: Vec<Origin>,
    pub groups: Vec<OriginGroup>,
    /// Behaviours in the order in which their path patterns are compared. The last one is the default, for every path.
    pub behaviors: Vec<Behavior>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub id: String,
    pub domain: String,
    /// Number of attempts to connect and, for GET and HEAD, to get a response.
    pub connection_attempts: u32,
    /// Time for one attempt to connect, in seconds.
    pub connection_timeout: u32,
    /// Time for a response, in seconds.
    pub read_timeout: u32,
    /// Whether CloudFront connects without TLS, which function URLs refuse.
    pub http_only: bool,
    /// Id of the origin access control; `None` if requests to the origin are not signed.
    pub access_control: Option<String>,
}

/// A primary origin and the one that CloudFront tries next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginGroup {
    pub id: String,
    /// Statuses of the primary origin that make CloudFront try the other one.
    pub codes: Vec<u16>,
    /// Ids of the primary and the secondary origin.
    pub members: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behavior {
    pub path_pattern: String,
    /// Id of an origin or of an origin group.
    pub target: String,
    pub methods: Vec<String>,
    /// Id of the cache policy; `None` if the behaviour has the older fields for caching.
    pub cache_policy: Option<String>,
    pub has_forwarded_values: bool,
    pub origin_request_policy: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginAccessControl {
    pub name: String,
    pub description: String,
    /// Type of the origins, such as `lambda`.
    pub origin_type: String,
    /// `always`, `never` or `no-override`.
    pub signing_behavior: String,
    pub signing_protocol: String,
}

impl Distribution {
    /// Returns the domain name in AWS's format.
    pub fn domain_name(&self) -> String {
        format!("{}{}", self.label, super::DOMAIN_SUFFIX)
    }

    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:cloudfront::{account}:distribution/{}", self.id)
    }
}

impl DistributionConfig {
    pub(super) fn origin(&self, id: &str) -> Option<&Origin> {
        self.origins.iter().find(|origin| origin.id == id)
    }

    pub(super) fn group(&self, id: &str) -> Option<&OriginGroup> {
        self.groups.iter().find(|group| group.id == id)
    }
}

impl Behavior {
    pub(super) fn allows(&self, method: &str) -> bool {
        self.methods.iter().any(|allowed| allowed == method)
    }
}
