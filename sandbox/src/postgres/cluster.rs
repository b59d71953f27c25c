//! Making a cluster and starting the server on it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};

use super::binaries::Binaries;
use super::error::at;
use super::guard::Guarded;
use super::home::Home;
use super::server_user::ServerUser;
use super::{Listen, PostgresError, START_TIMEOUT, SUPERUSER};

/// What of the server's configuration is ours to choose.
pub(super) struct Settings {
    pub(super) durable: bool,
    pub(super) listen: Listen,
    pub(super) port: u16,
    pub(super) max_connections: u16,
}

/// Makes the cluster unless it is there, and returns the superuser's password.
pub(super) async fn ensure(
    home: &Home,
    binaries: &Binaries,
    user: &ServerUser,
    durable: bool,
) -> Result<String, PostgresError> {
    let password_file = home.password_file();
    if home.cluster().exists() {
        let password = fs::read_to_string(&password_file).map_err(at("reading", &password_file))?;
        return Ok(password.trim().to_owned());
    }
    let password = Alphanumeric.sample_string(&mut rand::rng(), 32);
    write_secret(&password_file, &password)?;
    user.give(&password_file)?;

    // Made under another name, so that a cluster of which only half was made is never taken for one.
    let half_made = home.path().join("cluster.new");
    if half_made.exists() {
        fs::remove_dir_all(&half_made).map_err(at("removing", &half_made))?;
    }
    let mut arguments = vec![
        format!("--pgdata={}", half_made.display()),
        format!("--username={SUPERUSER}"),
        format!("--pwfile={}", password_file.display()),
        "--auth-host=scram-sha-256".to_owned(),
        // Only ever through a socket in a directory that is the server's own.
        "--auth-local=trust".to_owned(),
        "--encoding=UTF8".to_owned(),
        // The same order of texts on every machine.
        "--locale=C".to_owned(),
    ];
    if !durable {
        arguments.push("--no-sync".to_owned());
    }
    let mut initdb = Guarded::spawn(home, user, &binaries.program("initdb"), arguments)?;
    let status = initdb.finish().await?;
    if !status.success() {
        return Err(PostgresError::Failed {
            program: "initdb",
            status: status.to_string(),
            output: initdb.last_words(),
        });
    }
    fs::rename(&half_made, home.cluster()).map_err(at("renaming", &half_made))?;
    Ok(password)
}

/// Starts the server and waits until it accepts connections. Returns its guard and its process id.
pub(super) async fn launch(
    home: &Home,
    binaries: &Binaries,
    user: &ServerUser,
    settings: &Settings,
) -> Result<(Guarded, i32), PostgresError> {
    let mut arguments = vec!["-D".to_owned(), home.cluster().display().to_string()];
    for (name, value) in configuration(home, settings) {
        arguments.push("-c".to_owned());
        arguments.push(format!("{name}={value}"));
    }
    let mut server = Guarded::spawn(home, user, &binaries.program("postgres"), arguments)?;
    let ready = async {
        loop {
            if let Some(status) = server.ended()? {
                let (status, output) = (status.to_string(), server.last_words());
                return Err(PostgresError::Failed { program: "postgres", status, output });
            }
            if let Some(pid) = ready_on(&home.cluster(), settings.port) {
                return Ok(pid);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let pid = tokio::time::timeout(START_TIMEOUT, ready).await.map_err(|_| PostgresError::TooSlow {
        what: "start",
        seconds: START_TIMEOUT.as_secs(),
        log: home.log(),
    })??;
    Ok((server, pid))
}

fn configuration(home: &Home, settings: &Settings) -> Vec<(&'static str, String)> {
    let (addresses, sockets) = match settings.listen {
        Listen::Loopback => ("127.0.0.1", String::new()),
        Listen::Socket => ("", home.path().display().to_string()),
    };
    let mut configuration = vec![
        ("listen_addresses", addresses.to_owned()),
        ("unix_socket_directories", sockets),
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

/// The process id of the server on `cluster`, once it says in its pid file that it is ready. Asking the file and not the
/// port makes sure that it is ours, and not somebody else's who took the port.
fn ready_on(cluster: &Path, port: u16) -> Option<i32> {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // The lines: pid, data directory, start time, port, socket directory, address, shared memory, state.
    let ready = lines.get(7).is_some_and(|state| *state == "ready");
    let ours = lines.get(3).is_some_and(|line| *line == port.to_string());
    (ready && ours).then(|| lines[0].parse().ok())?
}

fn write_secret(file: &Path, secret: &str) -> Result<(), PostgresError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(file).and_then(|mut file| file.write_all(secret.as_bytes())).map_err(at("writing", file))
}
