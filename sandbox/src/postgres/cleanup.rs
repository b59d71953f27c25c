//! Cleanup of a data directory after a crash: stops a server that still runs and deletes stale pid files.
//!
//! The cleanup runs after this process has locked the directory. The lock proves that the process that started the old
//! server has exited.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PostgresError;
use super::directory::ServerDirectory;
use super::error::io_error_at;

/// Stops a server of an earlier run that still uses this directory, and deletes its pid file.
pub(super) async fn stop_leftover_server(directory: &ServerDirectory) -> Result<(), PostgresError> {
    let cluster = directory.cluster();
    let pid_file = cluster.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&pid_file) else { return Ok(()) };
    if let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok()) {
        stop(pid, directory).await?;
    }
    if pid_file.exists() {
        // PostgreSQL would not start if another process of the same user now has the process id in the file.
        fs::remove_file(&pid_file).map_err(io_error_at("removing", &pid_file))?;
    }
    Ok(())
}

/// Stops a server. First waits, because the guard process may already be stopping the server; then sends SIGINT, and
/// finally SIGQUIT.
async fn stop(pid: i32, directory: &ServerDirectory) -> Result<(), PostgresError> {
    let cluster = directory.cluster();
    let steps = [(None, 1), (Some(Signal::SIGINT), 30), (Some(Signal::SIGQUIT), 10)];
    for (signal, seconds) in steps {
        if !is_server_on(pid, &cluster) {
            return Ok(());
        }
        if let Some(signal) = signal {
            tracing::info!(pid, %signal, "stopping a PostgreSQL server that an earlier run left running");
            // An error means that the server has exited in the meantime.
            _ = kill(Pid::from_raw(pid), signal);
        }
        for _ in 0..seconds * 20 {
            if !is_server_on(pid, &cluster) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Err(PostgresError::LeftoverServer { pid, directory: directory.path().to_owned() })
}

/// Returns whether the process `pid` is a PostgreSQL server that uses this cluster. The operating system may have
/// reused the process id for another program.
fn is_server_on(pid: i32, cluster: &Path) -> bool {
    let command_line = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(arguments) => String::from_utf8_lossy(&arguments).replace('\0', " "),
        Err(_) if Path::new("/proc/self").exists() => return false,
        Err(_) => match Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output() {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(_) => return false,
        },
    };
    command_line.contains("postgres") && command_line.contains(&format!("-D {} ", cluster.display()))
}
