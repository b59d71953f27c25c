//! Progress of stack operations over simulated time. Every API call first finishes the tasks that are due.
//!
//! A phase of a stack operation has one task per resource. A task starts when the tasks that it depends on have
//! finished. Its duration is random, and it changes the resource when it finishes.

mod phases;
mod run;
mod triggers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Stacks;
use super::stack::{InjectedFault, Phase, Resource, Stack, Status, Task, TaskAction, TaskState};
use crate::settings::Settings;
use crate::template::{PseudoParameters, Template};
use crate::world::{Caller, Ctx, Service, State};

/// Processes the tasks of all stack operations that are due at `now`.
pub(crate) fn advance(state: &mut State, settings: &Settings, now: DateTime<Utc>) {
    let is_due = |stacks: &Stacks| stacks.next_due.is_some_and(|next_due| next_due <= now);
    // The work continues when the outage ends.
    let is_stopped = |region: &str| state.faults.outage_form(Service::CloudFormation, region, now).is_some();
    let due_regions: Vec<(String, String)> = state
        .accounts
        .iter()
        .flat_map(|(id, account)| account.regions.iter().map(move |(name, region)| (id, name, region)))
        .filter(|(_, name, region)| is_due(&region.stacks) && !is_stopped(name))
        .map(|(id, name, _)| (id.clone(), name.clone()))
        .collect();
    if due_regions.is_empty() {
        return;
    }
    let settings = Arc::new(settings.clone());
    for (account, region) in due_regions {
        let Some(stacks) = stacks_mut(state, &account, &region) else { continue };
        let in_progress: Vec<String> =
            stacks.by_id.values().filter(|stack| stack.work.is_some()).map(|stack| stack.id.clone()).collect();
        for id in in_progress {
            let Some(mut stack) = stacks_mut(state, &account, &region).and_then(|stacks| stacks.by_id.remove(&id))
            else {
                continue;
            };
            run::StackProcessor::new(state, &mut stack, internal_context(&settings, &account, &region, now), now).run();
            if let Some(stacks) = stacks_mut(state, &account, &region) {
                stacks.by_id.insert(id, stack);
            }
        }
        if let Some(stacks) = stacks_mut(state, &account, &region) {
            stacks.next_due = stacks.by_id.values().filter_map(next_task_end).min();
        }
    }
}

impl Stacks {
    /// Schedules all stuck tasks to finish at `now`. Tasks that depend on them then run normally.
    pub(crate) fn resume_stuck_tasks(&mut self, now: DateTime<Utc>) {
        for work in self.by_id.values_mut().filter_map(|stack| stack.work.as_mut()) {
            if work.injected_fault == Some(InjectedFault::Stuck) {
                work.injected_fault = None;
            }
            for task in &mut work.tasks {
                if task.state == TaskState::Running(None) {
                    task.state = TaskState::Running(Some(now));
                    self.next_due = Some(self.next_due.map_or(now, |due| due.min(now)));
                }
            }
        }
    }
}

/// Returns the earliest time at which a running task of the stack, its monitoring time or its timeout ends, or `None`
/// if there is no such time.
fn next_task_end(stack: &Stack) -> Option<DateTime<Utc>> {
    let work = stack.work.as_ref()?;
    work.tasks
        .iter()
        .filter_map(|task| match task.state {
            TaskState::Running(finishes_at) => finishes_at,
            TaskState::Waiting | TaskState::Done | TaskState::Failed => None,
        })
        .chain(work.monitored_until)
        .chain(work.deadline.filter(|_| work.phase == Phase::Create))
        .min()
}

fn stacks_mut<'a>(state: &'a mut State, account: &str, region: &str) -> Option<&'a mut Stacks> {
    state.accounts.get_mut(account)?.regions.get_mut(region).map(|region| &mut region.stacks)
}

/// Returns the context for calls that CloudFormation makes to other services. The caller in the context is a
/// placeholder. It is replaced with the caller that started the stack operation.
fn internal_context(settings: &Arc<Settings>, account: &str, region: &str, now: DateTime<Utc>) -> Ctx {
    Ctx {
        now,
        // No session is checked for expiry here.
        system_time: now,
        caller: Caller { account: account.to_owned(), ..Caller::anonymous() },
        region: region.to_owned(),
        service: Service::CloudFormation,
        operation: String::new(),
        request_id: String::new(),
        settings: Arc::clone(settings),
        base_url: None,
        fault: None,
    }
}

/// Returns one task per resource of a template. Each task creates or updates its resource; dependencies are resolved
/// later.
pub(super) fn build_tasks(template: &Template) -> Vec<Task> {
    let ids = template.resources.iter().map(|resource| resource.logical_id.clone());
    ids.map(|logical_id| new_task(logical_id, TaskAction::Build, BTreeSet::new())).collect()
}

/// Returns the tasks that delete the existing resources. Each resource is deleted after the resources that depend on
/// it.
pub(super) fn deletion_tasks(resources: &BTreeMap<String, Resource>) -> Vec<Task> {
    let dependents = |id: &str| {
        let dependents = resources.values().filter(|resource| resource.needs.contains(id));
        dependents.map(|resource| resource.logical_id.clone()).collect()
    };
    resources
        .values()
        .filter(|resource| resource.physical_id.is_some())
        .filter(|resource| !matches!(resource.status, Status::DeleteComplete | Status::DeleteSkipped))
        .map(|resource| new_task(resource.logical_id.clone(), TaskAction::Delete, dependents(&resource.logical_id)))
        .collect()
}

/// Returns the tasks that restore the resources whose update failed, except the resources in `skipped`.
pub(super) fn restore_tasks(resources: &BTreeMap<String, Resource>, skipped: &[String]) -> Vec<Task> {
    resources
        .values()
        .filter(|resource| resource.status == Status::UpdateFailed && !skipped.contains(&resource.logical_id))
        .map(|resource| {
            new_task(resource.logical_id.clone(), TaskAction::Restore(Box::new(resource.clone())), BTreeSet::new())
        })
        .collect()
}

fn new_task(logical_id: String, action: TaskAction, after: BTreeSet<String>) -> Task {
    Task { logical_id, action, after, state: TaskState::Waiting, injected_failure: None }
}

/// Returns the values of the pseudo parameters of a stack, such as `AWS::Region`.
pub(super) fn pseudo_parameters(stack: &Stack) -> PseudoParameters {
    let mut parts = stack.id.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    PseudoParameters {
        account: account.to_owned(),
        region: region.to_owned(),
        stack_id: stack.id.clone(),
        stack_name: stack.name.clone(),
        exports: BTreeMap::new(),
        notification_arns: stack.options.notification_arns.clone(),
    }
}
