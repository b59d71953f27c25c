//! Transitions between the phases of a stack operation, and handling of failed resources.

use std::collections::{BTreeMap, BTreeSet};

use super::super::stack::{
    OnFailure, Phase, Resource, Stack, StackOperation, StackOutput, Status, Task, TaskAction, TaskState,
};
use super::run::StackProcessor;
use super::{deletion_tasks, new_task};
use crate::template::TemplateError;
use crate::world::BackgroundWorkSpan;

impl StackProcessor<'_> {
    /// Records that a resource failed. In the create and update phases, also cancels the unfinished tasks.
    pub(super) fn record_failure(&mut self, work: &mut StackOperation, id: &str, reason: &str) {
        if matches!(work.phase, Phase::Create | Phase::Update) {
            self.cancel_tasks(work);
        }
        let Some(task) = work.tasks.iter().find(|task| task.logical_id == id) else { return };
        let Some(resource) = self.stack.resources.get_mut(id) else { return };
        resource.status = failed_status(&task.action, resource.physical_id.is_some());
        resource.reason = Some(reason.to_owned());
        resource.changed_at = work.time;
        let resource = resource.clone();
        self.stack.record_event(&resource, work.token.clone());
    }

    /// Cancels the tasks that are not finished. The resources of running tasks fail.
    pub(super) fn cancel_tasks(&mut self, work: &mut StackOperation) {
        for task in &mut work.tasks {
            let is_running = matches!(task.state, TaskState::Running(_));
            if task.state != TaskState::Done {
                task.state = TaskState::Failed;
            }
            let Some(resource) = self.stack.resources.get_mut(&task.logical_id).filter(|_| is_running) else {
                continue;
            };
            resource.status = failed_status(&task.action, resource.physical_id.is_some());
            resource.reason = Some("Resource creation cancelled".to_owned());
            resource.changed_at = work.time;
            let resource = resource.clone();
            self.stack.record_event(&resource, work.token.clone());
        }
    }

    /// Starts the next phase, or finishes the stack operation.
    pub(super) fn finish_phase(&mut self, work: StackOperation) {
        let unfinished = work.tasks.iter().any(|task| task.state != TaskState::Done);
        let work = match (work.phase, unfinished) {
            (Phase::Create | Phase::Update, false) => match self.start_monitoring(work) {
                Some(work) => work,
                None => return,
            },
            _ => work,
        };
        match (work.phase, unfinished) {
            (Phase::Create, false) => self.complete(work, Status::CreateComplete),
            (Phase::Create, true) => {
                let reason = self.failure_reason("create", Status::CreateFailed);
                self.handle_create_failure(work, reason);
            }
            (Phase::Rollback, false) => self.finish(work, Status::RollbackComplete, None),
            (Phase::Rollback, true) => {
                let reason = self.failure_reason("delete", Status::DeleteFailed);
                self.finish(work, Status::RollbackFailed, Some(reason));
            }
            (Phase::Update, false) => self.start_cleanup(work),
            (Phase::Update, true) => {
                let created = self.failure_reason("create", Status::CreateFailed);
                let updated = self.failure_reason("update", Status::UpdateFailed);
                self.start_update_rollback(work, if updated.contains('[') { updated } else { created });
            }
            // CloudFormation reports an update as complete even if the cleanup could not delete all resources.
            (Phase::Cleanup, _) => self.complete(work, Status::UpdateComplete),
            (Phase::UpdateRollback, false) => self.start_update_rollback_cleanup(work),
            (Phase::UpdateRollback, true) => {
                let reason = self.failure_reason("update", Status::UpdateFailed);
                self.finish(work, Status::UpdateRollbackFailed, Some(reason));
            }
            (Phase::UpdateRollbackCleanup, _) => self.complete(work, Status::UpdateRollbackComplete),
            (Phase::Delete, false) => {
                self.stack.deleted_at = Some(work.time);
                self.finish(work, Status::DeleteComplete, None);
            }
            (Phase::Delete, true) => {
                let reason = self.failure_reason("delete", Status::DeleteFailed);
                self.finish(work, Status::DeleteFailed, Some(reason));
            }
        }
    }

    pub(super) fn handle_create_failure(&mut self, work: StackOperation, reason: String) {
        let (phase, status, reason) = match self.stack.on_failure {
            OnFailure::DoNothing => return self.finish(work, Status::CreateFailed, Some(reason)),
            OnFailure::Rollback => (Phase::Rollback, Status::RollbackInProgress, with_request(&reason, "Rollback")),
            OnFailure::Delete => (Phase::Delete, Status::DeleteInProgress, with_request(&reason, "Delete")),
        };
        let tasks = deletion_tasks(&self.stack.resources);
        self.start_phase(work, phase, status, Some(reason), tasks);
    }

    /// Starts the cleanup phase, which deletes the resources that the update removed or replaced.
    fn start_cleanup(&mut self, mut work: StackOperation) {
        self.stack.previous_definition = None;
        let defined = self.defined_resources().unwrap_or_default();
        let mut tasks = deletion_tasks(&self.stack.resources);
        tasks.retain(|task| !defined.contains(&task.logical_id));
        tasks.extend(discard_tasks(std::mem::take(&mut work.leftovers)));
        self.start_phase(work, Phase::Cleanup, Status::UpdateCompleteCleanupInProgress, None, tasks);
    }

    /// Starts the rollback of a failed update. The changes are undone in reverse order.
    pub(super) fn start_update_rollback(&mut self, mut work: StackOperation, reason: String) {
        self.restore_definition();
        let mut tasks = Vec::new();
        let mut replacements = Vec::new();
        for (id, before) in work.undo.iter().rev() {
            let Some(before) = before else { continue };
            if let Some(current) = self.stack.resources.get(id)
                && current.physical_id != before.physical_id
            {
                replacements.push(current.clone());
            }
            tasks.push(new_task(id.clone(), TaskAction::Restore(Box::new(before.clone())), BTreeSet::new()));
        }
        let interrupted = self.stack.resources.values().filter(|resource| resource.status == Status::UpdateFailed);
        for resource in interrupted {
            tasks.push(new_task(
                resource.logical_id.clone(),
                TaskAction::Restore(Box::new(resource.clone())),
                BTreeSet::new(),
            ));
        }
        work.leftovers = replacements;
        self.start_phase(work, Phase::UpdateRollback, Status::UpdateRollbackInProgress, Some(reason), tasks);
    }

    /// Starts the cleanup phase of a rollback, which deletes the resources that the failed update created.
    fn start_update_rollback_cleanup(&mut self, mut work: StackOperation) {
        let created: BTreeSet<String> =
            work.undo.iter().filter(|(_, before)| before.is_none()).map(|(id, _)| id.clone()).collect();
        let mut tasks = deletion_tasks(&self.stack.resources);
        tasks.retain(|task| created.contains(&task.logical_id));
        tasks.extend(discard_tasks(std::mem::take(&mut work.leftovers)));
        let status = Status::UpdateRollbackCompleteCleanupInProgress;
        self.start_phase(work, Phase::UpdateRollbackCleanup, status, None, tasks);
    }

    fn start_phase(
        &mut self,
        work: StackOperation,
        phase: Phase,
        status: Status,
        reason: Option<String>,
        tasks: Vec<Task>,
    ) {
        self.stack.set_status(status, reason, work.time, work.token.clone());
        self.stack.work = Some(StackOperation { phase, tasks, injected_fault: None, monitored_until: None, ..work });
    }

    /// Removes deleted resources from the stack, resolves the outputs and finishes the stack operation.
    fn complete(&mut self, work: StackOperation, status: Status) {
        self.stack.resources.retain(|_, resource| {
            resource.physical_id.is_some()
                && !matches!(resource.status, Status::DeleteComplete | Status::DeleteSkipped | Status::DeleteFailed)
        });
        match self.resolve_outputs() {
            Ok(outputs) => {
                self.stack.outputs = outputs;
                self.finish(work, status, None);
            }
            // AWS rolls back the creation if an output refers to an attribute that the resource does not have.
            Err(error) if work.phase == Phase::Create => {
                let tasks = deletion_tasks(&self.stack.resources);
                self.start_phase(work, Phase::Rollback, Status::RollbackInProgress, Some(error.0), tasks);
            }
            Err(error) => self.finish(work, status, Some(error.0)),
        }
    }

    fn finish(&mut self, work: StackOperation, status: Status, reason: Option<String>) {
        self.stack.set_status(status, reason, work.time, work.token.clone());
        self.stack.finish_change_set(status);
        self.state.record_background_work(BackgroundWorkSpan::account(
            &super::pseudo_parameters(self.stack).account,
            "stack",
            work.started_at,
            work.time,
        ));
    }

    fn resolve_outputs(&mut self) -> Result<BTreeMap<String, StackOutput>, TemplateError> {
        self.bound_template()?;
        let Some(bound_template) = &self.bound_template else { return Ok(BTreeMap::new()) };
        bound_template
            .outputs()
            .map(|output| {
                let value = bound_template.resolve(&output.value, &self.stack.resources)?;
                let value = match value {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                let export = output.export.as_ref().map(|name| bound_template.resolve(name, &self.stack.resources));
                let export = export.transpose()?.as_ref().and_then(serde_json::Value::as_str).map(str::to_owned);
                Ok((output.key.clone(), StackOutput { value, description: output.description.clone(), export }))
            })
            .collect()
    }

    /// Returns the logical ids of the resources in the stack's definition.
    fn defined_resources(&mut self) -> Result<BTreeSet<String>, TemplateError> {
        Ok(self.bound_template()?.resources().map(|resource| resource.logical_id.clone()).collect())
    }

    fn failure_reason(&self, verb: &str, status: Status) -> String {
        failure_reason(self.stack, verb, status)
    }
}

/// Returns the reason of the rollback or deletion of a stack whose creation has failed.
fn with_request(reason: &str, action: &str) -> String {
    format!("{} {action} requested by user.", reason.trim_end()).trim_start().to_owned()
}

/// Returns the status of a resource whose change has failed.
fn failed_status(action: &TaskAction, exists: bool) -> Status {
    match action {
        TaskAction::Build if !exists => Status::CreateFailed,
        TaskAction::Build | TaskAction::Restore(_) => Status::UpdateFailed,
        TaskAction::Delete | TaskAction::Discard(_) => Status::DeleteFailed,
    }
}

/// Returns a message such as `The following resource(s) failed to create: [Function, Url]. `
fn failure_reason(stack: &Stack, verb: &str, status: Status) -> String {
    let failed: Vec<&str> = stack
        .resources
        .values()
        .filter(|resource| resource.status == status)
        .map(|resource| resource.logical_id.as_str())
        .collect();
    if failed.is_empty() {
        return String::new();
    }
    format!("The following resource(s) failed to {verb}: [{}]. ", failed.join(", "))
}

/// Returns the tasks that delete the replaced resources of an update.
fn discard_tasks(leftovers: Vec<Resource>) -> impl Iterator<Item = Task> {
    leftovers
        .into_iter()
        .map(|resource| new_task(resource.logical_id.clone(), TaskAction::Discard(Box::new(resource)), BTreeSet::new()))
}
