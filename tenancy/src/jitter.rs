//! Random variation of pauses, so that work that started together does not come due together.

use std::ops::Range;

use rand::Rng;

/// Returns a random factor for a pause.
pub fn factor(range: Range<f64>) -> f64 {
    rand::rng().random_range(range)
}
