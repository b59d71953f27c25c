//! Comparing AWS with the database.

use serde::Deserialize;

/// `[reconcile]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reconcile {
    /// From the end of one comparison to the beginning of the next, give or take a tenth; 0 leaves it to
    /// `freehold reconcile`.
    pub every_seconds: u64,
    /// Whether what is safe is put right by a repair of the environment.
    pub heal: bool,
    /// How many repairs one comparison begins at most: where more is wrong at once, a person should look first.
    pub most_repairs: usize,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self { every_seconds: 60 * 60, heal: true, most_repairs: 25 }
    }
}
