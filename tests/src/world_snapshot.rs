//! What the simulated organisation looks like, with nothing in it that differs from run to run: to compare two runs by.

use std::collections::BTreeMap;

use freehold_sandbox::World;
use serde_json::Value;

/// One line for each thing that Freehold has brought about.
pub fn describe(world: &World) -> Vec<String> {
    let accounts = world.accounts();
    // Ids are drawn anew in every run: an account is called by its place in the order of joining.
    let names: BTreeMap<String, String> =
        accounts.iter().enumerate().map(|(place, account)| (account.id.clone(), format!("account-{place}"))).collect();
    let mut lines: Vec<String> = accounts
        .iter()
        .map(|account| {
            let tags: Vec<_> = account.tags.keys().cloned().collect();
            format!(
                "{} {} in {} tagged {} with {}",
                names[&account.id],
                account.state,
                account.parent_name,
                tags.join(","),
                account.roles.iter().map(|role| named(role)).collect::<Vec<_>>().join(",")
            )
        })
        .collect();
    let state = serde_json::to_value(&*world.state()).expect("the world as JSON");
    for (id, account) in state["accounts"].as_object().into_iter().flatten() {
        for (region, here) in account["regions"].as_object().into_iter().flatten() {
            stacks(&here["stacks"], &mut |name, status| {
                lines.push(format!("{} {region} stack {name} {status}", names[id]));
            });
            if here["opt_in"] != Value::Null {
                lines.push(format!("{} {region} opted in {}", names[id], word(&here["opt_in"])));
            }
        }
    }
    let center = world.state().identity_center.clone();
    let store = serde_json::to_value(&world.state().identity_store).expect("the store as JSON");
    for assignment in &center.assignments {
        let set = center.permission_sets.get(&assignment.permission_set).map_or("?", |set| &set.name);
        let account = names.get(&assignment.account).map_or("?", String::as_str);
        lines.push(format!("{account} assigned {set} to {}", assignment.principal_type));
    }
    for kind in ["groups", "users", "memberships"] {
        let count = store[kind].as_object().map_or(0, serde_json::Map::len);
        lines.push(format!("{count} {kind}"));
    }
    lines.sort();
    lines
}

/// A role's name without the number that Identity Center draws for its own.
fn named(role: &str) -> &str {
    role.strip_prefix("AWSReservedSSO_").and_then(|rest| rest.rsplit_once('_')).map_or(role, |(name, _)| name)
}

/// How many accounts were ever asked for.
pub fn account_requests(world: &World) -> usize {
    world.create_requests().len()
}

/// Finds the stacks, live ones only, wherever the state keeps them.
fn stacks(value: &Value, found: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Object(fields) => match (fields.get("name"), fields.get("status"), fields.get("deleted_at")) {
            (Some(Value::String(name)), Some(status), Some(Value::Null)) => found(name, &word(status)),
            _ => fields.values().for_each(|value| stacks(value, found)),
        },
        Value::Array(values) => values.iter().for_each(|value| stacks(value, found)),
        _ => {}
    }
}

/// The first word of a value: a string, or the name of a variant.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}
