//! Test of `freehold rollouts` against a sandbox: a broken release stops at the first canary, and the corrected one
//! reaches 30 environments. With `--nocapture`, the test prints the commands with their output.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Sandbox, text, wait_until};

const TENANTS: usize = 30;

const WAVES: &str = r#"
[[waves]]
name = "canary"
select = { percent = 10 }
max_concurrent = 3
bake_seconds = 1800

[[waves]]
name = "everyone"
max_concurrent = 10
max_failures = 2
concurrency_mode = "soft"
approval = true
"#;

/// Sandbox with the directory of the templates and waves.
struct RolloutTest {
    sandbox: Sandbox,
    directory: TempDir,
    /// Token of another person, who approves.
    approver: String,
}

impl RolloutTest {
    fn start() -> Self {
        let sandbox = Sandbox::start(&["--speed", "60"]);
        let scopes = ["fleet", "releases:approve", "rollouts:approve"];
        let scopes: Vec<_> = scopes.iter().flat_map(|scope| ["--scope", scope]).collect();
        let token = sandbox.run(&[&["token", "--subject", "bob"], scopes.as_slice()].concat());
        let approver = text(&token.stdout).trim().to_owned();
        Self { sandbox, directory: tempfile::tempdir().expect("a directory"), approver }
    }

    /// Runs a command as the author, and prints it with its output.
    fn run(&self, arguments: &[&str]) -> Output {
        self.show(arguments, self.sandbox.run(arguments))
    }

    /// Runs a command of the approver.
    fn approve(&self, arguments: &[&str]) -> String {
        stdout(&self.show(arguments, self.sandbox.run_with(&[("FREEHOLD_TOKEN", &self.approver)], arguments)))
    }

    #[expect(clippy::print_stdout, reason = "the output is for readers of the test")]
    fn show(&self, arguments: &[&str], output: Output) -> Output {
        let directory = self.directory.path().display().to_string();
        let command = arguments.join(" ").replace(&format!("{directory}/"), "");
        println!("$ freehold {command}\n{}{}", text(&output.stdout), text(&output.stderr));
        output
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(Path::new(name));
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// Registers a release whose templates are changed, and lets another person approve it.
    fn release(&self, notes: &str, change: impl Fn(&str) -> String) -> String {
        let common = self.write("app.yaml", &change(crate::releases::TEMPLATE));
        let zurich = self.write("zurich.yaml", &change(crate::releases::TEMPLATE_WITHOUT_URL));
        let zurich = format!("eu-central-2={zurich}");
        let register = ["releases", "register", "--template", &common, "--region-template", &zurich, "--wait"];
        let registered = stdout(&self.run(&[&register[..], &["--notes", notes]].concat()));
        let (release, sha256) = (field(&registered, "release"), field(&registered, "sha256"));
        self.approve(&["releases", "approve", &release, "--sha256", &sha256]);
        release
    }

    /// Waits until the rollout has one of the states, or a later one.
    fn wait_for(&self, rollout: &str, states: &[&str]) {
        wait_until("the state of the rollout", || {
            let shown = self.sandbox.run(&["rollouts", "show", rollout, "--output", "json"]);
            let rollout: Value = serde_json::from_slice(&shown.stdout).expect("a rollout in JSON");
            states.contains(&rollout["state"].as_str().expect("a state"))
        });
    }

    fn create_tenants(&self) {
        for number in 0..TENANTS {
            let name = format!("Example {number}");
            let create = ["tenants", "create", "--company-name", &name, "--admin-email", "admin@example.com"];
            let region = ["--home-region", if number % 3 == 0 { "eu-west-1" } else { "eu-central-1" }];
            stdout(&self.sandbox.run(&[&create[..], &region].concat()));
        }
        wait_until("30 ready tenants", || {
            let listed = stdout(&self.sandbox.run(&["tenants", "list", "--output", "json"]));
            let listed: Value = serde_json::from_str(&listed).expect("tenants in JSON");
            let tenants = listed.as_array().expect("a list");
            tenants.iter().filter(|tenant| tenant["environments"][0]["state"] == "ready").count() == TENANTS
        });
    }
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Returns the value of a field that a command has printed.
fn field(output: &str, name: &str) -> String {
    output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_default().trim().to_owned()
}

#[test]
fn a_broken_release_stops_at_a_canary_and_the_corrected_one_reaches_all() {
    let test = RolloutTest::start();
    test.create_tenants();
    let waves = test.write("waves.toml", WAVES);

    // Two log groups cannot have the same name.
    let twice = "\nResources:\n  Twice:\n    Type: AWS::Logs::LogGroup\n    Properties:\n      \
                 LogGroupName: /aws/lambda/freehold-tenant\n";
    let broken = test.release("Shop 2.4", |template| template.replacen("\nResources:\n", twice, 1));
    let planned = stdout(&test.run(&["rollouts", "create", &broken, "--waves", &waves, "--dry-run"]));
    assert!(planned.contains("max_failures") && planned.contains("27"), "{planned}");
    let created = stdout(&test.run(&["rollouts", "create", &broken, "--waves", &waves]));
    let rollout = field(&created, "rollout");
    let watched = test.run(&["rollouts", "watch", &rollout]);
    assert_eq!(watched.status.code(), Some(3), "{}", text(&watched.stderr));
    assert!(text(&watched.stdout).contains("halted: 1 update has failed in the wave canary, which tolerates 0"));
    let halted = stdout(&test.run(&["rollouts", "show", &rollout]));
    assert!(halted.contains("Twice") && halted.contains("2 waiting, 1 failed"), "{halted}");
    stdout(&test.run(&["rollouts", "environments", &rollout, "--state", "failed"]));
    // A retry of a release that is itself broken fails again.
    stdout(&test.run(&["rollouts", "retry-failed", &rollout]));
    assert_eq!(test.run(&["rollouts", "watch", &rollout]).status.code(), Some(3));
    let aborted = stdout(&test.run(&["rollouts", "abort", &rollout, "--reason", "A fix is ready.", "--yes"]));
    assert!(field(&aborted, "state").starts_with("aborted"), "{aborted}");

    let corrected =
        test.release("Shop 2.4.1", |template| template.replace("RetentionInDays: 30", "RetentionInDays: 60"));
    let created = stdout(&test.run(&["rollouts", "create", &corrected, "--waves", &waves, "--make-default"]));
    let rollout = field(&created, "rollout");
    test.wait_for(&rollout, &["baking"]);
    let baking = stdout(&test.run(&["rollouts", "show", &rollout]));
    assert!(baking.contains("3 baking") && baking.contains("27 waiting"), "{baking}");
    let promote = ["rollouts", "promote", &rollout, "--reason", "All metrics are fine."];
    stdout(&test.run(&promote));
    test.wait_for(&rollout, &["awaiting_approval"]);
    let waiting = stdout(&test.run(&["rollouts", "show", &rollout]));
    let hash = field(&waiting, "approval hash");
    let own = test.run(&["rollouts", "approve", &rollout, "--sha256", &hash]);
    assert_eq!(own.status.code(), Some(6), "{}", text(&own.stderr));
    test.approve(&["rollouts", "approve", &rollout, "--sha256", &hash]);
    stdout(&test.run(&["rollouts", "watch", &rollout]));
    let ended = stdout(&test.run(&["rollouts", "show"]));
    assert!(ended.contains("27 succeeded") && field(&ended, "state").starts_with("succeeded"), "{ended}");
    let releases = stdout(&test.run(&["releases", "list"]));
    let default = releases.lines().find(|line| line.contains(&corrected)).expect("the release");
    assert!(default.contains("yes"), "new environments get the release: {releases}");
    stdout(&test.run(&["rollouts", "list"]));
}
