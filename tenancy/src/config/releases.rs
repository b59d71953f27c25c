//! Configuration of releases.

use serde::Deserialize;

use crate::EnvironmentName;

/// Section `[releases]`: rules for releases of the tenant stack.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Releases {
    /// Names of the environments that may get a release before another person has approved it.
    pub non_production: Vec<EnvironmentName>,
}
