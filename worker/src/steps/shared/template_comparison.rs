//! Result of the comparison of a stack's template with its copy in S3.

use freehold_tenancy::config::TemplateUrl;
use serde_json::json;

use crate::step_outcome::StepOutcome;

/// Result of a comparison.
pub(super) enum Comparison {
    /// There is nothing to compare.
    NotNeeded,
    /// AWS has read the configured template.
    Same(TemplateUrl),
    /// AWS has read another template.
    Different(Box<StepOutcome>),
    /// The configuration names another copy than the request, and AWS has not read the requested template.
    Outdated,
}

impl Comparison {
    /// Adds the fact that prevents a second comparison.
    pub(super) fn record(&self, outcome: StepOutcome) -> StepOutcome {
        match self {
            Self::Same(entry) => outcome.with("template_read", json!(entry)),
            _ => outcome,
        }
    }
}
