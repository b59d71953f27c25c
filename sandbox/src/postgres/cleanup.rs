//! Clearing what an earlier run left in a data directory: a server without its owner, and pid files of servers gone.
//!
//! The directory is locked by now, so whoever started what is found here is no more.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PostgresError;
use super::error::at;
use super::home::Home;

/// Stops a server that still runs on this directory, and removes its pid file.
pub(super) async fn clear(home: &Home) -> Result<(), PostgresError> {
    let cluster = home.cluster();
    let pid_file = cluster.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&pid_file) else { return Ok(()) };
    if let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok()) {
        stop(pid, home).await?;
    }
    if pid_file.exists() {
        // PostgreSQL would believe the file if the number has gone to another process of the same user.
        fs::remove_file(&pid_file).map_err(at("removing", &pid_file))?;
    }
    Ok(())
}

/// Its own guard may be stopping it at this moment, so it is given time before it is told, and told before it is forced.
async fn stop(pid: i32, home: &Home) -> Result<(), PostgresError> {
    let cluster = home.cluster();
    let steps = [(None, 1), (Some(Signal::SIGINT), 30), (Some(Signal::SIGQUIT), 10)];
    for (signal, seconds) in steps {
        if !is_server_on(pid, &cluster) {
            return Ok(());
        }
        if let Some(signal) = signal {
            tracing::info!(pid, %signal, "stopping the PostgreSQL that an earlier run left behind");
            // An error means that it has ended in between.
            _ = kill(Pid::from_raw(pid), signal);
        }
        for _ in 0..seconds * 20 {
            if !is_server_on(pid, &cluster) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Err(PostgresError::Leftover { pid, directory: home.path().to_owned() })
}

/// Whether `pid` is a PostgreSQL on this cluster, and not a stranger who was given the same number later.
fn is_server_on(pid: i32, cluster: &Path) -> bool {
    let command_line = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(words) => String::from_utf8_lossy(&words).replace('\0', " "),
        Err(_) if Path::new("/proc/self").exists() => return false,
        Err(_) => match Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output() {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(_) => return false,
        },
    };
    command_line.contains("postgres") && command_line.contains(&format!("-D {} ", cluster.display()))
}
