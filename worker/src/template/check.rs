//! Validates the template of the tenant stack before any account is created, so that AWS does not refuse it later.

mod capabilities;
mod functions;
mod parameters;
mod references;

use std::collections::BTreeSet;

use freehold_tenancy::aws::quotas::{
    MAX_S3_TEMPLATE_BYTES, MAX_TEMPLATE_BYTES, MAX_TEMPLATE_NAME_LENGTH, MAX_TEMPLATE_OUTPUTS, MAX_TEMPLATE_PARAMETERS,
    MAX_TEMPLATE_RESOURCES,
};
use freehold_tenancy::aws::resource_types;
use freehold_tenancy::config::{CheckKind, is_forbidden_service, sha256_of};
use freehold_tenancy::excerpt::limit_problems;
use freehold_tenancy::{Config, Region};
use serde_json::Value;

use super::access_role::AllowedActions;
use super::needed_types::needed_types;
use super::origin::has_function_urls;
use super::{Template, TemplateOrigin, baseline};

/// Sections of a template that CloudFormation knows.
const SECTIONS: [&str; 10] = [
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
];

const FORMAT_VERSION: &str = "2010-09-09";

/// Result of a validation. Each message starts with the name of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateReport {
    /// Size of the template in bytes.
    pub bytes: usize,
    /// Reasons why AWS would refuse the template, or why no environment could become ready.
    pub problems: Vec<String>,
    /// Reasons why AWS refuses the template under some conditions.
    pub warnings: Vec<String>,
}

impl TemplateReport {
    fn add(&mut self, field: &str, problem: impl std::fmt::Display) {
        self.problems.push(format!("{field}: {problem}"));
    }
}

/// A template with the regions in which it is deployed.
struct Subject<'a> {
    config: &'a Config,
    /// Name of the configuration field, at the start of the messages.
    field: &'a str,
    template: &'a Template,
    body: &'a str,
    regions: &'a [Region],
    /// Regions in which the template must not use a resource type that CloudFormation lacks there. Other regions are
    /// not offered in that case.
    must_fit: &'a [Region],
}

/// Validates the configured templates, or the built-in templates, for all regions and tiers in the configuration.
pub fn check(config: &Config) -> TemplateReport {
    let mut report = TemplateReport::default();
    let mut templates = Vec::new();
    let must_fit = regions_that_must_fit(config);
    for (origin, regions) in TemplateOrigin::all(config) {
        let body = match origin.read() {
            Ok(body) => body,
            Err(error) => {
                report.problems.push(error.to_string());
                continue;
            }
        };
        report.bytes = report.bytes.max(body.len());
        templates.extend(check_text(config, &origin, [&regions, &must_fit], &body, &mut report));
    }
    parameters::check_declared(config, &templates, &mut report);
    if let Some(problem) = baseline::size_problem(&config.access_role) {
        report.add("access_role.statements", problem);
    }
    report.problems = limit_problems(report.problems);
    report
}

/// Returns the regions of the residencies that would have no other region in which an environment can run.
fn regions_that_must_fit(config: &Config) -> Vec<Region> {
    let types = needed_types(config);
    let is_refused = |region: &Region| types.refusal(*region).is_some();
    let without_offer = config.residencies.iter().filter(|residency| residency.regions.iter().all(is_refused));
    without_offer.flat_map(|residency| &residency.regions).copied().collect()
}

/// Validates a changed text for the regions of its origin. In each region of `must_fit`, CloudFormation must have the
/// resource types of the text. Returns the problems.
pub(crate) fn problems_of(config: &Config, origin: &TemplateOrigin, must_fit: &[Region], body: &str) -> Vec<String> {
    let mut report = TemplateReport::default();
    check_text(config, origin, [&origin.regions(config), must_fit], body, &mut report);
    limit_problems(report.problems)
}

/// Text of a template that is deployed in some regions.
pub(crate) struct TextOfRegions<'a> {
    /// Name of the field, at the start of the messages.
    pub(crate) field: &'a str,
    pub(crate) body: &'a str,
    pub(crate) regions: &'a [Region],
}

/// Validates a text that no configuration field contains. CloudFormation must have its resource types in each of its
/// regions. Returns the problems.
pub(crate) fn problems_of_text(config: &Config, text: &TextOfRegions<'_>) -> Vec<String> {
    let TextOfRegions { field, body, regions } = *text;
    let template = match Template::parse(body) {
        Ok(template) => template,
        Err(reason) => return vec![format!("{field}: must be YAML or JSON: {reason}")],
    };
    let mut report = TemplateReport::default();
    check_template(&Subject { config, field, template: &template, body, regions, must_fit: regions }, &mut report);
    report.problems
}

/// Validates a text. Returns the template if it is well-formed.
fn check_text(
    config: &Config,
    origin: &TemplateOrigin,
    [regions, must_fit]: [&[Region]; 2],
    body: &str,
    report: &mut TemplateReport,
) -> Option<Template> {
    let field = origin.field.as_str();
    match origin.parse(body) {
        Ok(template) => {
            check_template(&Subject { config, field, template: &template, body, regions, must_fit }, report);
            Some(template)
        }
        Err(error) => {
            report.problems.push(error.to_string());
            None
        }
    }
}

fn check_template(subject: &Subject<'_>, report: &mut TemplateReport) {
    size_and_hash(subject, report);
    sections(subject, report);
    let has_macros = capabilities::check(subject, report);
    parameters::check(subject, report);
    outputs(subject, report);
    // Macros process functions of their own, and can add resources to which the template refers.
    if !has_macros {
        functions::check(subject, report);
        references::check(subject, report);
    }
    resources(subject, has_macros, report);
}

fn size_and_hash(subject: &Subject<'_>, report: &mut TemplateReport) {
    let Subject { config, field, body, regions, .. } = *subject;
    let urls = &config.stack.template_urls;
    let (most, advice) = if urls.is_empty() {
        (MAX_TEMPLATE_BYTES, "; a larger template must be in S3, see [stack.template_urls]")
    } else {
        (MAX_S3_TEMPLATE_BYTES, "")
    };
    if body.len() > most {
        report.add(field, format_args!("must have at most {most} bytes, not {}{advice}", body.len()));
    }
    for region in regions {
        if let Some(entry) = urls.get(region)
            && !entry.has_content(body)
        {
            report.add(
                &format!("stack.template_urls.{region}.sha256"),
                format_args!("must be the SHA-256 of {field}, which is {}", sha256_of(body)),
            );
        }
    }
}

fn sections(subject: &Subject<'_>, report: &mut TemplateReport) {
    let Subject { field, template, .. } = *subject;
    // `capabilities` reports the section Transform.
    for (name, value) in template.root.iter().filter(|(name, _)| *name != "Transform") {
        let is_text = matches!(name.as_str(), "AWSTemplateFormatVersion" | "Description");
        if !SECTIONS.contains(&name.as_str()) {
            report
                .add(field, format_args!("must not contain the section `{name}`, which CloudFormation does not know"));
        } else if is_text != value.is_string() || !(is_text || value.is_object()) {
            let kind = if is_text { "a text" } else { "an object" };
            report.add(field, format_args!("the section {name} must be {kind}"));
        }
    }
    if let Some(version) = template.root.get("AWSTemplateFormatVersion").and_then(Value::as_str)
        && version != FORMAT_VERSION
    {
        report.add(field, format_args!("AWSTemplateFormatVersion must be {FORMAT_VERSION}, not {version}"));
    }
    for (section, most) in [
        ("Parameters", MAX_TEMPLATE_PARAMETERS),
        ("Resources", MAX_TEMPLATE_RESOURCES),
        ("Outputs", MAX_TEMPLATE_OUTPUTS),
    ] {
        let count = template.section(section).count();
        if count > most {
            report.add(field, format_args!("the section {section} must have at most {most} entries, not {count}"));
        }
        for (name, value) in template.section(section) {
            if name.len() > MAX_TEMPLATE_NAME_LENGTH || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                report
                    .add(field, format_args!("the name `{name}` in {section} must be at most 255 letters and digits"));
            }
            if !value.is_object() {
                report.add(field, format_args!("{name} in {section} must be an object"));
            }
        }
    }
    if template.section("Resources").next().is_none() {
        report.add(field, "must have at least one resource");
    }
}

fn outputs(subject: &Subject<'_>, report: &mut TemplateReport) {
    let Subject { config, field, template, regions, .. } = *subject;
    let stack = &config.stack;
    let (url, function) = (template.output(&stack.url_output), template.output(&stack.function_output));
    let lacking: Vec<_> =
        regions.iter().filter(|region| !has_function_urls(**region)).map(|one| one.as_str()).collect();
    let of_template = if field == "stack.template" { "the template" } else { field };
    let missing = |name: &str| {
        let names: Vec<&str> = template.section("Outputs").map(|(name, _)| name).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!("must be an output of {of_template}, which lacks `{name}`; its outputs are: {names}")
    };
    match stack.check.kind {
        CheckKind::Invoke if function.is_none() => {
            report.add("stack.function_output", missing(&stack.function_output));
        }
        CheckKind::Invoke => {}
        CheckKind::Url => {
            let needs_url = lacking.len() < regions.len() || function.is_none();
            if url.is_none() && needs_url {
                report.add("stack.url_output", missing(&stack.url_output));
            } else if url.is_some_and(|output| output.is_conditional) && function.is_none() && !lacking.is_empty() {
                report.add(
                    "stack.function_output",
                    format_args!(
                        "{}; without a Function URL, Freehold invokes the function in {}",
                        missing(&stack.function_output),
                        lacking.join(", ")
                    ),
                );
            }
        }
    }
    for (name, output) in template.section("Outputs") {
        if output.is_object() && output.get("Value").is_none() {
            report.add(field, format_args!("the output {name} must have a Value"));
        }
        if output.get("Export").is_some() {
            let why = "a stack that imports it would block the deletion of the tenant's stack";
            report.add(field, format_args!("the output {name} must not have an Export, because {why}"));
        }
    }
}

fn resources(subject: &Subject<'_>, has_macros: bool, report: &mut TemplateReport) {
    let Subject { config, field, template, .. } = *subject;
    let (mut checked, allowed) = (BTreeSet::new(), AllowedActions::of_access_role(&config.access_role));
    for (name, resource) in template.section("Resources") {
        let Some(kind) = resource.get("Type").and_then(Value::as_str) else {
            report.add(field, format_args!("the resource {name} must have a Type"));
            continue;
        };
        if config.stack.accepted_resource_types.iter().any(|one| one == kind) || !checked.insert(kind) {
            continue;
        }
        if !resource_types::exists(kind) {
            // Macros define resource types of their own, such as AWS::Serverless::Function.
            if !has_macros {
                report.add(
                    field,
                    format_args!(
                        "the Type {kind} of the resource {name} must be a resource type of AWS; if AWS has added it \
                         recently, list it in stack.accepted_resource_types"
                    ),
                );
            }
            continue;
        }
        let actions = resource_types::creating_actions(kind);
        if let Some(action) = actions.first()
            && !actions.iter().any(|action| allowed.contains(action))
        {
            report.add(
                field,
                format_args!(
                    "the Type {kind} of the resource {name} needs permissions that the role freehold-access lacks, \
                     such as {action}; {}",
                    statement_to_add(action)
                ),
            );
        }
        report_lacking(subject, name, kind, report);
    }
}

/// Reports the regions that lack the type of a resource.
fn report_lacking(subject: &Subject<'_>, name: &str, kind: &str, report: &mut TemplateReport) {
    let Subject { field, template, regions, must_fit, .. } = *subject;
    let lacking = |is_wanted: &dyn Fn(&Region) -> bool| {
        let regions = regions.iter().filter(|region| !resource_types::is_usable(kind, **region) && is_wanted(region));
        regions.map(|one| one.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut of_kind = template.section("Resources").filter(|(_, one)| one.get("Type").is_some_and(|one| one == kind));
    if of_kind.all(|(_, one)| one.get("Condition").is_some()) {
        let lacking = lacking(&|_| true);
        if !lacking.is_empty() {
            report.warnings.push(format!(
                "{field}: AWS lacks the Type {kind} of the resource {name} in {lacking}, so the Condition of the \
                 resource must be false there"
            ));
        }
        return;
    }
    let advice = "set another template for the region in [stack.region_templates], or, if AWS has added the type there \
                  recently, list it in stack.accepted_resource_types";
    let (refused, not_offered) =
        (lacking(&|region| must_fit.contains(region)), lacking(&|region| !must_fit.contains(region)));
    if !refused.is_empty() {
        report.add(
            field,
            format_args!(
                "the Type {kind} of the resource {name} must be replaced, because AWS lacks it in {refused}; {advice}"
            ),
        );
    }
    if !not_offered.is_empty() {
        report.warnings.push(format!(
            "{field}: AWS lacks the Type {kind} of the resource {name} in {not_offered}, so no environment can run \
             there, and requests are refused with region_without_type; {advice}"
        ));
    }
}

/// Returns the advice that adds the permission for an action, and for the other actions of its service.
fn statement_to_add(action: &str) -> String {
    let service = action.split(':').next().unwrap_or_default();
    if is_forbidden_service(service) {
        return "access_role.statements must not allow it, so the resource must be deployed in another way".to_owned();
    }
    let resource = if service == "iam" { "arn:aws:iam::*:role/freehold-tenant-*" } else { "*" };
    format!(
        "add {{ Effect = \"Allow\", Action = \"{service}:*\", Resource = \"{resource}\" }} to access_role.statements, \
         with fewer actions and a narrower Resource if possible"
    )
}

#[cfg(test)]
mod tests;
