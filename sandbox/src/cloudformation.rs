//! Simulated CloudFormation. Stacks create the resources of their templates in the simulated accounts, one by one.
//!
//! | topic | file |
//! |---|---|
//! | CreateStack, UpdateStack, DeleteStack, UpdateTerminationProtection | `write.rs` |
//! | rollback triggers | `rollback.rs`, `progress/triggers.rs` |
//! | drift detection | `drift.rs` |
//! | change sets | `change_sets.rs` |
//! | start of stack operations | `operation.rs`, `options.rs` |
//! | DescribeStacks, DescribeStackEvents, ListStacks, GetTemplate and other reads | `read.rs` |
//! | progress of stack operations over time | `progress.rs` |
//! | create, update and delete of each resource type | `resources.rs` |
//! | validation of requests | `rules.rs` |
//! | text of the template, in the request or in S3 | `template_source.rs` |

mod change_sets;
mod drift;
mod operation;
mod options;
mod progress;
mod read;
mod resources;
mod rollback;
mod rules;
mod stack;
mod template_source;
mod write;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;

use crate::policy::Document;
use crate::template::TemplateError;
use crate::world::{AwsError, Ctx, Request, State};

pub use change_sets::ChangeSet;
pub(crate) use progress::advance;
pub use resources::LogGroup;
pub use stack::{Event, Resource, Stack, Status};

/// CloudFormation stacks of one account in one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stacks {
    /// Stacks by stack id, including deleted stacks.
    by_id: BTreeMap<String, Stack>,
    /// Stack ids by the `ClientRequestToken` of the request that created, updated or deleted the stack.
    tokens: BTreeMap<String, String>,
    /// Customer managed policies that these stacks created, by ARN. Lookups search all regions, because IAM is global.
    policies: BTreeMap<String, Document>,
    /// Earliest time at which a running task of any of these stacks finishes; `None` if no task is running.
    #[serde(alias = "next")]
    next_due: Option<DateTime<Utc>>,
}

impl Stacks {
    /// Returns the stack with this name. Deleted stacks are ignored.
    pub fn find_active(&self, name: &str) -> Option<&Stack> {
        self.by_id.values().find(|stack| stack.name == name && stack.status != Status::DeleteComplete)
    }

    /// Returns all stacks, including deleted stacks.
    pub fn iter(&self) -> impl Iterator<Item = &Stack> {
        self.by_id.values()
    }

    /// Returns all stacks, including deleted stacks, so that a test can put one into a rare state.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stack> {
        self.by_id.values_mut()
    }

    /// Returns the document of a managed policy that these stacks created.
    pub(crate) fn managed_policy(&self, arn: &str) -> Option<&Document> {
        self.policies.get(arn)
    }

    /// Returns the values that stacks export, by name.
    fn exports(&self) -> BTreeMap<String, String> {
        let outputs = self.by_id.values().filter(|stack| stack.status != Status::DeleteComplete);
        let outputs = outputs.flat_map(|stack| stack.outputs.values());
        outputs.filter_map(|output| Some((output.export.clone()?, output.value.clone()))).collect()
    }

    /// Returns the stack with this stack id. If there is none, returns the stack with this name, ignoring deleted
    /// stacks.
    fn find(&self, name_or_id: &str) -> Option<&Stack> {
        self.by_id.get(name_or_id).or_else(|| self.find_active(name_or_id))
    }

    fn find_mut(&mut self, name_or_id: &str) -> Option<&mut Stack> {
        let id = self.find(name_or_id)?.id.clone();
        self.by_id.get_mut(&id)
    }
}

/// Handles a CloudFormation API call.
pub fn call(state: &mut State, ctx: &Ctx, operation: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let response = match operation {
        "CreateStack" => write::create_stack(state, ctx, request),
        "UpdateStack" => write::update_stack(state, ctx, request),
        "DeleteStack" => write::delete_stack(state, ctx, request),
        "ContinueUpdateRollback" => write::continue_update_rollback(state, ctx, request),
        "UpdateTerminationProtection" => write::update_termination_protection(state, ctx, request),
        "CreateChangeSet" => change_sets::create_change_set(state, ctx, request),
        "DescribeChangeSet" => change_sets::describe_change_set(state, ctx, request),
        "ListChangeSets" => change_sets::list_change_sets(state, ctx, request),
        "ExecuteChangeSet" => change_sets::execute_change_set(state, ctx, request),
        "DeleteChangeSet" => change_sets::delete_change_set(state, ctx, request),
        "DescribeStacks" => read::describe_stacks(state, ctx, request),
        "DescribeStackEvents" => read::describe_stack_events(state, ctx, request),
        "DescribeStackResources" => read::describe_stack_resources(state, ctx, request),
        "DescribeStackResource" => read::describe_stack_resource(state, ctx, request),
        "ListStackResources" => read::list_stack_resources(state, ctx, request),
        "DetectStackDrift" => drift::detect_stack_drift(state, ctx, request),
        "DescribeStackDriftDetectionStatus" => drift::describe_detection_status(state, ctx, request),
        "DescribeStackResourceDrifts" => drift::describe_stack_resource_drifts(state, ctx, request),
        "ListStacks" => read::list_stacks(state, ctx, request),
        "GetTemplate" => read::get_template(state, ctx, request),
        "ValidateTemplate" => read::validate_template(state, ctx, request),
        "GetTemplateSummary" => read::get_template_summary(state, ctx, request),
        "CancelUpdateStack" => write::cancel_update_stack(state, ctx, request),
        "DescribeAccountLimits" => Ok(read::describe_account_limits()),
        _ => Err(AwsError::new("InvalidAction", format!("The sandbox does not simulate the operation {operation}."))),
    };
    // Tasks with a duration of zero finish before the response is sent.
    progress::advance(state, &ctx.settings, ctx.now);
    response
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
