//! Which IAM permissions a call takes, and a record of those that Freehold's own code has asked for.
//!
//! Where `FREEHOLD_TEST_CALLS` names a folder, each process adds a file of its own to it: `principal<TAB>action`, a line for
//! each pair that is new. After a whole run of the tests that is what the policies in `deploy/iam` have to allow, no more
//! and no less. Calls that tests make by themselves do not say that they are Freehold's, and do not count.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Caller, Ctx, Request, Service};

/// Where the record is kept, if it is.
const FOLDER: &str = "FREEHOLD_TEST_CALLS";

/// How Freehold's client calls itself in every request.
const OURS: &str = "app/freehold";

/// What `freehold bootstrap` calls its session of the control role.
const BOOTSTRAP: &str = "/freehold-bootstrap";

/// The IAM actions that a call takes: the operation's own, and those for what it does besides (Service Authorization
/// Reference, "Dependent actions").
pub(super) fn needed(ctx: &Ctx, request: &Request) -> Vec<String> {
    let prefix = ctx.service.iam_prefix();
    let mut needed = vec![format!("{prefix}:{}", ctx.operation)];
    if ctx.operation == "InvokeFunctionUrl" {
        // Since October 2025 a caller of a Function URL needs both.
        needed.push(format!("{prefix}:InvokeFunction"));
    }
    let updates = ctx.operation == "UpdateStack";
    if (updates || ctx.operation.starts_with("Create")) && !tag_keys(request).is_empty() {
        needed.push(format!("{prefix}:TagResource"));
        // Tags that an update does not name are taken off.
        needed.extend(updates.then(|| format!("{prefix}:UntagResource")));
    }
    needed
}

/// The keys of the tags that a request brings.
pub(super) fn tag_keys(request: &Request) -> Vec<String> {
    if request.service == Service::CloudFormation {
        let keys = request.params.iter().filter(|(name, _)| name.starts_with("Tags.member.") && name.ends_with(".Key"));
        return keys.map(|(_, value)| value.clone()).collect();
    }
    let body: serde_json::Value = request.json().unwrap_or_default();
    let tags = body.get("Tags").and_then(serde_json::Value::as_array).into_iter().flatten();
    tags.filter_map(|tag| tag.get("Key")?.as_str().map(str::to_owned)).collect()
}

/// Notes what a call takes, if Freehold made it.
pub(super) fn note(ctx: &Ctx, request: &Request) {
    if record().is_none() || ctx.operation == "GetCallerIdentity" {
        return;
    }
    let ours = ["user-agent", "x-amz-user-agent"].iter().filter_map(|name| request.header(name));
    if ours.flat_map(str::split_whitespace).any(|word| word == OURS) {
        for action in needed(ctx, request) {
            write(principal(ctx, &ctx.caller), &action);
        }
    }
}

/// Notes what CloudFormation did as its caller.
pub(crate) fn record_stack_action(caller: &Caller, action: &str) {
    if record().is_some() && caller.role() == Some("freehold-access") {
        write("freehold-access through a stack", action);
    }
}

/// Returns the name of the calling principal, as used in `deploy/iam`.
fn principal<'a>(ctx: &Ctx, caller: &'a Caller) -> &'a str {
    match caller.role() {
        Some(role) if role != ctx.settings.control_role => role,
        Some(_) if !caller.arn.ends_with(BOOTSTRAP) => "control",
        // An administrator of the management account, or the control role in an administrator's place.
        _ if caller.account == ctx.settings.management_account => "bootstrap",
        _ => "worker",
    }
}

/// The record of this process.
struct Record {
    file: File,
    known: BTreeSet<(String, String)>,
}

fn record() -> Option<&'static Mutex<Record>> {
    static RECORD: OnceLock<Option<Mutex<Record>>> = OnceLock::new();
    let open = || {
        let name = Path::new(&std::env::var_os(FOLDER)?).join(format!("{}.tsv", std::process::id()));
        let file = OpenOptions::new().create(true).append(true).open(name).ok()?;
        Some(Mutex::new(Record { file, known: BTreeSet::new() }))
    };
    RECORD.get_or_init(open).as_ref()
}

fn write(principal: &str, action: &str) {
    let Some(record) = record() else { return };
    let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
    if record.known.insert((principal.to_owned(), action.to_owned())) {
        // A record that cannot be written is found out by the comparison: it lacks what was called.
        _ = writeln!(record.file, "{principal}\t{action}");
    }
}
