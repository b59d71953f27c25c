//! Processes of Freehold under test: the API and the workers, which can be started, killed and restarted.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Infrastructure;
use crate::database::with_user;

/// Shell script that kills the remaining processes when its standard input is closed, even if the test itself is
/// killed. It reads `+ PID` for a started process and `- PID` for a stopped one.
const GUARD_SCRIPT: &str = r#"
pids=
while read -r sign pid; do
    case $sign in
        +) pids="$pids $pid" ;;
        -) left=; for one in $pids; do [ "$one" = "$pid" ] || left="$left $one"; done; pids=$left ;;
    esac
done
[ -z "$pids" ] || kill -9 $pids 2>/dev/null
"#;

pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

/// Processes of one installation.
pub struct Processes {
    pub all: Vec<Process>,
    pub api_url: String,
    /// Number of processes that exited by themselves.
    pub unexpected_exits: usize,
    guard: Child,
    guard_stdin: ChildStdin,
}

impl Processes {
    /// Prepares an API process and `workers` worker processes of `program` without starting them. `lease` is the
    /// duration of a claim in seconds; `None` means the default.
    pub fn new(program: &Path, infrastructure: &Infrastructure, workers: usize, lease: Option<f64>) -> Self {
        let mut guard = Command::new("/bin/sh");
        let guard = guard.args(["-c", GUARD_SCRIPT, "freehold-crash-guard"]).stdin(Stdio::piped()).process_group(0);
        let mut guard = guard.spawn().expect("a shell");
        let guard_stdin = guard.stdin.take().expect("its standard input");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a free port").port();
        let roles = infrastructure.config.database.roles();
        let process = |name: &str, command: &str, more: &[&str]| {
            let user = if command == "api" { &roles.api } else { &roles.worker };
            let database = with_user(&infrastructure.database_url(), user);
            let mut arguments = vec![command.to_owned()];
            for (flag, value) in [
                ("--sandbox", infrastructure.aws_url()),
                ("--database-url", database),
                ("--config", infrastructure.config_file().display().to_string()),
                ("--jwks", infrastructure.issuer.jwks().display().to_string()),
            ] {
                arguments.extend([flag.to_owned(), value]);
            }
            arguments.extend(more.iter().map(ToString::to_string));
            let log = infrastructure.directory().join(format!("{name}.log"));
            Process { name: name.to_owned(), program: program.to_owned(), arguments, log, child: None }
        };
        let lease = lease.map(|seconds| seconds.to_string());
        let lease: Vec<&str> = lease.iter().flat_map(|seconds| ["--lease", seconds.as_str()]).collect();
        let listen = format!("127.0.0.1:{port}");
        let mut all = vec![process("api", "api", &["--listen", &listen])];
        all.extend((1..=workers).map(|number| process(&format!("worker-{number}"), "worker", &lease)));
        Self { all, api_url: format!("http://{listen}"), unexpected_exits: 0, guard, guard_stdin }
    }

    /// Adds arguments to the command line of the process at `index`.
    #[must_use]
    pub fn with_arguments(mut self, index: usize, arguments: &[&str]) -> Self {
        self.all[index].arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Sets the URL of the simulated AWS, for example that of a proxy.
    #[must_use]
    pub fn with_aws_at(mut self, url: &str) -> Self {
        for process in &mut self.all {
            let flag = process.arguments.iter().position(|argument| argument == "--sandbox").expect("the flag");
            url.clone_into(&mut process.arguments[flag + 1]);
        }
        self
    }

    /// Starts the process at `index`, unless it is running.
    pub fn start(&mut self, index: usize) {
        let process = &mut self.all[index];
        if process.child.is_some() {
            return;
        }
        let child = process.command().spawn().expect("the program");
        // An error is ignored: without the guard, only the cleanup after a killed test is missing.
        _ = writeln!(self.guard_stdin, "+ {}", child.id());
        process.child = Some(child);
    }

    /// Kills the process at `index` with SIGKILL and returns its process id, or `None` if it is not running.
    pub fn kill(&mut self, index: usize) -> Option<u32> {
        let mut child = self.all[index].child.take()?;
        let id = child.id();
        child.kill().expect("a killed process");
        child.wait().expect("an exit status");
        _ = writeln!(self.guard_stdin, "- {id}");
        Some(id)
    }

    pub fn signal(&self, index: usize, signal: Signal) {
        let id = self.id(index).expect("a running process");
        kill(Pid::from_raw(i32::try_from(id).expect("a process id")), signal).expect("a process");
    }

    /// Returns the process id of the process at `index`, or `None` if it is not running.
    pub fn id(&self, index: usize) -> Option<u32> {
        self.all[index].child.as_ref().map(Child::id)
    }

    /// Returns the exit status of the process at `index` and marks it as stopped; `None` if it is still running.
    pub fn take_exit_status(&mut self, index: usize) -> Option<ExitStatus> {
        let child = self.all[index].child.as_mut()?;
        let status = child.try_wait().expect("a process status")?;
        _ = writeln!(self.guard_stdin, "- {}", child.id());
        self.all[index].child = None;
        Some(status)
    }

    /// Returns the indices of the processes that exited by themselves, for example because the database was down when
    /// they started.
    pub fn reap_exited(&mut self) -> Vec<usize> {
        let mut exited = Vec::new();
        for (index, process) in self.all.iter_mut().enumerate() {
            if let Some(child) = &mut process.child
                && child.try_wait().expect("a process status").is_some()
            {
                _ = writeln!(self.guard_stdin, "- {}", child.id());
                process.child = None;
                exited.push(index);
            }
        }
        self.unexpected_exits += exited.len();
        exited
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for index in 0..self.all.len() {
            self.kill(index);
        }
        _ = self.guard.kill();
        _ = self.guard.wait();
    }
}

impl Process {
    pub fn name(&self) -> &str {
        &self.name
    }

    fn command(&self) -> Command {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log");
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        for name in ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE", "FREEHOLD_LOG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // A process group of its own, so that Ctrl-C on the terminal reaches only the test.
        command.process_group(0);
        command
    }
}
