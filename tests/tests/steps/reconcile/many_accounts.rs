//! Test of reconcile with many accounts: duration under AWS's rate limits, and number of calls.
//!
//! `FREEHOLD_ACCOUNTS=5000 cargo test --workspace --test main -- reconcile::many_accounts --nocapture` compares 5,000
//! accounts, which takes some minutes. The clock is simulated and advances only while all tasks wait.

#![expect(clippy::cast_precision_loss, reason = "counts are small")]
#![expect(clippy::print_stdout, reason = "the figures are for manual runs")]

use std::time::Duration;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::settings::Durations;
use freehold_sandbox::ssoadmin::Assignment;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{EnvironmentId, TenantId};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::reconcile::RepairMode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::account;

/// Default number of accounts.
const DEFAULT_ACCOUNTS: usize = 300;

/// Half of AWS's rate limit for ListAccounts, in calls per second.
const LIST_ACCOUNTS_CALLS_PER_SECOND: f64 = 4.0;
const IDENTITY_CENTER_CALLS_PER_SECOND: f64 = 10.0;

#[tokio::test]
async fn many_accounts_are_compared_at_half_of_the_rate_limits() {
    let requested = std::env::var("FREEHOLD_ACCOUNTS").ok().map(|text| text.parse().expect("a number"));
    let count: usize = requested.unwrap_or(DEFAULT_ACCOUNTS);
    let settings = Settings { durations: Durations::instant(), account_quota: 10_000, ..Settings::default() };
    let freehold = Freehold::with(settings, CONFIG).await;
    let worker = freehold.worker("worker-1");
    let first = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.run_until_idle(&worker, TimeDelta::days(1)).await;
    let first = freehold.reload_tenant(&first).await;
    copy(&freehold, &first, count - 1).await;
    freehold.clock.advance(Duration::from_hours(2));

    let before = freehold.world.calls();
    let (shutdown, started_at) = (CancellationToken::new(), freehold.clock.now());
    let reconciler = freehold.worker("reconciler").reconciler();
    let report = tokio::select! {
        report = reconciler.run_once(RepairMode::Off, &shutdown) => report.expect("a report"),
        () = advance_clock_while_idle(&freehold) => unreachable!("time does not end"),
    };
    assert!(report.is_clean(), "{:#?} {:?}", report.findings.first(), report.unseen.first());
    assert_eq!((report.environments, report.accounts), (count, count + 2));

    let calls = freehold.world.calls();
    let calls_of = |operation: &str| calls.of(operation).calls - before.of(operation).calls;
    let pages = |size: usize, items: usize| items.div_ceil(size) as u64;
    for (operation, expected) in [
        ("organizations:ListAccounts", pages(20, count + 2)),
        ("organizations:ListTagsForResource", 0),
        ("organizations:ListAccountsForParent", 0),
        ("ssoadmin:ListAccountsForProvisionedPermissionSet", pages(100, count) + 1),
        ("ssoadmin:ListAccountAssignments", count as u64),
        ("cloudformation:DescribeStacks", 2 * count as u64),
    ] {
        println!("{operation:<55}{:>8}", calls_of(operation));
        assert_eq!(calls_of(operation), expected, "{operation}");
    }
    assert_eq!(calls.throttled() - before.throttled(), 0, "throttled calls");

    let minimum = |count: usize| {
        pages(20, count + 2) as f64 / LIST_ACCOUNTS_CALLS_PER_SECOND
            + (pages(100, count) + count as u64) as f64 / IDENTITY_CENTER_CALLS_PER_SECOND
    };
    let took = (freehold.clock.now() - started_at).as_seconds_f64();
    println!(
        "{count} accounts took {took:.0} s; the rates allow {:.0} s; 5,000 take {:.0} s",
        minimum(count),
        minimum(5_000)
    );
    assert!(took <= 1.2 * minimum(count) + 5.0, "{count} accounts took {took:.0} s");
}

/// Advances the clock only while no call is in progress, so that the result does not depend on the speed of the
/// machine.
async fn advance_clock_while_idle(freehold: &Freehold) {
    let calls = || freehold.world.state().calls.by_operation().values().map(|count| count.calls).sum::<u64>();
    let (mut last_calls, mut quiet) = (calls(), 0);
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let now = calls();
        quiet = if now == last_calls { quiet + 1 } else { 0 };
        last_calls = now;
        if quiet == 3 {
            freehold.clock.advance(Duration::from_millis(50));
            quiet = 0;
        }
    }
}

/// Creates `count` copies of a ready tenant in the simulated AWS and in the database, each with its own account and
/// resources.
async fn copy(freehold: &Freehold, tenant: &Tenant, count: usize) {
    let environment = &tenant.environments[0];
    let from = account(tenant);
    let copies: Vec<(Uuid, String)> =
        (0..count).map(|n| (Uuid::from_u128(1_000_000 + n as u128), format!("{:012}", 500_000_000_000 + n))).collect();
    {
        let state = &mut *freehold.world.state();
        for (id, account) in &copies {
            let replacements = Replacements(vec![
                (from.clone(), account.clone()),
                (environment.id.to_string(), EnvironmentId::from(*id).to_string()),
                (tenant.id.to_string(), TenantId::from(*id).to_string()),
            ]);
            let inside = replacements.copy(&state.accounts[&from]);
            state.accounts.insert(account.clone(), inside);
            let organization = &mut state.organization;
            let member = replacements.copy(&organization.members[&from]);
            organization.members.insert(account.clone(), member);
            organization.joined.push(account.clone());
            let tags = replacements.copy(&organization.tags[&from]);
            organization.tags.insert(account.clone(), tags);
            let attached = organization.attached[&from].clone();
            organization.attached.insert(account.clone(), attached);
            let center = &mut state.identity_center;
            let assigned: Vec<Assignment> =
                center.assignments.iter().filter(|one| one.account == from).map(|one| replacements.copy(one)).collect();
            center.assignments.extend(assigned);
            let provisioned = center.provisioned[&from].clone();
            center.provisioned.insert(account.clone(), provisioned);
        }
    }
    let ids: Vec<Uuid> = copies.iter().map(|(id, _)| *id).collect();
    let accounts: Vec<String> = copies.iter().map(|(_, account)| account.clone()).collect();
    for statement in [
        "insert into tenants (id, created_at, company_name, admin_email, tier, labels, updated_at)
         select c.id, t.created_at, t.company_name, t.admin_email, t.tier, t.labels, t.updated_at
         from tenants t, unnest($1::uuid[], $2::text[]) c (id, account) where t.id = $3 and $4 <> ''",
        "insert into environments (id, tenant_id, name, residency, home_region, created_at, state, ready_at, updated_at)
         select c.id, c.id, e.name, e.residency, e.home_region, e.created_at, e.state, e.ready_at, e.updated_at
         from environments e, unnest($1::uuid[], $2::text[]) c (id, account) where e.tenant_id = $3 and $4 <> ''",
        "insert into operations (id, tenant_id, environment_id, kind, requested_by, created_at, state, started_at,
             finished_at, updated_at)
         select c.id, c.id, c.id, o.kind, o.requested_by, o.created_at, o.state, o.started_at, o.finished_at, o.updated_at
         from operations o, unnest($1::uuid[], $2::text[]) c (id, account) where o.tenant_id = $3 and $4 <> ''",
        "insert into operation_steps (operation_id, name, position, after, state, facts, finished_at)
         select c.id, s.name, s.position, s.after, s.state, replace(s.facts::text, $4, c.account)::jsonb, s.finished_at
         from operations o join operation_steps s on s.operation_id = o.id,
             unnest($1::uuid[], $2::text[]) c (id, account) where o.tenant_id = $3",
        "insert into environment_stacks (environment_id, kind, region, slot, stack_name, stack_id, state, operation_id,
             intended_at, changed_at)
         select c.id, s.kind, s.region, s.slot, s.stack_name, replace(s.stack_id, $4, c.account), s.state, c.id,
             s.intended_at, s.changed_at
         from environments e join environment_stacks s on s.environment_id = e.id,
             unnest($1::uuid[], $2::text[]) c (id, account) where e.tenant_id = $3",
        "insert into account_mappings (id, tenant_id, environment_id, aws_account_id, valid_from)
         select c.id, c.id, c.id, c.account, m.valid_from
         from account_mappings m, unnest($1::uuid[], $2::text[]) c (id, account) where m.tenant_id = $3 and $4 <> ''",
    ] {
        let insert = sqlx::query(statement).bind(&ids).bind(&accounts).bind(tenant.id.as_uuid()).bind(&from);
        insert.execute(freehold.pool()).await.expect("copies");
    }
    sqlx::query("analyze").execute(freehold.pool()).await.expect("statistics");
}

/// Text replacements that turn the data of a tenant into the data of its copy.
struct Replacements(Vec<(String, String)>);

impl Replacements {
    fn copy<T: Serialize + DeserializeOwned>(&self, original: &T) -> T {
        let text = serde_json::to_string(original).expect("JSON");
        let text = self.0.iter().fold(text, |text, (from, to)| text.replace(from, to));
        serde_json::from_str(&text).expect("the copy")
    }
}
