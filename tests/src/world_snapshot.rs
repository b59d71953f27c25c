//! Describes the simulated organisation without ids and times, so that the results of two runs can be compared.

use std::collections::BTreeMap;

use freehold_sandbox::World;
use serde_json::Value;

/// Returns one line per account, stack, region opt-in and assignment, and lines with the numbers of groups, users and
/// memberships.
pub fn describe(world: &World) -> Vec<String> {
    let accounts = world.accounts();
    // Account ids differ between runs; therefore accounts are numbered in the order of their creation.
    let names: BTreeMap<String, String> =
        accounts.iter().enumerate().map(|(index, account)| (account.id.clone(), format!("account-{index}"))).collect();
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
                account.roles.iter().map(|role| stable_role_name(role)).collect::<Vec<_>>().join(",")
            )
        })
        .collect();
    let state = serde_json::to_value(&*world.state()).expect("the world as JSON");
    for (id, account) in state["accounts"].as_object().into_iter().flatten() {
        for (region, region_state) in account["regions"].as_object().into_iter().flatten() {
            visit_stacks(&region_state["stacks"], &mut |name, status| {
                lines.push(format!("{} {region} stack {name} {status}", names[id]));
            });
            if region_state["opt_in"] != Value::Null {
                lines.push(format!("{} {region} opted in {}", names[id], variant_name(&region_state["opt_in"])));
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

/// Returns the name of a role without the random suffix that Identity Center adds.
fn stable_role_name(role: &str) -> &str {
    role.strip_prefix("AWSReservedSSO_").and_then(|rest| rest.rsplit_once('_')).map_or(role, |(name, _)| name)
}

/// Returns the number of account creation requests, including failed ones.
pub fn account_requests(world: &World) -> usize {
    world.create_requests().len()
}

/// Calls `found` with the name and the status of each stack that is not deleted.
fn visit_stacks(value: &Value, found: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Object(fields) => match (fields.get("name"), fields.get("status"), fields.get("deleted_at")) {
            (Some(Value::String(name)), Some(status), Some(Value::Null)) => found(name, &variant_name(status)),
            _ => fields.values().for_each(|value| visit_stacks(value, found)),
        },
        Value::Array(values) => values.iter().for_each(|value| visit_stacks(value, found)),
        _ => {}
    }
}

/// Returns the variant name of a serialised enum, with or without fields.
fn variant_name(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}
