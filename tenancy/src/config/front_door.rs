//! Configuration of front doors.

use serde::Deserialize;

/// Section `[front_door]`: the CloudFront distributions in front of environments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrontDoorConfig {
    /// Path patterns with writes, such as `/api/*`. Requests to them can have any method and reach the home region
    /// alone. On all other paths only GET, HEAD and OPTIONS are allowed, which a replica answers if the home region
    /// fails.
    pub write_paths: Vec<String>,
}
