//! Following one stack's schedule: begin what can begin, end what is due.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::resources::{self, Place};
use super::super::stack::{Act, Resource, Spoiled, Stack, Status, Until, Work};
use crate::faults::Fault;
use crate::template::{Declaration, Scope, Template, TemplateError};
use crate::world::{Caller, Ctx, State};

/// One stack, taken out of the world while its schedule is followed.
pub(super) struct Run<'a> {
    pub(super) state: &'a mut State,
    pub(super) stack: &'a mut Stack,
    pub(super) ctx: Ctx,
    now: DateTime<Utc>,
    pub(super) scope: Option<Scope>,
}

impl<'a> Run<'a> {
    pub(super) fn new(state: &'a mut State, stack: &'a mut Stack, mut ctx: Ctx, now: DateTime<Utc>) -> Self {
        if let Some(session) = stack.work.as_ref().and_then(|work| work.session.clone()) {
            ctx.caller = Caller { account: session.account.clone(), arn: session.arn.clone(), session: Some(session) };
        }
        Self { state, stack, ctx, now, scope: None }
    }

    pub(super) fn follow(&mut self) {
        while let Some(mut work) = self.stack.work.take() {
            self.ctx.now = work.time;
            if self.begin_what_can(&mut work) {
                self.stack.work = Some(work);
                continue;
            }
            let due = work.tasks.iter().enumerate().filter_map(|(index, task)| match task.until {
                Until::Running(Some(until)) => Some((until, index)),
                _ => None,
            });
            match due.min() {
                Some((until, index)) if until <= self.now => {
                    work.time = until;
                    self.ctx.now = until;
                    self.finish(&mut work, index);
                    self.stack.work = Some(work);
                }
                Some(_) => {
                    self.stack.work = Some(work);
                    return;
                }
                None if work.tasks.iter().any(|task| task.until == Until::Running(None)) => {
                    self.stack.work = Some(work);
                    return;
                }
                None => self.end_phase(work),
            }
        }
    }

    /// Begins every task whose turn it is; says whether there was one.
    fn begin_what_can(&mut self, work: &mut Work) -> bool {
        let unfinished: BTreeSet<String> =
            work.tasks.iter().filter(|task| task.until != Until::Done).map(|task| task.logical_id.clone()).collect();
        let mut begun = false;
        for index in 0..work.tasks.len() {
            let id = work.tasks[index].logical_id.clone();
            if work.tasks[index].until != Until::Waiting {
                continue;
            }
            let waits = match (&work.tasks[index].act, self.needs(&id)) {
                (Act::Build, Ok(Some(needs))) => needs.iter().any(|need| unfinished.contains(need)),
                // Not among the resources whose condition holds.
                (Act::Build, Ok(None)) => {
                    work.tasks[index].until = Until::Done;
                    begun = true;
                    continue;
                }
                (Act::Build, Err(_)) => false,
                _ => work.tasks[index].after.iter().any(|after| unfinished.contains(after)),
            };
            if !waits {
                begun = true;
                self.begin(work, index);
            }
        }
        begun
    }

    fn begin(&mut self, work: &mut Work, index: usize) {
        let id = work.tasks[index].logical_id.clone();
        let (status, resource) = match &work.tasks[index].act {
            Act::Build => match (self.desired(&id), self.stack.resources.get(&id)) {
                (Ok((declaration, _, properties)), Some(existing))
                    if existing.properties == properties && existing.kind == declaration.kind =>
                {
                    work.tasks[index].until = Until::Done;
                    return;
                }
                (_, Some(existing)) => (Status::UpdateInProgress, existing.clone()),
                (desired, None) => {
                    let kind = desired.map(|(declaration, ..)| declaration.kind).unwrap_or_default();
                    (Status::CreateInProgress, self.blank(&id, &kind))
                }
            },
            Act::Delete => {
                let Some(resource) = self.stack.resources.get(&id) else {
                    work.tasks[index].until = Until::Done;
                    return;
                };
                (Status::DeleteInProgress, resource.clone())
            }
            Act::Discard(resource) => (Status::DeleteInProgress, (**resource).clone()),
            Act::Restore(resource) => (Status::UpdateInProgress, (**resource).clone()),
        };
        let took = format!("{}/{}/{}/{}", self.owner(), self.ctx.region, self.stack.name, id);
        let took = self.ctx.draw(self.ctx.settings.durations.stack_resource, &format!("{took}/{}", status.as_str()));
        let fault = self.fault(&work.tasks[index].act, &resource, &id);
        let stuck = work.spoiled == Some(Spoiled::Stuck) || fault == Some(Spoiled::Stuck);
        work.tasks[index].until = Until::Running((!stuck).then(|| work.time + took));
        if let Some(Spoiled::Fails(reason)) = fault {
            work.tasks[index].doomed = Some(reason);
        }
        let resource = Resource { status, reason: None, changed_at: work.time, ..resource };
        self.stack.note(&resource, work.token.clone());
        match &work.tasks[index].act {
            Act::Discard(_) => {}
            // A resource being created is listed, without a physical id.
            _ => drop(self.stack.resources.insert(id, resource)),
        }
    }

    fn finish(&mut self, work: &mut Work, index: usize) {
        let id = work.tasks[index].logical_id.clone();
        let last = work.tasks.iter().enumerate().all(|(at, task)| at == index || task.until == Until::Done);
        let spoilt = match &work.spoiled {
            Some(Spoiled::Fails(reason)) if last => Some(reason.clone()),
            _ => work.tasks[index].doomed.clone(),
        };
        let outcome = match spoilt {
            Some(reason) => Err(reason),
            None => match work.tasks[index].act.clone() {
                Act::Build => self.build(work, &id),
                Act::Delete => self.delete(&id, work),
                Act::Discard(resource) => self.discard(*resource, work),
                Act::Restore(resource) => self.restore(*resource, work),
            },
        };
        match outcome {
            Ok(()) => work.tasks[index].until = Until::Done,
            Err(reason) => {
                work.tasks[index].until = Until::Failed;
                self.fail(work, &id, &reason);
            }
        }
    }

    /// Creates a resource, or brings it to what the design wants.
    fn build(&mut self, work: &mut Work, id: &str) -> Result<(), String> {
        let (declaration, needs, properties) = self.desired(id).map_err(|error| error.0)?;
        let before = self.stack.resources.get(id).filter(|resource| resource.physical_id.is_some()).cloned();
        let place = Place { ctx: &self.ctx, stack_name: &self.stack.name, logical_id: id };
        let made = match &before {
            None => resources::create(self.state, &place, &declaration.kind, &properties)?,
            Some(before) => resources::update(self.state, &place, before, &declaration.kind, &properties)?,
        };
        let status = if before.is_some() { Status::UpdateComplete } else { Status::CreateComplete };
        let resource = Resource {
            logical_id: id.to_owned(),
            physical_id: Some(made.physical_id),
            kind: declaration.kind,
            status,
            reason: None,
            changed_at: work.time,
            properties,
            attributes: made.attributes,
            needs,
            retained: declaration.retained,
        };
        self.stack.note(&resource, work.token.clone());
        if let Some(before) = before.as_ref().filter(|before| before.physical_id != resource.physical_id) {
            work.leftovers.push(before.clone());
        }
        work.undo.push((id.to_owned(), before));
        self.stack.resources.insert(id.to_owned(), resource);
        Ok(())
    }

    fn delete(&mut self, id: &str, work: &Work) -> Result<(), String> {
        let Some(resource) = self.stack.resources.get(id).cloned() else { return Ok(()) };
        let status = self.take_away(&resource)?;
        let resource = Resource { status, reason: None, changed_at: work.time, ..resource };
        self.stack.note(&resource, work.token.clone());
        self.stack.resources.insert(id.to_owned(), resource);
        Ok(())
    }

    fn discard(&mut self, resource: Resource, work: &Work) -> Result<(), String> {
        let status = self.take_away(&resource)?;
        self.stack.note(&Resource { status, changed_at: work.time, ..resource }, work.token.clone());
        Ok(())
    }

    fn take_away(&mut self, resource: &Resource) -> Result<Status, String> {
        if resource.retained {
            return Ok(Status::DeleteSkipped);
        }
        let place = Place { ctx: &self.ctx, stack_name: &self.stack.name, logical_id: &resource.logical_id };
        resources::delete(self.state, &place, resource)?;
        Ok(Status::DeleteComplete)
    }

    fn restore(&mut self, before: Resource, work: &Work) -> Result<(), String> {
        let id = before.logical_id.clone();
        let place = Place { ctx: &self.ctx, stack_name: &self.stack.name, logical_id: &id };
        if let Some(current) = self.stack.resources.get(&id)
            && current.physical_id == before.physical_id
        {
            resources::update(self.state, &place, current, &before.kind, &before.properties)?;
        }
        let resource = Resource { status: Status::UpdateComplete, reason: None, changed_at: work.time, ..before };
        self.stack.note(&resource, work.token.clone());
        self.stack.resources.insert(id, resource);
        Ok(())
    }

    /// What is to go wrong with the creation or the update of this resource, with its deletion (`Delete AWS::…`), or with
    /// its going back to what it was (`Restore AWS::…`).
    fn fault(&mut self, act: &Act, resource: &Resource, id: &str) -> Option<Spoiled> {
        let kind = &resource.kind;
        let work = match act {
            Act::Build => kind.clone(),
            Act::Restore(_) => format!("Restore {kind}"),
            Act::Delete | Act::Discard(_) if resource.retained => return None,
            Act::Delete | Act::Discard(_) => format!("Delete {kind}"),
        };
        let name = format!("{}/{id}", self.stack.name);
        match self.state.faults.for_work(&self.ctx, "cloudformation", &work, &name)? {
            Fault::Stuck => Some(Spoiled::Stuck),
            Fault::FailedState { reason } => Some(Spoiled::Fails(reason)),
            Fault::Error { code, message, .. } => Some(Spoiled::Fails(resources::refusal(&message, &code))),
            Fault::Throttle => Some(Spoiled::Fails(resources::refusal("Rate exceeded", "Throttling"))),
            Fault::EmptyPage => None,
        }
    }

    /// A resource that does not exist yet.
    fn blank(&self, id: &str, kind: &str) -> Resource {
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
        }
    }

    /// What a resource of the design needs; nothing where its condition does not hold.
    fn needs(&mut self, id: &str) -> Result<Option<BTreeSet<String>>, TemplateError> {
        let scope = self.scope()?;
        Ok(scope.resource(id).map(|resource| scope.dependencies(resource)))
    }

    /// A resource of the design with what it needs and its properties worked out.
    fn desired(&mut self, id: &str) -> Result<(Declaration, BTreeSet<String>, Value), TemplateError> {
        self.scope()?;
        let declared = self.scope.as_ref().and_then(|scope| Some((scope, scope.resource(id)?)));
        let (scope, resource) =
            declared.ok_or_else(|| TemplateError(format!("Resource {id} is not in the template")))?;
        let properties = scope.resolve(&resource.properties, &self.stack.resources)?;
        Ok((resource.clone(), scope.dependencies(resource), properties))
    }

    /// The design, read and bound to its parameters: once for as long as it does not change.
    pub(super) fn scope(&mut self) -> Result<&Scope, TemplateError> {
        if self.scope.is_none() {
            let template = Template::parse(&self.stack.design.template)?;
            self.scope = Some(template.bind(&self.stack.design.parameters, super::pseudo(self.stack))?);
        }
        self.scope.as_ref().ok_or_else(|| TemplateError("The template is missing".into()))
    }

    /// Goes back to the design before the update.
    pub(super) fn go_back(&mut self) {
        if let Some(former) = self.stack.former.take() {
            self.stack.design = former;
            self.scope = None;
        }
    }

    /// Whose account this is, by a name that does not depend on the order in which accounts were made.
    fn owner(&self) -> String {
        let account = &self.ctx.caller.account;
        let member = self.state.organization.members.get(account);
        member.map_or_else(|| account.clone(), |member| member.email.clone())
    }
}
