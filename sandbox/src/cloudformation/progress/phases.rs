//! What follows when a phase is over, or a resource has failed.

use std::collections::{BTreeMap, BTreeSet};

use super::super::stack::{Act, OnFailure, Phase, Resource, Shown, Stack, Status, Task, Until, Work};
use super::run::Run;
use super::{task, tear_down};
use crate::template::TemplateError;
use crate::world::BusySpan;

impl Run<'_> {
    /// Writes down that a resource has failed and gives up the others of its phase, where that is how the phase is.
    pub(super) fn fail(&mut self, work: &mut Work, id: &str, reason: &str) {
        let failed = |act: &Act, existing: bool| match act {
            Act::Build if !existing => Status::CreateFailed,
            Act::Build | Act::Restore(_) => Status::UpdateFailed,
            Act::Delete | Act::Discard(_) => Status::DeleteFailed,
        };
        let building = matches!(work.phase, Phase::Create | Phase::Update);
        for task in &mut work.tasks {
            let reason = if task.logical_id == id {
                reason.to_owned()
            } else if building && task.until != Until::Done {
                let running = matches!(task.until, Until::Running(_));
                task.until = Until::Failed;
                if !running {
                    continue;
                }
                "Resource creation cancelled".to_owned()
            } else {
                continue;
            };
            let Some(resource) = self.stack.resources.get_mut(&task.logical_id) else { continue };
            resource.status = failed(&task.act, resource.physical_id.is_some());
            resource.reason = Some(reason);
            resource.changed_at = work.time;
            let resource = resource.clone();
            self.stack.note(&resource, work.token.clone());
        }
    }

    /// Goes on to what comes next, or to the end.
    pub(super) fn end_phase(&mut self, work: Work) {
        let unfinished = work.tasks.iter().any(|task| task.until != Until::Done);
        match (work.phase, unfinished) {
            (Phase::Create, false) => self.complete(work, Status::CreateComplete),
            (Phase::Create, true) => self.creation_failed(work),
            (Phase::Rollback, false) => self.end(work, Status::RollbackComplete, None),
            (Phase::Rollback, true) => {
                let reason = self.failures("delete", Status::DeleteFailed);
                self.end(work, Status::RollbackFailed, Some(reason));
            }
            (Phase::Update, false) => self.clean_up(work),
            (Phase::Update, true) => self.update_failed(work),
            // CloudFormation counts an update as complete even where the clean-up left something behind.
            (Phase::Cleanup, _) => self.complete(work, Status::UpdateComplete),
            (Phase::UpdateRollback, false) => self.clean_up_rollback(work),
            (Phase::UpdateRollback, true) => {
                let reason = self.failures("update", Status::UpdateFailed);
                self.end(work, Status::UpdateRollbackFailed, Some(reason));
            }
            (Phase::UpdateRollbackCleanup, _) => self.complete(work, Status::UpdateRollbackComplete),
            (Phase::Delete, false) => {
                self.stack.deleted_at = Some(work.time);
                self.end(work, Status::DeleteComplete, None);
            }
            (Phase::Delete, true) => {
                let reason = self.failures("delete", Status::DeleteFailed);
                self.end(work, Status::DeleteFailed, Some(reason));
            }
        }
    }

    fn creation_failed(&mut self, work: Work) {
        let reason = self.failures("create", Status::CreateFailed);
        let (phase, status, reason) = match self.stack.on_failure {
            OnFailure::DoNothing => return self.end(work, Status::CreateFailed, Some(reason)),
            OnFailure::Rollback => {
                (Phase::Rollback, Status::RollbackInProgress, format!("{reason}Rollback requested by user."))
            }
            OnFailure::Delete => {
                (Phase::Delete, Status::DeleteInProgress, format!("{reason}Delete requested by user."))
            }
        };
        let tasks = tear_down(&self.stack.resources);
        self.go_on(work, phase, status, Some(reason), tasks);
    }

    /// Deletes what the new design has no more and what was replaced.
    fn clean_up(&mut self, mut work: Work) {
        self.stack.former = None;
        let wanted = self.wanted().unwrap_or_default();
        let mut tasks = tear_down(&self.stack.resources);
        tasks.retain(|task| !wanted.contains(&task.logical_id));
        tasks.extend(discards(std::mem::take(&mut work.leftovers)));
        self.go_on(work, Phase::Cleanup, Status::UpdateCompleteCleanupInProgress, None, tasks);
    }

    /// Takes back what the update did, in the opposite order.
    fn update_failed(&mut self, mut work: Work) {
        let created = self.failures("create", Status::CreateFailed);
        let updated = self.failures("update", Status::UpdateFailed);
        let reason = if updated.contains('[') { updated } else { created };
        self.go_back();
        let mut tasks = Vec::new();
        let mut replacements = Vec::new();
        for (id, before) in work.undo.iter().rev() {
            let Some(before) = before else { continue };
            if let Some(current) = self.stack.resources.get(id)
                && current.physical_id != before.physical_id
            {
                replacements.push(current.clone());
            }
            tasks.push(task(id.clone(), Act::Restore(Box::new(before.clone())), BTreeSet::new()));
        }
        let half_way = self.stack.resources.values().filter(|resource| resource.status == Status::UpdateFailed);
        for resource in half_way {
            tasks.push(task(resource.logical_id.clone(), Act::Restore(Box::new(resource.clone())), BTreeSet::new()));
        }
        work.leftovers = replacements;
        self.go_on(work, Phase::UpdateRollback, Status::UpdateRollbackInProgress, Some(reason), tasks);
    }

    /// Deletes what the update had created.
    fn clean_up_rollback(&mut self, mut work: Work) {
        let created: BTreeSet<String> =
            work.undo.iter().filter(|(_, before)| before.is_none()).map(|(id, _)| id.clone()).collect();
        let mut tasks = tear_down(&self.stack.resources);
        tasks.retain(|task| created.contains(&task.logical_id));
        tasks.extend(discards(std::mem::take(&mut work.leftovers)));
        let status = Status::UpdateRollbackCompleteCleanupInProgress;
        self.go_on(work, Phase::UpdateRollbackCleanup, status, None, tasks);
    }

    fn go_on(&mut self, work: Work, phase: Phase, status: Status, reason: Option<String>, tasks: Vec<Task>) {
        self.stack.become_(status, reason, work.time, work.token.clone());
        self.stack.work = Some(Work { phase, tasks, spoiled: None, ..work });
    }

    /// A complete stack has its outputs and lists only what exists.
    fn complete(&mut self, work: Work, status: Status) {
        self.stack.resources.retain(|_, resource| {
            resource.physical_id.is_some()
                && !matches!(resource.status, Status::DeleteComplete | Status::DeleteSkipped | Status::DeleteFailed)
        });
        match self.outputs() {
            Ok(outputs) => {
                self.stack.outputs = outputs;
                self.end(work, status, None);
            }
            // An output may ask for an attribute that a resource does not have; AWS rolls back, and so does this.
            Err(error) if work.phase == Phase::Create => {
                let tasks = tear_down(&self.stack.resources);
                self.go_on(work, Phase::Rollback, Status::RollbackInProgress, Some(error.0), tasks);
            }
            Err(error) => self.end(work, status, Some(error.0)),
        }
    }

    fn end(&mut self, work: Work, status: Status, reason: Option<String>) {
        self.stack.become_(status, reason, work.time, work.token.clone());
        self.state.record_busy(BusySpan::account(
            &super::pseudo(self.stack).account,
            "stack",
            work.began_at,
            work.time,
        ));
    }

    fn outputs(&mut self) -> Result<BTreeMap<String, Shown>, TemplateError> {
        self.scope()?;
        let Some(scope) = &self.scope else { return Ok(BTreeMap::new()) };
        scope
            .outputs()
            .map(|output| {
                let value = scope.resolve(&output.value, &self.stack.resources)?;
                let value = match value {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                Ok((output.key.clone(), Shown { value, description: output.description.clone() }))
            })
            .collect()
    }

    /// The logical ids of the design.
    fn wanted(&mut self) -> Result<BTreeSet<String>, TemplateError> {
        Ok(self.scope()?.resources().map(|resource| resource.logical_id.clone()).collect())
    }

    fn failures(&self, verb: &str, status: Status) -> String {
        failures(self.stack, verb, status)
    }
}

/// `The following resource(s) failed to create: [Function, Url]. `
fn failures(stack: &Stack, verb: &str, status: Status) -> String {
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

/// Tasks that delete resources which the stack no longer lists.
fn discards(leftovers: Vec<Resource>) -> impl Iterator<Item = Task> {
    leftovers
        .into_iter()
        .map(|resource| task(resource.logical_id.clone(), Act::Discard(Box::new(resource)), BTreeSet::new()))
}
