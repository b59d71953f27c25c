//! Evaluation of the template section `Conditions`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::TemplateError;
use super::intrinsics::{BoundTemplate, ResourceValues};
use super::parameters::scalar_text;
use super::references;

impl BoundTemplate {
    /// Evaluates every condition of the template.
    pub(super) fn evaluate_conditions(&self) -> Result<BTreeMap<String, bool>, TemplateError> {
        let evaluation = RefCell::default();
        for name in self.template.conditions.keys() {
            self.evaluate_condition(name, &evaluation)?;
        }
        Ok(evaluation.into_inner().results)
    }

    /// Evaluates a condition and the conditions that it refers to.
    fn evaluate_condition(&self, name: &str, evaluation: &RefCell<ConditionEvaluation>) -> Result<bool, TemplateError> {
        if let Some(known) = evaluation.borrow().results.get(name) {
            return Ok(*known);
        }
        let expression = self.template.conditions.get(name).ok_or_else(|| {
            TemplateError::format(format_args!(
                "Unresolved condition dependency {name} in the Conditions block of the template"
            ))
        })?;
        let started = evaluation.borrow_mut().start(name);
        if !started {
            return Err(TemplateError::template(format_args!("Found circular condition dependency: {name}")));
        }
        let is_true = self.evaluate_expression(expression, evaluation)?;
        evaluation.borrow_mut().finish(name, is_true);
        Ok(is_true)
    }

    fn evaluate_expression(
        &self,
        expression: &Value,
        evaluation: &RefCell<ConditionEvaluation>,
    ) -> Result<bool, TemplateError> {
        let malformed = || TemplateError::format("Every Conditions member must be a boolean function.");
        let all = |parts: &Value| -> Result<Vec<bool>, TemplateError> {
            let parts = parts.as_array().ok_or_else(malformed)?;
            parts.iter().map(|part| self.evaluate_expression(part, evaluation)).collect()
        };
        match references::single_entry(expression).ok_or_else(malformed)? {
            ("Condition", Value::String(name)) => self.evaluate_condition(name, evaluation),
            ("Fn::Equals", Value::Array(sides)) => match sides.as_slice() {
                [left, right] => {
                    let left = self.resolve_optional(left, &NoResources)?;
                    let right = self.resolve_optional(right, &NoResources)?;
                    Ok(match (left.as_ref().and_then(scalar_text), right.as_ref().and_then(scalar_text)) {
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
            ("Fn::And", parts) => Ok(all(parts)?.iter().all(|is_true| *is_true)),
            ("Fn::Or", parts) => Ok(all(parts)?.iter().any(|is_true| *is_true)),
            _ => Err(malformed()),
        }
    }
}

/// State of the evaluation of conditions. It caches results and detects circular dependencies.
#[derive(Default)]
struct ConditionEvaluation {
    results: BTreeMap<String, bool>,
    in_progress: BTreeSet<String>,
}

impl ConditionEvaluation {
    /// Maximum length of a chain of conditions. A longer chain is reported as a circular dependency.
    const MAX_CONDITION_DEPTH: usize = 100;

    fn start(&mut self, name: &str) -> bool {
        self.in_progress.len() < Self::MAX_CONDITION_DEPTH && self.in_progress.insert(name.to_owned())
    }

    fn finish(&mut self, name: &str, is_true: bool) {
        self.in_progress.remove(name);
        self.results.insert(name.to_owned(), is_true);
    }
}

/// Empty resource values for the evaluation of conditions, because conditions cannot refer to resources.
struct NoResources;

impl ResourceValues for NoResources {
    fn reference(&self, _: &str) -> Option<Value> {
        None
    }

    fn attribute(&self, _: &str, _: &str) -> Option<Value> {
        None
    }
}
