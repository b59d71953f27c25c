//! Origin of the tenant stack's template in each region: a configured file, or one of the built-in templates.

use std::path::PathBuf;

use freehold_tenancy::aws::resource_types;
use freehold_tenancy::config::Stack;
use freehold_tenancy::{Config, Region};

use super::{Template, TemplateError};

/// Template that is deployed if `stack.template` is not set.
const BUILT_IN: &str = include_str!("../../../stacks/tenant.yaml");

/// Variant of [`BUILT_IN`] for regions without Function URLs. A condition on the URL cannot replace the variant,
/// because AWS also checks templates without evaluating conditions, and then refuses a type that the region lacks.
const BUILT_IN_WITHOUT_URL: &str = include_str!("../../../stacks/tenant-without-url.yaml");

/// Origin of a template, and the configuration field that sets it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TemplateOrigin {
    /// Name of the field, at the start of the messages.
    pub(crate) field: String,
    text: OriginText,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum OriginText {
    File(PathBuf),
    BuiltIn(&'static str),
}

impl TemplateOrigin {
    /// Returns the origin of the template that is deployed in a region.
    pub(crate) fn of_region(stack: &Stack, region: Region) -> Self {
        if let Some(path) = stack.region_templates.get(&region) {
            let field = format!("stack.region_templates.{region}");
            return Self { field, text: OriginText::File(path.clone()) };
        }
        let text = match &stack.template {
            Some(path) => OriginText::File(path.clone()),
            None if has_function_urls(region) => OriginText::BuiltIn(BUILT_IN),
            None => OriginText::BuiltIn(BUILT_IN_WITHOUT_URL),
        };
        Self { field: "stack.template".to_owned(), text }
    }

    /// Returns the origins of all configured regions, each with its regions.
    pub(crate) fn all(config: &Config) -> Vec<(Self, Vec<Region>)> {
        let mut origins: Vec<(Self, Vec<Region>)> = Vec::new();
        for region in config.residencies.iter().flat_map(|residency| residency.regions.iter().copied()) {
            let origin = Self::of_region(&config.stack, region);
            match origins.iter_mut().find(|(known, _)| *known == origin) {
                Some((_, regions)) => regions.push(region),
                None => origins.push((origin, vec![region])),
            }
        }
        origins
    }

    /// Returns the configured regions of this origin.
    pub(crate) fn regions(&self, config: &Config) -> Vec<Region> {
        Self::all(config).into_iter().find(|(one, _)| one == self).map(|(_, regions)| regions).unwrap_or_default()
    }

    pub(crate) fn read(&self) -> Result<String, TemplateError> {
        match &self.text {
            OriginText::BuiltIn(text) => Ok((*text).to_owned()),
            OriginText::File(path) => std::fs::read_to_string(path).map_err(|error| TemplateError::Unreadable {
                field: self.field.clone(),
                path: path.clone(),
                reason: error.to_string(),
            }),
        }
    }

    /// Parses a text of this origin.
    pub(crate) fn parse(&self, body: &str) -> Result<Template, TemplateError> {
        Template::parse(body).map_err(|reason| TemplateError::NotWellFormed { field: self.field.clone(), reason })
    }
}

/// Returns whether CloudFormation can create a Function URL in a region.
pub(crate) fn has_function_urls(region: Region) -> bool {
    resource_types::is_usable("AWS::Lambda::Url", region)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn section(body: &str, section: &str) -> BTreeMap<String, serde_json::Value> {
        let template = Template::parse(body).unwrap();
        template.section(section).map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }

    #[test]
    fn the_built_in_templates_differ_only_in_the_function_url() {
        let permissions = ["MayCallUrl", "MayInvokeThroughUrl", "FrontDoorMayCallUrl", "FrontDoorMayInvokeThroughUrl"];
        for (name, only_with_url) in [
            ("Parameters", vec!["VerifyRoleArn", "FrontDoor"]),
            ("Conditions", vec!["HasFrontDoor"]),
            ("Resources", [&["Url"], &permissions[..]].concat()),
            ("Outputs", vec!["FunctionUrl"]),
        ] {
            let mut with_url = section(BUILT_IN, name);
            for entry in only_with_url {
                assert!(with_url.remove(entry).is_some(), "{entry}");
            }
            assert_eq!(section(BUILT_IN_WITHOUT_URL, name), with_url, "{name}");
        }
    }

    #[test]
    fn a_region_without_function_urls_gets_the_other_built_in_template() {
        let has_url = |region: &str| {
            let body = TemplateOrigin::of_region(&Stack::default(), region.parse().unwrap()).read().unwrap();
            section(&body, "Outputs").contains_key("FunctionUrl")
        };
        assert!(has_url("eu-central-1") && has_url("us-east-1"));
        assert!(!has_url("eu-central-2") && !has_url("mx-central-1"));
    }
}
