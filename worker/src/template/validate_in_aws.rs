//! Validation of the templates of the tenant stack by AWS itself, in each region, before any account exists.

use freehold_tenancy::aws::quotas::MAX_TEMPLATE_BYTES;
use freehold_tenancy::config::Capability;
use freehold_tenancy::{Config, Region};
use futures::future::join_all;

use super::{TemplateOrigin, needed_types};
use crate::aws::{Aws, TemplateLocation, ValidatedTemplate};
use crate::cloud::{CloudError, CloudErrorKind};

/// Result of a validation by AWS. Each message starts with the name of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsTemplateReport {
    /// Number of regions whose CloudFormation accepts the template.
    pub accepted: usize,
    /// Reasons why AWS refuses a template.
    pub problems: Vec<String>,
    /// Regions in which AWS could not be asked, with the reason.
    pub skipped: Vec<String>,
}

/// Asks CloudFormation in each configured region to validate the template of that region, except where it lacks a
/// resource type of the template, so that the region is not offered. Uses the credentials of the
/// process if they belong to the management account, otherwise the control role. Fails if neither can be used.
pub async fn validate(aws: &Aws, config: &Config) -> Result<AwsTemplateReport, CloudError> {
    let caller = aws.caller().await?;
    let aws = if caller.account == config.organization.management_account_id.as_str() {
        aws.as_administrator().await?
    } else {
        aws.clone()
    };
    // Without this call, a control role that cannot be assumed would be reported once per region.
    aws.caller_arn().await?;
    let mut report = AwsTemplateReport::default();
    let (mut templates, types) = (Vec::new(), needed_types(config));
    for (origin, regions) in TemplateOrigin::all(config) {
        // The configuration check reports a template that cannot be read.
        let Ok(body) = origin.read() else { continue };
        let offered: Vec<Region> = regions.into_iter().filter(|region| types.refusal(*region).is_none()).collect();
        templates.push((origin.field, body, offered));
    }
    let requests =
        templates.iter().flat_map(|(field, body, regions)| regions.iter().map(move |region| (field, body, *region)));
    let requests = requests.map(|(field, body, region)| {
        let aws = &aws;
        let location = location(config, region, body);
        async move { (region, field, location, aws.validate_template(region, location).await) }
    });
    for (region, field, location, result) in join_all(requests).await {
        let field = match location {
            TemplateLocation::Body(_) => field.clone(),
            TemplateLocation::Url(_) => format!("stack.template_urls.{region}"),
        };
        match result {
            Ok(valid) => match missing_capability(config, &valid) {
                None => report.accepted += 1,
                Some(missing) => report.problems.push(format!(
                    "stack.capabilities: must contain {missing}, which AWS requires in {region}: {}",
                    valid.reason
                )),
            },
            Err(error) if error.code == "ValidationError" => report
                .problems
                .push(format!("{field}: must be a template that AWS accepts in {region}: {}", error.message)),
            Err(error) => report.skipped.push(format!("{field}: not validated by AWS in {region}: {}", reason(&error))),
        }
    }
    Ok(report)
}

/// Returns the copy in S3 if the template is configured with one, because AWS must be able to read it.
fn location<'a>(config: &'a Config, region: Region, body: &'a str) -> TemplateLocation<'a> {
    match config.stack.template_urls.get(&region) {
        Some(entry) => TemplateLocation::Url(&entry.url),
        None => TemplateLocation::Body(truncate_to_limit(body)),
    }
}

/// Returns at most as many bytes as a request can contain. The configuration check reports a longer template.
fn truncate_to_limit(body: &str) -> &str {
    (0..=MAX_TEMPLATE_BYTES.min(body.len())).rev().find_map(|end| body.get(..end)).unwrap_or_default()
}

fn missing_capability<'a>(config: &Config, valid: &'a ValidatedTemplate) -> Option<&'a str> {
    let granted = &config.stack.capabilities;
    let all = [Capability::Iam, Capability::NamedIam, Capability::AutoExpand];
    let is_granted = |name: &str| all.iter().any(|one| one.as_str() == name && one.is_granted_by(granted));
    valid.capabilities.iter().map(String::as_str).find(|name| !is_granted(name))
}

fn reason(error: &CloudError) -> String {
    match error.kind {
        CloudErrorKind::Denied { .. } => format!("{error}; allow this call (deploy/iam/control-role.json)"),
        CloudErrorKind::NotYet => format!("{error}; the management account has probably not enabled the region"),
        _ => error.to_string(),
    }
}
