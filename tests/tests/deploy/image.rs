//! Tests of the production image: its contents, and that it runs without privileges and without writing files.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use freehold_sandbox::postgres::{Postgres, PostgresOptions};
use freehold_tests::fixture::CONFIG;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use serde_yaml_ng::Value as Yaml;

use super::{read, sbom, yaml};

const BUILD: &str = "deploy/image/build.sh";

const TIMEOUT: Duration = Duration::from_mins(1);

/// Passwords of the logins of API and worker.
const PASSWORDS: [&str; 2] = ["the-password-of-the-api", "the-password-of-the-worker"];

/// Runs the arguments as user 65532 in the root file system `$1`, which is mounted read-only.
const ENTER: &str = r#"
    root=$1; shift
    mount --bind "$root" "$root"
    mount -o remount,bind,ro,nosuid,nodev "$root"
    ! touch "$root/written" 2>/dev/null || exit 99
    exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$root" /usr/local/bin/freehold "$@"
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_image_has_no_foreign_base_and_no_root_user() {
    let text = read("deploy/image/Containerfile");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let arguments = |instruction: &str| -> Vec<&str> {
        lines.iter().filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' ')).collect()
    };
    assert_eq!(arguments("FROM"), ["scratch"]);
    assert_eq!((arguments("ADD"), arguments("COPY"), arguments("RUN")), (vec!["root.tar /"], vec![], vec![]));
    assert_eq!(arguments("USER"), ["65532:65532"]);
    assert_eq!(arguments("ENTRYPOINT"), [r#"["/usr/local/bin/freehold"]"#]);
}

#[test]
fn tasks_run_unprivileged_and_read_only_from_an_image_by_digest() {
    let template = yaml("deploy/cloudformation/freehold.yaml");
    assert_eq!(template["Parameters"]["Image"]["AllowedPattern"], "^.+@sha256:[0-9a-f]{64}$");
    let mut containers = Vec::new();
    for (name, resource) in template["Resources"].as_mapping().unwrap() {
        if resource["Type"] == "AWS::ECS::TaskDefinition" {
            for container in resource["Properties"]["ContainerDefinitions"].as_sequence().unwrap() {
                containers.push((name.as_str().unwrap(), container));
            }
        }
    }
    assert!(containers.len() >= 3, "{containers:?}");
    for (task, container) in containers {
        assert_eq!(container["User"], "65532:65532", "{task}");
        assert_eq!(container["ReadonlyRootFilesystem"], true, "{task}");
        assert_eq!(container["LinuxParameters"]["Capabilities"]["Drop"], Yaml::from(vec!["ALL"]), "{task}");
        assert_eq!(container["LinuxParameters"]["Capabilities"]["Add"], Yaml::Null, "{task}");
        assert_eq!(container["Privileged"], Yaml::Null, "{task}");
        let Yaml::Tagged(image) = &container["Image"] else { panic!("{task}: {:?}", container["Image"]) };
        assert_eq!((image.tag.to_string().as_str(), &image.value), ("!Ref", &Yaml::from("Image")), "{task}");
    }
}

#[test]
fn no_script_runs_a_file_from_the_internet_without_checking_it() {
    let mut scripts = vec!["justfile".to_owned(), "CONTRIBUTING.md".to_owned(), "README.md".to_owned()];
    let mut folders = vec![root().join(".ci"), root().join("deploy")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                scripts.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    assert!(scripts.len() >= 15, "{scripts:?}");
    let mut wrong = Vec::new();
    for path in scripts {
        let text = read(&path);
        let text = text.replace("\\\n", " ");
        for line in text.lines() {
            let words: Vec<_> =
                line.split(|character: char| !(character.is_alphanumeric() || "-_./=:".contains(character))).collect();
            let has = |word: &str| words.contains(&word);
            let runs_a_download =
                (has("curl") || has("wget")) && line.contains('|') && (has("sh") || has("bash") || has("python3"));
            let installs_any_version = (line.contains("cargo install") && !line.contains("cargo install --locked"))
                || (words.iter().any(|word| *word == "pip" || word.ends_with("/pip"))
                    && has("install")
                    && !has("--require-hashes"))
                || has("npx")
                || (has("npm") && has("install") && !has("--package-lock-only"));
            // ADD and FROM in a Containerfile.
            let adds_without_checksum = line.starts_with("ADD http") || line.starts_with("ADD --chown");
            let has_floating_base = line.starts_with("FROM ") && line != "FROM scratch" && !line.contains("@sha256:");
            if runs_a_download || installs_any_version || adds_without_checksum || has_floating_base {
                wrong.push(format!("{path}: {line}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_image_is_made_with_a_secret_in_its_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("freehold.toml");
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (text, named) in [
        (format!("[secrets]\nkey = \"{key}\""), "key of [secrets]"),
        (format!("secrets = {{ old_keys = [\"{key}\"] }}"), "old_keys of [secrets]"),
        (format!("[audit]\nsigning_key = \"{key}\""), "signing_key of [audit]"),
        (format!("[proof]\nsigning_key = \"{key}\""), "signing_key of [proof]"),
        (format!("[database]\napi_password = \"{key}\""), "api_password of [database]"),
        (format!("[database]\nworker_password = \"{key}\""), "worker_password of [database]"),
        (format!("[organization]\ncontrol_role_external_id = \"{key}\""), "control_role_external_id of [organization]"),
        ("[database]\nurl = \"postgres://a:b@db.example.com/c\"".to_owned(), "the password in url of [database]"),
        (
            "[database]\nurl = \"postgres://a@db.example.com/c?password=b\"".to_owned(),
            "the password in url of [database]",
        ),
    ] {
        fs::write(&config, &text).unwrap();
        let output = Command::new(BUILD).arg("--config").arg(&config).current_dir(root()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && message.contains(named) && !message.contains(key), "{text}: {message}");
        assert!(message.contains("must not contain secrets"), "{message}");
    }
}

/// Returns a command that runs `freehold` in the root file system.
fn freehold(image: &Path, database: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh"]).arg(image).args(arguments);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("FREEHOLD_DATABASE__URL", database);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finish(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let output = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?} {status}: {output}");
    output
}

/// Returns the paths of all files and directories below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found
}

/// Checks that an attacker finds nothing in the image except the program.
fn check_files(image: &Path) {
    let mut executables = Vec::new();
    for path in files(image) {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.mode();
        assert_eq!((metadata.uid(), metadata.gid()), (0, 0), "{} is not root's", path.display());
        if metadata.is_symlink() {
            continue;
        }
        assert_eq!(mode & 0o7022, 0, "{} has the mode {mode:o}", path.display());
        assert!(metadata.is_dir() || metadata.is_file(), "{} is a special file", path.display());
        if metadata.is_file() && mode & 0o111 != 0 {
            executables.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    executables.retain(|name| !name.starts_with("ld-linux"));
    executables.sort();
    assert_eq!(executables, ["freehold", "libc.so.6"], "there must be no shell and no other program");
    let certificates = fs::read_to_string(image.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(certificates.matches("BEGIN CERTIFICATE").count() > 100);
}

/// Checks that the SBOM names the program by its hash, and the packages of Debian.
fn check_sbom(image: &Path) {
    let document = fs::read_to_string(image.join("usr/share/freehold/freehold.cdx.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let sum = sbom::run(Command::new("sha256sum").arg(image.join("usr/local/bin/freehold")));
    let content = document["metadata"]["component"]["hashes"][0]["content"].as_str().unwrap();
    assert!(sum.starts_with(content) && content.len() == 64, "{content} {sum}");
    for package in fs::read_dir(image.join("var/lib/dpkg/status.d")).unwrap().map(Result::unwrap) {
        let purl = format!("pkg:deb/debian/{}@", package.file_name().display());
        assert!(document["components"].to_string().contains(&purl), "{purl}");
    }
}

/// Program in the image that runs until this value is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        // A group of its own: `unshare` starts the program as a child, which would survive `unshare`.
        Self(command.process_group(0).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn wait_until_live(process: &mut Child, address: &str) {
    let start = Instant::now();
    loop {
        let url = format!("http://{address}/livez");
        let health = Command::new(env!("CARGO_BIN_EXE_freehold-under-test")).args(["health", &url]).output().unwrap();
        if health.status.success() {
            return;
        }
        if process.try_wait().unwrap().is_some() || start.elapsed() > TIMEOUT {
            let _ = process.kill();
            let mut output = String::new();
            std::io::Read::read_to_string(process.stderr.as_mut().unwrap(), &mut output).unwrap();
            panic!("{url} is not live: {output}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Needs mmdebstrap, root and the package mirror of Debian, so it runs on request only:
/// `cargo test --workspace --test main -- --ignored deploy::image --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: downloads Debian packages"]
async fn the_image_runs_unprivileged_on_a_read_only_file_system() {
    let has =
        |tool: &str| Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap().status.success();
    let missing: Vec<_> =
        ["mmdebstrap", "unshare", "setpriv", "chroot", "strip"].into_iter().filter(|tool| !has(tool)).collect();
    if !missing.is_empty() || !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("FREEHOLD_IMAGE_REQUIRED").is_none(), "root and mmdebstrap are missing: {missing:?}");
        eprintln!("skipped: the test needs root and mmdebstrap (`apt-get install mmdebstrap`); missing: {missing:?}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    // Without debug information, the program is small enough to be copied several times.
    sbom::run(Command::new("strip").arg("-o").arg(at("freehold")).arg(env!("CARGO_BIN_EXE_freehold-under-test")));
    fs::write(at("freehold.toml"), CONFIG).unwrap();
    let mut build = Command::new(BUILD);
    build.arg("--config").arg(at("freehold.toml")).arg("--binary").arg(at("freehold")).arg("--output").arg(at("image"));
    let printed = sbom::run(&mut build);
    assert!(printed.contains("podman build"), "{printed}");

    let image = at("root");
    fs::create_dir(&image).unwrap();
    sbom::run(Command::new("tar").arg("-xpf").arg(at("image/root.tar")).arg("-C").arg(&image));
    check_files(&image);
    check_sbom(&image);
    for engine in ["buildah", "podman"].into_iter().filter(|engine| has(engine)) {
        sbom::run(Command::new(engine).args(["build", "--format", "docker", "-t", "freehold-test"]).arg(at("image")));
    }

    // A loopback port, because the user of the image cannot read the private directory of the server.
    let options = PostgresOptions { durable: false, ..PostgresOptions::default() };
    let server = Postgres::start(options).await.unwrap();
    let database = server.url();
    let config = ["--config", "/etc/freehold/freehold.toml"];
    assert!(finish(&mut freehold(&image, &database, &["--version"])).starts_with("freehold "));
    finish(&mut freehold(&image, &database, &[&["config", "check"][..], &config].concat()));
    let mut migrate = freehold(&image, &database, &[&["migrate"][..], &config].concat());
    let [api_password, worker_password] = PASSWORDS;
    migrate.env("FREEHOLD_DATABASE__API_PASSWORD", api_password);
    migrate.env("FREEHOLD_DATABASE__WORKER_PASSWORD", worker_password);
    finish(&mut migrate);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let arguments = [&["worker", "--metrics-listen", &address][..], &config].concat();
    // The owner of the tables is refused.
    let (_, server_address) = database.split_once('@').unwrap();
    let login = format!("postgres://freehold_worker:{worker_password}@{server_address}");
    let mut worker = freehold(&image, &login, &arguments);
    worker.env("AWS_REGION", "eu-central-1").env("AWS_EC2_METADATA_DISABLED", "true");
    let mut worker = Running::start(&mut worker);
    wait_until_live(&mut worker.0, &address);
    drop(worker);
    server.stop().await.unwrap();
    assert!(!image.join("written").exists());
}
