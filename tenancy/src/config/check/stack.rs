//! Validation of `[stack]`. The template itself is validated by the worker, which has a parser for templates.

use std::collections::BTreeSet;

use super::Problems;
use crate::aws::constraints::CLIENT_REQUEST_TOKEN;
use crate::aws::quotas::{MAX_PARAMETER_VALUE_BYTES, MAX_TEMPLATE_NAME_LENGTH, MAX_TEMPLATE_PARAMETERS};
use crate::baseline::BASELINE_STACK;
use crate::config::{CHECK_PLACEHOLDERS, CheckMethod, Config, OWN_STACK_PARAMETERS, StackCheck, unknown_placeholders};

/// Required prefix of the stack name, because the role `freehold-access` has permissions only for stacks with this
/// prefix.
const NAME_PREFIX: &str = "freehold-";

/// Maximum length of the path and query of the request to a Function URL.
const MAX_CHECK_PATH_LENGTH: usize = 2_000;

/// Maximum duration of the call of the stack. A worker's claim of an operation must outlast it.
const MAX_CHECK_SECONDS: u64 = 20;

/// Maximum size of the payload of a synchronous invocation ("Lambda quotas": 6 MB).
const MAX_PAYLOAD_BYTES: usize = 6_000_000;

/// Number of characters of a client request token in addition to the stack name: the operation id, two hyphens, the
/// attempt number and `-update`.
const TOKEN_CHARACTERS_WITHOUT_NAME: usize = 48;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let stack = &config.stack;
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
    for (field, output) in [("url_output", &stack.url_output), ("function_output", &stack.function_output)] {
        if !is_template_name(output) {
            problems.add(
                format_args!("stack.{field}"),
                format_args!("must be the name of an output, of 1 to {MAX_TEMPLATE_NAME_LENGTH} letters and digits"),
            );
        }
    }
    check_of_stack(&stack.check, problems);
    problems.check_unique("stack.capabilities", stack.capabilities.iter().map(|capability| capability.as_str()));
    templates_of_regions(config, problems);
}

/// Validates the tables with one entry per region. The worker, which reads the files, compares a template with the
/// configured hash.
fn templates_of_regions(config: &Config, problems: &mut Problems) {
    let stack = &config.stack;
    let regions: BTreeSet<_> = config.residencies.iter().flat_map(|residency| &residency.regions).copied().collect();
    for (table, entries) in [
        ("region_templates", stack.region_templates.keys().collect::<Vec<_>>()),
        ("template_urls", stack.template_urls.keys().collect()),
    ] {
        for region in entries.into_iter().filter(|region| !regions.contains(region)) {
            problems
                .add(format_args!("stack.{table}.{region}"), "must be removed, because no residency has this region");
        }
    }
    for (region, entry) in &stack.template_urls {
        for (field, violation) in entry.violations(region.as_str()) {
            problems.add(format_args!("stack.template_urls.{region}.{field}"), violation);
        }
    }
    if !stack.template_urls.is_empty() {
        for region in regions.iter().filter(|region| !stack.template_urls.contains_key(region)) {
            problems.add(
                format_args!("stack.template_urls.{region}"),
                "must be set, because other regions of the residencies have a template URL",
            );
        }
    }
}

fn check_of_stack(check: &StackCheck, problems: &mut Problems) {
    let is_path = check.path.starts_with('/')
        && check.path.len() <= MAX_CHECK_PATH_LENGTH
        && check.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !is_path {
        problems.add(
            "stack.check.path",
            format_args!(
                "must start with `/` and have at most {MAX_CHECK_PATH_LENGTH} printable ASCII characters, without \
                 blanks and `#`"
            ),
        );
    }
    if let Some(status) = check.statuses.iter().find(|status| !(200..600).contains(*status)) {
        problems.add("stack.check.statuses", format_args!("must contain HTTP statuses from 200 to 599, not {status}"));
    }
    if !(1..=MAX_CHECK_SECONDS).contains(&check.timeout_seconds) {
        problems.add(
            "stack.check.timeout_seconds",
            format_args!("must be from 1 to {MAX_CHECK_SECONDS}, not {}", check.timeout_seconds),
        );
    }
    if check.body_contains.as_ref().is_some_and(String::is_empty) {
        problems.add("stack.check.body_contains", "must not be empty");
    }
    if let Some(payload) = &check.payload {
        if serde_json::from_str::<serde_json::Value>(payload).is_err() {
            problems.add("stack.check.payload", "must be JSON, with placeholders only in texts");
        } else if payload.len() > MAX_PAYLOAD_BYTES {
            problems.add("stack.check.payload", format_args!("must have at most {MAX_PAYLOAD_BYTES} bytes"));
        }
    }
    if check.method == CheckMethod::Head && (check.body_contains.is_some() || !check.json.is_empty()) {
        problems.add(
            "stack.check.method",
            "must be GET or POST, because the response to HEAD has no body; else remove body_contains and set \
             `json = {}`",
        );
    }
    for pointer in check.json.keys().filter(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
        problems.add(format_args!("stack.check.json.{pointer}"), "must be a JSON pointer, such as /status");
    }
    let texts = [
        ("path".to_owned(), Some(check.path.as_str())),
        ("payload".to_owned(), check.payload.as_deref()),
        ("body_contains".to_owned(), check.body_contains.as_deref()),
    ];
    let values = check.json.iter().map(|(pointer, value)| (format!("json.{pointer}"), value.as_str()));
    for (field, text) in texts.into_iter().chain(values) {
        for name in unknown_placeholders(text.unwrap_or_default()) {
            problems.add(
                format_args!("stack.check.{field}"),
                format_args!("must not contain `{{{name}}}`; the placeholders are {}", placeholders()),
            );
        }
    }
}

fn placeholders() -> String {
    CHECK_PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(", ")
}

fn is_template_name(name: &str) -> bool {
    (1..=MAX_TEMPLATE_NAME_LENGTH).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
