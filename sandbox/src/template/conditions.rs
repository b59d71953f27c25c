//! `Conditions`: which of them hold.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::TemplateError;
use super::intrinsics::{Resolved, Scope};
use super::parameters::scalar;
use super::references;

impl Scope {
    /// Decides every condition of the template.
    pub(super) fn decide_conditions(&self) -> Result<BTreeMap<String, bool>, TemplateError> {
        let deciding = RefCell::default();
        for name in self.template.conditions.keys() {
            self.condition(name, &deciding)?;
        }
        Ok(deciding.into_inner().decided)
    }

    /// Decides a condition, and those that it names.
    fn condition(&self, name: &str, deciding: &RefCell<Deciding>) -> Result<bool, TemplateError> {
        if let Some(known) = deciding.borrow().decided.get(name) {
            return Ok(*known);
        }
        let expression = self.template.conditions.get(name).ok_or_else(|| {
            TemplateError::format(format_args!(
                "Unresolved condition dependency {name} in the Conditions block of the template"
            ))
        })?;
        let begun = deciding.borrow_mut().begin(name);
        if !begun {
            return Err(TemplateError::template(format_args!("Found circular condition dependency: {name}")));
        }
        let holds = self.decide(expression, deciding)?;
        deciding.borrow_mut().end(name, holds);
        Ok(holds)
    }

    fn decide(&self, expression: &Value, deciding: &RefCell<Deciding>) -> Result<bool, TemplateError> {
        let malformed = || TemplateError::format("Every Conditions member must be a boolean function.");
        let all = |parts: &Value| -> Result<Vec<bool>, TemplateError> {
            let parts = parts.as_array().ok_or_else(malformed)?;
            parts.iter().map(|part| self.decide(part, deciding)).collect()
        };
        match references::sole(expression).ok_or_else(malformed)? {
            ("Condition", Value::String(name)) => self.condition(name, deciding),
            ("Fn::Equals", Value::Array(sides)) => match sides.as_slice() {
                [left, right] => {
                    let left = self.value(left, &Nothing)?;
                    let right = self.value(right, &Nothing)?;
                    Ok(match (left.as_ref().and_then(scalar), right.as_ref().and_then(scalar)) {
                        (Some(left), Some(right)) => left == right,
                        _ => left == right,
                    })
                }
                _ => Err(TemplateError::template("Fn::Equals requires a list of exactly two values")),
            },
            ("Fn::Not", parts) => match all(parts)?.as_slice() {
                [one] => Ok(!one),
                _ => Err(TemplateError::template("Fn::Not requires a list of exactly one condition")),
            },
            ("Fn::And", parts) => Ok(all(parts)?.iter().all(|holds| *holds)),
            ("Fn::Or", parts) => Ok(all(parts)?.iter().any(|holds| *holds)),
            _ => Err(malformed()),
        }
    }
}

/// Conditions while they are being decided: each once, and a circle is noticed.
#[derive(Default)]
struct Deciding {
    decided: BTreeMap<String, bool>,
    open: BTreeSet<String>,
}

impl Deciding {
    /// Longer chains of conditions than this are taken for a circle.
    const DEEPEST: usize = 100;

    fn begin(&mut self, name: &str) -> bool {
        self.open.len() < Self::DEEPEST && self.open.insert(name.to_owned())
    }

    fn end(&mut self, name: &str, holds: bool) {
        self.open.remove(name);
        self.decided.insert(name.to_owned(), holds);
    }
}

/// Where no resource can be referred to.
struct Nothing;

impl Resolved for Nothing {
    fn reference(&self, _: &str) -> Option<Value> {
        None
    }

    fn attribute(&self, _: &str, _: &str) -> Option<Value> {
        None
    }
}
