//! `freehold sandbox`, started as a process on free loopback ports.

use std::process::Stdio;
use std::time::{Duration, Instant};

use freehold_sandbox::world::{BackgroundWorkSpan, CallCount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_freehold-under-test");

/// Last line of the sandbox's output at its start.
const STARTED: &str = "Ctrl-C stops";

pub(super) struct Sandbox {
    process: Child,
    http: Client,
    api_url: String,
    aws_url: String,
    token: String,
    /// Runtime directory, so that the sandbox does not replace another one of this user.
    _runtime: TempDir,
}

/// Part of the state of the simulated AWS.
#[derive(Deserialize)]
struct World {
    busy: Vec<BackgroundWorkSpan>,
}

impl Sandbox {
    /// Starts a sandbox whose clock runs `speed` times as fast as real time, and waits until it is ready.
    pub(super) async fn start(speed: f64) -> Self {
        let runtime = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(PROGRAM);
        command.args(["sandbox", "--port", "0", "--speed", &speed.to_string()]);
        command.env("XDG_RUNTIME_DIR", runtime.path()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("the sandbox");
        let mut lines = BufReader::new(process.stdout.take().expect("stdout")).lines();
        let mut output = String::new();
        while !output.contains(STARTED) {
            let line = lines.next_line().await.expect("the output");
            output += &line.unwrap_or_else(|| panic!("the sandbox does not start: {output}"));
            output.push('\n');
        }
        tokio::spawn(discard(lines));
        let value = |name: &str| {
            let line = output.lines().find_map(|line| line.trim_start().strip_prefix(name)).expect("a line");
            line.trim().to_owned()
        };
        // A JWT starts with the base64 of `{"`.
        let token = output.lines().find(|line| line.starts_with("eyJ")).expect("a token").to_owned();
        let http = Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().expect("a client");
        Self { process, http, api_url: value("API"), aws_url: value("simulated AWS"), token, _runtime: runtime }
    }

    /// Stops the sandbox like Ctrl-C and waits until it has exited.
    pub(super) async fn stop(mut self) {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok()).expect("a running process");
        kill(Pid::from_raw(id), Signal::SIGINT).expect("a signal");
        let status = self.process.wait().await.expect("an exit status");
        assert!(status.success(), "the sandbox exited with {status}");
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.api_url)).bearer_auth(&self.token)
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        Self::json(self.request(Method::GET, path)).await
    }

    /// Sends a request and returns the body of its successful response.
    pub(super) async fn json(request: RequestBuilder) -> Value {
        let response = request.send().await.expect("a response");
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Returns the time that the API takes to answer a request without work.
    pub(super) async fn latency(&self) -> Duration {
        let started = Instant::now();
        self.http.get(format!("{}/livez", self.api_url)).send().await.expect("a response");
        started.elapsed()
    }

    /// Returns the account creations of the simulated AWS.
    pub(super) async fn creations(&self) -> Vec<BackgroundWorkSpan> {
        let World { mut busy } =
            serde_json::from_value(Self::json(self.http.get(format!("{}/-/world", self.aws_url))).await)
                .expect("the state of the simulated AWS");
        busy.retain(|span| span.activity == "create-account");
        busy
    }

    /// Returns the number of CreateAccount calls that the simulated AWS has throttled.
    pub(super) async fn throttled_creations(&self) -> u64 {
        let calls = Self::json(self.http.get(format!("{}/-/calls", self.aws_url))).await;
        let calls = &calls["organizations:CreateAccount"];
        serde_json::from_value::<CallCount>(calls.clone()).expect("the calls of CreateAccount").throttled
    }
}

/// Reads the rest of the output, because a full pipe would block the sandbox.
async fn discard(mut lines: tokio::io::Lines<impl AsyncRead + Unpin + AsyncBufReadExt>) {
    while let Ok(Some(_)) = lines.next_line().await {}
}
