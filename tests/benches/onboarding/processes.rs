//! What Freehold's processes cost and how soon they are back, measured on real processes: idle, with thousands of
//! operations that wait, after a `kill -9`, and after a restart of PostgreSQL.

#![expect(clippy::cast_precision_loss, reason = "counts are small")]
#![expect(clippy::print_stdout, reason = "the figures are what this is for")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tests::crash::{ApiClient, Infrastructure, Processes, StopMode, wait_until_ready};
use futures::{StreamExt, stream};
use nix::sys::signal::Signal;
use uuid::Uuid;

/// How long idleness is watched.
const WATCHED: Duration = Duration::from_secs(70);

/// Operations that wait, unless `FREEHOLD_WAITING` says how many.
const WAITING: usize = 10_000;

/// Signups at a time, of those that bring the waiting operations about.
const AT_ONCE: usize = 12;

/// Restarts of PostgreSQL, and kills of workers, of which the worst counts.
const TIMES: usize = 3;

/// Clock ticks a second in `/proc/PID/stat` (`sysconf(_SC_CLK_TCK)` on Linux).
const TICKS: f64 = 100.0;

/// The rows of the table, and whether each is within its bound.
struct Table(bool);

impl Table {
    fn row(&mut self, what: &str, measured: f64, bound: f64, unit: &str) {
        let fits = measured <= bound;
        self.0 &= fits;
        let verdict = if fits { "" } else { "  MISSED" };
        println!("{what:<66}{measured:>10.3}{bound:>10.3} {unit}{verdict}");
    }
}

/// Measures, prints its rows, and answers whether each is within its bound.
pub(crate) async fn run() -> bool {
    let mut table = Table(true);
    println!("{:<66}{:>10}{:>10}", "processes", "measured", "at most");
    return_of_work(&mut table).await;
    cost(&mut table).await;
    table.0
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_freehold-under-test"))
}

/// An API and so many workers, all ready.
async fn started(infrastructure: &Infrastructure, workers: usize) -> (Processes, ApiClient) {
    let mut processes = Processes::new(&program(), infrastructure, workers, None);
    for place in 0..=workers {
        processes.start(place);
    }
    let client = ApiClient::new(&processes.api_url, &infrastructure.issuer);
    wait_until_ready(&client).await;
    (processes, client)
}

/// Idle, then with thousands of operations that wait.
async fn cost(table: &mut Table) {
    // What is asked of AWS takes longer than this measurement: whoever waits goes on waiting.
    let settings = Settings { throttling: false, ..Settings::default() };
    let infrastructure = Infrastructure::start(settings, 0.02).await;
    let (processes, client) = started(&infrastructure, 1).await;
    // Connections are made, keys are read, code is touched.
    client.sign_up_until_accepted(0).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    for set in ["alter system set log_statement = 'all'", "alter system set log_line_prefix = '%u '"] {
        sqlx::query(set).execute(&infrastructure.pool).await.expect("a setting");
    }
    sqlx::query("select pg_reload_conf()").execute(&infrastructure.pool).await.expect("read anew");
    tokio::time::sleep(Duration::from_secs(1)).await;

    let (statements, began) = (statements(&infrastructure), Instant::now());
    let cpu: Vec<f64> = places(&processes).map(cpu_seconds).collect();
    tokio::time::sleep(WATCHED).await;
    let seconds = began.elapsed().as_secs_f64();
    let asked = self::statements(&infrastructure);
    let mut resident = Vec::new();
    for (place, id) in places(&processes).enumerate() {
        let name = processes.all[place].name();
        let user = name.split('-').next().unwrap_or(name);
        let count = |of: &BTreeMap<String, usize>| of.get(user).copied().unwrap_or(0) as f64;
        table.row(
            &format!("idle {name}: queries a second"),
            (count(&asked) - count(&statements)) / seconds,
            0.2,
            "1/s",
        );
        table.row(&format!("idle {name}: CPU"), 100.0 * (cpu_seconds(id) - cpu[place]) / seconds, 0.1, "%");
        resident.push(resident_kilobytes(id));
        table.row(&format!("idle {name}: resident memory"), resident[place] / 1024.0, 60.0, "MB");
    }

    sqlx::query("alter system reset all").execute(&infrastructure.pool).await.expect("a setting");
    sqlx::query("select pg_reload_conf()").execute(&infrastructure.pool).await.expect("read anew");
    let waiting = std::env::var("FREEHOLD_WAITING").ok().and_then(|text| text.parse().ok()).unwrap_or(WAITING);
    stream::iter(1..=waiting).for_each_concurrent(AT_ONCE, |number| client.sign_up_until_accepted(number)).await;
    let begun = "select count(*) from operations where started_at is not null and lease_until is null";
    until(&infrastructure, begun, i64::try_from(waiting).unwrap_or(i64::MAX)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (place, id) in places(&processes).enumerate() {
        let more = (resident_kilobytes(id) - resident[place]) / waiting as f64;
        let name = processes.all[place].name();
        table.row(&format!("{name}: resident memory for each of {waiting} waiting operations"), more, 4.0, "kB");
    }
    drop(processes);
    infrastructure.stop().await;
}

/// After a worker was killed, and after PostgreSQL was restarted.
async fn return_of_work(table: &mut Table) {
    let mut infrastructure = Infrastructure::start(Settings::default(), 20.0).await;
    let (mut processes, client) = started(&infrastructure, 2).await;
    // Always somebody on the way, so that there is something that can move.
    let signups = tokio::spawn({
        let client = client.clone();
        async move {
            for number in 0.. {
                client.sign_up_until_accepted(number).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
    until(&infrastructure, "select count(*) from operations where started_at is not null", 5).await;
    let mut worst = [0.0_f64; 2];
    for round in 0..TIMES {
        worst[0] = worst[0].max(after_a_kill(&infrastructure, &mut processes, 1 + round % 2).await);
    }
    table.row("kill -9 of a worker: until its operations move on", worst[0], 35.0, "s");
    for stop in [StopMode::Fast, StopMode::Immediate, StopMode::Fast].into_iter().take(TIMES) {
        worst[1] = worst[1].max(after_a_restart(&mut infrastructure, &client, stop).await);
    }
    table.row("restart of PostgreSQL: until the service is ready and work moves", worst[1], 5.0, "s");
    signups.abort();
    drop(processes);
    infrastructure.stop().await;
}

/// The seconds until every operation that a worker had claimed when it was killed is claimed by another.
async fn after_a_kill(infrastructure: &Infrastructure, processes: &mut Processes, place: usize) -> f64 {
    let id = processes.id(place).expect("a worker that runs");
    // It is only killed when it holds something.
    let held = loop {
        processes.signal(place, Signal::SIGSTOP);
        let held = "select id, fence from operations where lease_until is not null and leased_by like '%-' || $1";
        let held: Vec<(Uuid, i64)> =
            sqlx::query_as(held).bind(id.to_string()).fetch_all(&infrastructure.pool).await.expect("what it holds");
        if !held.is_empty() {
            break held;
        }
        processes.signal(place, Signal::SIGCONT);
        tokio::time::sleep(Duration::from_millis(7)).await;
    };
    let killed = Instant::now();
    processes.kill(place);
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
    let took = killed.elapsed().as_secs_f64();
    processes.start(place);
    took
}

/// The seconds from when PostgreSQL accepts connections until the API says that it is ready and operations are claimed.
async fn after_a_restart(infrastructure: &mut Infrastructure, client: &ApiClient, stop: StopMode) -> f64 {
    infrastructure.restart_database(stop).await;
    let up = Instant::now();
    let claims = "select coalesce(sum(fence), 0)::bigint from operations";
    let before: i64 = sqlx::query_scalar(claims).fetch_one(&infrastructure.pool).await.expect("a sum");
    let ready = async { wait_until_ready(client).await };
    let moves = until(infrastructure, claims, before + 1);
    tokio::join!(ready, moves);
    let took = up.elapsed().as_secs_f64();
    // What was interrupted comes to rest before the next.
    tokio::time::sleep(Duration::from_secs(5)).await;
    took
}

/// Returns when a query answers at least this.
async fn until(infrastructure: &Infrastructure, query: &'static str, least: i64) {
    loop {
        let answer: Result<i64, _> = sqlx::query_scalar(query).fetch_one(&infrastructure.pool).await;
        if answer.is_ok_and(|answer| answer >= least) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The ids of the processes, each of which runs.
fn places(processes: &Processes) -> impl Iterator<Item = u32> {
    (0..processes.all.len()).map(|place| processes.id(place).expect("a process that runs"))
}

/// How many statements each user has had executed, as PostgreSQL's log tells.
fn statements(infrastructure: &Infrastructure) -> BTreeMap<String, usize> {
    let log = std::fs::read(infrastructure.database_log()).expect("the server's log");
    let mut counts = BTreeMap::new();
    for line in String::from_utf8_lossy(&log).lines() {
        if let Some((user, said)) = line.split_once(" LOG:  ")
            && (said.starts_with("execute ") || said.starts_with("statement: "))
        {
            *counts.entry(user.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

/// User and system time of a process.
fn cpu_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("a process");
    // The name may hold blanks; it ends with the last parenthesis. utime and stime are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / TICKS
}

/// What a process holds in memory, in kilobytes.
fn resident_kilobytes(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident memory");
    line.trim().trim_end_matches(" kB").parse().expect("kilobytes")
}
