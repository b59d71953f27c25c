//! Comparing AWS with the database.

use serde::Deserialize;

/// `[reconcile]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reconcile {
    /// From the end of one comparison to the beginning of the next, give or take a tenth; 0 leaves it to
    /// `freehold reconcile`.
    pub interval_seconds: u64,
    /// Whether what is safe is put right by a repair of the environment.
    pub auto_repair: bool,
    /// How many repairs one comparison begins at most: where more is wrong at once, a person should look first.
    pub max_repairs_per_run: usize,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self { interval_seconds: 60 * 60, auto_repair: true, max_repairs_per_run: 25 }
    }
}
