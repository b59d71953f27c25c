//! CloudFormation: stacks that really create what their templates name, a resource at a time.
//!
//! | operation | file |
//! |---|---|
//! | CreateStack, UpdateStack, DeleteStack, UpdateTerminationProtection | `write.rs` |
//! | DescribeStacks, DescribeStackEvents, GetTemplate and other reads | `read.rs` |
//! | what happens meanwhile | `progress.rs` |
//! | what each kind of resource does | `resources.rs` |

mod progress;
mod read;
mod resources;
mod rules;
mod stack;
mod write;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;

use crate::policy::Document;
use crate::template::TemplateError;
use crate::world::{AwsError, Ctx, Request, State};

pub(crate) use progress::advance;
pub use resources::LogGroup;
pub use stack::{Event, Resource, Stack, Status};

/// The stacks of one region of one account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stacks {
    /// Every stack that there ever was, by id.
    by_id: BTreeMap<String, Stack>,
    /// Every `ClientRequestToken` that was used, with the id of its stack.
    tokens: BTreeMap<String, String>,
    /// The customer managed policies that these stacks have made, by ARN. IAM is global; a look-up asks every region.
    policies: BTreeMap<String, Document>,
    /// When the next thing happens, if anything is going on.
    next: Option<DateTime<Utc>>,
}

impl Stacks {
    /// The stack of this name that has not been deleted.
    pub fn named(&self, name: &str) -> Option<&Stack> {
        self.by_id.values().find(|stack| stack.name == name && stack.status != Status::DeleteComplete)
    }

    /// Every stack, deleted ones included.
    pub fn iter(&self) -> impl Iterator<Item = &Stack> {
        self.by_id.values()
    }

    /// By name if it has not been deleted, or by id.
    fn find(&self, name_or_id: &str) -> Option<&Stack> {
        self.by_id.get(name_or_id).or_else(|| self.named(name_or_id))
    }

    fn find_mut(&mut self, name_or_id: &str) -> Option<&mut Stack> {
        let id = self.find(name_or_id)?.id.clone();
        self.by_id.get_mut(&id)
    }
}

/// Answers a call.
pub fn call(state: &mut State, ctx: &Ctx, operation: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let answer = match operation {
        "CreateStack" => write::create(state, ctx, request),
        "UpdateStack" => write::update(state, ctx, request),
        "DeleteStack" => write::delete(state, ctx, request),
        "ContinueUpdateRollback" => write::continue_rollback(state, ctx, request),
        "UpdateTerminationProtection" => write::protect(state, ctx, request),
        "DescribeStacks" => read::stacks(state, ctx, request),
        "DescribeStackEvents" => read::events(state, ctx, request),
        "DescribeStackResources" => read::resources(state, ctx, request),
        "ListStacks" => read::list(state, ctx, request),
        "GetTemplate" => read::template(state, ctx, request),
        "ValidateTemplate" => read::validate(request),
        "DescribeAccountLimits" => Ok(read::limits()),
        _ => Err(AwsError::unknown_operation(operation)),
    };
    // Work that takes no time at all is done by the time that the answer arrives.
    progress::advance(state, &ctx.settings, ctx.now);
    answer
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

impl From<TemplateError> for AwsError {
    fn from(error: TemplateError) -> Self {
        validation(error.0)
    }
}

#[cfg(test)]
mod tests;
