//! Types of change sets: the preview of a change of a stack, which can then be executed.

use serde::Serialize;

use super::NewStack;

/// Change set to create for an existing stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChangeSet {
    pub name: String,
    /// Template, parameters and tags that the stack gets. Its token is that of the creation.
    pub stack: NewStack,
    /// ARNs of the alarms that roll the update back.
    pub alarms: Vec<String>,
}

/// State of a change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeSetState {
    Creating,
    /// The change set can be executed.
    Available,
    /// The stack has the template and the parameters already.
    NoChanges,
    Failed,
    /// The execution was started; the state of the stack tells its result.
    Executed,
    /// Another change of the stack has made it useless, or it is deleted.
    Obsolete,
}

/// Change set of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    pub state: ChangeSetState,
    /// Reason of a failure.
    pub reason: String,
    pub changes: Vec<ResourceChange>,
}

/// Whether CloudFormation creates a new resource and deletes the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceReplacement {
    Yes,
    No,
    /// The values at the time of the update decide.
    Conditional,
}

/// Change of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceChange {
    pub resource: String,
    #[serde(rename = "type")]
    pub resource_type: String,
    /// `Add`, `Modify` or `Remove`.
    pub action: String,
    /// `None` for a resource that is added or removed.
    pub replacement: Option<ResourceReplacement>,
    /// Names of the changed properties.
    pub properties: Vec<String>,
}

impl ResourceChange {
    /// Returns whether the change can delete the resource with its data.
    pub fn may_delete(&self) -> bool {
        self.action == "Remove"
            || matches!(self.replacement, Some(ResourceReplacement::Yes | ResourceReplacement::Conditional))
    }
}
