//! Validation that the configured capabilities are sufficient for the template.

use freehold_tenancy::config::Capability;
use serde_json::Value;

use super::{Subject, TemplateReport};

/// Resource types that need a capability start with this prefix ("Acknowledge IAM resources in CloudFormation
/// templates").
const IAM_PREFIX: &str = "AWS::IAM::";

/// Properties that give an IAM resource a name of its own.
const NAME_PROPERTIES: [&str; 5] = ["GroupName", "InstanceProfileName", "ManagedPolicyName", "RoleName", "UserName"];

/// Reports each missing capability once. Returns whether the template uses macros.
pub(super) fn check(subject: &Subject<'_>, report: &mut TemplateReport) -> bool {
    let Subject { config, field, template, .. } = *subject;
    let granted = &config.stack.capabilities;
    let has_macros =
        template.root.contains_key("Transform") || template.root.values().any(|value| has_key(value, "Fn::Transform"));
    if has_macros && !Capability::AutoExpand.is_granted_by(granted) {
        report.add(
            field,
            "must not use Transform, or stack.capabilities must contain CAPABILITY_AUTO_EXPAND: without it, AWS \
             refuses macros; alternatively deploy the processed template (`sam package`)",
        );
    }
    let needed = template.section("Resources").filter_map(|(name, resource)| {
        let kind = resource.get("Type").and_then(Value::as_str).filter(|kind| kind.starts_with(IAM_PREFIX))?;
        let properties = resource.get("Properties");
        let own_name = NAME_PROPERTIES.iter().find(|one| properties.is_some_and(|all| all.get(*one).is_some()));
        // The name of an inline policy is not a name of its own.
        let capability = if own_name.is_some() { Capability::NamedIam } else { Capability::Iam };
        Some((capability, name, kind, own_name))
    });
    if let Some((capability, name, kind, own_name)) = needed.max_by_key(|(capability, ..)| *capability)
        && !capability.is_granted_by(granted)
    {
        let reason = own_name.map_or_else(String::new, |property| format!(" with a {property}"));
        report.add(
            "stack.capabilities",
            format_args!(
                "must contain {}, because the template has the resource {name} of the type {kind}{reason}",
                capability.as_str()
            ),
        );
    }
    has_macros
}

fn has_key(value: &Value, key: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_key(item, key)),
        Value::Object(entries) => entries.iter().any(|(name, value)| name == key || has_key(value, key)),
        _ => false,
    }
}
