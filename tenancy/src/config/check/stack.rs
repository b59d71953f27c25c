//! Validation of `[stack]`. The template itself is validated by the worker, which has a parser for templates.

use super::Problems;
use crate::aws::constraints::CLIENT_REQUEST_TOKEN;
use crate::aws::quotas::{MAX_PARAMETER_VALUE_BYTES, MAX_TEMPLATE_NAME_LENGTH, MAX_TEMPLATE_PARAMETERS};
use crate::baseline::BASELINE_STACK;
use crate::config::{OWN_STACK_PARAMETERS, Stack};

/// Required prefix of the stack name, because the role `freehold-access` has permissions only for stacks with this
/// prefix.
const NAME_PREFIX: &str = "freehold-";

/// Number of characters of a client request token in addition to the stack name: the operation id, two hyphens, the
/// attempt number and `-update`.
const TOKEN_CHARACTERS_WITHOUT_NAME: usize = 48;

pub(super) fn check(stack: &Stack, problems: &mut Problems) {
    let name = &stack.name;
    let valid = name.starts_with(NAME_PREFIX)
        && name.len() <= CLIENT_REQUEST_TOKEN.max() - TOKEN_CHARACTERS_WITHOUT_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && name.len() > NAME_PREFIX.len();
    if !valid {
        problems.add(
            "stack.name",
            format_args!(
                "must start with `{NAME_PREFIX}`, contain only letters, digits and hyphens, and have at most {} \
                 characters",
                CLIENT_REQUEST_TOKEN.max() - TOKEN_CHARACTERS_WITHOUT_NAME
            ),
        );
    } else if name == BASELINE_STACK {
        problems.add("stack.name", format_args!("must not be {BASELINE_STACK}, which is a stack of Freehold itself"));
    }
    if stack.parameters.len() + OWN_STACK_PARAMETERS.len() > MAX_TEMPLATE_PARAMETERS {
        problems.add(
            "stack.parameters",
            format_args!("must contain at most {} parameters", MAX_TEMPLATE_PARAMETERS - OWN_STACK_PARAMETERS.len()),
        );
    }
    for (name, value) in &stack.parameters {
        let field = format!("stack.parameters.{name}");
        if OWN_STACK_PARAMETERS.contains(&name.as_str()) {
            problems.add(&field, "must not be set, because Freehold passes this parameter itself");
        } else if !is_template_name(name) {
            problems.add(&field, format_args!("must be a name of 1 to {MAX_TEMPLATE_NAME_LENGTH} letters and digits"));
        }
        if value.len() > MAX_PARAMETER_VALUE_BYTES {
            problems
                .add(&field, format_args!("must have at most {MAX_PARAMETER_VALUE_BYTES} bytes, not {}", value.len()));
        }
    }
    if !is_template_name(&stack.url_output) {
        problems.add(
            "stack.url_output",
            format_args!("must be the name of an output, of 1 to {MAX_TEMPLATE_NAME_LENGTH} letters and digits"),
        );
    }
}

fn is_template_name(name: &str) -> bool {
    (1..=MAX_TEMPLATE_NAME_LENGTH).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
