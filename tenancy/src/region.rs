//! AWS regions of the commercial partition, including the regions that require an opt-in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// AWS region of the commercial partition, such as `eu-central-1`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(&'static str);

/// Error for a text that is not the code of a known region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{region}` is not an AWS region that Freehold knows; use a region code such as eu-central-1{note}")]
pub struct UnknownRegion {
    region: String,
    /// Note for a region of another partition than `aws`; otherwise empty.
    note: &'static str,
}

/// Returns a note for a region of another partition than `aws`, or an empty text.
fn partition_note(region: &str) -> &'static str {
    if region.starts_with("us-gov-") {
        " (the partition aws-us-gov, AWS GovCloud, is not supported)"
    } else if region.starts_with("cn-") {
        " (the partition aws-cn, AWS in China, is not supported)"
    } else {
        ""
    }
}

/// Regions that are enabled by default (AWS Account Management, "Enable or disable AWS Regions").
const DEFAULT_REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Regions that each account must enable before use (AWS Account Management, "Enable or disable AWS Regions").
const OPT_IN_REGIONS: [&str; 17] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
];

impl Region {
    /// Region in which AWS keeps the configuration of CloudFront.
    pub const US_EAST_1: Self = Self("us-east-1");

    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns true if an account must opt in before it can use the region.
    pub fn is_opt_in(self) -> bool {
        OPT_IN_REGIONS.contains(&self.0)
    }

    /// Returns all known regions.
    pub fn all() -> impl Iterator<Item = Region> {
        DEFAULT_REGIONS.into_iter().chain(OPT_IN_REGIONS).map(Region)
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, UnknownRegion> {
        Self::all()
            .find(|region| region.0 == text)
            .ok_or_else(|| UnknownRegion { region: text.chars().take(64).collect(), note: partition_note(text) })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_region_codes_are_accepted() {
        assert_eq!("eu-central-1".parse::<Region>().unwrap().as_str(), "eu-central-1");
        for text in ["", "EU-CENTRAL-1", "eu-central-1a", "mars-north-1"] {
            assert!(text.parse::<Region>().is_err(), "{text} was accepted as a region");
        }
    }

    #[test]
    fn a_region_of_another_partition_is_refused_with_its_name() {
        for (region, partition) in [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")] {
            assert!(region.parse::<Region>().unwrap_err().to_string().contains(partition));
        }
    }

    #[test]
    fn only_newer_regions_require_an_opt_in() {
        assert!("eu-central-2".parse::<Region>().unwrap().is_opt_in());
        assert!(!"us-east-1".parse::<Region>().unwrap().is_opt_in());
    }
}
