//! Resource types that the templates of Freehold's stacks need, and whether CloudFormation has them in each region.

use std::collections::{BTreeMap, BTreeSet};

use freehold_tenancy::aws::resource_types;
use freehold_tenancy::needed_types::{MissingType, NeededTypes, NeedingStack, RegionTypes};
use freehold_tenancy::{Config, Region};
use serde_json::Value;

use super::{Template, TemplateOrigin, baseline, front_door};

/// Resource type that the region of an origin needs for a front door, in addition to the types of the front door's own
/// stack.
const FUNCTION_URL: &str = "AWS::Lambda::Url";

impl Template {
    /// Returns the resource types that the template needs under any condition, without those that only a macro knows.
    pub(super) fn needed_types(&self) -> BTreeSet<&str> {
        let resources = self.section("Resources").filter(|(_, resource)| resource.get("Condition").is_none());
        let types = resources.filter_map(|(_, resource)| resource.get("Type").and_then(Value::as_str));
        types.filter(|kind| resource_types::exists(kind)).collect()
    }

    /// Returns whether CloudFormation has all needed types in a region.
    pub(super) fn fits(&self, config: &Config, region: Region) -> bool {
        self.needed_types().iter().all(|kind| is_available(config, kind, region))
    }
}

/// Returns whether a template may use a resource type in a region, by Freehold's data or by the configuration.
fn is_available(config: &Config, kind: &str, region: Region) -> bool {
    resource_types::is_usable(kind, region) || config.stack.accepted_resource_types.iter().any(|one| one == kind)
}

/// Returns the resource types that the stacks need in each region of AWS. A region whose template is not valid is left
/// out; the configuration check reports the template.
pub fn needed_types(config: &Config) -> NeededTypes {
    let (baseline, front_door) = (parse(&baseline::template(&config.access_role)), parse(&front_door::template(&[])));
    let mut tenants: BTreeMap<TemplateOrigin, Option<Template>> = BTreeMap::new();
    let mut regions = Vec::new();
    for region in Region::all() {
        let origin = TemplateOrigin::of_region(&config.stack, region);
        let read = |origin: &TemplateOrigin| origin.read().and_then(|body| origin.parse(&body)).ok();
        let Some(tenant) = tenants.entry(origin).or_insert_with_key(read) else { continue };
        let mut types = RegionTypes::default();
        let mut add = |stack, kinds: BTreeSet<&str>| {
            for kind in kinds {
                if is_available(config, kind, region) {
                    types.available.insert(kind.to_owned());
                } else {
                    types.missing.push(MissingType { resource_type: kind.to_owned(), stack });
                }
            }
        };
        add(NeedingStack::Baseline, baseline.iter().flat_map(Template::needed_types).collect());
        add(NeedingStack::Tenant, tenant.needed_types());
        let of_front_door = front_door.iter().flat_map(Template::needed_types).chain([FUNCTION_URL]);
        add(NeedingStack::FrontDoor, of_front_door.collect());
        regions.push((region, types));
    }
    regions.into_iter().collect()
}

fn parse(text: &str) -> Option<Template> {
    Template::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = include_str!("../../../tenancy/src/config/minimal.toml");

    fn of_template(template: &str, more: &str) -> NeededTypes {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), template).unwrap();
        let path = file.path().display().to_string();
        needed_types(&Config::parse(&format!("{CONFIG}\n[stack]\ntemplate = {path:?}\n{more}")).unwrap())
    }

    fn region(code: &str) -> Region {
        code.parse().unwrap()
    }

    #[test]
    fn the_sample_fits_every_region_but_not_behind_a_front_door() {
        let types = needed_types(&Config::parse(CONFIG).unwrap());
        for region in Region::all() {
            assert_eq!(types.refusal(region), None);
            let missing = &types.of_region(region).unwrap().missing;
            let url = MissingType { resource_type: FUNCTION_URL.to_owned(), stack: NeedingStack::FrontDoor };
            assert!(missing.is_empty() || *missing == [url], "{region}: {missing:?}");
        }
        let of = |code| types.of_region(region(code)).unwrap();
        assert!(of("eu-central-1").available.contains(FUNCTION_URL) && !of("eu-central-2").missing.is_empty());
        for kind in ["AWS::IAM::Role", "AWS::Lambda::Function", "AWS::CloudFront::Distribution"] {
            assert!(of("eu-central-2").available.contains(kind), "{kind}");
        }
    }

    #[test]
    fn a_region_without_a_type_of_the_template_is_refused() {
        let template = "Resources: {Url: {Type: 'AWS::Lambda::Url'}, Budget: {Type: 'AWS::Budgets::Budget'}}";
        let types = of_template(template, "");
        assert_eq!(types.refusal(region("us-east-1")), None);
        let refusal = types.refusal(region("eu-central-2")).unwrap();
        assert_eq!(
            refusal,
            "AWS CloudFormation lacks AWS::Budgets::Budget, AWS::Lambda::Url in eu-central-2, which the template of \
             the tenant stack needs"
        );
        assert!(types.refusal(region("eu-north-1")).unwrap().contains("lacks AWS::Budgets::Budget in eu-north-1"));
    }

    #[test]
    fn accepted_conditional_and_unknown_types_do_not_count() {
        let url = "Resources: {Url: {Type: 'AWS::Lambda::Url'}}";
        let accepted = of_template(url, "accepted_resource_types = [\"AWS::Lambda::Url\"]");
        assert_eq!(accepted.refusal(region("eu-central-2")), None);
        let conditional = of_template(&url.replace("Url'", "Url', Condition: HasUrl"), "");
        assert_eq!(conditional.refusal(region("eu-central-2")), None);
        let of_macro = of_template("Resources: {Function: {Type: 'AWS::Serverless::Function'}}", "");
        assert_eq!(of_macro.refusal(region("eu-central-2")), None);
        let broken = of_template("Resources: [", "");
        assert!(broken.of_region(region("eu-central-1")).is_none());
    }
}
