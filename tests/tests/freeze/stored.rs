//! Compares the JSON in the database with its frozen state. The test runs onboardings, an approval, an offboarding with
//! a restore and an account closure, a repair, and an operation that needs attention.
//!
//! Every `json` and `jsonb` column of every table is read each time a worker has run all due work. Keys and codes are
//! compared; ids, times, numbers and human-readable texts are redacted.

use std::sync::Arc;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::approval::ApprovalAction;
use freehold_tenancy::db::{PgPool, approvals, audit, feed, lifecycle, operations, tenants};
use freehold_tenancy::operation::{Initiator, Requester};
use freehold_tenancy::tenant::Tenant;
use freehold_tests::api_fixture::{ApiFixture, send, signup_body_with};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_tests::step_faults::StepFault;
use freehold_worker::Worker;
use freehold_worker::reconcile::RepairMode;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::compare::{Lines, assert_unchanged, line};
use super::renames::Renames;
use super::values::redacted_leaves;
use crate::steps::reconcile::administrator::Administrator;

const HALF_AN_HOUR: TimeDelta = TimeDelta::minutes(30);
const MAX_SIMULATED_TIME: TimeDelta = TimeDelta::days(10);

fn requester(name: &str) -> Requester {
    Requester { issuer: "https://issuer.example.com".to_owned(), subject: name.to_owned() }
}

/// Adds a line for every leaf of every JSON value in the database to `lines`. A line consists of the table, the column,
/// the kind of the row, the path of the leaf and the redacted leaf.
async fn read(pool: &PgPool, lines: &mut Lines) {
    let columns = "select table_name::text, column_name::text from information_schema.columns
        where table_schema = 'public' and data_type in ('json', 'jsonb') and table_name not like '\\_sqlx%'";
    let columns: Vec<(String, String)> = sqlx::query_as(columns).fetch_all(pool).await.expect("the columns");
    for (table, column) in columns {
        let rows = AssertSqlSafe(format!("select to_jsonb(t) from {table} t where {column} is not null"));
        let rows: Vec<Value> = sqlx::query_scalar(rows).fetch_all(pool).await.expect("the rows");
        for row in rows {
            let value = &row[&column];
            // Kind of the row: step name, event type, action or operation kind.
            let of_row = ["name", "type", "action", "kind"].iter().find_map(|name| row.get(name)?.as_str());
            let label = value.get("action").and_then(Value::as_str).or(of_row).unwrap_or_default();
            for (path, leaf) in redacted_leaves(value) {
                let mut parts = vec![table.as_str(), column.as_str(), label];
                parts.extend(path.iter().map(String::as_str));
                parts.push(&leaf);
                lines.insert(line(&parts));
            }
        }
    }
}

/// Runs `worker` until no work is scheduled. Reads the database each time the worker has run all due work.
async fn run_until_idle(freehold: &Freehold, worker: &Arc<Worker>, at_most: TimeDelta, lines: &mut Lines) {
    let until = freehold.clock.now() + at_most;
    while freehold.run_due_and_advance(worker).await.is_some_and(|at| at <= until) {
        feed::advance(freehold.pool(), freehold.clock.now()).await.expect("a feed");
        read(freehold.pool(), lines).await;
    }
    feed::advance(freehold.pool(), freehold.clock.now()).await.expect("a feed");
    audit::advance(freehold.pool(), freehold.clock.now()).await.expect("a chain");
    read(freehold.pool(), lines).await;
}

async fn approve(freehold: &Freehold, tenant: &Tenant, action: ApprovalAction) {
    let tenant = freehold.reload_tenant(tenant).await;
    let (pool, id, now) = (freehold.pool(), tenant.environments[0].operation_id, freehold.clock.now());
    let approval = approvals::list_for_operation(pool, id).await.expect("an answer").pop().expect("a pending approval");
    assert_eq!(approval.action, action);
    lifecycle::decide(pool, id, &approval.request_hash, true, None, &requester("bob"), now).await.expect("an answer");
}

/// Onboards a tenant with an approval, offboards it, restores it, offboards it again, and closes its account.
async fn onboard_offboard_and_close(lines: &mut Lines) {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let freehold = freehold.with_config(&format!("{CONFIG}\napproval = \"required\""));
    let worker = freehold.worker("worker-1");
    // With an opt-in region and the tier `enterprise`, no step is skipped.
    let tenant = freehold.sign_up("Example", "eu-central-2", "enterprise").await;
    run_until_idle(&freehold, &worker, HALF_AN_HOUR, lines).await;
    approve(&freehold, &tenant, ApprovalAction::Vend).await;
    run_until_idle(&freehold, &worker, TimeDelta::hours(3), lines).await;
    let offboard = async |close| {
        let (pool, now) = (freehold.pool(), freehold.clock.now());
        lifecycle::offboard(pool, tenant.id, None, close, &requester("ann"), Initiator::Operator, now)
            .await
            .expect("an offboarding");
    };
    offboard(false).await;
    run_until_idle(&freehold, &worker, HALF_AN_HOUR, lines).await;
    let now = freehold.clock.now();
    lifecycle::restore(freehold.pool(), tenant.id, None, &requester("ann"), Initiator::Operator, now)
        .await
        .expect("a restore");
    run_until_idle(&freehold, &worker, TimeDelta::hours(3), lines).await;
    offboard(true).await;
    run_until_idle(&freehold, &worker, MAX_SIMULATED_TIME, lines).await;
    approve(&freehold, &tenant, ApprovalAction::Close).await;
    run_until_idle(&freehold, &worker, MAX_SIMULATED_TIME, lines).await;
    let operation = freehold.operation_of(&freehold.reload_tenant(&tenant).await).await;
    assert!(operation.finished_at.is_some(), "{operation:#?}");
}

/// Onboards several tenants. For each tenant, the connection is reset at a different call of the last step.
async fn interrupt_verifications(lines: &mut Lines) {
    let freehold = Freehold::instant().await;
    let worker = freehold.worker("worker-1");
    for calls in 0..8 {
        freehold.step_faults.plan("verify", calls, StepFault::ResetBeforeCall);
        freehold.sign_up("Example", "eu-central-1", "enterprise").await;
        run_until_idle(&freehold, &worker, HALF_AN_HOUR, lines).await;
    }
}

/// Updates a tenant, repairs a deleted stack, cancels an onboarding that needs attention, and deletes old audit
/// entries.
async fn repair_and_cancel(lines: &mut Lines) {
    let (freehold, tenants) = crate::steps::reconcile::create_ready_tenants(1).await;
    let worker = freehold.worker("worker-1");
    let mut tenant = tenants.into_iter().next().expect("a tenant");
    tenant.tier = "enterprise".parse().expect("a tier");
    tenants::update(freehold.pool(), &tenant, &["tier"], freehold.clock.now()).await.expect("a change");
    let account = tenant.environments[0].aws_account_id.as_ref().expect("an account").to_string();
    Administrator::of(&freehold).delete_stack(&account, "freehold-tenant").await;
    let report = crate::steps::reconcile::compare(&freehold, RepairMode::All).await;
    assert!(report.findings.iter().any(|one| one.finding.operation_id.is_some()), "{:#?}", report.findings);
    run_until_idle(&freehold, &worker, TimeDelta::hours(3), lines).await;

    let parked = Fault::error("LimitExceededException", "You have reached a limit.");
    freehold.world.inject(Rule::on("cloudformation", "CreateStack", parked));
    let other = freehold.sign_up("Another", "eu-central-1", "standard").await;
    run_until_idle(&freehold, &worker, HALF_AN_HOUR, lines).await;
    let operation = freehold.operation_of(&other).await;
    assert!(operation.attention.is_some(), "{operation:#?}");
    let now = freehold.clock.now();
    lifecycle::cancel(freehold.pool(), operation.id, &requester("ann"), Initiator::Operator, now)
        .await
        .expect("a cancellation");
    run_until_idle(&freehold, &worker, MAX_SIMULATED_TIME, lines).await;
    let operation = operations::get(freehold.pool(), operation.id).await.expect("an answer").expect("the operation");
    assert!(operation.finished_at.is_some(), "{operation:#?}");

    freehold.clock.advance(std::time::Duration::from_hours(5 * 24));
    let now = freehold.clock.now();
    audit::begin(freehold.pool(), &freehold_tests::signup::audit_entry(), Some(tenant.id), now)
        .await
        .expect("an entry");
    read(freehold.pool(), lines).await;
    freehold.clock.advance(std::time::Duration::from_mins(5));
    audit::set_retention(freehold.pool(), 1).await.expect("a retention");
    audit::advance(freehold.pool(), freehold.clock.now()).await.expect("a chain");
    read(freehold.pool(), lines).await;
}

/// Sends API requests that store audit entries, labels, and responses for idempotency keys.
async fn store_through_api(lines: &mut Lines) {
    let api = ApiFixture::new().await;
    let body = signup_body_with(json!({ "labels": { "team": "north" }, "external_id": "customer-a" }));
    let call =
        api.signup_request("key-1", &body).header("X-Request-Id", "ours-1").header("X-Forwarded-For", "203.0.113.7");
    let tenant = send(call).await;
    assert_eq!(tenant.status, 202, "{}", tenant.text);
    assert_eq!(send(api.signup_request("key-1", &body)).await.status, 202);
    assert_eq!(send(api.signup_request("key-2", &json!({}))).await.status, 422);
    let operation = tenant.json()["environments"][0]["operation_id"].as_str().expect("an id").to_owned();
    assert_eq!(api.post(&format!("/v1/operations/{operation}/retry")).await.status, 409);
    let cancel = format!("/v1/operations/{operation}/cancel");
    assert_eq!(api.send_as("bob", Method::POST, &cancel, &json!({})).await.status, 202);
    let pool = &api.database.pool;
    while audit::advance(pool, api.clock.now()).await.expect("a chain").position < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    read(pool, lines).await;
}

/// Applies the renames to a line that describes a leaf of stored JSON.
pub(super) fn renamed(renames: &Renames, parts: Vec<String>) -> Vec<String> {
    let [table, column, label, path @ .., leaf] = &parts[..] else { panic!("{parts:?} is not a line of stored JSON") };
    let place = format!("{table}.{column}");
    let mut new = vec![renames.table(table), renames.column(table, column), renames.code(table, label)];
    new.extend(renamed_path(renames, &place, path));
    new.push(renames.code(table, leaf));
    new
}

/// Applies the renames to the keys of a path in a JSON value. An entry for a key with its whole path takes precedence
/// over an entry for the key with `place`, which takes precedence over an entry for the key alone.
pub(super) fn renamed_path(renames: &Renames, place: &str, path: &[String]) -> Vec<String> {
    let mut above = place.to_owned();
    path.iter()
        .map(|key| {
            let bare = Renames::new_name(&renames.stored_fields, place, key);
            let whole = renames.stored_fields.get(&format!("{above}.{key}"));
            above = format!("{above}.{key}");
            whole.cloned().unwrap_or(bare)
        })
        .collect()
}

#[tokio::test]
async fn the_json_in_the_database_is_unchanged() {
    let mut lines = Lines::new();
    onboard_offboard_and_close(&mut lines).await;
    interrupt_verifications(&mut lines).await;
    repair_and_cancel(&mut lines).await;
    store_through_api(&mut lines).await;
    assert_unchanged("stored.txt", &lines, renamed);
}

#[test]
fn a_rename_of_a_json_key_applies_only_to_its_table_and_path() {
    let renames: Renames = toml::from_str(
        "[stored_fields]\n\"operation_steps.attention.sentence\" = \"message\"\n[columns]\n\"audit_pending.deed\" = \"entry\"",
    )
    .expect("renames");
    let new = |parts: &[&str]| renamed(&renames, parts.iter().map(|part| (*part).to_owned()).collect()).join(" ");
    assert_eq!(
        new(&["operation_steps", "attention", "verify", "sentence", "<text>"]),
        "operation_steps attention verify message <text>"
    );
    assert_eq!(new(&["events", "data", "x", "sentence", "<text>"]), "events data x sentence <text>");
    assert_eq!(new(&["audit_pending", "deed", "", "kind", "api.call"]), "audit_pending entry  kind api.call");
}
