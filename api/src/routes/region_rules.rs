//! Parsing and validation of the fields `home_region`, `residency` and `replica_regions`.

use freehold_tenancy::needed_types::NeededTypes;
use freehold_tenancy::replica::MAX_REPLICAS;
use freehold_tenancy::{Config, Region, ResidencyName};

use crate::app::App;
use crate::extract::Fields;

const REPLICA_REGIONS: &str = "replica_regions";

/// Code of a region in which CloudFormation lacks a resource type that an environment needs.
pub(super) const REGION_WITHOUT_TYPE: &str = "region_without_type";

/// Rules of the configuration for the regions of an environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegionRules<'a> {
    pub(crate) config: &'a Config,
    pub(crate) types: &'a NeededTypes,
}

impl<'a> RegionRules<'a> {
    pub(super) fn of(app: &'a App) -> Self {
        Self { config: &app.config, types: &app.needed_types }
    }

    /// Returns the residency of the home region, in which an environment must be able to run. Records an error if the
    /// request contains a different residency.
    pub(super) fn parse_residency(self, fields: &mut Fields, region: Option<Region>) -> Option<ResidencyName> {
        let config = self.config;
        let requested: Option<ResidencyName> = fields.optional("residency");
        if let Some(name) = &requested
            && config.residency(name).is_none()
        {
            let known: Vec<_> = config.residencies.iter().map(|residency| residency.name.as_str()).collect();
            fields.error("residency", "unknown_residency", format!("must be one of {}", known.join(", ")));
        }
        let region = region?;
        let of_region = self.residency_of(fields, region)?;
        if let Some(requested) = requested.and_then(|name| config.residency(&name))
            && requested.name != of_region
        {
            let message = format!("{region} belongs to the residency {of_region}, not to {}", requested.name);
            fields.error("home_region", "region_outside_residency", message);
        }
        if let Some(refusal) = self.types.refusal(region) {
            fields.error("home_region", REGION_WITHOUT_TYPE, refusal);
        }
        Some(of_region)
    }

    /// Returns the residency of a home region. Records an error if no residency contains the region.
    fn residency_of(self, fields: &mut Fields, region: Region) -> Option<ResidencyName> {
        let residency = self.config.residency_of(region);
        if residency.is_none() {
            let offered = self.config.residencies.iter().flat_map(|residency| &residency.regions);
            let offered = offered.filter(|region| self.types.refusal(**region).is_none());
            let offered: Vec<_> = offered.map(|region| region.as_str()).collect();
            let message = format!("{region} is not offered; must be one of {}", offered.join(", "));
            fields.error("home_region", "region_not_offered", message);
        }
        residency.map(|residency| residency.name.clone())
    }

    /// Parses the replica regions of an environment, which must be further regions of its residency. `deployed` are the
    /// replica regions that the environment has. Records an error for each invalid region, and returns the valid ones.
    /// A missing field means no replicas.
    pub(super) fn parse_replica_regions(
        self,
        fields: &mut Fields,
        home_region: Option<Region>,
        residency: Option<&ResidencyName>,
        deployed: &[Region],
    ) -> Vec<Region> {
        let given = fields.list_with_code::<Region>(REPLICA_REGIONS, "unknown_region");
        let Some((count, given)) = given else { return Vec::new() };
        if count > MAX_REPLICAS {
            let message = format!("an environment can have at most {MAX_REPLICAS} replica regions");
            fields.error(REPLICA_REGIONS, "too_many", message);
        }
        let mut regions = Vec::new();
        for (index, region) in given {
            let problem = self.find_problem(home_region, residency, &regions, region).or_else(|| {
                let refusal = self.types.refusal(region).filter(|_| !deployed.contains(&region))?;
                Some((REGION_WITHOUT_TYPE, refusal))
            });
            if let Some((code, message)) = problem {
                fields.error(format!("{REPLICA_REGIONS}[{index}]"), code, message);
            }
            regions.push(region);
        }
        regions
    }

    /// Returns the code and the message of the reason why `region` is not another region of the residency, or `None` if
    /// it is.
    fn find_problem(
        self,
        home_region: Option<Region>,
        residency: Option<&ResidencyName>,
        others: &[Region],
        region: Region,
    ) -> Option<(&'static str, String)> {
        if home_region == Some(region) {
            return Some(("home_region", format!("must be another region than the home region {region}")));
        }
        if others.contains(&region) {
            return Some(("repeated", "each replica must be in a different region".to_owned()));
        }
        let wanted = residency?;
        match self.config.residency_of(region) {
            Some(found) if found.name == *wanted => None,
            Some(found) => {
                let message = format!("{region} belongs to the residency {}, not to {wanted}", found.name);
                Some(("region_outside_residency", message))
            }
            None => Some(("region_outside_residency", format!("{region} does not belong to the residency {wanted}"))),
        }
    }
}
