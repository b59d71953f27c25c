//! Processing of the tasks of one stack: starts tasks whose dependencies have finished, and finishes tasks that are
//! due.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::resources::{self, ResourceContext};
use super::super::stack::{InjectedFault, Phase, Resource, Stack, StackOperation, Status, TaskAction, TaskState};
use crate::faults::Fault;
use crate::template::{BoundTemplate, ResourceDeclaration, Template, TemplateError};
use crate::world::{Caller, Ctx, State};

/// A stack whose tasks are being processed. The stack is temporarily removed from the state, so that both can be
/// modified.
pub(super) struct StackProcessor<'a> {
    pub(super) state: &'a mut State,
    pub(super) stack: &'a mut Stack,
    pub(super) ctx: Ctx,
    now: DateTime<Utc>,
    pub(super) bound_template: Option<BoundTemplate>,
}

impl<'a> StackProcessor<'a> {
    pub(super) fn new(state: &'a mut State, stack: &'a mut Stack, mut ctx: Ctx, now: DateTime<Utc>) -> Self {
        if let Some(session) = stack.work.as_ref().and_then(|work| work.session.clone()) {
            ctx.caller = Caller { account: session.account.clone(), arn: session.arn.clone(), session: Some(session) };
        }
        Self { state, stack, ctx, now, bound_template: None }
    }

    pub(super) fn run(&mut self) {
        while let Some(mut work) = self.stack.work.take() {
            self.ctx.now = work.time;
            let rollback_request = self.rollback_request(&work);
            if let Some((_, reason)) = rollback_request.clone().filter(|(at, _)| *at <= work.time) {
                self.roll_back(work, reason);
                continue;
            }
            if self.start_ready_tasks(&mut work) {
                self.stack.work = Some(work);
                continue;
            }
            let running = work.tasks.iter().enumerate().filter_map(|(index, task)| match task.state {
                TaskState::Running(Some(finishes_at)) => Some((finishes_at, index)),
                _ => None,
            });
            let next = running.min();
            let next_end = next.map(|(finishes_at, _)| finishes_at).or(work.monitored_until);
            if let Some((at, reason)) = rollback_request
                && at <= self.now
                && next_end.is_none_or(|next_end| at <= next_end)
            {
                work.time = at;
                self.roll_back(work, reason);
                continue;
            }
            match next {
                Some((finishes_at, index)) if finishes_at <= self.now => {
                    work.time = finishes_at;
                    self.ctx.now = finishes_at;
                    self.finish_task(&mut work, index);
                    self.stack.work = Some(work);
                }
                Some(_) => {
                    self.stack.work = Some(work);
                    return;
                }
                None if work.tasks.iter().any(|task| task.state == TaskState::Running(None)) => {
                    self.stack.work = Some(work);
                    return;
                }
                None if work.monitored_until.is_some_and(|until| until > self.now) => {
                    self.stack.work = Some(work);
                    return;
                }
                None => {
                    work.time = work.monitored_until.map_or(work.time, |until| work.time.max(until));
                    self.finish_phase(work);
                }
            }
        }
    }

    /// Starts all tasks whose dependencies have finished. Returns whether any task was started.
    fn start_ready_tasks(&mut self, work: &mut StackOperation) -> bool {
        let unfinished: BTreeSet<String> = work
            .tasks
            .iter()
            .filter(|task| task.state != TaskState::Done)
            .map(|task| task.logical_id.clone())
            .collect();
        let mut started = false;
        for index in 0..work.tasks.len() {
            let id = work.tasks[index].logical_id.clone();
            if work.tasks[index].state != TaskState::Waiting {
                continue;
            }
            let is_blocked = match (&work.tasks[index].action, self.dependencies(&id)) {
                (TaskAction::Build, Ok(Some(needs))) => needs.iter().any(|need| unfinished.contains(need)),
                // The resource is not created, because its condition is false.
                (TaskAction::Build, Ok(None)) => {
                    work.tasks[index].state = TaskState::Done;
                    started = true;
                    continue;
                }
                (TaskAction::Build, Err(_)) => false,
                _ => work.tasks[index].after.iter().any(|after| unfinished.contains(after)),
            };
            if !is_blocked {
                started = true;
                self.start_task(work, index);
            }
        }
        started
    }

    fn start_task(&mut self, work: &mut StackOperation, index: usize) {
        let id = work.tasks[index].logical_id.clone();
        let (status, resource) = match &work.tasks[index].action {
            TaskAction::Build => match (self.desired_resource(&id), self.stack.resources.get(&id)) {
                (Ok((declaration, _, properties)), Some(existing))
                    if existing.properties == properties && existing.kind == declaration.kind =>
                {
                    work.tasks[index].state = TaskState::Done;
                    return;
                }
                (_, Some(existing)) => (Status::UpdateInProgress, existing.clone()),
                (desired, None) => {
                    let kind = desired.map(|(declaration, ..)| declaration.kind).unwrap_or_default();
                    (Status::CreateInProgress, self.new_resource(&id, &kind))
                }
            },
            TaskAction::Delete => {
                let Some(resource) = self.stack.resources.get(&id) else {
                    work.tasks[index].state = TaskState::Done;
                    return;
                };
                (Status::DeleteInProgress, resource.clone())
            }
            TaskAction::Discard(resource) => (Status::DeleteInProgress, (**resource).clone()),
            TaskAction::Restore(resource) => (Status::UpdateInProgress, (**resource).clone()),
        };
        let key = format!("{}/{}/{}/{}", self.duration_key(), self.ctx.region, self.stack.name, id);
        let spread = resources::duration(&self.ctx.settings.durations, &resource.kind);
        let duration = self.ctx.draw_duration(spread, &format!("{key}/{}", status.as_str()));
        let fault = self.injected_fault(&work.tasks[index].action, &resource, &id);
        let stuck = work.injected_fault == Some(InjectedFault::Stuck) || fault == Some(InjectedFault::Stuck);
        let duration = (!stuck).then_some(duration);
        let (duration, is_late) = match resources::longest_wait(&resource.kind) {
            Some(longest) if duration.is_none_or(|duration| duration > longest) => (Some(longest), true),
            _ => (duration, false),
        };
        work.tasks[index].state = TaskState::Running(duration.map(|duration| work.time + duration));
        if let Some(InjectedFault::Failure(reason)) = fault {
            work.tasks[index].injected_failure = Some(reason);
        } else if is_late {
            work.tasks[index].injected_failure = Some(resources::not_stabilized());
        }
        let resource = Resource { status, reason: None, changed_at: work.time, ..resource };
        self.stack.record_event(&resource, work.token.clone());
        match &work.tasks[index].action {
            TaskAction::Discard(_) => {}
            // A resource is listed as soon as its creation starts, although it has no physical id yet.
            _ => drop(self.stack.resources.insert(id, resource)),
        }
    }

    fn finish_task(&mut self, work: &mut StackOperation, index: usize) {
        let id = work.tasks[index].logical_id.clone();
        let is_last = work.tasks.iter().enumerate().all(|(at, task)| at == index || task.state == TaskState::Done);
        let injected_failure = match &work.injected_fault {
            Some(InjectedFault::Failure(reason)) if is_last => Some(reason.clone()),
            _ => work.tasks[index].injected_failure.clone(),
        };
        let outcome = match injected_failure {
            Some(reason) => Err(reason),
            None => match work.tasks[index].action.clone() {
                TaskAction::Build => self.build(work, &id),
                TaskAction::Delete => self.delete(&id, work),
                TaskAction::Discard(resource) => self.delete_replaced_resource(*resource, work),
                TaskAction::Restore(resource) => self.restore(*resource, work),
            },
        };
        match outcome {
            Ok(()) => work.tasks[index].state = TaskState::Done,
            Err(reason) => {
                work.tasks[index].state = TaskState::Failed;
                self.record_failure(work, &id, &reason);
            }
        }
    }

    /// Creates a resource, or updates an existing resource to match the stack's definition.
    fn build(&mut self, work: &mut StackOperation, id: &str) -> Result<(), String> {
        let (declaration, needs, properties) = self.desired_resource(id).map_err(|error| error.0)?;
        let before = self.stack.resources.get(id).filter(|resource| resource.physical_id.is_some()).cloned();
        let target = ResourceContext { ctx: &self.ctx, stack_name: &self.stack.name, logical_id: id };
        let created = match &before {
            None => resources::create(self.state, &target, &declaration.kind, &properties)?,
            Some(before) => resources::update(self.state, &target, before, &declaration.kind, &properties)?,
        };
        let status = if before.is_some() { Status::UpdateComplete } else { Status::CreateComplete };
        let is_new = before.as_ref().is_none_or(|before| before.physical_id.as_ref() != Some(&created.physical_id));
        let resource = Resource {
            logical_id: id.to_owned(),
            physical_id: Some(created.physical_id),
            kind: declaration.kind,
            status,
            reason: None,
            changed_at: work.time,
            properties,
            attributes: created.attributes,
            needs,
            retained: declaration.retained,
            retained_except_on_create: declaration.retained_except_on_create || work.retains_except_on_create,
        };
        if before.is_none() {
            let reason = Some("Resource creation Initiated".to_owned());
            let initiated = Resource { status: Status::CreateInProgress, reason, ..resource.clone() };
            self.stack.record_event(&initiated, work.token.clone());
        }
        let reason = resources::idle_reason(&resource.kind).filter(|_| is_new);
        let resource = Resource { reason, ..resource };
        self.stack.record_event(&resource, work.token.clone());
        if let Some(before) = before.as_ref().filter(|before| before.physical_id != resource.physical_id) {
            work.leftovers.push(before.clone());
        }
        work.undo.push((id.to_owned(), before));
        self.stack.resources.insert(id.to_owned(), resource);
        Ok(())
    }

    fn delete(&mut self, id: &str, work: &StackOperation) -> Result<(), String> {
        let Some(resource) = self.stack.resources.get(id).cloned() else { return Ok(()) };
        let status = self.delete_physical_resource(&resource, work)?;
        let resource = Resource { status, reason: None, changed_at: work.time, ..resource };
        self.stack.record_event(&resource, work.token.clone());
        self.stack.resources.insert(id.to_owned(), resource);
        Ok(())
    }

    fn delete_replaced_resource(&mut self, resource: Resource, work: &StackOperation) -> Result<(), String> {
        let status = self.delete_physical_resource(&resource, work)?;
        self.stack.record_event(&Resource { status, changed_at: work.time, ..resource }, work.token.clone());
        Ok(())
    }

    fn delete_physical_resource(&mut self, resource: &Resource, work: &StackOperation) -> Result<Status, String> {
        // These phases delete only resources that the failed operation has created.
        let is_undone = matches!(work.phase, Phase::Rollback | Phase::UpdateRollbackCleanup);
        if resource.retained && !(is_undone && resource.retained_except_on_create) {
            return Ok(Status::DeleteSkipped);
        }
        let target = ResourceContext { ctx: &self.ctx, stack_name: &self.stack.name, logical_id: &resource.logical_id };
        resources::delete(self.state, &target, resource)?;
        Ok(Status::DeleteComplete)
    }

    fn restore(&mut self, before: Resource, work: &StackOperation) -> Result<(), String> {
        let id = before.logical_id.clone();
        let target = ResourceContext { ctx: &self.ctx, stack_name: &self.stack.name, logical_id: &id };
        if let Some(current) = self.stack.resources.get(&id)
            && current.physical_id == before.physical_id
        {
            resources::update(self.state, &target, current, &before.kind, &before.properties)?;
        }
        let resource = Resource { status: Status::UpdateComplete, reason: None, changed_at: work.time, ..before };
        self.stack.record_event(&resource, work.token.clone());
        self.stack.resources.insert(id, resource);
        Ok(())
    }

    /// Returns the fault to inject into a task, if a fault rule matches. The operation in the rule is a resource type
    /// for creations and updates, `Delete AWS::…` for deletions and `Restore AWS::…` for rollbacks.
    fn injected_fault(&mut self, action: &TaskAction, resource: &Resource, id: &str) -> Option<InjectedFault> {
        let kind = &resource.kind;
        let work = match action {
            TaskAction::Build => kind.clone(),
            TaskAction::Restore(_) => format!("Restore {kind}"),
            TaskAction::Delete | TaskAction::Discard(_) if resource.retained => return None,
            TaskAction::Delete | TaskAction::Discard(_) => format!("Delete {kind}"),
        };
        let name = format!("{}/{id}", self.stack.name);
        match self.state.faults.fault_for_work(&self.ctx, "cloudformation", &work, &name)? {
            Fault::Stuck => Some(InjectedFault::Stuck),
            Fault::FailedState { reason } => Some(InjectedFault::Failure(reason)),
            Fault::Error { code, message, .. } => {
                Some(InjectedFault::Failure(resources::handler_error(&message, &code)))
            }
            Fault::Throttle => Some(InjectedFault::Failure(resources::handler_error("Rate exceeded", "Throttling"))),
            Fault::EmptyPage => None,
        }
    }

    /// Returns a resource with the status `CREATE_IN_PROGRESS` and no physical id.
    fn new_resource(&self, id: &str, kind: &str) -> Resource {
        Resource {
            logical_id: id.to_owned(),
            physical_id: None,
            kind: kind.to_owned(),
            status: Status::CreateInProgress,
            reason: None,
            changed_at: self.ctx.now,
            properties: Value::Null,
            attributes: BTreeMap::new(),
            needs: BTreeSet::new(),
            retained: false,
            retained_except_on_create: false,
        }
    }

    /// Returns the logical ids of the resources that a resource depends on, or `None` if the condition of the resource
    /// is false.
    fn dependencies(&mut self, id: &str) -> Result<Option<BTreeSet<String>>, TemplateError> {
        let bound_template = self.bound_template()?;
        Ok(bound_template.resource(id).map(|resource| bound_template.dependencies(resource)))
    }

    /// Returns a resource as defined in the stack's template, with its dependencies and its resolved properties.
    fn desired_resource(&mut self, id: &str) -> Result<(ResourceDeclaration, BTreeSet<String>, Value), TemplateError> {
        self.bound_template()?;
        let declared = self
            .bound_template
            .as_ref()
            .and_then(|bound_template| Some((bound_template, bound_template.resource(id)?)));
        let (bound_template, resource) =
            declared.ok_or_else(|| TemplateError(format!("Resource {id} is not in the template")))?;
        let properties = bound_template.resolve(&resource.properties, &self.stack.resources)?;
        Ok((resource.clone(), bound_template.dependencies(resource), properties))
    }

    /// Returns the stack's template, parsed and bound to its parameters. The result is cached until the definition
    /// changes.
    pub(super) fn bound_template(&mut self) -> Result<&BoundTemplate, TemplateError> {
        if self.bound_template.is_none() {
            let template = Template::parse(&self.stack.definition.template)?;
            let mut pseudo = super::pseudo_parameters(self.stack);
            let region =
                self.state.accounts.get(&pseudo.account).and_then(|account| account.regions.get(&pseudo.region));
            pseudo.exports = region.map(|region| region.stacks.exports()).unwrap_or_default();
            self.bound_template = Some(template.bind(&self.stack.definition.parameters, pseudo)?);
        }
        self.bound_template.as_ref().ok_or_else(|| TemplateError("The template is missing".into()))
    }

    /// Restores the definition that the stack had before the update.
    pub(super) fn restore_definition(&mut self) {
        if let Some(previous_definition) = self.stack.previous_definition.take() {
            self.stack.definition = previous_definition;
            self.bound_template = None;
        }
    }

    /// Returns the e-mail address of the account, or its id if the account is not a member. Random durations are
    /// derived from this key, because an e-mail address does not depend on the order of account creations.
    fn duration_key(&self) -> String {
        let account = &self.ctx.caller.account;
        let member = self.state.organization.members.get(account);
        member.map_or_else(|| account.clone(), |member| member.email.clone())
    }
}
