//! A child process that cannot outlive us, whatever ends us.
//!
//! Between us and the child stands a shell, in a process group of its own so that a Ctrl-C on the terminal does not reach
//! it, which reads a pipe that only we hold open. When the pipe closes, because we closed it or because the kernel did
//! after `kill -9`, the shell stops the child and removes a directory that was to last no longer than we do.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::Duration;

use super::PostgresError;
use super::error::at;
use super::home::Home;
use super::server_user::ServerUser;

/// Arguments: the directory to remove when we are gone (or nothing), the signal that stops the child, the child's
/// command. Ends as the child ends. `read` rather than `cat`, so that nothing is left when the watcher is killed.
const SCRIPT: &str = r#"
doomed=$1 signal=$2 gone=
shift 2
exec 3<&0
trap '' HUP INT TERM
trap gone=yes USR1
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
if [ -n "$gone" ]; then wait "$child"; status=$?; fi
trap '' USR1
kill -KILL "$watcher" 2>/dev/null
if [ -n "$gone" ] && [ -n "$doomed" ]; then cd / && rm -rf -- "$doomed"; fi
exit "$status"
"#;

/// How long a stop may take: the script's half a minute, then PostgreSQL's own five seconds for the stragglers.
const STOP_TIMEOUT: Duration = Duration::from_secs(45);

/// A running child and the pipe that keeps it running.
#[derive(Debug)]
pub(super) struct Guarded {
    /// `None` only while it is being dropped.
    shell: Option<Child>,
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Guarded {
    /// Starts `program` as `user`, with its output in the log of `home`, which it starts afresh.
    pub(super) fn spawn(
        home: &Home,
        user: &ServerUser,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Self, PostgresError> {
        let log = home.log();
        let output = OpenOptions::new().create(true).write(true).truncate(true).open(&log);
        let output = output.map_err(at("opening", &log))?;
        let errors = output.try_clone().map_err(at("opening", &log))?;
        // What will be thrown away need not be written down first: QUIT is PostgreSQL's immediate stop, INT its fast one.
        let (doomed, signal) = if home.is_temporary() { (home.path(), "QUIT") } else { (Path::new(""), "INT") };
        let mut shell = user
            .command(Path::new("/bin/sh"), home.path())
            .args(["-c", SCRIPT, "freehold-postgres-guard"])
            .arg(doomed)
            .arg(signal)
            .arg(program)
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| PostgresError::io("starting /bin/sh", source))?;
        let lifeline = shell.stdin.take();
        Ok(Self { shell: Some(shell), lifeline, log })
    }

    /// How the child ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, PostgresError> {
        let Some(shell) = &mut self.shell else { return Ok(None) };
        shell.try_wait().map_err(|source| PostgresError::io("asking whether PostgreSQL still runs", source))
    }

    /// Waits until the child ends by itself.
    pub(super) async fn finish(&mut self) -> Result<ExitStatus, PostgresError> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets go of the child and waits until it and its directory are gone.
    pub(super) async fn release(&mut self) -> Result<(), PostgresError> {
        drop(self.lifeline.take());
        let (seconds, log) = (STOP_TIMEOUT.as_secs(), self.log.clone());
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.finish()).await;
        ended.map_err(|_| PostgresError::TooSlow { what: "stop", seconds, log })?.map(|_| ())
    }

    /// The end of what the child printed.
    pub(super) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(8)..].join(" | ");
        if last.is_empty() { "nothing".to_owned() } else { last }
    }
}

impl Drop for Guarded {
    /// Lets go of the child without waiting for it; a thread collects what the kernel keeps of the shell.
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if let Some(mut shell) = self.shell.take()
            && !matches!(shell.try_wait(), Ok(Some(_)))
        {
            _ = std::thread::Builder::new().spawn(move || shell.wait());
        }
    }
}
