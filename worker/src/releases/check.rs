//! Check of a release before it can be deployed: by the rules of Freehold, and by CloudFormation in each region.

use std::collections::{BTreeMap, BTreeSet};

use freehold_tenancy::config::{OWN_STACK_PARAMETERS, TemplateUrl};
use freehold_tenancy::db::releases::ReleaseCheck;
use freehold_tenancy::excerpt::limit_problems;
use freehold_tenancy::release::{Release, ReleaseContent, ReleaseTemplate, StackParameters};
use freehold_tenancy::{Config, Region};

use crate::aws::{Aws, TemplateLocation};
use crate::cloud::{CloudError, CloudErrorKind};
use crate::template::check::{TextOfRegions, problems_of_text};
use crate::template::{Template, yaml};

/// Maximum number of nested levels in a template.
const MAX_DEPTH: usize = 32;

/// Checks a release. Fails if AWS cannot be asked, so that the check must be repeated.
pub(super) async fn check(aws: &Aws, config: &Config, release: &Release) -> Result<ReleaseCheck, CloudError> {
    let content = &release.content;
    let regions: BTreeSet<Region> = config.residencies.iter().flat_map(|one| one.regions.iter().copied()).collect();
    let mut problems = Vec::new();
    let mut declared = BTreeMap::new();
    for region in &regions {
        if content.template_in(*region).is_none() {
            problems.push(format!("template: must cover {region}, in which environments can run"));
        }
    }
    check_parameter_names(content, &mut problems);
    for (field, text, of_text) in texts(content, &regions) {
        problems.extend(structure_problems(&field, text));
        for region in &of_text {
            // The parameters can differ from region to region.
            let stack = release_config(config, content, *region);
            let of_region = TextOfRegions { field: &field, body: text, regions: std::slice::from_ref(region) };
            let found = problems_of_text(&stack, &of_region);
            problems.extend(found.into_iter().map(|problem| name_of_field(problem, *region, content)));
            problems.extend(undeclared(content, *region, text));
        }
    }
    problems = without_repetition(problems);
    if problems.is_empty() {
        for region in &regions {
            match ask_cloudformation(aws, content, *region).await? {
                Ok(names) => _ = declared.insert(*region, names),
                Err(problem) => problems.push(problem),
            }
        }
        check_declared(content, &declared, &mut problems);
    }
    Ok(ReleaseCheck { problems: limit_problems(problems), declared_parameters: declared })
}

/// Returns the texts of a release, each with the name of its field and its regions. A region with a copy in S3 and
/// without a text has none.
fn texts<'a>(content: &'a ReleaseContent, regions: &BTreeSet<Region>) -> Vec<(String, &'a str, Vec<Region>)> {
    let has_own = |region: &Region| content.region_templates.contains_key(region);
    let common = content.template.as_deref().map(|text| {
        let regions = regions.iter().filter(|region| !has_own(region) && !content.urls.contains_key(region));
        ("template".to_owned(), text, regions.copied().collect())
    });
    let own = content.region_templates.iter();
    let own = own.map(|(region, text)| (format!("region_templates.{region}"), text.as_str(), vec![*region]));
    common.into_iter().chain(own).collect()
}

/// Returns the configuration that would deploy the release in a region.
fn release_config(config: &Config, content: &ReleaseContent, region: Region) -> Config {
    let mut config = config.clone();
    config.stack.parameters = content.parameters_in(region, &StackParameters::new());
    config.stack.template_urls = BTreeMap::new();
    config
}

/// Replaces the names of configuration fields by those of the release.
fn name_of_field(problem: String, region: Region, content: &ReleaseContent) -> String {
    match problem.strip_prefix("stack.parameters") {
        Some(rest) if content.region_parameters.contains_key(&region) => format!("region_parameters.{region}{rest}"),
        Some(rest) => format!("parameters{rest}"),
        None => problem,
    }
}

/// Returns the problems of a text whose form could hide what it does.
fn structure_problems(field: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if yaml::has_alias(text) {
        problems.push(format!("{field}: must have no YAML aliases, because a reviewer does not see what they repeat"));
    }
    if Template::parse(text).is_ok_and(|template| template.depth() > MAX_DEPTH) {
        problems.push(format!("{field}: must have at most {MAX_DEPTH} nested levels"));
    }
    problems
}

/// Returns a problem for each parameter that the template of a region does not declare.
fn undeclared(content: &ReleaseContent, region: Region, text: &str) -> Vec<String> {
    let Ok(template) = Template::parse(text) else { return Vec::new() };
    let parameters = content.parameters_in(region, &StackParameters::new());
    let unknown = parameters.keys().filter(|name| !template.has_parameter(name));
    unknown.map(|name| format!("parameters.{name}: must be declared by the template of {region}")).collect()
}

fn check_parameter_names(content: &ReleaseContent, problems: &mut Vec<String>) {
    let of_regions = content.region_parameters.iter();
    let of_regions = of_regions.map(|(region, all)| (format!("region_parameters.{region}"), all));
    for (field, parameters) in std::iter::once(("parameters".to_owned(), &content.parameters)).chain(of_regions) {
        for name in parameters.keys().filter(|name| OWN_STACK_PARAMETERS.contains(&name.as_str())) {
            problems.push(format!("{field}.{name}: must not be set, because Freehold passes this parameter"));
        }
    }
}

/// Checks that the template of each region declares the parameters of the release. Copies in S3 are known only after
/// CloudFormation has read them.
fn check_declared(content: &ReleaseContent, declared: &BTreeMap<Region, Vec<String>>, problems: &mut Vec<String>) {
    for (region, names) in declared {
        if !content.urls.contains_key(region) {
            continue;
        }
        for name in content.parameters_in(*region, &StackParameters::new()).keys() {
            if !names.contains(name) {
                problems.push(format!("parameters.{name}: must be declared by the template of {region}"));
            }
        }
    }
}

/// Asks CloudFormation to validate the template of a region. Returns the parameters that it declares, or the problem.
async fn ask_cloudformation(
    aws: &Aws,
    content: &ReleaseContent,
    region: Region,
) -> Result<Result<Vec<String>, String>, CloudError> {
    let (field, location) = match content.template_in(region) {
        Some(ReleaseTemplate::Url(TemplateUrl { url, .. })) => (format!("urls.{region}"), TemplateLocation::Url(url)),
        Some(ReleaseTemplate::Text(text)) => ("template".to_owned(), TemplateLocation::Body(text)),
        None => return Ok(Ok(Vec::new())),
    };
    match aws.validate_template(region, location).await {
        Ok(valid) => Ok(Ok(valid.parameters)),
        Err(error) if error.code == "ValidationError" => {
            Ok(Err(format!("{field}: must be a template that AWS accepts in {region}: {}", error.message)))
        }
        // The organisation has not enabled the region; CloudFormation checks the template when it is deployed.
        Err(error) if matches!(error.kind, CloudErrorKind::NotYet | CloudErrorKind::Denied { .. }) => {
            tracing::warn!(%region, %error, "the template of a release was not checked in {region}");
            Ok(Ok(Vec::new()))
        }
        Err(error) => Err(error),
    }
}

fn without_repetition(problems: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    problems.into_iter().filter(|problem| seen.insert(problem.clone())).collect()
}
