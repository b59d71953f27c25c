//! Benchmark of real processes: resource usage while idle and with thousands of waiting operations, and recovery time
//! after `kill -9` and after a restart of PostgreSQL.

#![expect(clippy::cast_precision_loss, reason = "counts are small")]
#![expect(clippy::print_stdout, reason = "a benchmark prints results")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tests::crash::{ApiClient, Infrastructure, Processes, StopMode, wait_until_ready};
use futures::{StreamExt, stream};
use nix::sys::signal::Signal;
use uuid::Uuid;

/// Duration of the idle measurement.
const IDLE_DURATION: Duration = Duration::from_secs(70);

/// Default number of waiting operations; the environment variable `FREEHOLD_WAITING` overrides it.
const DEFAULT_WAITING_OPERATIONS: usize = 10_000;

/// Number of concurrent signups that create the waiting operations.
const CONCURRENT_SIGNUPS: usize = 12;

/// Number of PostgreSQL restarts, and number of killed workers. The worst result is reported.
const REPETITIONS: usize = 3;

/// Clock ticks per second in `/proc/PID/stat` (`sysconf(_SC_CLK_TCK)` on Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// Table of measured values, printed row by row. The field is `true` if all values so far meet their bounds.
struct Table(bool);

impl Table {
    fn row(&mut self, figure: &str, measured: f64, bound: f64, unit: &str) {
        let met = measured <= bound;
        self.0 &= met;
        let result = if met { "" } else { "  MISSED" };
        println!("{figure:<66}{measured:>10.3}{bound:>10.3} {unit}{result}");
    }
}

/// Runs all measurements and prints the results; returns whether all measured values meet their bounds.
pub(crate) async fn run() -> bool {
    let mut table = Table(true);
    println!("{:<66}{:>10}{:>10}", "processes", "measured", "at most");
    measure_recovery(&mut table).await;
    measure_resources(&mut table).await;
    table.0
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_freehold-under-test"))
}

/// Starts an API and workers, and waits until the API is ready.
async fn start_processes(infrastructure: &Infrastructure, workers: usize) -> (Processes, ApiClient) {
    let mut processes = Processes::new(&program(), infrastructure, workers, None);
    for index in 0..=workers {
        processes.start(index);
    }
    let client = ApiClient::new(&processes.api_url, &infrastructure.issuer);
    wait_until_ready(&client).await;
    (processes, client)
}

/// Measures the resource usage of idle processes, and then with thousands of waiting operations.
async fn measure_resources(table: &mut Table) {
    // The simulated clock is so slow that no work in AWS finishes during the measurement.
    let settings = Settings { throttling: false, ..Settings::default() };
    let infrastructure = Infrastructure::start(settings, 0.02).await;
    let (processes, client) = start_processes(&infrastructure, 1).await;
    // Warm up connections, signing keys and code.
    client.sign_up_until_accepted(0).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    for set in ["alter system set log_statement = 'all'", "alter system set log_line_prefix = '%u '"] {
        sqlx::query(set).execute(&infrastructure.pool).await.expect("a setting");
    }
    sqlx::query("select pg_reload_conf()").execute(&infrastructure.pool).await.expect("a reload");
    tokio::time::sleep(Duration::from_secs(1)).await;

    let (statements_before, started) = (count_statements(&infrastructure), Instant::now());
    let cpu: Vec<f64> = process_ids(&processes).map(cpu_seconds).collect();
    tokio::time::sleep(IDLE_DURATION).await;
    let seconds = started.elapsed().as_secs_f64();
    let statements_after = count_statements(&infrastructure);
    let mut memory = Vec::new();
    for (index, id) in process_ids(&processes).enumerate() {
        let name = processes.all[index].name();
        let user = name.split('-').next().unwrap_or(name);
        let count = |of: &BTreeMap<String, usize>| of.get(user).copied().unwrap_or(0) as f64;
        table.row(
            &format!("idle {name}: queries per second"),
            (count(&statements_after) - count(&statements_before)) / seconds,
            0.2,
            "1/s",
        );
        table.row(&format!("idle {name}: CPU"), 100.0 * (cpu_seconds(id) - cpu[index]) / seconds, 0.1, "%");
        memory.push(resident_kilobytes(id));
        table.row(&format!("idle {name}: resident memory"), memory[index] / 1024.0, 60.0, "MB");
    }

    sqlx::query("alter system reset all").execute(&infrastructure.pool).await.expect("a setting");
    sqlx::query("select pg_reload_conf()").execute(&infrastructure.pool).await.expect("a reload");
    let waiting =
        std::env::var("FREEHOLD_WAITING").ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_WAITING_OPERATIONS);
    stream::iter(1..=waiting)
        .for_each_concurrent(CONCURRENT_SIGNUPS, |number| client.sign_up_until_accepted(number))
        .await;
    let waiting_operations = "select count(*) from operations where started_at is not null and lease_until is null";
    wait_until(&infrastructure, waiting_operations, i64::try_from(waiting).unwrap_or(i64::MAX)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (index, id) in process_ids(&processes).enumerate() {
        let memory_per_operation = (resident_kilobytes(id) - memory[index]) / waiting as f64;
        let name = processes.all[index].name();
        table.row(&format!("{name}: memory per waiting operation, {waiting} waiting"), memory_per_operation, 4.0, "kB");
    }
    drop(processes);
    infrastructure.stop().await;
}

/// Measures the recovery time after a worker is killed and after PostgreSQL is restarted.
async fn measure_recovery(table: &mut Table) {
    let mut infrastructure = Infrastructure::start(Settings::default(), 20.0).await;
    let (mut processes, client) = start_processes(&infrastructure, 2).await;
    // Continuous signups ensure that there are always operations to process.
    let signups = tokio::spawn({
        let client = client.clone();
        async move {
            for number in 0.. {
                client.sign_up_until_accepted(number).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
    wait_until(&infrastructure, "select count(*) from operations where started_at is not null", 5).await;
    let mut worst = [0.0_f64; 2];
    for round in 0..REPETITIONS {
        worst[0] = worst[0].max(recovery_after_kill(&infrastructure, &mut processes, 1 + round % 2).await);
    }
    table.row("kill -9 of a worker: until its operations are claimed again", worst[0], 35.0, "s");
    for stop in [StopMode::Fast, StopMode::Immediate, StopMode::Fast].into_iter().take(REPETITIONS) {
        worst[1] = worst[1].max(recovery_after_restart(&mut infrastructure, &client, stop).await);
    }
    table.row("restart of PostgreSQL: until API and workers are back", worst[1], 5.0, "s");
    signups.abort();
    drop(processes);
    infrastructure.stop().await;
}

/// Kills a worker; returns the number of seconds until other workers have claimed all of its operations.
async fn recovery_after_kill(infrastructure: &Infrastructure, processes: &mut Processes, index: usize) -> f64 {
    let id = processes.id(index).expect("a running worker");
    // Kill the worker only while it has claimed an operation.
    let held = loop {
        processes.signal(index, Signal::SIGSTOP);
        let held = "select id, fence from operations where lease_until is not null and leased_by like '%-' || $1";
        let held: Vec<(Uuid, i64)> = sqlx::query_as(held)
            .bind(id.to_string())
            .fetch_all(&infrastructure.pool)
            .await
            .expect("the claimed operations");
        if !held.is_empty() {
            break held;
        }
        processes.signal(index, Signal::SIGCONT);
        tokio::time::sleep(Duration::from_millis(7)).await;
    };
    let killed = Instant::now();
    processes.kill(index);
    for (operation, fence) in held {
        let moved = "select count(*) from operations where id = $1 and fence > $2";
        loop {
            let moved: i64 = sqlx::query_scalar(moved)
                .bind(operation)
                .bind(fence)
                .fetch_one(&infrastructure.pool)
                .await
                .expect("a count");
            if moved > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let duration = killed.elapsed().as_secs_f64();
    processes.start(index);
    duration
}

/// Restarts PostgreSQL; returns the number of seconds from the first accepted connection until the API is ready and
/// operations are claimed.
async fn recovery_after_restart(infrastructure: &mut Infrastructure, client: &ApiClient, stop: StopMode) -> f64 {
    infrastructure.restart_database(stop).await;
    let up = Instant::now();
    let claims = "select coalesce(sum(fence), 0)::bigint from operations";
    let before: i64 = sqlx::query_scalar(claims).fetch_one(&infrastructure.pool).await.expect("a sum");
    let ready = async { wait_until_ready(client).await };
    let moves = wait_until(infrastructure, claims, before + 1);
    tokio::join!(ready, moves);
    let duration = up.elapsed().as_secs_f64();
    // Let interrupted work finish before the next restart.
    tokio::time::sleep(Duration::from_secs(5)).await;
    duration
}

/// Waits until the query returns a number of at least `minimum`.
async fn wait_until(infrastructure: &Infrastructure, query: &'static str, minimum: i64) {
    loop {
        let answer: Result<i64, _> = sqlx::query_scalar(query).fetch_one(&infrastructure.pool).await;
        if answer.is_ok_and(|answer| answer >= minimum) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the ids of all processes; panics if a process is not running.
fn process_ids(processes: &Processes) -> impl Iterator<Item = u32> {
    (0..processes.all.len()).map(|index| processes.id(index).expect("a running process"))
}

/// Counts the executed statements per database user in the PostgreSQL log.
fn count_statements(infrastructure: &Infrastructure) -> BTreeMap<String, usize> {
    let log = std::fs::read(infrastructure.database_log()).expect("the server's log");
    let mut counts = BTreeMap::new();
    for line in String::from_utf8_lossy(&log).lines() {
        if let Some((user, statement)) = line.split_once(" LOG:  ")
            && (statement.starts_with("execute ") || statement.starts_with("statement: "))
        {
            *counts.entry(user.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

/// Returns the CPU time that a process has used in user and kernel mode, in seconds.
fn cpu_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("a process");
    // The process name may contain blanks and ends with the last parenthesis. Fields 14 and 15 are utime and stime.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

/// Returns the resident memory of a process in kilobytes.
fn resident_kilobytes(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the resident memory");
    line.trim().trim_end_matches(" kB").parse().expect("kilobytes")
}
