//! Resource types that the stacks of an environment need in each region.

use std::collections::{BTreeMap, BTreeSet};

use crate::string_enum::string_enum;
use crate::{Config, Region};

string_enum! {
    /// Stack that needs a resource type.
    NeedingStack {
        /// The stack with the roles of Freehold.
        Baseline = "baseline",
        /// The stack of the configured template.
        Tenant = "tenant",
        /// The stack with the CloudFront distribution, and what the distribution needs in the region.
        FrontDoor = "front_door",
    }
}

/// Resource type that a stack needs, and CloudFormation lacks in a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingType {
    /// Name such as `AWS::Lambda::Url`.
    pub resource_type: String,
    pub stack: NeedingStack,
}

/// Resource types that the stacks need in one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionTypes {
    /// Types that CloudFormation has in the region.
    pub available: BTreeSet<String>,
    pub missing: Vec<MissingType>,
}

/// Resource types that the stacks of the configuration need, by region.
#[derive(Debug, Clone, Default)]
pub struct NeededTypes(BTreeMap<Region, RegionTypes>);

impl NeededTypes {
    /// Returns the types of a region, or `None` if nothing is known about the template of the region.
    pub fn of_region(&self, region: Region) -> Option<&RegionTypes> {
        self.0.get(&region)
    }

    /// Returns why no environment can run in a region, or `None` if it can. A type that only the front door needs does
    /// not count.
    pub fn refusal(&self, region: Region) -> Option<String> {
        let missing = self.of_region(region)?.missing.iter();
        let missing: Vec<_> = missing.filter(|one| one.stack != NeedingStack::FrontDoor).collect();
        let stack = match missing.first()?.stack {
            NeedingStack::Tenant => "the template of the tenant stack",
            NeedingStack::Baseline | NeedingStack::FrontDoor => "the baseline",
        };
        let types: Vec<_> = missing.iter().map(|one| one.resource_type.as_str()).collect();
        Some(format!("AWS CloudFormation lacks {} in {region}, which {stack} needs", types.join(", ")))
    }

    /// Returns why no front door can be in front of a home in this region, or `None` if it can.
    pub fn front_door_refusal(&self, region: Region) -> Option<String> {
        let mut missing = self.of_region(region)?.missing.iter();
        let missing = missing.find(|one| one.stack == NeedingStack::FrontDoor)?;
        Some(format!("AWS CloudFormation lacks {} in {region}, which a front door needs", missing.resource_type))
    }

    /// Returns the regions of the residencies in which no environment can run, each with the reason.
    pub fn refusals<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = (Region, String)> + 'a {
        let regions = config.residencies.iter().flat_map(|residency| &residency.regions);
        regions.filter_map(|region| Some((*region, self.refusal(*region)?)))
    }
}

impl FromIterator<(Region, RegionTypes)> for NeededTypes {
    fn from_iter<T: IntoIterator<Item = (Region, RegionTypes)>>(regions: T) -> Self {
        Self(regions.into_iter().collect())
    }
}
