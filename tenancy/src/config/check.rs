//! Validation of the configuration. Each problem is a message that starts with the name of the field and says what the
//! field must be. All problems are found in one pass.

mod access;
mod access_role;
mod api;
mod console;
mod database;
mod front_door;
mod organization;
mod policy;
mod ranges;
mod rollout_plans;
mod secrets;
mod stack;

use std::collections::BTreeSet;
use std::fmt::Display;

use super::Config;
use crate::aws::Constraint;

pub use access_role::is_forbidden_service;

pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut problems = Problems::default();
    api::check(config, &mut problems);
    console::check(config, &mut problems);
    database::check(config, &mut problems);
    organization::check(config, &mut problems);
    access::check(config, &mut problems);
    access_role::check(config, &mut problems);
    stack::check(config, &mut problems);
    front_door::check(config, &mut problems);
    ranges::check(config, &mut problems);
    rollout_plans::check(config, &mut problems);
    secrets::check(config, &mut problems);
    problems.0
}

/// Problems found so far.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, field: impl Display, problem: impl Display) {
        self.0.push(format!("{field}: {problem}"));
    }

    /// Adds a problem if AWS would refuse `value`.
    fn check(&mut self, field: impl Display, constraint: &Constraint, value: &str) {
        if let Some(violation) = constraint.violation(value) {
            self.add(field, violation);
        }
    }

    /// Adds a problem for each name that occurs more than once.
    fn check_unique<T: Ord + Display>(&mut self, table: &str, names: impl IntoIterator<Item = T>) {
        let (mut seen, mut reported) = (BTreeSet::new(), BTreeSet::new());
        for name in names {
            let text = name.to_string();
            if !seen.insert(name) && reported.insert(text.clone()) {
                self.add(format!("{table}.{text}"), "must be declared only once");
            }
        }
    }
}

#[cfg(test)]
mod tests;
