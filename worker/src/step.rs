//! Entries of a workflow. A step has a name, dependencies, a quota, a function and an undo.

use std::fmt;

use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use futures::future::BoxFuture;

use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// Entry of a workflow. A step reads, acts or waits, and can be run twice safely.
pub struct Step {
    pub name: StepName,
    /// Steps that must be done before this one starts.
    pub after: &'static [StepName],
    /// AWS quota that limits the step's work. A parked step holds no slot.
    pub quota: Option<Quota>,
    /// Function that runs the step. It reads the current state before it changes anything.
    pub run: Run,
    pub undo: Undo,
}

pub type Run = for<'a> fn(&'a StepContext) -> BoxFuture<'a, Result<StepOutcome, StepError>>;

/// Reversal of a step.
pub enum Undo {
    /// The step needs no reversal. Contains the reason.
    NotNeeded(&'static str),
    /// The step cannot be reversed automatically, and a person must decide. Contains the reason.
    Manual(&'static str),
    /// A step of the offboarding workflow reverses this step. A cancellation runs it too.
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
