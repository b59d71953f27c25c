//! Parsing and validation of the field `replica_regions`.

use freehold_tenancy::replica::MAX_REPLICAS;
use freehold_tenancy::{Config, Region, ResidencyName};

use crate::extract::Fields;

const FIELD: &str = "replica_regions";

/// Parses the replica regions of an environment, which must be further regions of its residency. Records an error for
/// each invalid region, and returns the valid ones. A missing field means no replicas.
pub(super) fn parse_replica_regions(
    fields: &mut Fields,
    config: &Config,
    home_region: Option<Region>,
    residency: Option<&ResidencyName>,
) -> Vec<Region> {
    let Some((count, given)) = fields.list_with_code::<Region>(FIELD, "unknown_region") else { return Vec::new() };
    if count > MAX_REPLICAS {
        fields.error(FIELD, "too_many", format!("an environment can have at most {MAX_REPLICAS} replica regions"));
    }
    let mut regions = Vec::new();
    for (index, region) in given {
        if let Some((code, message)) = find_problem(config, home_region, residency, &regions, region) {
            fields.error(format!("{FIELD}[{index}]"), code, message);
        }
        regions.push(region);
    }
    regions
}

/// Returns the code and the message of the reason why `region` cannot be a replica region, or `None` if it can.
fn find_problem(
    config: &Config,
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
    match config.residency_of(region) {
        Some(found) if found.name == *wanted => None,
        Some(found) => {
            let message = format!("{region} belongs to the residency {}, not to {wanted}", found.name);
            Some(("region_outside_residency", message))
        }
        None => Some(("region_outside_residency", format!("{region} does not belong to the residency {wanted}"))),
    }
}
