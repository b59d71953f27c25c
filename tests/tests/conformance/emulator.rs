//! Runs an emulator as a child process on a free loopback port. The emulator stops when this process stops.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::venv;

/// Shell script that runs a command and kills it when the standard input of the script is closed, for example because
/// the test process was killed.
const GUARD_SCRIPT: &str = r#"
trap '' INT HUP TERM
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
( while read -r _; do :; done; kill "$child"; sleep 5; kill -KILL "$child" ) <&3 2>/dev/null >/dev/null &
watcher=$!
wait "$child"
kill -KILL "$watcher" 2>/dev/null
"#;

pub(super) struct Emulator {
    /// Base URL of the emulator.
    pub(super) endpoint: String,
    guard: Child,
    /// Standard input of the guard script; closing this pipe stops the emulator.
    stdin_pipe: Option<ChildStdin>,
    _log: tempfile::TempDir,
}

impl Emulator {
    /// Starts `program` on a free port and waits until a GET request for the path `health` succeeds. `configure` passes
    /// the port to the command.
    pub(super) async fn start(program: &str, health: &str, configure: impl Fn(&mut Command, u16)) -> Self {
        let command = venv::program(program);
        let mut last_output = String::new();
        for _ in 0..3 {
            match Self::try_start(&command, health, &configure).await {
                Ok(emulator) => return emulator,
                Err(words) => last_output = words,
            }
        }
        panic!("`{program}` does not start; its output: {last_output}");
    }

    async fn try_start(
        program: &[PathBuf],
        health: &str,
        configure: impl Fn(&mut Command, u16),
    ) -> Result<Self, String> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = port.map_err(|error| error.to_string())?.port();
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let log = directory.path().join("log");
        let output = File::create(&log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let mut command = Command::new("sh");
        command.args(["-c", GUARD_SCRIPT, "emulator-guard"]).args(program).process_group(0);
        command.current_dir(directory.path()).env("TMPDIR", directory.path());
        configure(&mut command, port);
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        let mut guard = command.spawn().map_err(|error| error.to_string())?;
        let stdin_pipe = guard.stdin.take();
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut emulator = Self { endpoint, guard, stdin_pipe, _log: directory };
        let health = format!("{}{health}", emulator.endpoint);
        for _ in 0..600 {
            if emulator.guard.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            if reqwest::get(&health).await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(emulator);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(std::fs::read_to_string(&log).unwrap_or_default())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.stdin_pipe.take());
        _ = self.guard.wait();
    }
}
