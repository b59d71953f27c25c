//! Steps as entries of a workflow: name, dependencies, quota, function and undo.

use std::fmt;

use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use futures::future::BoxFuture;

use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// One entry of the list that an operation walks: read, act, or wait; safe to run twice.
pub struct Step {
    /// As the journal, the API and the metrics call it.
    pub name: StepName,
    /// The steps that must be done before it may start.
    pub after: &'static [StepName],
    /// The quota of AWS that its work counts against. Who waits for a person holds no place under it.
    pub quota: Option<Quota>,
    /// What it does. It observes before it acts.
    pub run: Run,
    /// What undoes it.
    pub undo: Undo,
}

/// What a step does.
pub type Run = for<'a> fn(&'a StepContext) -> BoxFuture<'a, Result<StepOutcome, StepError>>;

/// What undoes a step.
pub enum Undo {
    /// Nothing needs to be undone, for this reason.
    NotNeeded(&'static str),
    /// Nothing can undo it, for this reason: a person has to decide.
    Manual(&'static str),
    /// This step of the offboarding, which cancelling begins as well.
    Step(StepName),
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNeeded(why) => write!(f, "nothing: {why}"),
            Self::Manual(why) => write!(f, "a person decides: {why}"),
            Self::Step(step) => write!(f, "the offboarding's {step}"),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_str())
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
