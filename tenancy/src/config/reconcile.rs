//! Configuration of the comparison of AWS with the database.

use serde::Deserialize;

/// Section `[reconcile]`: schedule and automatic repair.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reconcile {
    /// Seconds between two reconcile runs, with 10 % jitter. 0 disables automatic runs.
    pub interval_seconds: u64,
    /// Whether a run starts a repair operation for findings that are safe to repair.
    pub auto_repair: bool,
    /// Maximum number of repairs that one run starts. If there are more differences at once, a person should check them
    /// first.
    pub max_repairs_per_run: usize,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self { interval_seconds: 60 * 60, auto_repair: true, max_repairs_per_run: 25 }
    }
}
