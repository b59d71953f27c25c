//! Proof that CloudFormation has read the configured template from S3. The URL names a version, which cannot change; so
//! one comparison after the request proves which text the stack has.

use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::config::{TemplateUrl, sha256_of};
use freehold_tenancy::db::fleet_holds::templates::TemplateFault;
use serde_json::Value;

use super::stack_deployment::StackDeployment;
use super::template_comparison::Comparison;
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

impl StackDeployment {
    /// Compares the template of a stack with the copy in S3 that this step has requested, once per request. Deletes a
    /// new stack with another template, because nothing may run that Freehold has not checked.
    pub(super) async fn compare_template(
        &self,
        context: &StepContext,
        stack_id: &str,
        is_new: bool,
    ) -> Result<Comparison, StepError> {
        let Some(requested) = requested(context) else { return Ok(Comparison::NotNeeded) };
        if context.step_fact::<TemplateUrl>("template_read").as_ref() == Some(&requested) {
            return Ok(Comparison::NotNeeded);
        }
        let account = context.account()?;
        let found = context.aws().template_of_stack(&account, self.role, self.region, stack_id).await?;
        let is_current = self.template_url.as_ref() == Some(&requested);
        let is_same = if is_current { is_same_text(&found, &self.template) } else { requested.has_content(&found) };
        if is_same {
            return Ok(Comparison::Same(requested));
        }
        if !is_current {
            return Ok(Comparison::Outdated);
        }
        let consequence = if is_new {
            context.aws().delete_stack(&account, self.role, self.region, stack_id).await?;
            "is deleted"
        } else {
            "must be updated again"
        };
        let message = format!(
            "CloudFormation has read another template from {} than Freehold has checked (SHA-256 {} in place of {}), \
             so the stack {} in {} {consequence}.",
            requested.url,
            sha256_of(&found),
            requested.sha256,
            self.name,
            self.region,
        );
        let fault = TemplateFault { message, is_regional: true };
        let error = match self.hold(context, &fault).await? {
            Some(held) => held,
            None => StepError::needs_attention(
                AttentionCode::StackRejected,
                format!(
                    "{} Correct stack.template_urls.{} and restart the workers, then retry.",
                    fault.message, self.region
                ),
            ),
        };
        Ok(Comparison::Different(Box::new(StepOutcome::failed(error).with("stack_id", stack_id))))
    }
}

/// Returns the copy in S3 that this step has requested last.
fn requested(context: &StepContext) -> Option<TemplateUrl> {
    let of_intent = |intent: &Value| serde_json::from_value(intent.get("template_url")?.clone()).ok();
    match context.pending_intent::<Value>() {
        Some((intent, _)) => of_intent(&intent),
        None => context.step_fact("template_url"),
    }
}

/// Compares two templates. Line ends are ignored, because XML, in which AWS returns a template, does not preserve them.
fn is_same_text(one: &str, other: &str) -> bool {
    one.replace("\r\n", "\n").trim_end() == other.replace("\r\n", "\n").trim_end()
}
