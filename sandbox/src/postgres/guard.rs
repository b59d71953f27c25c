//! A child process that is stopped when this process ends, even after `kill -9`.
//!
//! This process starts a shell, and the shell starts the child. The shell has its own process group, so that Ctrl-C in
//! the terminal does not stop it. The shell reads from a pipe whose write end is open only in this process. When the
//! pipe is closed (by this process, or by the kernel after `kill -9`), the shell stops the child and deletes its
//! temporary directory.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::Duration;

use super::PostgresError;
use super::directory::{ServerDirectory, open_private_file};
use super::error::io_error_at;
use super::server_user::ServerUser;

/// The guard script. Arguments: the temporary directory to delete (or an empty string), the signal that stops the
/// child, and the child's command. Exits with the status of the child. Uses the shell builtin `read`
/// and not `cat`, so that killing the subshell leaves no child process.
const GUARD_SCRIPT: &str = r#"
temporary_dir=$1 signal=$2 owner_gone=
shift 2
exec 3<&0
trap '' HUP INT TERM
trap owner_gone=yes USR1
"$@" </dev/null 3<&- &
child=$!
(
    while read -r _; do :; done
    kill -USR1 $$
    kill -"$signal" "$child"
    tenths=0
    while kill -0 "$child" && [ "$tenths" -lt 300 ]; do sleep 0.1; tenths=$((tenths + 1)); done
    kill -QUIT "$child"
) <&3 2>/dev/null >/dev/null &
watcher=$!
wait "$child"; status=$?
if [ -n "$owner_gone" ]; then wait "$child"; status=$?; fi
trap '' USR1
kill -KILL "$watcher" 2>/dev/null
if [ -n "$owner_gone" ] && [ -n "$temporary_dir" ]; then cd / && rm -rf -- "$temporary_dir"; fi
exit "$status"
"#;

/// Timeout for stopping the server. The script sends SIGQUIT after 30 s, PostgreSQL then kills its processes within
/// 5 s, and 10 s are a margin.
const STOP_TIMEOUT: Duration = Duration::from_secs(45);

/// A running child process, and the pipe that keeps it running.
#[derive(Debug)]
pub(super) struct GuardedProcess {
    /// Shell process that runs the guard script; `None` only while this value is dropped.
    shell: Option<Child>,
    keepalive_pipe: Option<ChildStdin>,
    log: PathBuf,
}

impl GuardedProcess {
    /// Starts `program` as `user`. The output of the program overwrites the log in `directory`.
    pub(super) fn spawn(
        directory: &ServerDirectory,
        user: &ServerUser,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Self, PostgresError> {
        let log = directory.log();
        let output = open_private_file(&log)?;
        output.set_len(0).map_err(io_error_at("writing", &log))?;
        let errors = output.try_clone().map_err(io_error_at("opening", &log))?;
        // SIGQUIT is PostgreSQL's immediate shutdown, which does not flush data to disk. SIGINT is the fast shutdown.
        let (temporary_dir, signal) =
            if directory.is_temporary() { (directory.path(), "QUIT") } else { (Path::new(""), "INT") };
        let mut shell = user
            .command(Path::new("/bin/sh"), directory.path())
            .args(["-c", GUARD_SCRIPT, "freehold-postgres-guard"])
            .arg(temporary_dir)
            .arg(signal)
            .arg(program)
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| PostgresError::io("starting /bin/sh", source))?;
        let keepalive_pipe = shell.stdin.take();
        Ok(Self { shell: Some(shell), keepalive_pipe, log })
    }

    /// Returns the exit status of the child, or `None` while it runs.
    pub(super) fn try_wait(&mut self) -> Result<Option<ExitStatus>, PostgresError> {
        let Some(shell) = &mut self.shell else { return Ok(None) };
        shell.try_wait().map_err(|source| PostgresError::io("checking whether PostgreSQL still runs", source))
    }

    /// Waits until the child exits.
    pub(super) async fn wait(&mut self) -> Result<ExitStatus, PostgresError> {
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops the child and waits until it has exited and its temporary directory is deleted.
    pub(super) async fn stop(&mut self) -> Result<(), PostgresError> {
        drop(self.keepalive_pipe.take());
        let (seconds, log) = (STOP_TIMEOUT.as_secs(), self.log.clone());
        let result = tokio::time::timeout(STOP_TIMEOUT, self.wait()).await;
        result.map_err(|_| PostgresError::Timeout { action: "stop", seconds, log })?.map(|_| ())
    }

    /// Returns the last lines of the child's output, or the text `nothing` if there is no output.
    pub(super) fn last_output(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(8)..].join(" | ");
        if last.is_empty() { "nothing".to_owned() } else { last }
    }
}

impl Drop for GuardedProcess {
    /// Stops the child without waiting. A thread reaps the shell, so that it does not become a zombie process.
    fn drop(&mut self) {
        drop(self.keepalive_pipe.take());
        if let Some(mut shell) = self.shell.take()
            && !matches!(shell.try_wait(), Ok(Some(_)))
        {
            _ = std::thread::Builder::new().spawn(move || shell.wait());
        }
    }
}
