//! Simulated CloudFront. Stacks create distributions, which answer viewers at a URL by AWS's rules. Nothing is cached.
//!
//! | topic | file |
//! |---|---|
//! | configuration of a distribution, as it is stored | `config.rs` |
//! | parsing of the configuration in a template | `parse.rs` |
//! | the refusals of CreateDistribution and UpdateDistribution | `validate.rs` |
//! | a request of a viewer: behaviours, methods, failover | `viewer.rs` |
//! | a request to an origin: attempts, time-outs, signature | `origin.rs` |

mod config;
mod origin;
mod parse;
mod validate;
mod viewer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use config::{Behavior, Distribution, DistributionConfig, Origin, OriginAccessControl, OriginGroup};
pub(crate) use parse::{parse_access_control, parse_distribution};
pub(crate) use validate::{Refusal, check_access_control, check_distribution};
pub use viewer::ViewerResponse;

use crate::world::Ctx;

/// Suffix of the domain names of distributions.
const DOMAIN_SUFFIX: &str = ".cloudfront.net";

/// CloudFront resources of one account. CloudFront is not part of a region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CloudFront {
    /// Origin access controls by id.
    pub access_controls: BTreeMap<String, OriginAccessControl>,
    /// Distributions of the account by id.
    pub distributions: BTreeMap<String, Distribution>,
}

impl CloudFront {
    /// Returns the number of distributions whose origins use an origin access control.
    pub(crate) fn users_of_access_control(&self, id: &str) -> usize {
        let uses = |distribution: &&Distribution| {
            distribution.config.origins.iter().any(|origin| origin.access_control.as_deref() == Some(id))
        };
        self.distributions.values().filter(uses).count()
    }
}

/// Converts the URL of a distribution (`https://d….cloudfront.net`) to the URL at which the sandbox serves it, and
/// returns any other text unchanged.
pub(crate) fn local_url(ctx: &Ctx, value: &str) -> String {
    let host = value.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let label = host.and_then(|host| host.strip_suffix(DOMAIN_SUFFIX)).filter(|label| is_label(label));
    match (label, &ctx.base_url) {
        (Some(label), Some(base)) => format!("{base}/cloudfront/{label}/"),
        _ => value.to_owned(),
    }
}

/// Returns the first label of the domain name of a distribution and the path of a request to it. The URL is
/// `…/cloudfront/d…/…` or, as in AWS, `https://d….cloudfront.net/…`. Returns `None` for other URLs.
fn viewer_url(uri: &str) -> Option<(String, String)> {
    let path = winterbaume_core::extract_path(uri);
    let (label, path) = if let Some(rest) = path.strip_prefix("/cloudfront/") {
        let (label, path) = rest.split_once('/').unwrap_or((rest, ""));
        (label.to_owned(), format!("/{path}"))
    } else {
        let host = uri.split_once("://")?.1.split(['/', '?']).next()?;
        (host.strip_suffix(DOMAIN_SUFFIX)?.to_owned(), path)
    };
    is_label(&label).then_some((label, path))
}

fn is_label(label: &str) -> bool {
    label.starts_with('d') && label.len() == 14 && label.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_found_by_path_and_by_host() {
        let found = |path: &str| Some(("d111111abcdef8".to_owned(), path.to_owned()));
        assert_eq!(viewer_url("http://127.0.0.1:1/cloudfront/d111111abcdef8/api/x?y=1"), found("/api/x"));
        assert_eq!(viewer_url("http://127.0.0.1:1/cloudfront/d111111abcdef8"), found("/"));
        assert_eq!(viewer_url("https://d111111abcdef8.cloudfront.net/api"), found("/api"));
        for other in ["https://sts.eu-west-1.amazonaws.com/", "http://127.0.0.1:1/cloudfront/bucket/key"] {
            assert_eq!(viewer_url(other), None, "{other}");
        }
    }
}
