//! AWS regions of the commercial partition, including the regions that require an opt-in.

mod partitions;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use partitions::other_partition_refusal;

/// AWS region of the commercial partition, such as `eu-central-1`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(&'static str);

/// Error for a text that is not the code of a known region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownRegion {
    #[error("`{0}` is not an AWS region that Freehold knows; use a region code such as eu-central-1")]
    Unknown(String),
    #[error(
        "`{region}` ({place}) is in the partition {partition}, which is not supported: {}",
        partitions::WHAT_IT_WOULD_TAKE
    )]
    OtherPartition { region: String, place: &'static str, partition: &'static str },
}

/// Maximum length of an unknown code in an error message, in characters.
const MAX_CODE_CHARS: usize = 64;

/// Regions that are enabled by default (AWS Account Management, "Enable or disable AWS Regions"). An account must opt
/// in to each region that AWS has launched since 20 March 2019, so a new region is not added here.
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

impl Region {
    /// Region in which AWS keeps the configuration of CloudFront.
    pub const US_EAST_1: Self = Self("us-east-1");

    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns the place in words, such as `Europe (Frankfurt)`.
    pub fn place(self) -> &'static str {
        partitions::commercial().place(self.0).unwrap_or_default()
    }

    /// Returns true if an account must opt in before it can use the region.
    pub fn is_opt_in(self) -> bool {
        !DEFAULT_REGIONS.contains(&self.0)
    }

    /// Returns all known regions, ordered by their codes.
    pub fn all() -> impl Iterator<Item = Region> {
        partitions::commercial().codes().map(Region)
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, UnknownRegion> {
        if let Some(region) = Self::all().find(|region| region.0 == text) {
            return Ok(region);
        }
        Err(match partitions::other_of_region(text) {
            Some(partition) => UnknownRegion::OtherPartition {
                region: shorten_code(text, MAX_CODE_CHARS / 2),
                place: partition.place(text).unwrap_or(partition.title),
                partition: partition.name,
            },
            None => UnknownRegion::Unknown(shorten_code(text, MAX_CODE_CHARS)),
        })
    }
}

fn shorten_code(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
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
    fn a_region_of_another_partition_is_refused_with_what_it_would_take() {
        for (region, partition) in [
            ("us-gov-west-1", "(AWS GovCloud (US-West)) is in the partition aws-us-gov,"),
            ("us-gov-south-9", "(AWS GovCloud (US)) is in the partition aws-us-gov,"),
            ("cn-north-1", "(China (Beijing)) is in the partition aws-cn,"),
            ("eusc-de-east-1", "(AWS European Sovereign Cloud (Germany)) is in the partition aws-eusc,"),
            ("us-iso-east-1", "in the partition aws-iso,"),
            ("us-isob-east-1", "in the partition aws-iso-b,"),
            ("eu-isoe-west-1", "in the partition aws-iso-e,"),
            ("us-isof-south-1", "in the partition aws-iso-f,"),
        ] {
            let refusal = region.parse::<Region>().unwrap_err().to_string();
            assert!(refusal.starts_with(&format!("`{region}` (")) && refusal.contains(partition), "{refusal}");
            assert!(refusal.contains("it would take an organisation and an installation of their own"), "{refusal}");
            assert!(refusal.len() <= 300, "the API shortens longer messages: {refusal}");
        }
        let long = format!("us-gov-{}", "x".repeat(500));
        assert!(long.parse::<Region>().unwrap_err().to_string().len() <= 300);
    }

    #[test]
    fn only_newer_regions_require_an_opt_in() {
        assert!("eu-central-2".parse::<Region>().unwrap().is_opt_in());
        assert!(!"us-east-1".parse::<Region>().unwrap().is_opt_in());
        let default: Vec<_> = Region::all().filter(|region| !region.is_opt_in()).map(Region::as_str).collect();
        assert_eq!(default, DEFAULT_REGIONS, "each region that is enabled by default is a known region");
    }

    #[test]
    fn each_region_has_a_place() {
        assert_eq!("eu-central-1".parse::<Region>().unwrap().place(), "Europe (Frankfurt)");
        assert!(Region::all().count() >= 34);
        assert!(Region::all().all(|region| region.place().ends_with(')')));
    }
}
