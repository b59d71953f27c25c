//! Tests of the secrets of the program: the token of a command, and the files of a sandbox.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use super::process::{Sandbox, freehold, run_bash_line, text};

/// HTTP server that sends the same response to each request, and records the headers of the requests.
struct RecordingServer {
    url: String,
    headers: Arc<Mutex<Vec<String>>>,
}

impl RecordingServer {
    fn start(response: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let headers = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&headers);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.expect("a connection");
                let lines = BufReader::new(&connection).lines().map_while(Result::ok);
                recorded.lock().expect("the headers").extend(lines.take_while(|line| !line.is_empty()));
                _ = connection.write_all(response.as_bytes());
            }
        });
        Self { url, headers }
    }

    fn with_json(body: &str) -> Self {
        Self::start(format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    }

    /// Returns the tokens that were received.
    fn tokens(&self) -> Vec<String> {
        let headers = self.headers.lock().expect("the headers");
        let bearer = |line: &String| Some(line.to_ascii_lowercase().strip_prefix("authorization: bearer ")?.to_owned());
        headers.iter().filter_map(bearer).collect()
    }
}

#[test]
fn a_token_is_sent_to_another_machine_only_over_https() {
    // 192.0.2.1 is reserved for documentation, so a connection would time out.
    for url in ["http://192.0.2.1", "http://127.0.0.1.example.com", "http://localhost.example.com:8080"] {
        let output = run_bash_line(&format!("FREEHOLD_TOKEN=hunter2 $FREEHOLD tenants list --api-url {url}"));
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{url}: {message}");
        assert!(message.contains("--api-url must be an https:// URL"), "{message}");
        assert!(message.contains("--allow-plain-http") && !message.contains("hunter2"), "{message}");
    }
    let credentials = freehold(&["tenants", "list", "--token", "x", "--api-url", "https://ann:hunter2@localhost:1"]);
    let message = text(&credentials.stderr);
    assert_eq!(credentials.status.code(), Some(2));
    assert!(message.contains("must not contain a user name") && !message.contains("hunter2"), "{message}");
}

#[test]
fn a_redirect_does_not_take_the_token_elsewhere() {
    let other = RecordingServer::with_json("{}");
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("{}/v1/tenants", other.url);
        let response =
            format!("HTTP/1.1 {status}\r\nconnection: close\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = RecordingServer::start(response);
        let output = run_bash_line(&format!("FREEHOLD_TOKEN=hunter2 $FREEHOLD tenants list --api-url {}", server.url));
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("redirects to another address"), "{}", text(&output.stderr));
        assert_eq!(server.tokens(), ["hunter2"]);
    }
    assert!(other.headers.lock().unwrap().is_empty(), "the redirect was followed");
}

#[test]
fn a_token_comes_from_a_file_the_environment_or_the_input() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("token");
    std::fs::write(&file, "from-file\n").unwrap();
    let (file, empty) = (file.display(), files.path().join("empty"));
    std::fs::write(&empty, " \n").unwrap();
    let warning = "other users of this machine can read the token";
    for (variables, arguments, token, warns) in [
        ("", format!("--token-file {file}"), "from-file", false),
        ("FREEHOLD_TOKEN=from-environment", String::new(), "from-environment", false),
        ("FREEHOLD_TOKEN=from-environment", format!("--token-file {file}"), "from-file", false),
        ("echo from-input |", "--token -".to_owned(), "from-input", false),
        ("", "--token from-arguments".to_owned(), "from-arguments", true),
        ("", "--token=from-arguments".to_owned(), "from-arguments", true),
    ] {
        let server = RecordingServer::with_json(r#"{"tenants": [], "next_page_token": null}"#);
        let output = run_bash_line(&format!("{variables} $FREEHOLD tenants list --api-url {} {arguments}", server.url));
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", text(&output.stderr));
        assert_eq!(server.tokens(), [token], "{variables} {arguments}");
        assert_eq!(text(&output.stderr).contains(warning), warns, "{arguments}: {}", text(&output.stderr));
    }
    for (arguments, message) in [
        (format!("--token a --token-file {file}"), "must not be set together"),
        (format!("--token-file {}", empty.display()), "must contain the token"),
        ("--token-file /missing".to_owned(), "cannot read /missing"),
        ("--token - </dev/null".to_owned(), "must not be empty"),
    ] {
        let refused = run_bash_line(&format!("$FREEHOLD tenants list --api-url http://127.0.0.1:1 {arguments}"));
        assert!(text(&refused.stderr).contains(message), "{arguments}: {}", text(&refused.stderr));
    }
}

/// Returns each file below `path`, and `path`, that other users can access, with its mode.
fn accessible_files(path: &Path) -> Vec<(PathBuf, u32)> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Vec::new() };
    let mode = metadata.permissions().mode() & 0o7777;
    let mut found = Vec::new();
    if !metadata.is_symlink() && mode & 0o077 != 0 {
        found.push((path.to_owned(), mode));
    }
    if metadata.is_dir() {
        found.extend(std::fs::read_dir(path).into_iter().flatten().flatten().flat_map(|e| accessible_files(&e.path())));
    }
    found
}

#[test]
fn only_the_owner_can_access_the_files_of_a_sandbox() {
    let parent = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let wide = parent.path().join("wide");
    std::fs::create_dir(&wide).unwrap();
    std::fs::set_permissions(&wide, std::fs::Permissions::from_mode(0o777)).unwrap();
    let new = parent.path().join("new");
    // The second start uses the directory of the first.
    for data in [None, Some(&new), Some(&new), Some(&wide)] {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).unwrap().port().to_string();
        let mut arguments = vec!["--port", &port];
        arguments.extend(data.iter().flat_map(|data| ["--data", data.to_str().unwrap()]));
        let sandbox = Sandbox::start(&arguments);
        let database = Sandbox::database_directory(&sandbox.output());
        let mut found = accessible_files(&database);
        found.extend(data.map(|data| accessible_files(data)).unwrap_or_default());
        // Under root, PostgreSQL runs as another user, whose group may traverse the directory.
        found.retain(|(path, mode)| *mode != 0o710 || Some(path) != data);
        assert_eq!(found, [], "{data:?}");
        // The test has created the parent of the registration.
        let mut registered = accessible_files(sandbox.runtime());
        registered.retain(|(path, _)| path != sandbox.runtime());
        assert_eq!(registered, []);
    }
}

#[test]
fn the_server_for_the_check_of_sql_is_private() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let script = "set -eu; umask 0; . .ci/postgres.sh; trap stop_database EXIT; start_database; echo started";
    let line = format!("cd {} && {script}; find \"$server\" -perm /077 -not -type l", root.display());
    let output = run_bash_line(&line);
    assert_eq!(text(&output.stdout), "started\n", "{}", text(&output.stderr));
}
