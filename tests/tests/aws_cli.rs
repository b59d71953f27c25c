//! Tests that drive the simulated AWS with the aws CLI and with boto3, over HTTP and through profiles.
//!
//! They are slow and need packages from PyPI, so `cargo test` ignores them. `.ci/run` runs them; see README.md.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use freehold_sandbox::http::{RunningServer, serve};
use freehold_sandbox::{Settings, World};
use freehold_tenancy::Clock;
use freehold_tenancy::clock::Scale;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::conformance::venv;

/// Speed of the sandbox's clock: an hour passes in less than half a second.
const SPEED: f64 = 10_000.0;

const ENVIRONMENT_ID: &str = "env_01jb0000000000000000000000";

/// A served sandbox, and the home directory of a user whose profiles point to it.
struct Terminal {
    world: World,
    account: String,
    home: TempDir,
    server: RunningServer,
}

impl Terminal {
    /// Starts a sandbox with one member account. The profile `management` has an access key, and `tenant` assumes the
    /// access role of the member account.
    async fn open() -> Self {
        let now = Clock::real().now();
        let clock = Clock::scaled(Scale { anchored_at: now, origin: now, speed: SPEED });
        let world = World::new(Settings { throttling: false, odd_refusals: 0.0, ..Settings::default() }, clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = serve(&world, listener).expect("a server");
        let home = tempfile::tempdir().expect("a directory");
        let mut terminal = Self { world, account: String::new(), home, server };
        terminal.write_profiles();
        terminal.succeed("management", "organizations create-account --email a@example.com --account-name Example");
        terminal.account = terminal.wait_for_account("a@example.com");
        terminal.write_profiles();
        terminal
    }

    fn write_profiles(&self) {
        let key = &self.world.settings().management_access_key;
        let config = format!(
            "[profile management]\nregion = us-east-1\naws_access_key_id = {key}\naws_secret_access_key = any\n\
             [profile tenant]\nregion = eu-central-1\nsource_profile = management\n\
             role_arn = arn:aws:iam::{}:role/OrganizationAccountAccessRole\n",
            self.account
        );
        std::fs::write(self.home.path().join("config"), config).expect("the profiles");
    }

    /// Waits until the account exists and can be used. Returns its id.
    fn wait_for_account(&self, email: &str) -> String {
        let start = Instant::now();
        loop {
            let now = self.world.clock().now();
            if let Some(account) = self.world.account_by_email(email)
                && account.settled_at.is_some_and(|settled_at| settled_at + TimeDelta::minutes(30) < now)
            {
                return account.id;
            }
            assert!(start.elapsed() < Duration::from_mins(1), "the account is not created");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns a command that sees nothing but the profiles and the sandbox.
    fn command(&self, [python, program]: [PathBuf; 2]) -> Command {
        let mut command = Command::new(python);
        command.arg(program).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
            .env("HOME", self.home.path())
            .env("AWS_CONFIG_FILE", self.home.path().join("config"))
            .env("AWS_ENDPOINT_URL", self.server.url())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PAGER", "")
            .env("AWS_MAX_ATTEMPTS", "1");
        command
    }

    /// Runs the aws CLI. The arguments are separated by blanks.
    fn aws(&self, profile: &str, arguments: &str) -> Output {
        let mut command = self.command(venv::program("aws"));
        command.args(["--profile", profile, "--output", "json"]).args(arguments.split_whitespace());
        command.output().expect("the aws CLI")
    }

    /// Runs the aws CLI, and returns its output as JSON (null for no output).
    fn succeed(&self, profile: &str, arguments: &str) -> Value {
        let output = self.aws(profile, arguments);
        assert!(output.status.success(), "aws {arguments}: {}", text(&output.stderr));
        let stdout = text(&output.stdout);
        serde_json::from_str(if stdout.trim().is_empty() { "null" } else { &stdout }).expect("JSON")
    }

    /// Runs the aws CLI, and returns the error that it prints.
    fn fail(&self, profile: &str, arguments: &str) -> String {
        let output = self.aws(profile, arguments);
        assert!(!output.status.success(), "aws {arguments}: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[ignore = "slow; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_role_profile_works_while_the_sandboxs_clock_runs_ahead() {
    let terminal = Terminal::open().await;
    let start = terminal.world.clock().now();
    let identity = terminal.succeed("tenant", "sts get-caller-identity");
    assert_eq!(identity["Account"], terminal.account.as_str());
    while terminal.world.clock().now() < start + TimeDelta::hours(2) {
        std::thread::sleep(Duration::from_millis(50));
    }
    // The aws CLI has stored the session and uses it again.
    terminal.succeed("tenant", "cloudformation list-stacks");
    assert_eq!(terminal.world.calls().of("sts:AssumeRole").calls, 1);
}

#[ignore = "slow; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_deploys_a_stack_and_reads_its_function() {
    let terminal = Terminal::open().await;
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/tenant.yaml");
    let account = &terminal.account;
    let parameters = [
        ("TenantId", "ten_01jb0000000000000000000000"),
        ("EnvironmentId", ENVIRONMENT_ID),
        ("EnvironmentName", "production"),
        ("VerifyRoleArn", &format!("arn:aws:iam::{account}:role/OrganizationAccountAccessRole")),
    ]
    .map(|(key, value)| format!("ParameterKey={key},ParameterValue={value}"))
    .join(" ");
    terminal.succeed(
        "tenant",
        &format!(
            "cloudformation create-stack --stack-name example --capabilities CAPABILITY_NAMED_IAM --template-body \
             file://{} --parameters {parameters}",
            template.display()
        ),
    );
    terminal.succeed("tenant", "cloudformation wait stack-create-complete --stack-name example");
    let described = terminal.succeed("tenant", "cloudformation describe-stacks --stack-name example");
    let stack = &described["Stacks"][0];
    assert_eq!(stack["DriftInformation"]["StackDriftStatus"], "NOT_CHECKED", "{stack}");
    assert_eq!(stack["NotificationARNs"], serde_json::json!([]), "{stack}");
    assert!(stack["RollbackConfiguration"].is_object(), "{stack}");

    let functions = terminal.succeed("tenant", "lambda list-functions");
    let name = functions["Functions"][0]["FunctionName"].as_str().expect("a function").to_owned();
    let function = terminal.succeed("tenant", &format!("lambda get-function --function-name {name}"));
    let variables = &function["Configuration"]["Environment"]["Variables"];
    assert_eq!(variables["ENVIRONMENT_ID"], ENVIRONMENT_ID, "{function}");
    let missing = terminal.fail("tenant", "lambda get-function --function-name missing");
    assert!(missing.contains("Function not found: arn:aws:lambda:eu-central-1:"), "{missing}");

    terminal.succeed("tenant", "cloudformation delete-stack --stack-name example");
    terminal.succeed("tenant", "cloudformation wait stack-delete-complete --stack-name example");
    assert_eq!(terminal.succeed("tenant", "lambda list-functions")["Functions"], serde_json::json!([]));
}

#[ignore = "slow; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn the_deploy_command_creates_and_updates_a_stack() {
    let terminal = Terminal::open().await;
    let path = terminal.home.path().join("stack.yaml");
    let template = "Parameters: {Days: {Type: Number, Default: 7}}\n\
                    Resources: {Log: {Type: 'AWS::Logs::LogGroup', Properties: {RetentionInDays: !Ref Days}}}\n";
    std::fs::write(&path, template).expect("a template");
    let deploy = |more: &str| {
        let command = format!("cloudformation deploy --stack-name example --template-file {} {more}", path.display());
        let output = terminal.aws("tenant", &command);
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout) + text(&output.stderr).as_str()
    };
    let status = || {
        let described = terminal.succeed("tenant", "cloudformation describe-stacks --stack-name example");
        described["Stacks"][0]["StackStatus"].as_str().expect("a status").to_owned()
    };
    assert!(deploy("").contains("Successfully created/updated stack - example"));
    assert_eq!(status(), "CREATE_COMPLETE");
    assert!(deploy("--parameter-overrides Days=14").contains("Successfully created/updated stack - example"));
    assert_eq!(status(), "UPDATE_COMPLETE");
    assert!(deploy("--no-fail-on-empty-changeset").contains("No changes to deploy. Stack example is up to date"));

    let drift = terminal.succeed("tenant", "cloudformation detect-stack-drift --stack-name example");
    assert!(drift["StackDriftDetectionId"].is_string(), "{drift}");
    let resources = terminal.succeed("tenant", "cloudformation list-stack-resources --stack-name example");
    assert_eq!(resources["StackResourceSummaries"][0]["ResourceType"], "AWS::Logs::LogGroup", "{resources}");
    let command = format!("cloudformation get-template-summary --template-body file://{}", path.display());
    assert_eq!(terminal.succeed("tenant", &command)["Parameters"][0]["ParameterType"], "Number");
}

#[ignore = "slow; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_sets_and_reads_alarms() {
    let terminal = Terminal::open().await;
    let alarm = "--alarm-name errors --metric-name Errors --namespace AWS/Lambda --statistic Sum --period 60 \
                 --evaluation-periods 1 --threshold 0.5 --comparison-operator GreaterThanThreshold";
    terminal.succeed("tenant", &format!("cloudwatch put-metric-alarm {alarm}"));
    let described = terminal.succeed("tenant", "cloudwatch describe-alarms --alarm-names errors");
    let alarm = &described["MetricAlarms"][0];
    assert_eq!((&alarm["StateValue"], &alarm["Threshold"]), (&"INSUFFICIENT_DATA".into(), &0.5.into()), "{alarm}");
    assert!(alarm["StateUpdatedTimestamp"].is_number(), "{alarm}");
    let set =
        |name: &str| format!("cloudwatch set-alarm-state --alarm-name {name} --state-value OK --state-reason test");
    terminal.succeed("tenant", &set("errors"));
    let missing = terminal.fail("tenant", &set("missing"));
    assert!(missing.contains("(ResourceNotFound)"), "{missing}");
    let described = terminal.succeed("tenant", "cloudwatch describe-alarms --state-value OK");
    assert_eq!(described["MetricAlarms"][0]["AlarmName"], "errors", "{described}");
    terminal.succeed("tenant", "cloudwatch delete-alarms --alarm-names errors");
    assert_eq!(terminal.succeed("tenant", "cloudwatch describe-alarms")["MetricAlarms"], serde_json::json!([]));
}

#[ignore = "slow; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_shows_what_the_sandbox_does_not_simulate() {
    let terminal = Terminal::open().await;
    for (arguments, expected) in [
        ("ec2 describe-regions", "(UnrecognizedServiceException)"),
        ("ec2 describe-regions", "does not simulate the service ec2 (call: DescribeRegions)"),
        ("iam list-roles", "does not simulate the service iam (call: ListRoles)"),
        ("dynamodb list-tables", "does not simulate the service dynamodb (call: ListTables)"),
        ("cloudwatch list-metrics", "does not simulate the operation ListMetrics"),
        ("route53 list-hosted-zones", "does not simulate the service route53 (call: GET /2013-04-01/hostedzone)"),
        ("eks list-clusters", "does not simulate the service eks (call: GET /clusters)"),
        ("s3api list-buckets", "does not simulate this operation of S3: GET /"),
        ("cloudformation list-exports", "(InvalidAction)"),
        ("lambda list-layers", "GET /2018-10-31/layers"),
        ("organizations list-delegated-administrators", "ListDelegatedAdministrators"),
    ] {
        let error = terminal.fail("management", arguments);
        assert!(error.contains(expected), "aws {arguments}: {error}");
    }
}

#[ignore = "slow; .ci/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn boto3_reads_pages_and_gets_the_errors_of_aws() {
    let terminal = Terminal::open().await;
    let [python, _] = venv::program("aws");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws_cli.py");
    let output = terminal.command([python, script]).arg(&terminal.account).output().expect("Python");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stdout).trim(), "14 checks passed");
}
