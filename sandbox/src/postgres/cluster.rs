//! Creation of a PostgreSQL cluster, and start of the server.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{Uid, User};
use rand::distr::{Alphanumeric, SampleString};

use super::binaries::PostgresInstallation;
use super::directory::{ServerDirectory, write_private_file};
use super::error::io_error_at;
use super::guard::GuardedProcess;
use super::private::set_mode;
use super::server_user::ServerUser;
use super::{ListenMode, PostgresError, START_TIMEOUT, SUPERUSER};

/// Server settings that can differ from run to run.
pub(super) struct Settings {
    pub(super) durable: bool,
    pub(super) listen: ListenMode,
    pub(super) port: u16,
    pub(super) max_connections: u16,
}

/// Creates the cluster if it does not exist. Returns the superuser's password.
pub(super) async fn ensure_initialized(
    directory: &ServerDirectory,
    binaries: &PostgresInstallation,
    user: &ServerUser,
    durable: bool,
) -> Result<String, PostgresError> {
    let password_file = directory.password_file();
    if directory.cluster().exists() {
        let password = fs::read_to_string(&password_file).map_err(io_error_at("reading", &password_file))?;
        set_mode(&password_file, 0o600)?;
        return Ok(password.trim().to_owned());
    }
    let password = Alphanumeric.sample_string(&mut rand::rng(), 32);
    write_private_file(&password_file, &password, user)?;

    // The cluster is created under another name and then renamed, so that an incomplete cluster is never used.
    let incomplete = directory.path().join("cluster.new");
    if incomplete.exists() {
        fs::remove_dir_all(&incomplete).map_err(io_error_at("removing", &incomplete))?;
    }
    let mut arguments = vec![
        format!("--pgdata={}", incomplete.display()),
        format!("--username={SUPERUSER}"),
        format!("--pwfile={}", password_file.display()),
        // Each start writes the access rules again.
        "--auth=reject".to_owned(),
        "--encoding=UTF8".to_owned(),
        // With this locale, the sort order is the same on every machine.
        "--locale=C".to_owned(),
    ];
    if !durable {
        arguments.push("--no-sync".to_owned());
    }
    let mut initdb = GuardedProcess::spawn(directory, user, &binaries.program("initdb"), arguments)?;
    let status = initdb.wait().await?;
    if !status.success() {
        return Err(PostgresError::Failed {
            program: "initdb",
            status: status.to_string(),
            output: initdb.last_output(),
        });
    }
    fs::rename(&incomplete, directory.cluster()).map_err(io_error_at("renaming", &incomplete))?;
    Ok(password)
}

/// Starts the server and waits until it accepts connections. Returns the guarded process and the server's process id.
pub(super) async fn start_server(
    directory: &ServerDirectory,
    binaries: &PostgresInstallation,
    user: &ServerUser,
    settings: &Settings,
) -> Result<(GuardedProcess, i32), PostgresError> {
    write_private_file(&directory.access_rules_file(), &access_rules(settings.listen), user)?;
    write_private_file(&directory.user_map_file(), &user_map(), user)?;
    let mut arguments = vec!["-D".to_owned(), directory.cluster().display().to_string()];
    for (name, value) in configuration(directory, settings) {
        arguments.push("-c".to_owned());
        arguments.push(format!("{name}={value}"));
    }
    let mut server = GuardedProcess::spawn(directory, user, &binaries.program("postgres"), arguments)?;
    let ready = async {
        loop {
            if let Some(status) = server.try_wait()? {
                let (status, output) = (status.to_string(), server.last_output());
                return Err(PostgresError::Failed { program: "postgres", status, output });
            }
            if let Some(pid) = ready_server_pid(&directory.cluster(), settings.port) {
                return Ok(pid);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let pid = tokio::time::timeout(START_TIMEOUT, ready).await.map_err(|_| PostgresError::Timeout {
        action: "start",
        seconds: START_TIMEOUT.as_secs(),
        log: directory.log(),
    })??;
    Ok((server, pid))
}

fn configuration(directory: &ServerDirectory, settings: &Settings) -> Vec<(&'static str, String)> {
    let (addresses, sockets) = match settings.listen {
        ListenMode::Loopback => ("127.0.0.1", String::new()),
        ListenMode::Socket => ("", directory.path().display().to_string()),
    };
    let mut configuration = vec![
        ("listen_addresses", addresses.to_owned()),
        ("unix_socket_directories", sockets),
        ("unix_socket_permissions", "0700".to_owned()),
        ("hba_file", directory.access_rules_file().display().to_string()),
        ("ident_file", directory.user_map_file().display().to_string()),
        ("port", settings.port.to_string()),
        ("max_connections", settings.max_connections.to_string()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
    ];
    if !settings.durable {
        let off = ["fsync", "synchronous_commit", "full_page_writes"];
        configuration.extend(off.map(|name| (name, "off".to_owned())));
    }
    configuration
}

/// Returns the process id of the server if its pid file reports that the server is ready. Connecting to the port is not
/// sufficient as a check, because another server could be using the port.
fn ready_server_pid(cluster: &Path, port: u16) -> Option<i32> {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // Lines of the file: pid, data directory, start time, port, socket directory, address, shared memory, state.
    let is_ready = lines.get(7).is_some_and(|state| *state == "ready");
    let has_our_port = lines.get(3).is_some_and(|line| *line == port.to_string());
    (is_ready && has_our_port).then(|| lines[0].parse().ok())?
}

/// Returns the access rules of the server (`pg_hba.conf`).
fn access_rules(listen: ListenMode) -> String {
    match listen {
        ListenMode::Loopback => "host all all 127.0.0.1/32 scram-sha-256\n".to_owned(),
        ListenMode::Socket => {
            let superuser = if current_user().is_some() { "peer map=owner" } else { "scram-sha-256" };
            // Roles without superuser rights exist in tests only. The mode of the socket admits this user only.
            format!("local all {SUPERUSER} {superuser}\nlocal all all trust\n")
        }
    }
}

/// Returns the user map (`pg_ident.conf`): only the user of this process is the superuser of the database.
fn user_map() -> String {
    current_user().map(|name| format!("owner \"{name}\" {SUPERUSER}\n")).unwrap_or_default()
}

/// Returns the name of the user of this process, by which PostgreSQL identifies the other end of a socket. `None` if
/// the user has no name, or a name that cannot be part of a user map.
pub(super) fn current_user() -> Option<String> {
    let user = User::from_uid(Uid::effective()).ok().flatten()?;
    Some(user.name).filter(|name| !name.contains(['"', '\n', '/']))
}
