//! Validation that CloudFormation knows the functions of the template.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Subject, TemplateReport};

/// Intrinsic functions without macros ("Intrinsic function reference", "Rule functions").
const FUNCTIONS: [&str; 21] = [
    "Fn::And",
    "Fn::Base64",
    "Fn::Cidr",
    "Fn::Contains",
    "Fn::EachMemberEquals",
    "Fn::EachMemberIn",
    "Fn::Equals",
    "Fn::FindInMap",
    "Fn::GetAZs",
    "Fn::GetAtt",
    "Fn::If",
    "Fn::ImportValue",
    "Fn::Join",
    "Fn::Not",
    "Fn::Or",
    "Fn::RefAll",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
    "Fn::ValueOf",
    "Fn::ValueOfAll",
];

pub(super) fn check(subject: &Subject<'_>, report: &mut TemplateReport) {
    let Subject { field, template, .. } = *subject;
    let mut used = BTreeSet::new();
    for section in ["Conditions", "Outputs", "Resources", "Rules"] {
        for (_, entry) in template.section(section) {
            add_functions(entry, &mut used);
        }
    }
    for function in used {
        if function == "Fn::ImportValue" {
            report.add(field, "must not use Fn::ImportValue, because a new account has no exports; pass a parameter");
        } else if !FUNCTIONS.contains(&function) {
            report.add(field, format_args!("must not use {function}, which CloudFormation does not know"));
        }
    }
}

/// Adds the names of the functions in `value`. A function is an object with one entry.
fn add_functions<'a>(value: &'a Value, used: &mut BTreeSet<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| add_functions(item, used)),
        Value::Object(entries) => {
            if let (1, Some((name, _))) = (entries.len(), entries.iter().next())
                && name.starts_with("Fn::")
            {
                used.insert(name);
            }
            entries.values().for_each(|value| add_functions(value, used));
        }
        _ => {}
    }
}
