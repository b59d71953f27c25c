//! Random variation of pauses, so that operations that started together do not call AWS together.

use std::ops::Range;

use rand::Rng;

/// Returns a random factor for a pause.
pub(crate) fn factor(range: Range<f64>) -> f64 {
    rand::rng().random_range(range)
}
