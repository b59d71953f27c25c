//! IAM actions that an API call requires, and a log of the IAM actions that Freehold's own code has used.
//!
//! If `FREEHOLD_TEST_CALLS` names a directory, each process writes a file there with one line `principal<TAB>action`
//! per distinct pair. After a full test run, the policies in `deploy/iam` must allow exactly these actions. Calls made
//! directly by tests do not have Freehold's user agent and are not logged.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Caller, Ctx, Request, Service};

/// Environment variable that contains the directory of the log files.
const LOG_DIRECTORY_VARIABLE: &str = "FREEHOLD_TEST_CALLS";

/// User-agent token that Freehold's client sends with every request.
const FREEHOLD_USER_AGENT: &str = "app/freehold";

/// Suffix of the session ARN when `freehold bootstrap` uses the control role.
const BOOTSTRAP_SESSION_SUFFIX: &str = "/freehold-bootstrap";

/// Returns the IAM actions that a call requires: the action of the operation itself, and its dependent actions (Service
/// Authorization Reference, "Dependent actions").
pub(super) fn required_actions(ctx: &Ctx, request: &Request) -> Vec<String> {
    let prefix = ctx.service.iam_prefix();
    // The call Invoke has the action InvokeFunction.
    let operation = if ctx.operation == "Invoke" { "InvokeFunction" } else { &ctx.operation };
    let mut actions = vec![format!("{prefix}:{operation}")];
    if ctx.operation == "InvokeFunctionUrl" {
        // Since October 2025 AWS requires both permissions for a call of a Function URL.
        actions.push(format!("{prefix}:InvokeFunction"));
    }
    let is_update = ctx.operation == "UpdateStack";
    if (is_update || ctx.operation.starts_with("Create")) && !tags(request).is_empty() {
        actions.push(format!("{prefix}:TagResource"));
        // An update removes the tags that are not in the request.
        actions.extend(is_update.then(|| format!("{prefix}:UntagResource")));
    }
    actions
}

/// Returns the keys and values of the tags in a request.
pub(super) fn tags(request: &Request) -> Vec<(String, String)> {
    if request.service == Service::CloudFormation {
        let member = |(name, key): (&String, &String)| {
            let value = format!("{}.Value", name.strip_prefix("Tags.member.").and(name.strip_suffix(".Key"))?);
            Some((key.clone(), request.params.get(&value).cloned().unwrap_or_default()))
        };
        return request.params.iter().filter_map(member).collect();
    }
    let body: serde_json::Value = request.json().unwrap_or_default();
    let tags = body.get("Tags").and_then(serde_json::Value::as_array).into_iter().flatten();
    let text = |value: Option<&serde_json::Value>| value.and_then(serde_json::Value::as_str).map(str::to_owned);
    tags.filter_map(|tag| Some((text(tag.get("Key"))?, text(tag.get("Value")).unwrap_or_default()))).collect()
}

/// Logs the actions that a call requires, if Freehold made the call.
pub(super) fn record_call(ctx: &Ctx, request: &Request) {
    if log().is_none() || ctx.operation == "GetCallerIdentity" || ctx.service.is_unsigned() {
        return;
    }
    if is_from_freehold(request) {
        for action in required_actions(ctx, request) {
            append(principal(ctx, &ctx.caller), &action);
        }
    }
}

/// Logs the action with which CloudFormation reads a template in S3 for its caller, if Freehold made the call.
pub(crate) fn record_template_read(ctx: &Ctx, request: &Request, action: &str) {
    if ctx.caller.role() == Some("freehold-access") {
        record_stack_action(&ctx.caller, action);
    } else if log().is_some() && is_from_freehold(request) {
        append(principal(ctx, &ctx.caller), action);
    }
}

/// Returns whether Freehold's own client sent the request.
pub(crate) fn is_from_freehold(request: &Request) -> bool {
    let user_agents = ["user-agent", "x-amz-user-agent"].iter().filter_map(|name| request.header(name));
    user_agents.flat_map(str::split_whitespace).any(|word| word == FREEHOLD_USER_AGENT)
}

/// Logs an IAM action that CloudFormation performed with the permissions of its caller.
pub(crate) fn record_stack_action(caller: &Caller, action: &str) {
    if log().is_some() && caller.role() == Some("freehold-access") {
        append("freehold-access through a stack", action);
    }
}

/// Returns the name of the calling principal, as used in `deploy/iam`.
fn principal<'a>(ctx: &Ctx, caller: &'a Caller) -> &'a str {
    match caller.role() {
        Some(role) if role != ctx.settings.control_role => role,
        Some(_) if !caller.arn.ends_with(BOOTSTRAP_SESSION_SUFFIX) => "control",
        // This is an administrator of the management account, or a bootstrap session of the control role.
        _ if caller.account == ctx.settings.management_account => "bootstrap",
        _ => "worker",
    }
}

/// Log file of this process, and the entries that it already contains.
struct PermissionLog {
    file: File,
    logged: BTreeSet<(String, String)>,
}

fn log() -> Option<&'static Mutex<PermissionLog>> {
    static LOG: OnceLock<Option<Mutex<PermissionLog>>> = OnceLock::new();
    let open = || {
        let name = Path::new(&std::env::var_os(LOG_DIRECTORY_VARIABLE)?).join(format!("{}.tsv", std::process::id()));
        let file = OpenOptions::new().create(true).append(true).open(name).ok()?;
        Some(Mutex::new(PermissionLog { file, logged: BTreeSet::new() }))
    };
    LOG.get_or_init(open).as_ref()
}

fn append(principal: &str, action: &str) {
    let Some(log) = log() else { return };
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if log.logged.insert((principal.to_owned(), action.to_owned())) {
        // A write error is ignored here, because the comparison with `deploy/iam` then reports the missing action.
        _ = writeln!(log.file, "{principal}\t{action}");
    }
}
