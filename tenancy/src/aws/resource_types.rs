//! Regional availability of CloudFormation resource types, as known to this version of Freehold.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::Region;

/// Resource types, grouped by the regions that lack them. `tenancy/aws/generate.py` generates the file and documents
/// its format.
const DATA: &str = include_str!("resource_types.txt");

struct ResourceTypes {
    /// Regions without data, in which every known type is assumed to exist.
    unknown_regions: Vec<&'static str>,
    /// Regions in which a resource type does not exist, keyed by the service and the name of the type.
    missing: HashMap<(&'static str, &'static str), &'static str>,
}

static RESOURCE_TYPES: LazyLock<ResourceTypes> = LazyLock::new(|| {
    let (mut unknown_regions, mut missing) = (Vec::new(), HashMap::new());
    let mut group = "";
    for line in DATA.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "#" => {}
            "?" => unknown_regions = rest.split(' ').collect(),
            "-" => group = rest,
            service => missing.extend(rest.split(' ').map(|name| ((service, name), group))),
        }
    }
    ResourceTypes { unknown_regions, missing }
});

/// Returns whether a resource type is available in `region`. Returns true for custom resources and types of other
/// vendors, because Freehold has no data about them.
pub fn is_available(kind: &str, region: Region) -> bool {
    let Some((service, name)) = kind.strip_prefix("AWS::").and_then(|kind| kind.split_once("::")) else { return true };
    let types = &*RESOURCE_TYPES;
    match types.missing.get(&(service, name)) {
        Some(regions) => !regions.split(' ').any(|one| one == region.as_str()),
        None => false,
    }
}

/// Returns whether a template may use a resource type in `region`. In a region without data, each known type may be
/// used.
pub fn is_usable(kind: &str, region: Region) -> bool {
    if has_data(region) { is_available(kind, region) } else { exists(kind) }
}

/// Returns whether the resource type is available in any region.
pub fn exists(kind: &str) -> bool {
    let Some((service, name)) = kind.strip_prefix("AWS::").and_then(|kind| kind.split_once("::")) else { return true };
    RESOURCE_TYPES.missing.contains_key(&(service, name))
}

/// IAM actions, grouped by resource type. `tenancy/aws/generate.py` generates the file and documents its format.
const ACTIONS: &str = include_str!("resource_actions.txt");

static CREATING_ACTIONS: LazyLock<HashMap<(&str, &str), Vec<&str>>> = LazyLock::new(|| {
    let lines = ACTIONS.lines().filter(|line| !line.starts_with('#'));
    let types = lines.filter_map(|line| line.split_once(' ')).flat_map(|(service, types)| {
        let types = types.split(' ').filter_map(|one| one.split_once('='));
        types.map(move |(name, actions)| ((service, name), actions.split(',').collect()))
    });
    types.collect()
});

/// Returns the IAM actions that creating a resource of this type can require, except actions that read, tag or encrypt.
/// Returns no actions for an unknown type.
pub fn creating_actions(kind: &str) -> Vec<&'static str> {
    let Some(key) = kind.strip_prefix("AWS::").and_then(|kind| kind.split_once("::")) else { return Vec::new() };
    CREATING_ACTIONS.get(&key).cloned().unwrap_or_default()
}

/// Returns whether Freehold has data about a region. Without data, all known types are assumed to be available.
pub fn has_data(region: Region) -> bool {
    !RESOURCE_TYPES.unknown_regions.contains(&region.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(code: &str) -> Region {
        code.parse().unwrap()
    }

    #[test]
    fn a_type_is_available_only_in_some_regions() {
        assert!(is_available("AWS::Lambda::Url", region("eu-central-1")));
        assert!(!is_available("AWS::Lambda::Url", region("eu-central-2")));
        assert!(is_available("AWS::Lambda::Function", region("eu-central-2")));
        assert!(exists("AWS::Lambda::Url") && !exists("AWS::Lambda::Functoin"));
        assert!(!is_available("AWS::Lambda::Functoin", region("us-east-1")));
    }

    #[test]
    fn the_types_of_the_sample_exist_in_every_region_except_the_url() {
        for one in Region::all() {
            for kind in ["AWS::Logs::LogGroup", "AWS::IAM::Role", "AWS::Lambda::Function", "AWS::Lambda::Permission"] {
                assert!(is_available(kind, one), "{kind} in {one}");
            }
        }
        let without_url: Vec<_> = Region::all().filter(|one| !is_available("AWS::Lambda::Url", *one)).collect();
        assert!(without_url.len() > 5 && without_url.iter().all(|one| one.is_opt_in()), "{without_url:?}");
    }

    #[test]
    fn the_creation_of_a_resource_needs_actions() {
        assert_eq!(creating_actions("AWS::SQS::Queue"), ["sqs:CreateQueue"]);
        assert!(creating_actions("AWS::IAM::Role").contains(&"iam:CreateRole"));
        assert_eq!(creating_actions("Custom::Certificate"), [""; 0]);
    }

    #[test]
    fn types_that_are_not_of_aws_count_as_available() {
        for kind in ["Custom::Certificate", "MongoDB::Atlas::Cluster", "AWS::CloudFormation::CustomResource"] {
            assert!(exists(kind) && is_available(kind, region("mx-central-1")), "{kind}");
        }
        assert!(!has_data(region("me-south-1")) && has_data(region("us-east-1")));
    }
}
