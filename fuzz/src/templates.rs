//! CloudFormation templates, as the simulated AWS reads them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::text;

use crate::simulated::template::{Pseudo, Resolved, Template};

/// Resources that all exist.
struct Existing;

impl Resolved for Existing {
    fn reference(&self, logical_id: &str) -> Option<Value> {
        Some(Value::from(format!("physical-{logical_id}")))
    }

    fn attribute(&self, logical_id: &str, attribute: &str) -> Option<Value> {
        Some(Value::from(format!("{logical_id}-{attribute}")))
    }
}

/// A template that is read is bound and resolved, or refused with words; JSON reads as the same when it is written as YAML.
pub fn template(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let read = Template::parse(text);
    if let Ok(value) = serde_json::from_str::<Value>(text)
        && let Ok(yaml) = serde_yaml_ng::to_string(&value)
        && let (Ok(one), Ok(other)) = (&read, Template::parse(&yaml))
    {
        assert_eq!(one, &other, "{yaml}");
    }
    let Ok(template) = read else { return };
    let pseudo = Pseudo {
        account: "111122223333".to_owned(),
        region: "eu-central-1".to_owned(),
        stack_id: "arn:aws:cloudformation:eu-central-1:111122223333:stack/x/1".to_owned(),
        stack_name: "x".to_owned(),
    };
    let count = template.resources.len();
    let Ok(scope) = template.bind(&BTreeMap::new(), pseudo) else { return };
    assert!(scope.resources().count() <= count);
    for resource in scope.resources() {
        for needed in scope.dependencies(resource) {
            assert!(scope.resource(&needed).is_some(), "{needed} is needed and not there");
        }
        let once = scope.resolve(&resource.properties, &Existing).map(|value| value.to_string());
        assert_eq!(once, scope.resolve(&resource.properties, &Existing).map(|value| value.to_string()));
    }
    for output in scope.outputs() {
        _ = scope.resolve(&output.value, &Existing);
    }
}
