//! Template of the front door, a CloudFront distribution in front of the regions of an environment.

use serde_json::json;

/// Tag of the stack with the version of its template.
pub(crate) const VERSION_TAG: &str = "freehold:front-door";

/// Template without behaviours for writes.
const FRONT_DOOR_TEMPLATE: &str = include_str!("../../../stacks/freehold-front-door.yaml");

/// Comment of the template that the behaviours for writes replace.
const MARKER: &str = "        # The behaviours for the paths of writes.\n";

/// Id of the cache policy CachingDisabled.
const CACHING_DISABLED: &str = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad";

/// Id of the origin request policy AllViewerExceptHostHeader. A function URL refuses the host of the distribution.
const ALL_VIEWER_EXCEPT_HOST_HEADER: &str = "b689b0a8-53d0-40ab-baf2-68738e2966ac";

/// Returns the template of the front door. Requests to a path pattern in `write_paths`, such as `/api/*`, can have any
/// method and reach the home region alone, because CloudFront fails over only for GET, HEAD and OPTIONS.
pub fn template(write_paths: &[String]) -> String {
    if write_paths.is_empty() {
        return FRONT_DOOR_TEMPLATE.to_owned();
    }
    let behaviors: Vec<String> = write_paths.iter().map(|path| format!("          - {}", behavior(path))).collect();
    FRONT_DOOR_TEMPLATE.replacen(MARKER, &format!("        CacheBehaviors:\n{}\n", behaviors.join("\n")), 1)
}

/// Returns the version of a template: its hash.
pub(crate) fn version(template: &str) -> String {
    freehold_tenancy::baseline::hash(template.as_bytes())
}

/// Returns the behaviour for a path of writes as JSON, which is valid YAML.
fn behavior(path: &str) -> serde_json::Value {
    json!({
        "PathPattern": path,
        "TargetOriginId": "home",
        "ViewerProtocolPolicy": "https-only",
        "AllowedMethods": ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"],
        "CachePolicyId": CACHING_DISABLED,
        "OriginRequestPolicyId": ALL_VIEWER_EXCEPT_HOST_HEADER,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;

    #[test]
    fn each_path_of_writes_is_a_behaviour_for_the_home_region_alone() {
        assert!(FRONT_DOOR_TEMPLATE.contains(MARKER));
        let text = template(&["/api/*".to_owned(), "/it's: \"#1\"?".to_owned()]);
        let template = Template::parse(&text).unwrap();
        let (_, distribution) = template.section("Resources").find(|(name, _)| *name == "Distribution").unwrap();
        let config = &distribution["Properties"]["DistributionConfig"];
        let behaviors = config["CacheBehaviors"].as_array().unwrap();
        let paths: Vec<_> = behaviors.iter().map(|behavior| behavior["PathPattern"].as_str().unwrap()).collect();
        assert_eq!(paths, ["/api/*", "/it's: \"#1\"?"]);
        assert!(behaviors.iter().all(|behavior| behavior["TargetOriginId"] == "home"));
        let default = &config["DefaultCacheBehavior"];
        for policy in ["CachePolicyId", "OriginRequestPolicyId"] {
            assert!(behaviors.iter().all(|behavior| behavior[policy] == default[policy]), "{policy}");
        }
    }

    #[test]
    fn a_front_door_without_paths_of_writes_has_one_behaviour() {
        let template = Template::parse(&template(&[])).unwrap();
        let (_, distribution) = template.section("Resources").find(|(name, _)| *name == "Distribution").unwrap();
        assert!(distribution["Properties"]["DistributionConfig"].get("CacheBehaviors").is_none());
    }
}
