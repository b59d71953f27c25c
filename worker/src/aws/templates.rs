//! CloudFormation calls about templates: validation before any account exists, and the template of a stack.

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::TemplateStage;
use freehold_tenancy::Region;

use super::Aws;
use super::call::missing_field;
use crate::cloud::{Result, Role, Target};

/// Template for a validation: its text, or the URL of its copy in S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateLocation<'a> {
    Body(&'a str),
    Url(&'a str),
}

/// Result of the validation of a template that AWS accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidatedTemplate {
    /// Names of the capabilities that CreateStack requires for the template.
    pub capabilities: Vec<String>,
    /// Reason that AWS gives for the capabilities.
    pub reason: String,
    /// Names of the parameters that the template declares.
    pub parameters: Vec<String>,
}

impl Aws {
    /// Validates a template in a region, in the management account. An invalid template is an error with the code
    /// `ValidationError`.
    pub async fn validate_template(&self, region: Region, template: TemplateLocation<'_>) -> Result<ValidatedTemplate> {
        let session = self.control_session().await?;
        let request = session.client(region.as_str(), Client::new).validate_template();
        let request = match template {
            TemplateLocation::Body(body) => request.template_body(body),
            TemplateLocation::Url(url) => request.template_url(url),
        };
        let response = self.send(&session, "cloudformation:ValidateTemplate", request.send()).await?;
        let capabilities = response.capabilities.unwrap_or_default();
        let parameters = response.parameters.unwrap_or_default().into_iter();
        Ok(ValidatedTemplate {
            capabilities: capabilities.iter().map(|capability| capability.as_str().to_owned()).collect(),
            reason: response.capabilities_reason.unwrap_or_default(),
            parameters: parameters.filter_map(|parameter| parameter.parameter_key).collect(),
        })
    }

    /// Returns the template of a stack as it was submitted, before macros.
    pub async fn template_of_stack(
        &self,
        account: &Target,
        role: Role,
        region: Region,
        stack_id: &str,
    ) -> Result<String> {
        const CALL: &str = "cloudformation:GetTemplate";
        let session = self.tenant_session(account, role).await?;
        let request = session.client(region.as_str(), Client::new).get_template().stack_name(stack_id);
        let request = request.template_stage(TemplateStage::Original);
        let response = self.send(&session, CALL, request.send()).await?;
        response.template_body.ok_or_else(|| missing_field(CALL, "template body"))
    }
}
