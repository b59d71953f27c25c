//! Tests of dashboard, alerts and runbook: every metric is exported, and every alert links to its section of the
//! runbook.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{read, yaml};

/// Returns the names of Freehold's metrics in a PromQL expression.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let ours = words.filter(|word| word.starts_with("freehold_") || word.starts_with("http_server_request_"));
    let series = ["_bucket", "_count", "_sum"];
    ours.map(|name| series.iter().find_map(|one| name.strip_suffix(one)).unwrap_or(name).to_owned()).collect()
}

/// Returns the names of all metrics in the code.
fn exported_metrics() -> BTreeSet<String> {
    let files = ["api/src/metrics.rs", "cli/src/worker_metrics.rs"];
    let text = files.map(read).concat();
    let names =
        text.split('"').filter(|word| word.starts_with("freehold_") || word.starts_with("http_server_request_"));
    names.map(str::to_owned).collect()
}

/// Adds the text values of all fields named `key` in `value`, at any depth, to `texts`.
fn collect_texts<'a>(value: &'a Value, key: &str, texts: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|one| collect_texts(one, key, texts)),
        Value::Object(values) => {
            for (name, one) in values {
                if name == key {
                    texts.extend(one.as_str());
                }
                collect_texts(one, key, texts);
            }
        }
        _ => {}
    }
}

/// Returns the anchors of a document's headings, as GitHub generates them.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        text.chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn dashboard_and_alerts_use_exported_metrics_only() {
    let exported = exported_metrics();
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/freehold.json")).unwrap();
    let alerts = serde_json::to_value(yaml("deploy/prometheus/alerts.yaml")).unwrap();
    let mut expressions = Vec::new();
    collect_texts(&dashboard, "expr", &mut expressions);
    collect_texts(&alerts, "expr", &mut expressions);
    let used: BTreeSet<String> = expressions.iter().flat_map(|expression| metrics_in(expression)).collect();
    let unknown: Vec<_> = used.difference(&exported).collect();
    assert_eq!(unknown, [""; 0], "these are not exported");
    let unseen: Vec<_> = exported.difference(&used).collect();
    assert_eq!(unseen, [""; 0], "these are neither on the dashboard nor in an alert");
}

#[test]
fn every_alert_links_to_its_section_of_the_runbook() {
    let anchors = anchors(&read("deploy/runbook.md"));
    let alerts = serde_json::to_value(yaml("deploy/prometheus/alerts.yaml")).unwrap();
    let rules = alerts["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let mut count = 0;
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        for annotation in ["summary", "description"] {
            assert!(rule["annotations"][annotation].is_string(), "{name} has no {annotation}");
        }
        let (file, anchor) = rule["annotations"]["runbook_url"].as_str().unwrap().split_once('#').unwrap();
        assert!(file.ends_with("deploy/runbook.md"), "{name} leads to {file}");
        assert!(anchors.contains(anchor), "{name}: the runbook has no #{anchor}");
        count += 1;
    }
    assert!(count > 5);
}

#[test]
fn every_alarm_of_the_template_is_in_the_runbook() {
    let runbook = read("deploy/runbook.md");
    let template = yaml("deploy/cloudformation/freehold.yaml");
    let resources = template["Resources"].as_mapping().unwrap();
    let alarms = resources.iter().filter(|(_, one)| one["Type"].as_str() == Some("AWS::CloudWatch::Alarm"));
    let names: Vec<_> = alarms.map(|(name, _)| name.as_str().unwrap()).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(runbook.contains(&format!("`{name}`")), "the runbook has no section about {name}");
    }
}
