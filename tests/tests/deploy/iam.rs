//! Tests that the IAM policies allow the recorded AWS calls of the tests and no others, and that all copies of a policy
//! are equal.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use serde_yaml_ng::Value as Yaml;

use super::{read, yaml};

type Actions = BTreeSet<String>;

fn policy(name: &str) -> Value {
    serde_json::from_str(&read(&format!("deploy/iam/{name}.json"))).unwrap()
}

/// Replaces CloudFormation's intrinsic functions in a value of a template, using the account ids of the example
/// configuration.
fn resolve_intrinsics(value: &Yaml) -> Value {
    let text = |text: &str| {
        [
            ("${AWS::Partition}", "aws"),
            ("${AWS::AccountId}", "111122223333"),
            ("${FreeholdAccountId}", "444455556666"),
            ("${WorkerRoleName}", "freehold-worker"),
            ("${ControlRoleName}", "freehold-control"),
            ("${OrganizationId}", "o-exampleorgid"),
            ("${RootId}", "r-exam"),
            ("${AccessRoleName}", "OrganizationAccountAccessRole"),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let list = |parameter: &str| match parameter {
        "FreeholdOuArns" => Some(json!([
            "arn:aws:organizations::111122223333:ou/o-exampleorgid/ou-exam-residency1",
            "arn:aws:organizations::111122223333:ou/o-exampleorgid/ou-exam-quarantine",
        ])),
        "FreeholdOuPaths" => {
            Some(json!(["o-exampleorgid/*/ou-exam-residency1/*", "o-exampleorgid/*/ou-exam-quarantine/*"]))
        }
        "StaffGroupArns" => Some(json!(["arn:aws:identitystore:::group/90677c5d-0000-4000-8000-000000000000"])),
        _ => None,
    };
    match value {
        Yaml::Tagged(tagged) if tagged.tag == "Ref" && list(tagged.value.as_str().unwrap()).is_some() => {
            list(tagged.value.as_str().unwrap()).unwrap()
        }
        // The example has groups of staff.
        Yaml::Tagged(tagged) if tagged.tag == "If" && tagged.value[0] == "HasStaffGroups" => {
            resolve_intrinsics(&tagged.value[1])
        }
        Yaml::Tagged(tagged) if tagged.tag == "Sub" => json!(text(tagged.value.as_str().unwrap())),
        Yaml::Tagged(tagged) if tagged.tag == "Ref" => json!(text(&format!("${{{}}}", tagged.value.as_str().unwrap()))),
        Yaml::Tagged(tagged) if tagged.tag == "If" => json!({ "Fn::If": resolve_intrinsics(&tagged.value) }),
        Yaml::Sequence(values) => values.iter().map(resolve_intrinsics).collect(),
        Yaml::Mapping(values) => {
            values.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), resolve_intrinsics(value))).collect()
        }
        other => serde_json::to_value(other).unwrap(),
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// Returns the actions that a policy allows.
fn allowed_actions(policy: &Value) -> Actions {
    let statements = policy["Statement"].as_array().unwrap().iter();
    let allow = statements.filter(|statement| statement["Effect"] == "Allow");
    allow.flat_map(|statement| texts(&statement["Action"])).map(str::to_owned).collect()
}

/// Returns the inline policy at the index `number` of a role in a template.
fn role_policy(template: &str, role: &str, number: usize) -> Value {
    resolve_intrinsics(&yaml(template)["Resources"][role]["Properties"]["Policies"][number]["PolicyDocument"])
}

#[test]
fn the_template_of_the_control_role_has_the_policies_of_deploy_iam() {
    let file = "deploy/cloudformation/control-role.yaml";
    assert_eq!(role_policy(file, "ControlRole", 0), policy("control-role"));
    assert_eq!(role_policy(file, "PeopleRole", 0), policy("people-role"));
    let bootstrap = resolve_intrinsics(&yaml(file)["Resources"]["Bootstrap"]["Properties"]["PolicyDocument"]);
    assert_eq!(bootstrap, policy("bootstrap"));
    for (role, file_name) in [("ControlRole", "control-role-trust"), ("PeopleRole", "people-role-trust")] {
        let trust = resolve_intrinsics(&yaml(file)["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]);
        // In the template, the external id is a parameter.
        let principal = &policy(file_name)["Statement"][0]["Principal"];
        assert_eq!(trust["Fn::If"][2]["Statement"][0]["Principal"], *principal);
    }
}

#[test]
fn the_worker_task_role_has_the_policy_of_deploy_iam() {
    let file = "deploy/cloudformation/freehold.yaml";
    let trust = resolve_intrinsics(&yaml(file)["Resources"]["WorkerRole"]["Properties"]["AssumeRolePolicyDocument"]);
    let trust: Value = serde_json::from_str(&trust.to_string().replace("111122223333", "444455556666")).unwrap();
    assert_eq!(trust, policy("worker-role-trust"));
    let in_template = role_policy(file, "WorkerRole", 0);
    assert_eq!(in_template["Statement"][0]["Resource"], "${ControlRoleArn}");
    assert_eq!(allowed_actions(&in_template), allowed_actions(&policy("worker-role")));
    assert_eq!(in_template["Statement"][1]["Resource"], "${PeopleRoleArn}");
    assert_eq!(in_template["Statement"].as_array().map(Vec::len), Some(2));
    let api = &yaml(file)["Resources"]["ApiRole"]["Properties"];
    assert!(api.get("Policies").is_none() && api.get("ManagedPolicyArns").is_none(), "the API makes no AWS calls");
}

#[test]
fn the_readme_has_no_second_list_of_permissions() {
    let readme = read("README.md");
    for action in allowed_actions(&policy("control-role")).union(&allowed_actions(&policy("bootstrap"))) {
        let (_, operation) = action.split_once(':').unwrap();
        assert!(!readme.contains(operation), "{operation} must be listed in deploy/iam only");
    }
}

/// Reads the AWS calls that were recorded during a test run, grouped by principal. The environment variable
/// `FREEHOLD_TEST_CALLS` contains the path of the folder with the records; see `sandbox/src/world/permissions.rs`.
fn recorded_actions() -> BTreeMap<String, Actions> {
    let folder = std::env::var_os("FREEHOLD_TEST_CALLS").expect("FREEHOLD_TEST_CALLS names the record of a whole run");
    let mut recorded: BTreeMap<String, Actions> = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for (principal, action) in text.lines().filter_map(|line| line.split_once('\t')) {
            recorded.entry(principal.to_owned()).or_default().insert(action.to_owned());
        }
    }
    recorded
}

// Requires the recorded calls of a complete test run, which `.ci/run` provides.
#[test]
#[ignore = "needs the record of a whole run of the tests; .ci/run has one"]
fn the_policies_allow_exactly_the_recorded_calls() {
    let mut recorded = recorded_actions();
    let mut recorded = |principal: &str| recorded.remove(principal).unwrap_or_default();
    let control = recorded("control");
    let people = recorded("freehold-people");
    let bootstrap: Actions = recorded("bootstrap").difference(&control).cloned().collect();
    let baseline = "stacks/baseline.yaml";
    let (access, stacks) = (recorded("freehold-access"), recorded("freehold-access through a stack"));
    let in_template: Actions = allowed_actions(&role_policy(baseline, "Access", 0));
    // Freehold itself works with stacks and reads alarms; CloudFormation does the rest with the same role.
    let is_own = |action: &&String| action.starts_with("cloudformation:") || *action == "cloudwatch:DescribeAlarms";
    let own = in_template.iter().filter(is_own).cloned().collect();

    let mut wrong = Vec::new();
    for (policy, allowed, recorded) in [
        ("control-role.json", allowed_actions(&policy("control-role")), control),
        ("people-role.json", allowed_actions(&policy("people-role")), people),
        ("bootstrap.json", allowed_actions(&policy("bootstrap")), bootstrap),
        ("worker-role.json", allowed_actions(&policy("worker-role")), recorded("worker")),
        ("freehold-access of baseline.yaml", own, access),
        (
            "freehold-verify of baseline.yaml",
            allowed_actions(&role_policy(baseline, "Verify", 0)),
            recorded("freehold-verify"),
        ),
    ] {
        wrong.extend(recorded.difference(&allowed).map(|action| format!("{policy} lacks {action}")));
        wrong.extend(allowed.difference(&recorded).map(|action| format!("{policy} has {action}, which no test uses")));
    }
    // CloudFormation also reads the resources that it creates, which the simulator does not; so more actions may be
    // allowed.
    let covers = |action: &String| {
        // The tests of access_role.statements configure permissions for queues and alarms.
        in_template.contains(action)
            || action.starts_with("sqs:")
            || action.starts_with("cloudwatch:")
            || (action.starts_with("lambda:") && in_template.contains("lambda:*"))
    };
    wrong
        .extend(stacks.iter().filter(|action| !covers(action)).map(|action| format!("freehold-access lacks {action}")));
    assert_eq!(wrong, [""; 0]);
}
