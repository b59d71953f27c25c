//! Parsing and validation of the field `front_door`.

use freehold_tenancy::{Region, ResidencyName, Tier};

use super::region_rules::{REGION_WITHOUT_TYPE, RegionRules};
use crate::extract::Fields;

const FIELD: &str = "front_door";

/// Parses whether an environment should have a front door, which its residency and its home region must allow. Records
/// an error if they do not. Returns `None` for a missing field.
pub(super) fn parse_front_door(
    fields: &mut Fields,
    rules: RegionRules<'_>,
    home: Option<Region>,
    residency: Option<&ResidencyName>,
) -> Option<bool> {
    let is_wanted = fields.optional_bool(FIELD);
    if is_wanted != Some(true) {
        return is_wanted;
    }
    if let Some(residency) = residency.filter(|residency| !rules.config.allows_front_door(residency)) {
        let message = format!(
            "the residency {residency} allows no front door, because CloudFront decrypts requests all over the world"
        );
        fields.error(FIELD, "edge_not_allowed", message);
    } else if let Some(refusal) = home.and_then(|home| rules.types.front_door_refusal(home)) {
        fields.error(FIELD, REGION_WITHOUT_TYPE, refusal);
    }
    is_wanted
}

/// Parses whether a new environment should have a front door. For a missing field, the tier decides, if the residency
/// and the home region allow a front door.
pub(super) fn parse_new_front_door(
    fields: &mut Fields,
    rules: RegionRules<'_>,
    home: Option<Region>,
    tier: Option<&Tier>,
    residency: Option<&ResidencyName>,
) -> bool {
    let given = parse_front_door(fields, rules, home, residency);
    let is_possible = || home.is_some_and(|home| rules.types.front_door_refusal(home).is_none());
    let is_default =
        || tier.zip(residency).is_some_and(|(tier, name)| rules.config.has_front_door_by_default(tier, name));
    given.unwrap_or_else(|| is_default() && is_possible())
}
