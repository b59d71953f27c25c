//! Starts `freehold` as a process, in an environment in which unintended connections fail: DATABASE_URL and the AWS
//! endpoint contain the unreachable address 192.0.2.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_freehold-under-test");

/// Maximum duration of work that usually takes a few seconds.
const TIMEOUT: Duration = Duration::from_mins(3);

/// Returns a command that inherits only a few environment variables. The address 192.0.2.1 is reserved for
/// documentation (RFC 5737).
fn command(program: &str, runtime: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME", "TMPDIR", "PG_BINDIR"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
        .env("FREEHOLD", PROGRAM)
        .env("XDG_RUNTIME_DIR", runtime)
        .env("DATABASE_URL", "postgres://freehold@192.0.2.1/real")
        .env("AWS_ENDPOINT_URL", "http://192.0.2.1")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "real")
        .stdin(Stdio::null());
    command
}

/// Runs the program in an environment without a sandbox, and waits until the program exits.
pub(crate) fn freehold(arguments: &[&str]) -> Output {
    Sandbox::prepare().run(arguments)
}

/// Runs a line of bash; the variable `$FREEHOLD` contains the path of the program.
pub(crate) fn run_bash_line(line: &str) -> Output {
    let runtime = tempfile::tempdir().expect("a directory");
    command("bash", runtime.path()).args(["-c", line]).output().expect("bash")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until `condition` returns true.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < TIMEOUT, "not in time: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Returns the command lines of all processes that contain the path of `directory`.
pub(crate) fn processes_with_path(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().expect("a UTF-8 path");
    let all = Command::new("ps").args(["-e", "-ww", "-o", "args="]).output().expect("ps");
    text(&all.stdout).lines().filter(|line| line.contains(directory)).map(ToOwned::to_owned).collect()
}

/// Sandbox process with the runtime directory through which other commands find it.
pub(crate) struct Sandbox {
    runtime: Arc<TempDir>,
    process: Option<Child>,
    output: Arc<Mutex<String>>,
    /// Output that the sandbox has written to stderr.
    stderr_output: Arc<Mutex<String>>,
    listeners: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Prepares the environment without starting a sandbox.
    pub(crate) fn prepare() -> Self {
        Self::prepare_in(Arc::new(tempfile::tempdir().expect("a directory")))
    }

    fn prepare_in(runtime: Arc<TempDir>) -> Self {
        Self { runtime, process: None, output: Arc::default(), stderr_output: Arc::default(), listeners: Vec::new() }
    }

    /// Starts a sandbox and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(&[], arguments)
    }

    /// Starts a sandbox with additional environment variables and waits until it is ready.
    pub(crate) fn start_with(variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::prepare().launch(variables, arguments)
    }

    /// Starts a second sandbox of the same user and waits until it is ready.
    pub(crate) fn start_beside(other: &Self, arguments: &[&str]) -> Self {
        Self::prepare_in(Arc::clone(&other.runtime)).launch(&[], arguments)
    }

    fn launch(self, variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut sandbox = self;
        let mut command = command(PROGRAM, sandbox.runtime.path());
        command.envs(variables.iter().copied());
        command.arg("sandbox").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the sandbox");
        let (stdout, stderr) = (process.stdout.take().expect("stdout"), process.stderr.take().expect("stderr"));
        sandbox.listeners = vec![
            copy_lines(stdout, &[&sandbox.output]),
            copy_lines(stderr, &[&sandbox.output, &sandbox.stderr_output]),
        ];
        sandbox.process = Some(process);
        let start = Instant::now();
        while !sandbox.output().contains("Ctrl-C stops") {
            let exit_status = sandbox.process.as_mut().expect("a process").try_wait().expect("a state");
            assert!(
                exit_status.is_none() && start.elapsed() < TIMEOUT,
                "the sandbox does not start: {}",
                sandbox.output()
            );
            thread::sleep(Duration::from_millis(20));
        }
        sandbox
    }

    /// Returns the output that the sandbox has written to stdout and stderr so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().expect("the text").clone()
    }

    /// Returns the output that the sandbox has written to stderr so far.
    pub(crate) fn stderr_output(&self) -> String {
        self.stderr_output.lock().expect("the text").clone()
    }

    /// Returns the directory in which the sandbox is registered.
    pub(crate) fn runtime(&self) -> &Path {
        self.runtime.path()
    }

    /// Runs another command of the program, and waits until the command exits.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(&[], arguments)
    }

    /// Runs another command of the program like [`Self::run`], with these environment variables.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = command(PROGRAM, self.runtime.path());
        command.envs(variables.iter().copied()).args(arguments).output().expect("the program")
    }

    /// Runs another command of the program on a terminal with this number of columns, and types a text. Returns stdout
    /// and stderr together.
    pub(crate) fn run_on_terminal(&self, columns: u16, arguments: &[&str], typed: &str) -> Output {
        let arguments: Vec<_> = arguments.iter().map(|one| format!("'{one}'")).collect();
        let line = format!("stty cols {columns} -onlcr -echo; \"$FREEHOLD\" {}", arguments.join(" "));
        let mut command = command("script", self.runtime.path());
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("script");
        process.stdin.take().expect("stdin").write_all(typed.as_bytes()).expect("a text that is read");
        process.wait_with_output().expect("an exit status")
    }

    /// Starts another command of the program, whose lines on stdout and stderr are appended to the text.
    pub(crate) fn start_command(&self, arguments: &[&str]) -> Following {
        self.start_command_with(&[], arguments)
    }

    /// Starts another command of the program like [`Self::start_command`], with these environment variables.
    pub(crate) fn start_command_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Following {
        let mut command = command(PROGRAM, self.runtime.path());
        command.envs(variables.iter().copied());
        let mut process =
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
        let output = Arc::default();
        copy_lines(process.stdout.take().expect("stdout"), &[&output]);
        copy_lines(process.stderr.take().expect("stderr"), &[&output]);
        Following { process, output }
    }

    /// Runs another command of the program like [`Self::run`], in a directory.
    pub(crate) fn run_in(&self, directory: &Path, arguments: &[&str]) -> Output {
        let mut command = command(PROGRAM, self.runtime.path());
        command.current_dir(directory).args(arguments).output().expect("the program")
    }

    /// Creates a tenant in eu-central-1 with further options, and waits until it is ready. Returns the tenant.
    pub(crate) fn create_tenant(&self, options: &[&str]) -> Value {
        let create = ["tenants", "create", "--company-name", "Example GmbH", "--admin-email", "admin@example.com"];
        let wait = ["--home-region", "eu-central-1", "--wait", "--output", "json"];
        let created = self.run(&[&create[..], &wait, options].concat());
        assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
        serde_json::from_slice(&created.stdout).expect("a tenant in JSON")
    }

    /// Kills the sandbox with SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("a process");
        process.kill().expect("a killed process");
        process.wait().expect("an exit status");
    }

    /// Stops the sandbox with SIGINT, like Ctrl-C.
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("a process");
        interrupt(&process);
        process.wait().expect("an exit status")
    }

    /// Returns the address that the sandbox printed for a service.
    pub(crate) fn address_of(&self, what: &str) -> String {
        let output = self.output();
        let line = output.lines().find_map(|line| line.trim_start().strip_prefix(what)).expect("a line about it");
        line.trim().to_owned()
    }

    /// Returns the state of the simulated AWS as JSON.
    pub(crate) fn world(&self) -> String {
        let url = format!("{}/-/world", self.address_of("simulated AWS"));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            client.get(url).send().await.expect("a response").text().await.expect("a body")
        })
    }

    /// Returns the directory of the private PostgreSQL, read from the sandbox's output.
    pub(crate) fn database_directory(output: &str) -> PathBuf {
        let (_, after) = output.split_once("?host=").expect("the database's URL");
        PathBuf::from(after.lines().next().unwrap_or_default().trim().replace("%2F", "/"))
    }
}

/// Command that runs until Ctrl-C.
pub(crate) struct Following {
    process: Child,
    output: Arc<Mutex<String>>,
}

impl Following {
    /// Returns the lines that the command has written so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().expect("the text").clone()
    }

    /// Stops the command with SIGINT, like Ctrl-C.
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        interrupt(&self.process);
        self.process.wait().expect("an exit status")
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
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

/// Starts a thread that reads lines from `from` and appends them to all buffers in `to`.
fn copy_lines(from: impl Read + Send + 'static, to: &[&Arc<Mutex<String>>]) -> JoinHandle<()> {
    let to: Vec<_> = to.iter().copied().map(Arc::clone).collect();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            for output in &to {
                let mut output = output.lock().expect("the text");
                output.push_str(&line);
                output.push('\n');
            }
        }
    })
}
