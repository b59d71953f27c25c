//! What happens to a stack while nobody looks: a schedule that is followed up to the present on every call.
//!
//! A phase is a set of tasks, one a resource. A task begins when those that it waits for are done, takes a drawn time,
//! and has its effect at the end of it.

mod phases;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Stacks;
use super::stack::{Act, Resource, Spoiled, Stack, Status, Task, Until};
use crate::settings::Settings;
use crate::template::{Pseudo, Template};
use crate::world::{Caller, Ctx, Service, State};

/// Follows every schedule up to `now`.
pub(crate) fn advance(state: &mut State, settings: &Settings, now: DateTime<Utc>) {
    let due = |stacks: &Stacks| stacks.next.is_some_and(|next| next <= now);
    let places: Vec<(String, String)> = state
        .accounts
        .iter()
        .flat_map(|(account, held)| held.regions.iter().map(move |(region, held)| (account, region, held)))
        .filter(|(_, _, held)| due(&held.stacks))
        .map(|(account, region, _)| (account.clone(), region.clone()))
        .collect();
    if places.is_empty() {
        return;
    }
    let settings = Arc::new(settings.clone());
    for (account, region) in places {
        let Some(stacks) = stacks(state, &account, &region) else { continue };
        let working: Vec<String> =
            stacks.by_id.values().filter(|stack| stack.work.is_some()).map(|stack| stack.id.clone()).collect();
        for id in working {
            let Some(mut stack) = self::stacks(state, &account, &region).and_then(|stacks| stacks.by_id.remove(&id))
            else {
                continue;
            };
            run::Run::new(state, &mut stack, ctx(&settings, &account, &region, now), now).follow();
            if let Some(stacks) = self::stacks(state, &account, &region) {
                stacks.by_id.insert(id, stack);
            }
        }
        if let Some(stacks) = self::stacks(state, &account, &region) {
            stacks.next = stacks.by_id.values().filter_map(next).min();
        }
    }
}

impl Stacks {
    /// Lets tasks that are stuck be done at `now`, and those after them run as usual.
    pub(crate) fn go_on(&mut self, now: DateTime<Utc>) {
        for work in self.by_id.values_mut().filter_map(|stack| stack.work.as_mut()) {
            if work.spoiled == Some(Spoiled::Stuck) {
                work.spoiled = None;
            }
            for task in &mut work.tasks {
                if task.until == Until::Running(None) {
                    task.until = Until::Running(Some(now));
                    self.next = Some(self.next.map_or(now, |next| next.min(now)));
                }
            }
        }
    }
}

/// When the stack's next task is done.
fn next(stack: &Stack) -> Option<DateTime<Utc>> {
    let tasks = &stack.work.as_ref()?.tasks;
    tasks
        .iter()
        .filter_map(|task| match task.until {
            Until::Running(until) => until,
            Until::Waiting | Until::Done | Until::Failed => None,
        })
        .min()
}

fn stacks<'a>(state: &'a mut State, account: &str, region: &str) -> Option<&'a mut Stacks> {
    state.accounts.get_mut(account)?.regions.get_mut(region).map(|held| &mut held.stacks)
}

/// CloudFormation's own calls. The caller is filled in for each stack.
fn ctx(settings: &Arc<Settings>, account: &str, region: &str, now: DateTime<Utc>) -> Ctx {
    Ctx {
        now,
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

/// Tasks that make a template's resources. What they wait for is worked out when the phase begins.
pub(super) fn build(template: &Template) -> Vec<Task> {
    let ids = template.resources.iter().map(|resource| resource.logical_id.clone());
    ids.map(|logical_id| task(logical_id, Act::Build, BTreeSet::new())).collect()
}

/// Tasks that delete what exists, each resource after those that were built upon it.
pub(super) fn tear_down(resources: &BTreeMap<String, Resource>) -> Vec<Task> {
    let built_on = |id: &str| {
        let users = resources.values().filter(|user| user.needs.contains(id));
        users.map(|user| user.logical_id.clone()).collect()
    };
    resources
        .values()
        .filter(|resource| resource.physical_id.is_some())
        .filter(|resource| !matches!(resource.status, Status::DeleteComplete | Status::DeleteSkipped))
        .map(|resource| task(resource.logical_id.clone(), Act::Delete, built_on(&resource.logical_id)))
        .collect()
}

/// Tasks that bring the resources whose update failed back to what they were, but for those that are to be skipped.
pub(super) fn restore(resources: &BTreeMap<String, Resource>, skipped: &[String]) -> Vec<Task> {
    resources
        .values()
        .filter(|resource| resource.status == Status::UpdateFailed && !skipped.contains(&resource.logical_id))
        .map(|resource| task(resource.logical_id.clone(), Act::Restore(Box::new(resource.clone())), BTreeSet::new()))
        .collect()
}

fn task(logical_id: String, act: Act, after: BTreeSet<String>) -> Task {
    Task { logical_id, act, after, until: Until::Waiting, doomed: None }
}

/// What the pseudo-parameters stand for in a stack.
pub(super) fn pseudo(stack: &Stack) -> Pseudo {
    let mut parts = stack.id.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    Pseudo {
        account: account.to_owned(),
        region: region.to_owned(),
        stack_id: stack.id.clone(),
        stack_name: stack.name.clone(),
    }
}
