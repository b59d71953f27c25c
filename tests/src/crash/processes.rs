//! Freehold's own processes: started, killed as `kill -9` does, and started again as a supervisor would.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Infrastructure;

/// Kills whatever was started and not ended, when nobody holds its standard input any more: also when the harness itself
/// is killed.
const GUARD: &str = r#"
pids=
while read -r sign pid; do
    case $sign in
        +) pids="$pids $pid" ;;
        -) left=; for one in $pids; do [ "$one" = "$pid" ] || left="$left $one"; done; pids=$left ;;
    esac
done
[ -z "$pids" ] || kill -9 $pids 2>/dev/null
"#;

/// Where a process is to be found, and how it is started.
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

/// The processes of one installation.
pub struct Processes {
    /// The API, then the workers.
    pub all: Vec<Process>,
    /// Where the API is.
    pub api_url: String,
    /// How often a process ended by itself.
    pub ended: usize,
    guard: Child,
    lifeline: ChildStdin,
}

impl Processes {
    /// An API and `workers` workers of `program`, none of which is started. A worker's claim holds for `lease` seconds;
    /// as long as usual where nothing is said.
    pub fn new(program: &Path, stage: &Infrastructure, workers: usize, lease: Option<f64>) -> Self {
        let mut guard = Command::new("/bin/sh");
        let guard = guard.args(["-c", GUARD, "freehold-crash-guard"]).stdin(Stdio::piped()).process_group(0);
        let mut guard = guard.spawn().expect("a shell");
        let lifeline = guard.stdin.take().expect("its standard input");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a free port").port();
        let process = |name: &str, user: &str, more: &[&str]| {
            let database = stage.database_url().replace("//freehold@", &format!("//{user}@"));
            let mut arguments = vec![user.to_owned()];
            for (flag, value) in [
                ("--sandbox", stage.aws_url()),
                ("--database-url", database),
                ("--config", stage.config_file().display().to_string()),
                ("--jwks", stage.issuer.jwks().display().to_string()),
            ] {
                arguments.extend([flag.to_owned(), value]);
            }
            arguments.extend(more.iter().map(ToString::to_string));
            let log = stage.directory().join(format!("{name}.log"));
            Process { name: name.to_owned(), program: program.to_owned(), arguments, log, child: None }
        };
        let lease = lease.map(|seconds| seconds.to_string());
        let lease: Vec<&str> = lease.iter().flat_map(|seconds| ["--lease", seconds.as_str()]).collect();
        let listen = format!("127.0.0.1:{port}");
        let mut all = vec![process("api", "api", &["--listen", &listen])];
        all.extend((1..=workers).map(|number| process(&format!("worker-{number}"), "worker", &lease)));
        Self { all, api_url: format!("http://{listen}"), ended: 0, guard, lifeline }
    }

    /// Has the process at `place` started with these arguments besides.
    #[must_use]
    pub fn with(mut self, place: usize, arguments: &[&str]) -> Self {
        self.all[place].arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Starts the process at `place`, unless it runs.
    pub fn start(&mut self, place: usize) {
        let process = &mut self.all[place];
        if process.child.is_some() {
            return;
        }
        let child = process.command().spawn().expect("the program");
        // A guard that is gone guards nothing, which the end of this run will not need.
        _ = writeln!(self.lifeline, "+ {}", child.id());
        process.child = Some(child);
    }

    /// Ends the process at `place` as `kill -9` does; answers its id, if it ran.
    pub fn kill(&mut self, place: usize) -> Option<u32> {
        let mut child = self.all[place].child.take()?;
        let id = child.id();
        child.kill().expect("a killed process");
        child.wait().expect("its end");
        _ = writeln!(self.lifeline, "- {id}");
        Some(id)
    }

    /// Sends a signal to the process at `place`.
    pub fn signal(&self, place: usize, signal: Signal) {
        let id = self.id(place).expect("a process that runs");
        kill(Pid::from_raw(i32::try_from(id).expect("a process id")), signal).expect("a process");
    }

    /// The id of the process at `place`, if it runs.
    pub fn id(&self, place: usize) -> Option<u32> {
        self.all[place].child.as_ref().map(Child::id)
    }

    /// How the process at `place` has ended, if it has.
    pub fn ended(&mut self, place: usize) -> Option<ExitStatus> {
        let child = self.all[place].child.as_mut()?;
        let status = child.try_wait().expect("its state")?;
        _ = writeln!(self.lifeline, "- {}", child.id());
        self.all[place].child = None;
        Some(status)
    }

    /// Takes note of processes that have ended by themselves, as one does that finds no database at its start.
    pub fn reap(&mut self) -> Vec<usize> {
        let mut gone = Vec::new();
        for (place, process) in self.all.iter_mut().enumerate() {
            if let Some(child) = &mut process.child
                && child.try_wait().expect("its state").is_some()
            {
                _ = writeln!(self.lifeline, "- {}", child.id());
                process.child = None;
                gone.push(place);
            }
        }
        self.ended += gone.len();
        gone
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for place in 0..self.all.len() {
            self.kill(place);
        }
        _ = self.guard.kill();
        _ = self.guard.wait();
    }
}

impl Process {
    /// What it is called.
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
        // Of its own group, so that a Ctrl-C on the terminal reaches the harness alone.
        command.process_group(0);
        command
    }
}
