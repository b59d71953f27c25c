//! Parsing and validation of the field `front_door`.

use freehold_tenancy::{Config, ResidencyName, Tier};

use crate::extract::Fields;

const FIELD: &str = "front_door";

/// Parses whether an environment should have a front door, which its residency must allow. Records an error if it does
/// not. Returns `None` for a missing field.
pub(super) fn parse_front_door(
    fields: &mut Fields,
    config: &Config,
    residency: Option<&ResidencyName>,
) -> Option<bool> {
    let is_wanted = fields.optional_bool(FIELD);
    if is_wanted == Some(true)
        && let Some(residency) = residency.filter(|residency| !config.allows_front_door(residency))
    {
        let message = format!(
            "the residency {residency} allows no front door, because CloudFront decrypts requests all over the world"
        );
        fields.error(FIELD, "edge_not_allowed", message);
    }
    is_wanted
}

/// Parses whether a new environment should have a front door. For a missing field, the tier decides.
pub(super) fn parse_new_front_door(
    fields: &mut Fields,
    config: &Config,
    tier: Option<&Tier>,
    residency: Option<&ResidencyName>,
) -> bool {
    let given = parse_front_door(fields, config, residency);
    let by_default = || tier.zip(residency).is_some_and(|(tier, name)| config.has_front_door_by_default(tier, name));
    given.unwrap_or_else(by_default)
}
