//! Completion and update of a deployed stack. After a manual retry, an existing stack is updated to the current
//! template; a rolled-back update is never taken as a success.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::db::fleet_holds::templates::TemplateFault;
use freehold_tenancy::environment_stack::{IntendedStack, StackChange, StackKind, StackProgress};
use freehold_tenancy::release::{DeployedRelease, RELEASE_FIELD};
use freehold_tenancy::wait_reason::{RequestedWork, WaitReason};
use serde_json::{Value, json};

use super::check_target::{self, CheckTarget};
use super::stack_deployment::{StackDeployment, last_request_at};
use super::template_faults;
use crate::cloud::{CloudError, NewStack, StackState};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};
use crate::steps::StepResult;

/// Fact with the parameters of release and environment in the last request.
const RELEASE_PARAMETERS_FACT: &str = "release_parameters";

/// Problem of the outputs of a stack.
enum OutputProblem {
    /// The template is at fault for every tenant.
    OfTemplate(TemplateFault),
    /// The output of this name is missing for this environment.
    OfTenant(String),
}

impl StackDeployment {
    pub(super) fn intended(&self) -> IntendedStack {
        IntendedStack { kind: self.kind, slot: self.slot, region: self.region, name: self.name.clone() }
    }

    /// Adds the change of the row of the stack to the outcome of a run.
    pub(super) fn with_stack_change(&self, context: &StepContext, outcome: StepOutcome) -> StepOutcome {
        let id = || outcome.facts.get("stack_id").and_then(Value::as_str).map(ToOwned::to_owned);
        let progress = match (&outcome.failed, id()) {
            (Some(StepError::Failed(_)), _) => StackProgress::Undone,
            (_, None) => return outcome,
            (None, Some(id)) if outcome.wait.is_none() => {
                let outputs = outcome.facts.iter().filter_map(|(name, value)| {
                    Some((name.strip_prefix("output_")?.to_owned(), value.as_str()?.to_owned()))
                });
                StackProgress::Completed { id, outputs: outputs.collect() }
            }
            (_, Some(id)) => StackProgress::Accepted { id },
        };
        let IntendedStack { kind, slot, region, name } = self.intended();
        let is_complete = matches!(progress, StackProgress::Completed { .. });
        let release = is_complete.then(|| self.deployed_release(context, &outcome)).flatten();
        StepOutcome { stack: Some(StackChange { kind, slot, region, name, progress, release }), ..outcome }
    }

    /// Returns the release of the last request of this step, or `None` if the step has requested nothing.
    fn deployed_release(&self, context: &StepContext, outcome: &StepOutcome) -> Option<DeployedRelease> {
        let fact = |name: &str| outcome.facts.get(name).cloned().or_else(|| context.step_fact(name));
        let requested = fact(RELEASE_FIELD).and_then(|id| {
            let parameters = serde_json::from_value(fact(RELEASE_PARAMETERS_FACT)?).ok()?;
            Some(DeployedRelease { id: serde_json::from_value(id).ok()?, parameters })
        });
        // The answer to the request was lost.
        requested.or_else(|| context.pending_intent::<Value>().and_then(|_| self.release.clone()))
    }

    /// Checks that no hold on the template is active.
    pub(super) async fn admit(&self, context: &StepContext) -> Result<(), StepError> {
        match &self.tenant_template {
            Some(template) => context.admit_template(template, self.region).await,
            None => Ok(()),
        }
    }

    /// Starts a hold on the template. Returns the error that makes the step wait, or `None` if the fault belongs to
    /// this environment.
    pub(super) async fn hold(
        &self,
        context: &StepContext,
        fault: &TemplateFault,
    ) -> Result<Option<StepError>, StepError> {
        match &self.tenant_template {
            Some(template) => context.start_template_hold(template, self.region, fault).await,
            None => Ok(None),
        }
    }

    /// Converts an error of a request to create or update the stack. A rejected template starts a hold.
    pub(super) async fn convert_rejection(
        &self,
        context: &StepContext,
        error: CloudError,
    ) -> Result<StepError, StepError> {
        if let Some(fault) = template_faults::of_rejection(&error)
            && let Some(held) = self.hold(context, &fault).await?
        {
            return Ok(held);
        }
        self.convert_call_error(context, error).await
    }

    pub(super) fn with_fingerprint(&self, outcome: StepOutcome) -> StepOutcome {
        let outcome = match &self.tenant_template {
            Some(template) => outcome.with("template_fingerprint", template.loaded.fingerprint.clone()),
            None => outcome,
        };
        let outcome = match &self.release {
            Some(release) => {
                let outcome = outcome.with(RELEASE_FIELD, json!(release.id));
                outcome.with(RELEASE_PARAMETERS_FACT, json!(release.parameters))
            }
            None => outcome,
        };
        match &self.template_url {
            Some(entry) => outcome.with("template_url", json!(entry)),
            None => outcome,
        }
    }

    /// Finishes the step if the stack is up to date and has the outputs that its check needs.
    pub(super) async fn complete(&self, context: &StepContext, stack: StackState) -> StepResult {
        if self.kind == StackKind::FrontDoor && !self.is_current(&stack) {
            return self.update(context, stack).await;
        }
        let Some(template) = &self.tenant_template else { return Ok(self.completed_outcome(context, stack)) };
        if Self::is_update_due(context) {
            return self.update(context, stack).await;
        }
        let Some(problem) = self.output_problem(context, &stack) else {
            context.lift_template_hold(template, self.region).await?;
            return Ok(self.completed_outcome(context, stack));
        };
        let deployed: Option<String> = context.step_fact("template_fingerprint");
        if deployed.is_some_and(|deployed| deployed != template.loaded.fingerprint) {
            // The template was changed after the request.
            return self.update(context, stack).await;
        }
        self.report_outputs(context, &stack, problem).await
    }

    /// Returns whether a stack has the parameters and the tags of this deployment.
    fn is_current(&self, stack: &StackState) -> bool {
        let has = |found: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>| {
            wanted.iter().all(|(name, value)| found.get(name) == Some(value))
        };
        has(&stack.parameters, &self.parameters) && has(&stack.tags, &self.tags)
    }

    /// Returns whether a person has retried the step after its last request. A retry updates the stack, because the
    /// template may have been corrected.
    fn is_update_due(context: &StepContext) -> bool {
        let retried_at = context.entry().and_then(|entry| entry.retried_at);
        retried_at.is_some_and(|retried| last_request_at(context).is_none_or(|request| retried > request))
    }

    /// Updates the stack to the current template and parameters.
    pub(super) async fn update(&self, context: &StepContext, stack: StackState) -> StepResult {
        let account = context.account()?;
        self.admit(context).await?;
        let attempt: u64 = context.step_fact("update_try").unwrap_or(0) + 1;
        let request = self.request(context, attempt);
        let request = NewStack { token: format!("{}-update", request.token), ..request };
        let now = context.now();
        let requested = |outcome: StepOutcome| {
            let outcome = outcome.with("update_try", attempt).with("asked_at", now.to_rfc3339());
            self.with_fingerprint(outcome)
        };
        context.record_stack_intent(&request, &self.intended()).await?;
        match context.aws().update_stack(&account, self.role, self.region, &request).await {
            Ok(true) => {
                let outcome = self.poll_since(context, now, self.deployment_wait()).await?;
                Ok(requested(outcome).with("stack_id", stack.id))
            }
            Ok(false) => {
                let outcome = if let Some(problem) = self.output_problem(context, &stack) {
                    self.report_outputs(context, &stack, problem).await.unwrap_or_else(failed)
                } else {
                    if let Some(template) = &self.tenant_template {
                        context.lift_template_hold(template, self.region).await?;
                    }
                    self.completed_outcome(context, stack)
                };
                Ok(requested(outcome))
            }
            Err(error) if error.code == "TokenAlreadyExistsException" => {
                // An update whose response was lost has finished. The next update needs another token.
                let reason = WaitReason::RepeatedRequest(RequestedWork::Stack);
                Ok(StepOutcome::wait(reason, now + TimeDelta::seconds(5)).with("update_try", attempt))
            }
            Err(error) if error.message.contains("_IN_PROGRESS state and can not be updated") => {
                self.poll_later(context, self.deployment_wait()).await
            }
            Err(error) => {
                if error.had_no_effect() {
                    context.withdraw_stack_intent(&self.intended()).await?;
                }
                Err(self.convert_rejection(context, error).await?)
            }
        }
    }

    /// Reports an update that CloudFormation has rolled back, with the first failed resource. A later run updates the
    /// stack again.
    pub(super) async fn handle_rolled_back_update(&self, context: &StepContext, stack: StackState) -> StepResult {
        let Some(request) = last_request_at(context).map(|at| at.to_rfc3339()) else {
            // An earlier operation or another program has made the update.
            return self.complete(context, stack).await;
        };
        if context.step_fact::<String>("failed_update").as_ref() == Some(&request) {
            return self.update(context, stack).await;
        }
        let account = context.account()?;
        let failure = context.aws().stack_failure(&account, self.role, self.region, &stack.id).await?;
        let reason = failure.map_or_else(
            || stack.reason.clone().unwrap_or_else(|| stack.status_text.clone()),
            |failure| format!("{}: {}", failure.resource, failure.reason),
        );
        let held = match template_faults::of_resource(&reason) {
            Some(fault) => self.hold(context, &fault).await?,
            None => None,
        };
        let error = match held {
            Some(held) => held,
            None => StepError::needs_attention(
                AttentionCode::StackFailed,
                format!(
                    "The update of the stack {} in {} failed with {reason}, so CloudFormation restored the previous \
                     version. Fix the cause or correct the template, then retry; a retry reads the template again \
                     and updates the stack.",
                    self.name, self.region
                ),
            ),
        };
        Ok(StepOutcome::failed(error).with("failed_update", request).with("stack_id", stack.id))
    }

    /// Returns the problem of the outputs, or `None` if the stack can be checked with them.
    fn output_problem(&self, context: &StepContext, stack: &StackState) -> Option<OutputProblem> {
        let template = self.tenant_template.as_ref()?;
        let settings = &context.config().stack;
        match check_target::find(settings, self.region, &stack.outputs) {
            Ok(CheckTarget::Url(url)) if !context.aws().is_function_url(self.region, &url) => {
                Some(OutputProblem::OfTemplate(template_faults::of_wrong_url(&settings.url_output, self.region)))
            }
            Ok(_) => None,
            Err(output) => {
                let is_conditional = template.loaded.template.output(output).is_some_and(|one| one.is_conditional);
                Some(if is_conditional {
                    OutputProblem::OfTenant(output.to_owned())
                } else {
                    OutputProblem::OfTemplate(template_faults::of_missing_output(output))
                })
            }
        }
    }

    async fn report_outputs(&self, context: &StepContext, stack: &StackState, problem: OutputProblem) -> StepResult {
        let message = match problem {
            OutputProblem::OfTemplate(fault) => match self.hold(context, &fault).await? {
                Some(held) => return Ok(failed(held).with("stack_id", stack.id.clone())),
                None => fault.message,
            },
            OutputProblem::OfTenant(output) => {
                format!("The stack {} in {} has no output `{output}`.", self.name, self.region)
            }
        };
        Ok(failed(missing_output(&message)).with("stack_id", stack.id.clone()))
    }
}

fn failed(error: StepError) -> StepOutcome {
    StepOutcome::failed(error)
}

/// Returns the error for a stack without the output that its check needs.
pub(in crate::steps) fn missing_output(problem: &str) -> StepError {
    StepError::needs_attention(
        AttentionCode::StackUrlOutputMissing,
        format!(
            "{problem} Correct the template or the names of the outputs in [stack], then retry; a retry reads the \
             template again and updates the stack."
        ),
    )
}
