//! Tests of `freehold config check`, and of the same validation at the start of other commands.

use std::path::Path;

use freehold_tests::fixture::CONFIG;

use super::process::{freehold, run_bash_line, text};

const TEMPLATE: &str = "
Parameters: {TenantId: {Type: String}}
Resources: {Function: {Type: 'AWS::Lambda::Function'}}
Outputs: {FunctionUrl: {Value: !GetAtt Function.Arn}}
";

/// Broken configuration or template, and the expected start of each reported problem.
struct Case {
    config: String,
    template: String,
    problems: &'static [&'static str],
}

fn config(from: &str, to: &str, problems: &'static [&'static str]) -> Case {
    let config = CONFIG.replace(from, to);
    assert_ne!(config, CONFIG, "`{from}` is not in the configuration");
    Case { config, template: TEMPLATE.to_owned(), problems }
}

fn addition(addition: &str, problems: &'static [&'static str]) -> Case {
    Case { config: format!("{CONFIG}\n{addition}"), template: TEMPLATE.to_owned(), problems }
}

fn template(template: impl Into<String>, problems: &'static [&'static str]) -> Case {
    Case { config: CONFIG.to_owned(), template: template.into(), problems }
}

/// Writes the files of a case and returns the path of the configuration.
fn write(case: &Case, directory: &Path) -> String {
    let file = directory.join("template.yaml");
    std::fs::write(&file, &case.template).expect("the template");
    let (stack, path) = ("[stack]\n", directory.join("freehold.toml"));
    let with_template = format!("{stack}template = {:?}\n", file.display().to_string());
    let config = if case.config.contains(stack) {
        case.config.replace(stack, &with_template)
    } else {
        format!("{}\n{with_template}", case.config)
    };
    std::fs::write(&path, config).expect("the configuration");
    path.display().to_string()
}

#[test]
fn every_problem_of_ten_broken_files_is_named() {
    let cases = [
        config(
            "\"111122223333\"",
            "\"1111\"",
            &["organization.management_account_id: must be an AWS account id of 12 digits"],
        ),
        config(
            "account_email = \"aws+{environment_id}@example.com\"",
            "email = \"aws@example.com\"",
            &["organization.account_email: must be set", "organization.email: must be removed"],
        ),
        config(
            "\"eu-west-1\"]",
            "\"eu-west-9\"]",
            &["residencies.eu.regions.[2]: `eu-west-9` is not an AWS region that Freehold knows"],
        ),
        config(
            "\"eu-west-1\"]",
            "\"us-gov-west-1\"]",
            &["residencies.eu.regions.[2]: `us-gov-west-1` (AWS GovCloud (US-West)) is in the partition aws-us-gov"],
        ),
        config(
            "session_duration = \"PT8H\"",
            "session_duration = \"PT24H\"\ninline_policy = '{}'",
            &[
                "permission_sets.tenant-admin.session_duration: must be an ISO 8601 duration from PT1H to PT12H",
                "permission_sets.tenant-admin.inline_policy: must have \"Version\"",
                "permission_sets.tenant-admin.inline_policy: must have a Statement",
            ],
        ),
        addition(
            "[[tiers]]\nname = \"standard\"\n[[access]]\npermission_set = \"support\"\ngroup = \"support\"",
            &[
                "access.support (permission set support): must be declared only",
                "tiers.standard: must be declared only",
            ],
        ),
        addition(
            "[api.roles]\nsupport = [\"tenant:read\", \"fleets\"]\n[timeouts]\nstack_seconds = 0",
            &[
                "timeouts.stack_seconds: must be from 1",
                "expected_durations.baseline_stack_seconds: must be at most",
                "expected_durations.tenant_stack_seconds: must be at most",
                "expected_durations.front_door_stack_seconds: must be at most",
                "api.roles.support: unknown scope `tenant:read`; must be one of fleet,",
                "api.roles.support: unknown scope `fleets`; must be one of fleet,",
            ],
        ),
        addition(
            "[stack]\nname = \"tenant\"\n[stack.parameters]\nTenantId = \"x\"\nImageTag = \"y\"",
            &[
                "stack.name: must start with `freehold-`",
                "stack.parameters.TenantId: must not be set, because Freehold passes this parameter itself",
                "stack.parameters.ImageTag: must be declared in the Parameters of the template",
            ],
        ),
        addition(
            "[stack]\ncapabilities = [\"CAPABILITY_ALL\"]\n[stack.region_templates]\nap-south-1 = \"x.yaml\"\n\
             [stack.template_urls.eu-central-1]\nurl = \"https://example.com/stack.yaml\"\nsha256 = \"00\"",
            &[
                "stack.capabilities.[1]: must be one of CAPABILITY_IAM, CAPABILITY_NAMED_IAM, CAPABILITY_AUTO_EXPAND",
                "stack.region_templates.ap-south-1: must be removed, because no residency has this region",
                "stack.template_urls.eu-central-1.sha256: must be 64 lower-case hexadecimal digits",
                "stack.template_urls.eu-central-1.sha256: must be the SHA-256 of stack.template, which is ",
                "stack.template_urls.eu-central-1.url: must be on the S3 host of eu-central-1, such as https://",
                "stack.template_urls.eu-central-2: must be set, because other regions of the residencies have",
                "stack.template_urls.eu-west-1: must be set",
                "stack.template_urls.us-east-1: must be set",
                "stack.template_urls.us-west-2: must be set",
            ],
        ),
        template(
            format!("# {}\n{TEMPLATE}", "x".repeat(51_200)),
            &["stack.template: must have at most 51200 bytes, not 51"],
        ),
        template(
            "Transform: AWS::Serverless-2016-10-31\nParameters: {Bucket: {Type: String}}\n\
             Resources: {Url: {Type: 'AWS::Lambda::Url'}, Queue: {Type: 'AWS::SQS::Queue'}}",
            &[
                "stack.template: must not use Transform",
                "stack.template: the parameter Bucket must have a default, or a value in [stack.parameters]",
                "stack.url_output: must be an output of the template, which lacks `FunctionUrl`",
                "stack.template: the Type AWS::Lambda::Url of the resource Url must be replaced, because AWS lacks it \
                 in eu-central-2",
                "stack.template: the Type AWS::SQS::Queue of the resource Queue needs permissions that the role \
                 freehold-access lacks, such as sqs:CreateQueue",
            ],
        ),
        template("Resources: [", &["stack.template: must be YAML or JSON: line "]),
    ];
    for case in &cases {
        let files = tempfile::tempdir().unwrap();
        let path = write(case, files.path());
        let checked = freehold(&["config", "check", "--config", &path]);
        let (output, notes) = (text(&checked.stdout), text(&checked.stderr));
        assert_eq!(checked.status.code(), Some(2), "{:?}: {output}{notes}", case.problems);
        for problem in case.problems {
            assert!(output.lines().any(|line| line.starts_with(problem)), "no `{problem}`: {output}");
        }
        assert_eq!(output.lines().count(), case.problems.len(), "{output}");
    }
}

#[test]
fn a_valid_configuration_is_summarised() {
    let files = tempfile::tempdir().unwrap();
    let path = write(&template(TEMPLATE, &[]), files.path());
    let checked = freehold(&["config", "check", "--config", &path]);
    let output = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{output}");
    assert!(output.contains("residencies 3, regions 5, tiers 2, permission sets 2, template"), "{output}");
    assert!(output.contains("bytes, not validated by AWS)"), "{output}");
    // The environment of the test redirects AWS calls, which a real installation refuses.
    let notes = text(&checked.stderr);
    assert!(notes.contains("the template is not validated by AWS: AWS_ENDPOINT_URL redirects AWS calls"), "{notes}");
    let offline = freehold(&["config", "check", "--offline", "--config", &path]);
    assert_eq!(offline.status.code(), Some(0));
    assert!(text(&offline.stderr).contains("the template is not validated by AWS: --offline"));
}

#[test]
fn a_check_without_credentials_takes_less_than_a_second() {
    let files = tempfile::tempdir().unwrap();
    let path = write(&template(TEMPLATE, &[]), files.path());
    let started = std::time::Instant::now();
    let variables = "-u AWS_ENDPOINT_URL -u AWS_REGION -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY HOME=/nonexistent";
    let checked = run_bash_line(&format!("env {variables} $FREEHOLD config check --config {path}"));
    let (elapsed, notes) = (started.elapsed(), text(&checked.stderr));
    assert_eq!(checked.status.code(), Some(0), "{notes}");
    let reasons = ["no AWS credentials were found", "no AWS region is configured"];
    assert!(reasons.iter().any(|reason| notes.contains(reason)), "{notes}");
    // The program of the tests is not optimised, and other tests run at the same time.
    assert!(elapsed < std::time::Duration::from_secs(3), "{elapsed:?}");
}

#[test]
fn the_example_configuration_has_no_warnings() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../freehold.example.toml");
    let checked = freehold(&["config", "check", "--offline", "--config", path]);
    let notes = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0), "{}{notes}", text(&checked.stdout));
    assert!(!notes.contains("warning"), "{notes}");
}

#[test]
fn roles_that_no_issuer_can_grant_are_a_warning() {
    let issuer = "[[api.issuers]]\nissuer = \"i\"\naudience = \"a\"\njwks = \"keys.json\"\n";
    let files = tempfile::tempdir().unwrap();
    for (roles_claim, is_reported) in [("", true), ("roles_claim = \"groups\"", false)] {
        let roles = format!("[api.roles]\nstaff = [\"fleet\"]\n{issuer}{roles_claim}");
        let path = write(&addition(&roles, &[]), files.path());
        let checked = freehold(&["config", "check", "--config", &path]);
        let notes = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(0), "{}{notes}", text(&checked.stdout));
        assert_eq!(notes.contains("warning: api.roles: grants no scopes"), is_reported, "{notes}");
    }
}

#[test]
fn a_file_that_is_missing_or_not_toml_is_a_problem() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("freehold.toml").display().to_string();
    let check = || {
        let checked = freehold(&["config", "check", "--config", &path]);
        assert_eq!(checked.status.code(), Some(2));
        text(&checked.stdout)
    };
    assert!(check().contains("does not exist"));
    std::fs::write(&path, "[database]\nurl = \"postgres://hidden").unwrap();
    let output = check();
    assert!(output.contains("line 2, column") && !output.contains("hidden"), "{output}");
}

#[test]
fn no_command_starts_with_an_invalid_configuration() {
    let case = Case {
        config: CONFIG.replace("\"111122223333\"", "\"1111\""),
        template: "Resources: {}".to_owned(),
        problems: &[
            "organization.management_account_id: must be an AWS account id",
            "stack.template: must have at least one resource",
            "stack.url_output: must be an output",
        ],
    };
    let files = tempfile::tempdir().unwrap();
    let path = write(&case, files.path());
    for command in ["api", "worker", "migrate", "bootstrap", "reconcile", "sandbox"] {
        let started = freehold(&[command, "--config", &path]);
        assert_eq!(started.status.code(), Some(1), "{command}");
        let output = text(&started.stderr);
        for problem in case.problems {
            assert!(output.contains(problem), "{command}: no `{problem}`: {output}");
        }
    }
}

#[test]
fn variables_keep_the_case_of_a_key_that_the_operator_chooses() {
    let files = tempfile::tempdir().unwrap();
    let path = write(&template(TEMPLATE, &[]), files.path());
    for (variable, problem) in [
        ("FREEHOLD_API__ROLES__Approver='[\"fleets\"]'", "api.roles.Approver: unknown scope `fleets`"),
        ("FREEHOLD_STACK__PARAMETERS__ImageTag=1", "stack.parameters.ImageTag: must be"),
        (
            "FREEHOLD_API__ISSUERS='[{issuer = \"i\", audience = \"a\", jwks = \"j\", scopes = {Read = [\"fleets\"]}}]'",
            "api.issuers.[1].scopes.Read: unknown scope `fleets`",
        ),
    ] {
        let checked = run_bash_line(&format!("{variable} $FREEHOLD config check --config {path}"));
        let output = text(&checked.stdout);
        assert_eq!(checked.status.code(), Some(2), "{variable}: {output}");
        assert!(output.lines().any(|line| line.starts_with(problem)), "{variable}: {output}");
    }
}

#[test]
fn an_iam_token_as_the_database_password_is_refused() {
    let files = tempfile::tempdir().unwrap();
    let path = write(&template(TEMPLATE, &[]), files.path());
    let token = "db.example.com:5432/?Action=connect&X-Amz-Signature=0011hidden";
    for command in [
        format!(
            "PGPASSWORD='{token}' $FREEHOLD migrate --config {path} --database-url postgres://freehold@192.0.2.1/a"
        ),
        format!(
            "$FREEHOLD migrate --config {path} --database-url 'postgres://freehold:X-Amz-Signature%3D0011hidden@h/a'"
        ),
    ] {
        let started = run_bash_line(&command);
        let output = text(&started.stderr);
        assert_eq!(started.status.code(), Some(1), "{output}");
        assert!(
            output.contains("must contain a password that stays valid, not an IAM token of Amazon RDS"),
            "{output}"
        );
        assert!(!output.contains("hidden"), "{output}");
    }
}
