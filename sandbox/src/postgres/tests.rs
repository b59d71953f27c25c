use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use tempfile::TempDir;

use super::{Listen, Postgres, PostgresError, PostgresOptions, TestDatabases};

/// Set for the copy of this test program that is to be killed; names the file in which it reports.
const VICTIM: &str = "FREEHOLD_TEST_VICTIM_REPORTS_TO";
/// The data directory that the victim keeps, if any.
const VICTIM_DATA: &str = "FREEHOLD_TEST_VICTIM_DATA";

async fn ask(url: &str, question: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let answer = sqlx::query(question).fetch_one(&mut connection).await.unwrap().get(0);
    connection.close().await.unwrap();
    answer
}

async fn tell(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Whether the process runs. One that has ended and that nobody has asked about yet still has its number, not its words.
fn lives(pid: i32) -> bool {
    let gone_but_unasked = std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.is_empty());
    kill(Pid::from_raw(pid), None).is_ok() && !gone_but_unasked
}

/// A directory that everybody may enter, so that PostgreSQL can be in it when the tests run as root.
fn data_directory() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a minute later it is still not so that {what}");
}

#[tokio::test]
async fn it_answers_and_leaves_nothing_behind() {
    let postgres = Postgres::start(PostgresOptions::for_tests()).await.unwrap();
    assert_eq!(ask(&postgres.url(), "select 'hello ' || current_user").await, "hello freehold");
    assert_eq!(ask(&postgres.url(), "show fsync").await, "off");
    let (pid, directory) = (postgres.pid(), postgres.directory().to_owned());
    assert!(lives(pid));
    postgres.stop().await.unwrap();
    assert!(!lives(pid), "the server still runs");
    assert!(!directory.exists(), "{} is still there", directory.display());
}

#[tokio::test]
async fn only_who_knows_the_password_gets_in() {
    let options = PostgresOptions { listen: Listen::Loopback, ..PostgresOptions::for_tests() };
    let postgres = Postgres::start(options).await.unwrap();
    assert_eq!(ask(&postgres.url(), "select 'in'").await, "in");
    let guessed = postgres.url().replace(&postgres.password, "freehold");
    let refused = PgConnection::connect(&guessed).await.unwrap_err().to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let data = data_directory();
    let options = PostgresOptions { data_dir: Some(data.path().to_owned()), ..PostgresOptions::default() };
    let first = Postgres::start(options.clone()).await.unwrap();
    assert_eq!(ask(&first.url(), "show fsync").await, "on");
    tell(&first.url(), "create table kept as select 'yes' as answer").await;

    let busy = Postgres::start(options.clone()).await.unwrap_err();
    assert!(matches!(busy, PostgresError::InUse { .. }), "two servers on one directory: {busy}");

    first.stop().await.unwrap();
    let second = Postgres::start(options).await.unwrap();
    assert_eq!(ask(&second.url(), "select answer from kept").await, "yes");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_data_directory_that_only_we_can_enter_will_do() {
    // Under root, PostgreSQL runs as another user.
    let data = tempfile::tempdir().unwrap();
    let options = PostgresOptions { data_dir: Some(data.path().to_owned()), ..PostgresOptions::for_tests() };
    let first = Postgres::start(options.clone()).await.unwrap();
    tell(&first.url(), "create table kept as select 'yes' as answer").await;
    let directory = first.directory().to_owned();
    first.stop().await.unwrap();
    let second = Postgres::start(options).await.unwrap();
    let answer = ask(&second.url(), "select answer from kept").await;
    second.stop().await.unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(answer, "yes");
}

#[tokio::test]
async fn dropping_it_ends_it() {
    let postgres = Postgres::start(PostgresOptions::for_tests()).await.unwrap();
    let (pid, directory) = (postgres.pid(), postgres.directory().to_owned());
    drop(postgres);
    eventually("server and directory are gone", || !lives(pid) && !directory.exists()).await;
}

#[tokio::test]
async fn it_ends_with_a_process_that_is_killed() {
    let (pid, directory) = kill_its_owner(None).await;
    eventually("server and directory are gone", || !lives(pid) && !directory.exists()).await;
}

#[tokio::test]
async fn the_next_start_clears_what_a_killed_process_left() {
    let data = data_directory();
    // At once after the kill, so that the leftover server may still be on its way out.
    let (old, _) = kill_its_owner(Some(data.path())).await;
    let options = PostgresOptions { data_dir: Some(data.path().to_owned()), ..PostgresOptions::default() };
    let next = Postgres::start(options.clone()).await.unwrap();
    assert!(!lives(old), "two servers on one directory");
    assert_eq!(ask(&next.url(), "select 'here'").await, "here");
    let cluster = next.directory().join("cluster");
    next.stop().await.unwrap();

    // The pid file of a crashed machine, with a number that some other process now has.
    let stale = format!("{}\n{}\n1\n1\n\n\n\nready\n", std::process::id(), cluster.display());
    std::fs::write(cluster.join("postmaster.pid"), stale).unwrap();
    let last = Postgres::start(options).await.unwrap();
    assert_eq!(ask(&last.url(), "select 'here'").await, "here");
    last.stop().await.unwrap();
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_next_start_stops_a_server_that_lost_its_guard_too() {
    let data = data_directory();
    let options = PostgresOptions { data_dir: Some(data.path().to_owned()), ..PostgresOptions::default() };
    let first = Postgres::start(options.clone()).await.unwrap();
    let (pid, directory) = (first.pid(), first.directory().to_owned());
    for guard in guards_of(&directory) {
        kill(Pid::from_raw(guard), Signal::SIGKILL).unwrap();
    }
    drop(first);
    assert!(lives(pid), "nobody is left to stop it");
    let next = Postgres::start(options).await.unwrap();
    assert!(!lives(pid), "two servers on one directory");
    next.stop().await.unwrap();
}

/// The shells that guard the server in `directory`.
#[cfg(target_os = "linux")]
fn guards_of(directory: &Path) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        words.contains("freehold-postgres-guard") && words.contains(directory.to_str().unwrap())
    })
    .collect()
}

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    let postgres = Postgres::start(PostgresOptions::for_tests()).await.unwrap();
    let migrate = |url: String| async move {
        tell(&url, "create table note (body text); insert into note values ('migrated')").await;
        Ok::<_, PostgresError>(())
    };
    let databases = TestDatabases::prepare(&postgres.url(), migrate).await.unwrap();
    let (one, two) = tokio::try_join!(databases.create(), databases.create()).unwrap();
    tell(one.url(), "update note set body = 'changed'").await;
    assert_eq!(ask(one.url(), "select body from note").await, "changed");
    assert_eq!(ask(two.url(), "select body from note").await, "migrated");

    let gone = one.url().to_owned();
    drop(one);
    let _three = databases.create().await.unwrap();
    let refused = PgConnection::connect(&gone).await.unwrap_err().to_string();
    assert!(refused.contains("does not exist"), "{refused}");
}

#[tokio::test]
async fn a_failed_migration_says_so() {
    let postgres = Postgres::start(PostgresOptions::for_tests()).await.unwrap();
    let failed = TestDatabases::prepare(&postgres.url(), |_| async { Err("column missing") }).await.unwrap_err();
    assert_eq!(failed.to_string(), "migrating the template database: column missing");
}

/// Starts a copy of this test program that starts PostgreSQL, kills the copy, and returns the process id and directory of
/// the PostgreSQL that it had.
async fn kill_its_owner(data: Option<&Path>) -> (i32, PathBuf) {
    let reports = tempfile::tempdir().unwrap();
    let report = reports.path().join("report");
    let mut victim = Command::new(this_program());
    victim.args(["--exact", "postgres::tests::victim", "--include-ignored"]);
    victim.env(VICTIM, &report).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(data) = data {
        victim.env(VICTIM_DATA, data);
    }
    let mut victim = victim.spawn().unwrap();
    eventually("the victim has reported", || report.exists()).await;
    let text = std::fs::read_to_string(&report).unwrap();
    let (pid, directory) = text.split_once(' ').unwrap();
    let (pid, directory) = (pid.parse().unwrap(), PathBuf::from(directory));
    assert!(lives(pid) && directory.exists());
    kill(Pid::from_raw(i32::try_from(victim.id()).unwrap()), Signal::SIGKILL).unwrap();
    victim.wait().unwrap();
    (pid, directory)
}

/// This program, even if a newer build has taken its name meanwhile.
fn this_program() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { running } else { std::env::current_exe().unwrap() }
}

/// Not a test: what the copy runs.
#[tokio::test]
#[ignore = "runs only in the process that another test kills"]
async fn victim() {
    let Some(report) = std::env::var_os(VICTIM).map(PathBuf::from) else { return };
    let data_dir = std::env::var_os(VICTIM_DATA).map(PathBuf::from);
    let postgres = Postgres::start(PostgresOptions { data_dir, ..PostgresOptions::for_tests() }).await.unwrap();
    let half_written = report.with_extension("new");
    std::fs::write(&half_written, format!("{} {}", postgres.pid(), postgres.directory().display())).unwrap();
    std::fs::rename(half_written, report).unwrap();
    std::future::pending::<()>().await;
}
