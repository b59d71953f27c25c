//! Fuzz test of CloudFormation templates in the simulated AWS.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::text;

use crate::simulated::template::{PseudoParameters, ResourceValues, Template};

/// Resolver that returns a value for every resource.
struct AllResourcesExist;

impl ResourceValues for AllResourcesExist {
    fn reference(&self, logical_id: &str) -> Option<Value> {
        Some(Value::from(format!("physical-{logical_id}")))
    }

    fn attribute(&self, logical_id: &str, attribute: &str) -> Option<Value> {
        Some(Value::from(format!("{logical_id}-{attribute}")))
    }
}

/// Checks that a valid template can be bound and resolved, and that a JSON template and the same template as YAML give
/// the same result.
pub fn template(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let parsed = Template::parse(text);
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && let Ok(yaml) = serde_yaml_ng::to_string(&value)
        && let (Ok(json_template), Ok(yaml_template)) = (&parsed, Template::parse(&yaml))
    {
        assert_eq!(json_template, &yaml_template, "{yaml}");
    }
    let Ok(template) = parsed else { return };
    let pseudo = PseudoParameters {
        account: "111122223333".to_owned(),
        region: "eu-central-1".to_owned(),
        stack_id: "arn:aws:cloudformation:eu-central-1:111122223333:stack/x/1".to_owned(),
        stack_name: "x".to_owned(),
        exports: BTreeMap::new(),
    };
    let count = template.resources.len();
    let Ok(scope) = template.bind(&BTreeMap::new(), pseudo) else { return };
    assert!(scope.resources().count() <= count);
    for resource in scope.resources() {
        for dependency in scope.dependencies(resource) {
            assert!(scope.resource(&dependency).is_some(), "{dependency} is a dependency but does not exist");
        }
        let resolved = scope.resolve(&resource.properties, &AllResourcesExist).map(|value| value.to_string());
        assert_eq!(resolved, scope.resolve(&resource.properties, &AllResourcesExist).map(|value| value.to_string()));
    }
    for output in scope.outputs() {
        _ = scope.resolve(&output.value, &AllResourcesExist);
    }
}
