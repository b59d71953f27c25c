//! Tests of `freehold access`: sign-in, cached token, roles, and the command that gets the credentials.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{Sandbox, freehold, text, wait_until};
use crate::conformance::venv;

const PRINT_KEY: &str = "echo \"$AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN $AWS_REGION\"";

/// A sandbox with a tenant that is ready, and the home directory of a person.
struct Desk {
    sandbox: Sandbox,
    home: TempDir,
    tenant: Value,
}

/// Decision of the person in the browser.
#[derive(Clone, Copy)]
enum Answer<'a> {
    /// Signs in as a member of this group.
    Approve(&'a str),
    Deny,
}

impl Desk {
    fn open() -> Self {
        let sandbox = Sandbox::start(&["--speed", "200"]);
        let tenant = sandbox.create_tenant(&[]);
        Self { sandbox, home: tempfile::tempdir().expect("a directory"), tenant }
    }

    fn account(&self) -> &str {
        self.tenant["environments"][0]["aws_account_id"].as_str().expect("an account")
    }

    /// Runs `freehold access` for the tenant. A person answers as soon as a code is shown.
    fn access(&self, options: &[&str], command: &[&str], answer: Option<Answer<'_>>) -> Output {
        let home = self.home.path().to_str().expect("a UTF-8 path");
        let variables = [("HOME", home), ("AWS_PROFILE", "other"), ("AWS_SECURITY_TOKEN", "other")];
        let arguments = [&["access", "Example GmbH"], options, &["--"], command].concat();
        thread::scope(|scope| {
            let running = scope.spawn(|| self.sandbox.run_with(&variables, &arguments));
            if let Some(answer) = answer {
                wait_until("a pending sign-in", || code_of(&self.sandbox).is_some() || running.is_finished());
                if let Some(code) = code_of(&self.sandbox) {
                    let page = decide(&self.sandbox, &code, answer);
                    assert!(page.contains("You can close this page."), "{page}");
                }
            }
            running.join().expect("an output")
        })
    }

    fn cache_file(&self) -> PathBuf {
        let directory = self.home.path().join(".aws/sso/cache");
        let mut files = fs::read_dir(directory).expect("a cache").map(|file| file.expect("a file").path());
        let file = files.next().expect("a cached token");
        assert!(files.next().is_none(), "the cache has a second file");
        file
    }
}

/// Returns the user code of the pending sign-in.
fn code_of(sandbox: &Sandbox) -> Option<String> {
    let world: Value = serde_json::from_str(&sandbox.world()).ok()?;
    let sign_ins = world["access_portal"]["sign_ins"].as_object()?;
    let pending = sign_ins.values().find(|one| one["state"] == "Pending")?;
    pending["user_code"].as_str().map(str::to_owned)
}

/// Sends the form of the page on which a person decides. Returns the page.
fn decide(sandbox: &Sandbox, code: &str, answer: Answer<'_>) -> String {
    let world: Value = serde_json::from_str(&sandbox.world()).expect("JSON");
    let groups = world["identity_store"]["groups"].as_object().expect("groups");
    let group = |name: &str| groups.iter().find(|(_, group)| group["display_name"] == name).expect("a group").0.clone();
    let fields = match answer {
        Answer::Approve(name) => format!("decision=approve&user=&user_name=ann&group={}", group(name)),
        Answer::Deny => "decision=deny".to_owned(),
    };
    let url = format!("{}/-/device", sandbox.address_of("simulated AWS"));
    block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let form =
            client.get(format!("{url}?user_code={code}")).send().await.expect("a page").text().await.expect("it");
        assert!(form.contains(&format!("value=\"{code}\"")), "{form}");
        let foreign =
            client.post(&url).header("origin", "https://example.com").body(format!("user_code={code}&{fields}"));
        assert_eq!(foreign.send().await.expect("a page").status(), 403);
        let request = client.post(&url).header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("user_code={code}&{fields}")).send().await.expect("a page").text().await.expect("it")
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

/// Returns the ARN of the caller with the credentials that the command has printed.
fn caller(sandbox: &Sandbox, printed: &str) -> Result<String, String> {
    let words: Vec<_> = printed.split_whitespace().collect();
    let [key, secret, token, region] = words[..] else { panic!("not the credentials: {printed}") };
    let credentials = Credentials::new(key, secret, Some(token.to_owned()), None, "test");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_config::Region::new(region.to_owned()))
        .endpoint_url(sandbox.address_of("simulated AWS"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    block_on(async {
        let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
        identity.map(|identity| identity.arn.unwrap_or_default()).map_err(|error| format!("{error:?}"))
    })
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn a_person_signs_in_once_and_commands_get_working_credentials() {
    let desk = Desk::open();
    let role = ["--role", "support"];
    let denied = desk.access(&role, &["true"], Some(Answer::Deny));
    assert_eq!(denied.status.code(), Some(1));
    assert!(text(&denied.stderr).contains("the sign-in was denied in the browser"), "{}", text(&denied.stderr));

    let first = desk.access(&role, &["sh", "-c", PRINT_KEY], Some(Answer::Approve("support")));
    let notes = text(&first.stderr);
    assert_eq!(first.status.code(), Some(0), "{notes}");
    assert!(notes.contains("To sign in, open http://127.0.0.1:") && notes.contains("/-/device?user_code="), "{notes}");
    let arn = caller(&desk.sandbox, &text(&first.stdout)).expect("an identity");
    let expected = format!("arn:aws:sts::{}:assumed-role/AWSReservedSSO_support_", desk.account());
    assert!(arn.starts_with(&expected) && arn.ends_with("/ann"), "{arn}");
    assert!(text(&first.stdout).trim().ends_with(" eu-central-1"), "{}", text(&first.stdout));

    let file = desk.cache_file();
    let cached: Value = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    assert_eq!((mode(&file), mode(file.parent().expect("a directory"))), (0o600, 0o700));
    assert_eq!(cached["region"], "eu-central-1");
    for name in ["startUrl", "accessToken", "expiresAt", "clientId", "clientSecret", "registrationExpiresAt"] {
        assert!(cached[name].is_string(), "{name}");
    }
    assert!(!text(&fs::read(&file).expect("a file")).contains("ASIA"), "AWS credentials are stored");

    let second = desk.access(&role, &["sh", "-c", "echo \"$AWS_PROFILE$AWS_SECURITY_TOKEN\"; exit 7"], None);
    assert_eq!((second.status.code(), text(&second.stderr).as_str()), (Some(7), ""));
    assert_eq!(text(&second.stdout), "\n", "a variable of another profile remains");
    let missing = desk.access(&role, &["no-such-program"], None);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("cannot run no-such-program: No such file"), "{}", text(&missing.stderr));

    // The portal has ended the session, but the cached token has not expired.
    let token = cached["accessToken"].as_str().expect("a token");
    let url = format!("{}/logout", desk.sandbox.address_of("simulated AWS"));
    let client = || reqwest::Client::builder().no_proxy().build().expect("a client");
    let logout = || async { client().post(&url).header("x-amz-sso_bearer_token", token).send().await };
    assert_eq!(block_on(async { logout().await.expect("a response").status() }), 200);
    let again = desk.access(&role, &["true"], Some(Answer::Approve("support")));
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert!(text(&again.stderr).contains("the earlier sign-in has ended; sign in again"), "{}", text(&again.stderr));
    assert!(!text(&fs::read(&file).expect("a file")).contains(token));
}

#[test]
fn a_role_and_an_account_without_access_are_explained() {
    let desk = Desk::open();
    let platform = desk.access(&["--role", "support"], &["true"], Some(Answer::Approve("platform")));
    assert_eq!(platform.status.code(), Some(4));
    assert!(text(&platform.stderr).contains("you have no role support in AWS account"), "{}", text(&platform.stderr));
    let only = desk.access(&[], &["sh", "-c", PRINT_KEY], None);
    assert_eq!(only.status.code(), Some(0), "{}", text(&only.stderr));
    assert!(caller(&desk.sandbox, &text(&only.stdout)).is_ok());

    // The same person joins a second group, and has two roles then.
    fs::remove_file(desk.cache_file()).expect("a removed file");
    let both = desk.access(&[], &["true"], Some(Answer::Approve("support")));
    assert_eq!(both.status.code(), Some(2));
    let message = text(&both.stderr);
    assert!(message.contains("--role: must be set") && message.contains(": platform, support"), "{message}");

    let environment = desk.access(&["staging"], &["true"], None);
    assert_eq!(environment.status.code(), Some(4));
    assert!(text(&environment.stderr).contains("has no environment staging"), "{}", text(&environment.stderr));
}

#[test]
fn access_without_a_command_or_a_start_url_says_what_to_set() {
    let api = ["--api-url", "http://127.0.0.1:1", "--token", "x"];
    let output = freehold(&[&["access", "Example GmbH"][..], &api].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("COMMAND: must be given after --, e.g. freehold access"));
    let output = freehold(&[&["access", "Example GmbH"][..], &api, &["--", "true"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--start-url: must be set, or FREEHOLD_SSO_START_URL"));
    let url = ["--start-url", "http://d-1.awsapps.com/start"];
    let output = freehold(&[&["access", "Example GmbH"][..], &url, &["--", "true"]].concat());
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("must be an https:// URL"));
}

#[test]
fn ctrl_c_cancels_a_sign_in() {
    let desk = Desk::open();
    let home = [("HOME", desk.home.path().to_str().expect("a UTF-8 path"))];
    let command = ["access", "Example GmbH", "--", "echo", "the command has run"];
    let mut running = desk.sandbox.start_command_with(&home, &command);
    wait_until("a code", || running.output().contains("Ctrl-C cancels"));
    assert_eq!(running.interrupt().code(), Some(1));
    wait_until("the message", || running.output().contains("the sign-in was cancelled; the command was not run"));
    assert!(!running.output().contains("the command has run"));
}

#[ignore = "slow; .ci/run runs it"]
#[test]
fn the_aws_cli_uses_the_cached_sign_in() {
    let desk = Desk::open();
    let first = desk.access(&["--role", "support"], &["true"], Some(Answer::Approve("support")));
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let cached: Value = serde_json::from_slice(&fs::read(desk.cache_file()).expect("a file")).expect("JSON");
    let profile = format!(
        "[profile tenant]\nregion = eu-central-1\nsso_start_url = {}\nsso_region = {}\nsso_account_id = {}\n\
         sso_role_name = support\n",
        cached["startUrl"].as_str().expect("a URL"),
        cached["region"].as_str().expect("a region"),
        desk.account(),
    );
    let config = desk.home.path().join("config");
    fs::write(&config, profile).expect("a profile");
    let [python, program] = venv::program("aws");
    let mut aws = Command::new(python);
    aws.arg(program).args(["--profile", "tenant", "--output", "json", "sts", "get-caller-identity"]).env_clear();
    aws.env("HOME", desk.home.path()).env("AWS_CONFIG_FILE", &config).env("AWS_EC2_METADATA_DISABLED", "true");
    let output = aws.env("AWS_ENDPOINT_URL", desk.sandbox.address_of("simulated AWS")).output().expect("the aws CLI");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let identity: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(identity["Account"], desk.account(), "{identity}");
}
