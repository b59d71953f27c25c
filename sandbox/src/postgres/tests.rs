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

use super::{ListenMode, Postgres, PostgresError, PostgresOptions, TestDatabases};

/// Environment variable that contains the path of the file to which the child process writes its report.
const CHILD_REPORT_FILE: &str = "FREEHOLD_TEST_CHILD_REPORT_FILE";
/// Environment variable that contains the data directory of the child process; not set for a temporary directory.
const CHILD_DATA_DIR: &str = "FREEHOLD_TEST_CHILD_DATA_DIR";

async fn query(url: &str, sql: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let value = sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get(0);
    connection.close().await.unwrap();
    value
}

async fn execute(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Returns whether a process is running. A zombie process, which still has a process id but an empty command line, is
/// treated as not running.
fn is_running(pid: i32) -> bool {
    let is_zombie = std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| arguments.is_empty());
    kill(Pid::from_raw(pid), None).is_ok() && !is_zombie
}

/// Creates a directory that all users can access, so that PostgreSQL can use it when the tests run as root.
fn data_directory() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

async fn wait_until(condition: &str, is_met: impl Fn() -> bool) {
    for _ in 0..1200 {
        if is_met() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("still not met after a minute: {condition}");
}

#[tokio::test]
async fn a_stopped_server_leaves_no_process_and_no_directory() {
    let postgres = Postgres::start(PostgresOptions::for_tests()).await.unwrap();
    assert_eq!(query(&postgres.url(), "select 'hello ' || current_user").await, "hello freehold");
    assert_eq!(query(&postgres.url(), "show fsync").await, "off");
    let (pid, directory) = (postgres.pid(), postgres.directory().to_owned());
    assert!(is_running(pid));
    postgres.stop().await.unwrap();
    assert!(!is_running(pid), "the server still runs");
    assert!(!directory.exists(), "{} is still there", directory.display());
}

#[tokio::test]
async fn a_loopback_connection_requires_the_password() {
    let options = PostgresOptions { listen: ListenMode::Loopback, ..PostgresOptions::for_tests() };
    let postgres = Postgres::start(options).await.unwrap();
    assert_eq!(query(&postgres.url(), "select 'in'").await, "in");
    let wrong_password_url = postgres.url().replace(&postgres.password, "freehold");
    let error = PgConnection::connect(&wrong_password_url).await.unwrap_err().to_string();
    assert!(error.contains("password authentication failed"), "{error}");
}

#[tokio::test]
async fn data_is_kept_across_a_restart() {
    let data = data_directory();
    let options = PostgresOptions { data_dir: Some(data.path().to_owned()), ..PostgresOptions::default() };
    let first = Postgres::start(options.clone()).await.unwrap();
    assert_eq!(query(&first.url(), "show fsync").await, "on");
    execute(&first.url(), "create table kept as select 'yes' as answer").await;

    let busy = Postgres::start(options.clone()).await.unwrap_err();
    assert!(matches!(busy, PostgresError::InUse { .. }), "two servers on one directory: {busy}");

    first.stop().await.unwrap();
    let second = Postgres::start(options).await.unwrap();
    assert_eq!(query(&second.url(), "select answer from kept").await, "yes");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_private_data_directory_works_under_root() {
    // If this process runs as root, PostgreSQL runs as another user.
    let data = tempfile::tempdir().unwrap();
    let options = PostgresOptions { data_dir: Some(data.path().to_owned()), ..PostgresOptions::for_tests() };
    let first = Postgres::start(options.clone()).await.unwrap();
    execute(&first.url(), "create table kept as select 'yes' as answer").await;
    let directory = first.directory().to_owned();
    first.stop().await.unwrap();
    let second = Postgres::start(options).await.unwrap();
    let answer = query(&second.url(), "select answer from kept").await;
    second.stop().await.unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(answer, "yes");
}

#[tokio::test]
async fn a_dropped_server_is_stopped() {
    let postgres = Postgres::start(PostgresOptions::for_tests()).await.unwrap();
    let (pid, directory) = (postgres.pid(), postgres.directory().to_owned());
    drop(postgres);
    wait_until("server and directory are gone", || !is_running(pid) && !directory.exists()).await;
}

#[tokio::test]
async fn the_server_stops_when_its_process_is_killed() {
    let (pid, directory) = start_and_kill_child_process(None).await;
    wait_until("server and directory are gone", || !is_running(pid) && !directory.exists()).await;
}

#[tokio::test]
async fn the_next_start_cleans_up_after_a_killed_process() {
    let data = data_directory();
    // The next server starts immediately after the kill, so the old server may still be shutting down.
    let (old_pid, _) = start_and_kill_child_process(Some(data.path())).await;
    let options = PostgresOptions { data_dir: Some(data.path().to_owned()), ..PostgresOptions::default() };
    let next = Postgres::start(options.clone()).await.unwrap();
    assert!(!is_running(old_pid), "two servers on one directory");
    assert_eq!(query(&next.url(), "select 'here'").await, "here");
    let cluster = next.directory().join("cluster");
    next.stop().await.unwrap();

    // A stale pid file, as after a crash of the machine. Another process now has the process id in the file.
    let stale = format!("{}\n{}\n1\n1\n\n\n\nready\n", std::process::id(), cluster.display());
    std::fs::write(cluster.join("postmaster.pid"), stale).unwrap();
    let last = Postgres::start(options).await.unwrap();
    assert_eq!(query(&last.url(), "select 'here'").await, "here");
    last.stop().await.unwrap();
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_next_start_stops_a_server_without_a_guard() {
    let data = data_directory();
    let options = PostgresOptions { data_dir: Some(data.path().to_owned()), ..PostgresOptions::default() };
    let first = Postgres::start(options.clone()).await.unwrap();
    let (pid, directory) = (first.pid(), first.directory().to_owned());
    for guard in guard_process_ids(&directory) {
        kill(Pid::from_raw(guard), Signal::SIGKILL).unwrap();
    }
    drop(first);
    assert!(is_running(pid), "no guard is left to stop the server");
    let next = Postgres::start(options).await.unwrap();
    assert!(!is_running(pid), "two servers on one directory");
    next.stop().await.unwrap();
}

/// Returns the process ids of the guard processes of the server in `directory`.
#[cfg(target_os = "linux")]
fn guard_process_ids(directory: &Path) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments);
        arguments.contains("freehold-postgres-guard") && arguments.contains(directory.to_str().unwrap())
    })
    .collect()
}

#[tokio::test]
async fn each_test_gets_its_own_migrated_database() {
    let postgres = Postgres::start(PostgresOptions::for_tests()).await.unwrap();
    let migrate = |url: String| async move {
        execute(&url, "create table note (body text); insert into note values ('migrated')").await;
        Ok::<_, PostgresError>(())
    };
    let databases = TestDatabases::prepare(&postgres.url(), migrate).await.unwrap();
    let (one, two) = tokio::try_join!(databases.create(), databases.create()).unwrap();
    execute(one.url(), "update note set body = 'changed'").await;
    assert_eq!(query(one.url(), "select body from note").await, "changed");
    assert_eq!(query(two.url(), "select body from note").await, "migrated");

    let dropped_url = one.url().to_owned();
    drop(one);
    let _three = databases.create().await.unwrap();
    let error = PgConnection::connect(&dropped_url).await.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_failed_migration_is_reported() {
    let postgres = Postgres::start(PostgresOptions::for_tests()).await.unwrap();
    let failed = TestDatabases::prepare(&postgres.url(), |_| async { Err("column missing") }).await.unwrap_err();
    assert_eq!(failed.to_string(), "migrating the template database: column missing");
}

/// Runs this test program as a child process that starts PostgreSQL, then kills the child process. Returns the process
/// id and directory of the PostgreSQL server.
async fn start_and_kill_child_process(data: Option<&Path>) -> (i32, PathBuf) {
    let reports = tempfile::tempdir().unwrap();
    let report = reports.path().join("report");
    let mut child = Command::new(test_program_path());
    child.args(["--exact", "postgres::tests::child_process", "--include-ignored"]);
    child.env(CHILD_REPORT_FILE, &report).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(data) = data {
        child.env(CHILD_DATA_DIR, data);
    }
    let mut child = child.spawn().unwrap();
    wait_until("the child has reported", || report.exists()).await;
    let text = std::fs::read_to_string(&report).unwrap();
    let (pid, directory) = text.split_once(' ').unwrap();
    let (pid, directory) = (pid.parse().unwrap(), PathBuf::from(directory));
    assert!(is_running(pid) && directory.exists());
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    (pid, directory)
}

/// Returns the path of this program, even if a newer build has replaced the file.
fn test_program_path() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { running } else { std::env::current_exe().unwrap() }
}

/// Body of the child process that other tests start; not a test by itself.
#[tokio::test]
#[ignore = "runs only in the process that another test kills"]
async fn child_process() {
    let Some(report) = std::env::var_os(CHILD_REPORT_FILE).map(PathBuf::from) else { return };
    let data_dir = std::env::var_os(CHILD_DATA_DIR).map(PathBuf::from);
    let postgres = Postgres::start(PostgresOptions { data_dir, ..PostgresOptions::for_tests() }).await.unwrap();
    let incomplete = report.with_extension("new");
    std::fs::write(&incomplete, format!("{} {}", postgres.pid(), postgres.directory().display())).unwrap();
    std::fs::rename(incomplete, report).unwrap();
    std::future::pending::<()>().await;
}

/// Returns the path and the mode of every file below `directory`, and of the directory, that other users can access.
fn accessible_files(directory: &Path) -> Vec<(PathBuf, u32)> {
    let metadata = std::fs::symlink_metadata(directory).unwrap();
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_symlink() {
        return Vec::new();
    }
    let mut found: Vec<_> =
        Some((directory.to_owned(), mode)).filter(|(_, mode)| mode & 0o077 != 0).into_iter().collect();
    if metadata.is_dir() {
        let entries = std::fs::read_dir(directory).unwrap().flatten();
        found.extend(entries.flat_map(|entry| accessible_files(&entry.path())));
    }
    found
}

#[tokio::test]
async fn other_users_can_access_no_file_of_a_server() {
    for listen in [ListenMode::Socket, ListenMode::Loopback] {
        let postgres = Postgres::start(PostgresOptions { listen, ..PostgresOptions::for_tests() }).await.unwrap();
        let socket = postgres.directory().join(".s.PGSQL.5432");
        assert_eq!(socket.exists(), listen == ListenMode::Socket);
        // Recorded while the server runs, so that the socket and the temporary files are included.
        assert_eq!(accessible_files(postgres.directory()), []);
        postgres.stop().await.unwrap();
    }
}

#[tokio::test]
async fn an_existing_directory_with_wide_modes_becomes_private() {
    let data = data_directory();
    let options = PostgresOptions { data_dir: Some(data.path().to_owned()), ..PostgresOptions::for_tests() };
    let first = Postgres::start(options.clone()).await.unwrap();
    let directory = first.directory().to_owned();
    first.stop().await.unwrap();
    for path in [data.path(), &directory, &directory.join("cluster")] {
        std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    for file in ["password", "log", "lock", "access.conf", "users.conf"] {
        std::fs::set_permissions(directory.join(file), Permissions::from_mode(0o666)).unwrap();
    }
    let second = Postgres::start(options).await.unwrap();
    assert_eq!(accessible_files(&directory), []);
    let mode = std::fs::metadata(data.path()).unwrap().permissions().mode() & 0o7777;
    // If this process runs as root, the group of the server's user can traverse the directory.
    assert!([0o700, 0o710].contains(&mode), "{mode:o}");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn files_are_private_whatever_the_umask() {
    let data = data_directory();
    let reports = tempfile::tempdir().unwrap();
    let report = reports.path().join("report");
    let program = std::fs::read_link("/proc/self/exe").unwrap_or_else(|_| test_program_path());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(program);
    shell.args(["--exact", "postgres::tests::child_process", "--include-ignored"]);
    shell.env(CHILD_REPORT_FILE, &report).env(CHILD_DATA_DIR, data.path().join("new"));
    let mut child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the child has reported", || report.exists()).await;
    let text = std::fs::read_to_string(&report).unwrap();
    let (_, directory) = text.split_once(' ').unwrap();
    let found = accessible_files(Path::new(directory));
    let mode = std::fs::metadata(data.path().join("new")).unwrap().permissions().mode() & 0o7777;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found, []);
    assert!([0o700, 0o710].contains(&mode), "{mode:o}");
}

#[tokio::test]
async fn a_directory_that_others_can_write_in_is_refused() {
    let shared = tempfile::Builder::new().permissions(Permissions::from_mode(0o777)).tempdir().unwrap();
    std::fs::set_permissions(shared.path(), Permissions::from_mode(0o1777)).unwrap();
    std::fs::write(shared.path().join("file of another program"), "").unwrap();
    let options = PostgresOptions { data_dir: Some(shared.path().to_owned()), ..PostgresOptions::for_tests() };
    let refused = Postgres::start(options).await.unwrap_err();
    assert!(matches!(refused, PostgresError::SharedDirectory { .. }), "{refused}");
    let mode = std::fs::metadata(shared.path()).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o1777, "the directory of other programs was changed");
}

#[tokio::test]
async fn another_user_of_the_machine_is_not_the_superuser() {
    let other = nix::unistd::User::from_name("daemon").unwrap();
    let (true, Some(other)) = (nix::unistd::Uid::effective().is_root(), other) else { return };
    let postgres = Postgres::start(PostgresOptions::for_tests()).await.unwrap();
    // Even in a directory that is opened by mistake, the kernel says which user connects.
    let socket = postgres.directory().join(".s.PGSQL.5432");
    std::fs::set_permissions(postgres.directory(), Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();
    let connect = |user: Option<&nix::unistd::User>| {
        let mut psql = Command::new("psql");
        psql.args([&postgres.url(), "-Xtc", "select current_user"]).current_dir("/");
        if let Some(user) = user {
            std::os::unix::process::CommandExt::uid(&mut psql, user.uid.as_raw());
        }
        psql.output().unwrap()
    };
    assert!(connect(None).status.success());
    let refused = connect(Some(&other));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && message.contains("Peer authentication failed"), "{message}");
    postgres.stop().await.unwrap();
}
