//! `freehold` as a process, in an environment that would lead it to something real if it listened.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_freehold-under-test");

/// How long a process may take for what it does in a few seconds.
const PATIENCE: Duration = Duration::from_mins(3);

/// A command in an environment of its own: 192.0.2.1 is nobody's (RFC 5737).
fn command(program: &str, runtime: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME", "TMPDIR", "PG_BINDIR"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
        .env("FREEHOLD", PROGRAM)
        .env("XDG_RUNTIME_DIR", runtime)
        .env("DATABASE_URL", "postgres://somebody@192.0.2.1/real")
        .env("AWS_ENDPOINT_URL", "http://192.0.2.1")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "real")
        .stdin(Stdio::null());
    command
}

/// Runs the program to its end, where no sandbox can be found.
pub(crate) fn freehold(arguments: &[&str]) -> Output {
    Sandbox::prepare().run(arguments)
}

/// Runs a line of bash, in which `$FREEHOLD` is the program.
pub(crate) fn shell(line: &str) -> Output {
    let runtime = tempfile::tempdir().expect("a directory");
    command("bash", runtime.path()).args(["-c", line]).output().expect("bash")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until `fleet_holds`.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it does not come about that {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The command lines of processes that have to do with a directory.
pub(crate) fn processes_with(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().expect("a path of text");
    let all = Command::new("ps").args(["-e", "-ww", "-o", "args="]).output().expect("ps");
    text(&all.stdout).lines().filter(|line| line.contains(directory)).map(ToOwned::to_owned).collect()
}

/// A sandbox, and the commands that find it.
pub(crate) struct Sandbox {
    runtime: TempDir,
    process: Option<Child>,
    told: Arc<Mutex<String>>,
    /// So much of it as went to stderr.
    logged: Arc<Mutex<String>>,
    listeners: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Where a sandbox may be started.
    pub(crate) fn prepare() -> Self {
        let runtime = tempfile::tempdir().expect("a directory");
        Self { runtime, process: None, told: Arc::default(), logged: Arc::default(), listeners: Vec::new() }
    }

    /// A sandbox that is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(&[], arguments)
    }

    /// A sandbox that is ready, with these variables in its environment.
    pub(crate) fn start_with(variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut sandbox = Self::prepare();
        let mut command = command(PROGRAM, sandbox.runtime.path());
        command.envs(variables.iter().copied());
        command.arg("sandbox").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the sandbox");
        let (stdout, stderr) = (process.stdout.take().expect("stdout"), process.stderr.take().expect("stderr"));
        sandbox.listeners = vec![listen(stdout, &[&sandbox.told]), listen(stderr, &[&sandbox.told, &sandbox.logged])];
        sandbox.process = Some(process);
        let begun = Instant::now();
        while !sandbox.told().contains("Ctrl-C ends") {
            let ended = sandbox.process.as_mut().expect("a process").try_wait().expect("its state");
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "the sandbox does not start: {}", sandbox.told());
            thread::sleep(Duration::from_millis(20));
        }
        sandbox
    }

    /// Everything that it has told so far.
    pub(crate) fn told(&self) -> String {
        self.told.lock().expect("the text").clone()
    }

    /// Everything that it has logged so far.
    pub(crate) fn logged(&self) -> String {
        self.logged.lock().expect("the text").clone()
    }

    /// Runs another command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        command(PROGRAM, self.runtime.path()).args(arguments).output().expect("the program")
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("a process");
        process.kill().expect("a killed process");
        process.wait().expect("its end");
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("a process");
        interrupt(&process);
        process.wait().expect("its end")
    }

    /// The address that it told of something.
    pub(crate) fn address_of(&self, what: &str) -> String {
        let told = self.told();
        let line = told.lines().find_map(|line| line.trim_start().strip_prefix(what)).expect("a line about it");
        line.trim().to_owned()
    }

    /// Everything in the simulated AWS.
    pub(crate) fn world(&self) -> String {
        let url = format!("{}/-/world", self.address_of("simulated AWS"));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            client.get(url).send().await.expect("an answer").text().await.expect("its text")
        })
    }

    /// The directory of the private PostgreSQL of a sandbox that told this.
    pub(crate) fn database_directory(told: &str) -> PathBuf {
        let (_, after) = told.split_once("?host=").expect("the database's URL");
        PathBuf::from(after.lines().next().unwrap_or_default().trim().replace("%2F", "/"))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            interrupt(&process);
            _ = process.wait();
        }
        for listener in self.listeners.drain(..) {
            _ = listener.join();
        }
    }
}

fn interrupt(process: &Child) {
    let sent = Command::new("kill").args(["-INT", &process.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

/// Adds what it reads to all of these.
fn listen(from: impl Read + Send + 'static, to: &[&Arc<Mutex<String>>]) -> JoinHandle<()> {
    let to: Vec<_> = to.iter().copied().map(Arc::clone).collect();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            for told in &to {
                let mut told = told.lock().expect("the text");
                told.push_str(&line);
                told.push('\n');
            }
        }
    })
}
