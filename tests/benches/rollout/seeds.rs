//! Benchmark of rollouts whose plans and failing environments are random, but the same for the same seed.

use std::collections::BTreeSet;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::rollout::{ConcurrencyMode, MemberState, RolloutMember, RolloutPlan, RolloutState};
use freehold_tenancy::{EnvironmentId, RolloutId};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::fleet::{Fleet, UPDATE_SECONDS, update_durations};
use crate::ideal::{IdealUpdate, ideal_duration};
use freehold_tests::benchmark_table::Table;

/// Type of the resource that each release changes, and whose update fails.
const CHANGED_TYPE: &str = "AWS::Lambda::Function";

/// Number of rollouts after which the progress is printed.
const REPORT_INTERVAL: u64 = 20;

/// Records each update that is opened while a halt is on record.
const WATCH_HALTS: [&str; 3] = [
    "create table started_after_halt (operation_id uuid not null)",
    "create function watch_halts() returns trigger language plpgsql security definer as $$ begin
        if exists (select from public.rollouts where state = 'halted') then
            insert into public.started_after_halt values (new.id);
        end if;
        return null;
    end $$",
    "create trigger watch_halts after insert on operations for each row when (new.kind = 'update')
        execute function watch_halts()",
];

/// Sums over all runs.
#[derive(Default)]
struct Totals {
    updates: usize,
    failures: usize,
    halts: usize,
    /// Waves with more failures than their mode allows, described in one line each.
    violations: [Vec<String>; 2],
    late_starts: usize,
    makespan: TimeDelta,
    ideal: TimeDelta,
    slow_runs: usize,
    worst: f64,
}

pub(crate) async fn measure(runs: u64, environments: usize, workers: usize, seed: u64, table: &mut Table) {
    let started = Instant::now();
    let mut fleet = Fleet::new(environments, &[], seed, update_durations()).await;
    fleet.use_workers(workers);
    for statement in WATCH_HALTS {
        sqlx::query(statement).execute(fleet.pool()).await.expect("a trigger");
    }
    let mut totals = Totals::default();
    for run in 0..runs {
        run_once(&mut fleet, seed.wrapping_mul(100_000) + run, &mut totals).await;
        if (run + 1).is_multiple_of(REPORT_INTERVAL) {
            let (seconds, updates) = (started.elapsed().as_secs_f64(), totals.updates);
            let ratio = totals.makespan.as_seconds_f64() / totals.ideal.as_seconds_f64();
            println!("        {} of {runs} rollouts, {updates} updates in {seconds:.0} s, {ratio:.3}", run + 1);
        }
    }
    let late = "select count(*) from started_after_halt";
    let late: i64 = sqlx::query_scalar(late).fetch_one(fleet.pool()).await.expect("a count");
    let (name, seconds) = (format!("{runs} seeded rollouts"), started.elapsed().as_secs_f64());
    let Totals { updates, failures, halts, violations: [strict, soft], .. } = &totals;
    let detail = format!("{updates} updates, {failures} failures, {halts} halts ({seconds:.0} s of real time)");
    let what = "waves with more failures than";
    table.none(&format!("{name}: strict {what} max_failures + 1"), strict.len(), &detail);
    table.none(&format!("{name}: soft {what} max_failures + max_concurrent"), soft.len(), "");
    let late = totals.late_starts + usize::try_from(late).unwrap_or(usize::MAX);
    table.none(&format!("{name}: updates started after a halt"), late, "");
    let seconds = TimeDelta::as_seconds_f64;
    let detail = format!(
        "{:.0} s instead of {:.0} s; worst run {:.3}, {} runs over 1.05",
        seconds(totals.makespan),
        seconds(totals.ideal),
        totals.worst,
        totals.slow_runs
    );
    table.at_most(
        &format!("{name}: sum of makespans ÷ sum of bounds"),
        seconds(totals.makespan) / seconds(totals.ideal),
        1.05,
        "",
        &detail,
    );
    for violation in strict.iter().chain(soft) {
        println!("VIOLATION: {violation}");
    }
}

/// Runs one rollout until it has finished or was halted, then aborts it.
async fn run_once(fleet: &mut Fleet, seed: u64, totals: &mut Totals) {
    let mut rng = StdRng::seed_from_u64(seed);
    let plan = random_plan(&mut rng);
    let share = *[0.0, 0.05, 0.15, 0.4].choose(&mut rng).expect("a share");
    let failing: BTreeSet<EnvironmentId> = fleet.accounts.keys().copied().filter(|_| rng.random_bool(share)).collect();
    for environment in &failing {
        let fault = Fault::failed("Resource handler returned message: the release is broken");
        // The rollback of the resource succeeds.
        let rule = Rule::on("cloudformation", CHANGED_TYPE, fault).from_account(&fleet.accounts[environment]).times(1);
        fleet.freehold.world.inject(rule);
    }
    let (release, start) = (fleet.release().await, fleet.now());
    let id = fleet.create(release, &plan).await;
    fleet.run_until_idle().await;
    check(fleet, id, &plan, &failing, start, seed, totals).await;
    fleet.freehold.world.clear_faults();
}

async fn check(
    fleet: &Fleet,
    id: RolloutId,
    plan: &RolloutPlan,
    failing: &BTreeSet<EnvironmentId>,
    start: DateTime<Utc>,
    seed: u64,
    totals: &mut Totals,
) {
    let (rollout, members) = (fleet.rollout(id).await, fleet.members(id).await);
    let is_halted = rollout.state == RolloutState::Halted;
    assert!(is_halted || rollout.state == RolloutState::Succeeded, "seed {seed}: {rollout:?}");
    let makespan = rollout.since - start;
    for (number, wave) in plan.waves.iter().enumerate() {
        let failures = members.iter().filter(|one| one.wave == number && one.state == MemberState::Failed).count();
        let failures = u32::try_from(failures).expect("few");
        let (mode, allowed) = match wave.concurrency_mode {
            ConcurrencyMode::Strict => (0, wave.max_failures + 1),
            ConcurrencyMode::Soft => (1, wave.max_failures + wave.max_concurrent),
        };
        if failures > allowed {
            totals.violations[mode].push(format!("seed {seed}: {failures} failures in {wave:?}"));
        }
        totals.failures += usize::try_from(failures).expect("few");
    }
    let has_started = |member: &&RolloutMember| member.started_at.is_some();
    totals.updates += members.iter().filter(has_started).count();
    if is_halted {
        totals.halts += 1;
        totals.late_starts += members.iter().filter(|one| one.started_at.is_some_and(|at| at > rollout.since)).count();
    }
    let ideal = ideal_duration(plan, &ideal_updates(fleet, plan, &members, failing, start));
    let ratio = makespan.as_seconds_f64() / ideal.as_seconds_f64();
    totals.makespan += makespan;
    totals.ideal += ideal;
    totals.slow_runs += usize::from(ratio > 1.05);
    totals.worst = totals.worst.max(ratio);
    if is_halted {
        fleet.abort(id).await;
    }
}

/// Returns the updates of each wave with the durations that CloudFormation has taken.
fn ideal_updates(
    fleet: &Fleet,
    plan: &RolloutPlan,
    members: &[RolloutMember],
    failing: &BTreeSet<EnvironmentId>,
    start: DateTime<Utc>,
) -> Vec<Vec<IdealUpdate>> {
    let durations = fleet.update_durations_since(start);
    let usual = freehold_tenancy::clock::seconds(UPDATE_SECONDS);
    let update = |member: &RolloutMember| {
        let duration = durations.get(&fleet.accounts[&member.environment_id]).copied().unwrap_or(usual);
        IdealUpdate { duration, fails: failing.contains(&member.environment_id) }
    };
    let of_wave = |number: usize| members.iter().filter(|member| member.wave == number).map(update).collect();
    (0..plan.waves.len()).map(of_wave).collect()
}

/// Returns a plan of one to three waves.
fn random_plan(rng: &mut StdRng) -> RolloutPlan {
    let percents: &[u32] = [&[100][..], &[20, 100], &[10, 50, 100]].choose(rng).expect("percents");
    let waves: Vec<_> = percents
        .iter()
        .map(|percent| {
            let mode = *["strict", "soft"].choose(rng).expect("a mode");
            json!({
                "name": format!("to-{percent}"), "select": { "percent": percent }, "concurrency_mode": mode,
                "max_concurrent": rng.random_range(1..=8), "max_failures": rng.random_range(0..=3),
                "bake_seconds": *[0, 60, 300].choose(rng).expect("a bake"),
            })
        })
        .collect();
    serde_json::from_value(json!({ "waves": waves })).expect("a plan")
}
