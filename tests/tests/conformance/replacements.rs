//! Comparison of the changes in change sets of the simulator with those of ministack, for pairs of templates.

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus};

use super::case::Failure;
use super::cloud::Cloud;
use super::target::Target;

/// Reason of a deviation: ministack answers Conditional for each change of a type whose schema it does not know.
const UNKNOWN: &str = "ministack has no create-only properties of this type; the resource schema has";

/// Template of a stack and of its change set: the resources as YAML in one line.
struct Pair {
    name: &'static str,
    before: &'static str,
    after: &'static str,
    /// Changes that ministack lists, if it deviates from the resource schema, and the reason.
    deviation: Option<(&'static str, &'static str)>,
}

const fn pair(name: &'static str, before: &'static str, after: &'static str) -> Pair {
    Pair { name, before, after, deviation: None }
}

impl Pair {
    /// Adds the answer of ministack for a type whose create-only properties ministack does not know.
    const fn unknown_to_ministack(self, answer: &'static str) -> Self {
        Self { deviation: Some((answer, UNKNOWN)), ..self }
    }
}

const ROLE: &str = "AssumeRolePolicyDocument: {Version: '2012-10-17', Statement: [{Effect: Allow, \
                    Principal: {Service: lambda.amazonaws.com}, Action: 'sts:AssumeRole'}]}";
const DOCUMENT: &str = "PolicyDocument: {Version: '2012-10-17', Statement: [{Effect: Allow, Action: 's3:GetObject', \
                        Resource: '*'}]}";
const FUNCTION: &str = "Role: !GetAtt Role.Arn, Runtime: python3.12, Handler: index.handler, \
                        Code: {ZipFile: 'def handler(event, context): return 1'}";
const ALARM: &str = "MetricName: Errors, Namespace: AWS/Lambda, Statistic: Sum, Period: 60, EvaluationPeriods: 1, \
                     ComparisonOperator: GreaterThanThreshold";

const PAIRS: &[Pair] = &[
    pair("log-retention", "{L: {T: log, P: {RetentionInDays: 7}}}", "{L: {T: log, P: {RetentionInDays: 14}}}")
        .unknown_to_ministack("L Modify Conditional"),
    pair("log-name", "{L: {T: log, P: {LogGroupName: log-a}}}", "{L: {T: log, P: {LogGroupName: log-b}}}")
        .unknown_to_ministack("L Modify Conditional"),
    pair("log-added", "{L: {T: log}}", "{L: {T: log}, M: {T: log}}"),
    pair("log-removed", "{L: {T: log}, M: {T: log}}", "{L: {T: log}}"),
    pair("queue-timeout", "{Q: {T: queue, P: {VisibilityTimeout: 30}}}", "{Q: {T: queue, P: {VisibilityTimeout: 60}}}"),
    pair("queue-name", "{Q: {T: queue, P: {QueueName: queue-a}}}", "{Q: {T: queue, P: {QueueName: queue-b}}}"),
    pair("queue-delay", "{Q: {T: queue}}", "{Q: {T: queue, P: {DelaySeconds: 5}}}"),
    pair("role-description", "{R: {T: role, P: {ROLE}}}", "{R: {T: role, P: {ROLE, Description: new}}}"),
    pair("role-path", "{R: {T: role, P: {ROLE, Path: /a/}}}", "{R: {T: role, P: {ROLE, Path: /b/}}}"),
    pair("role-name", "{R: {T: role, P: {ROLE, RoleName: role-a}}}", "{R: {T: role, P: {ROLE, RoleName: role-b}}}"),
    pair("role-session", "{R: {T: role, P: {ROLE}}}", "{R: {T: role, P: {ROLE, MaxSessionDuration: 7200}}}"),
    pair("managed-policy-path", "{M: {T: managed, P: {DOCUMENT}}}", "{M: {T: managed, P: {DOCUMENT, Path: /a/}}}"),
    pair(
        "managed-policy-description",
        "{M: {T: managed, P: {DOCUMENT, Description: a}}}",
        "{M: {T: managed, P: {DOCUMENT, Description: b}}}",
    ),
    pair(
        "function-memory",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION, MemorySize: 128}}}",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION, MemorySize: 256}}}",
    ),
    pair(
        "function-name",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION, FunctionName: function-a}}}",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION, FunctionName: function-b}}}",
    ),
    pair(
        "function-role",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION}}}",
        "{Role: {T: role, P: {ROLE, Description: new}}, F: {T: function, P: {FUNCTION}}}",
    ),
    pair(
        "permission-principal",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION}}, \
         X: {T: permission, P: {FunctionName: !Ref F, Action: 'lambda:InvokeFunction', Principal: s3.amazonaws.com}}}",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION}}, \
         X: {T: permission, P: {FunctionName: !Ref F, Action: 'lambda:InvokeFunction', Principal: sns.amazonaws.com}}}",
    )
    .unknown_to_ministack("X Modify Conditional"),
    pair(
        "url-auth",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION}}, \
         U: {T: url, P: {TargetFunctionArn: !GetAtt F.Arn, AuthType: NONE}}}",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION}}, \
         U: {T: url, P: {TargetFunctionArn: !GetAtt F.Arn, AuthType: AWS_IAM}}}",
    )
    .unknown_to_ministack("U Modify Conditional"),
    pair(
        "url-function",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION}}, \
         U: {T: url, P: {TargetFunctionArn: !GetAtt F.Arn, AuthType: NONE}}}",
        "{Role: {T: role, P: {ROLE}}, F: {T: function, P: {FUNCTION, Timeout: 9}}, \
         U: {T: url, P: {TargetFunctionArn: !GetAtt F.Arn, AuthType: NONE}}}",
    ),
    pair("alarm-threshold", "{A: {T: alarm, P: {ALARM, Threshold: 1}}}", "{A: {T: alarm, P: {ALARM, Threshold: 2}}}")
        .unknown_to_ministack("A Modify Conditional"),
    pair(
        "alarm-name",
        "{A: {T: alarm, P: {ALARM, Threshold: 1, AlarmName: alarm-a}}}",
        "{A: {T: alarm, P: {ALARM, Threshold: 1, AlarmName: alarm-b}}}",
    )
    .unknown_to_ministack("A Modify Conditional"),
    pair(
        "reference",
        "{L: {T: log, P: {LogGroupName: log-c}}, M: {T: log, P: {LogGroupName: !Sub '${L}-more'}}}",
        "{L: {T: log, P: {LogGroupName: log-d}}, M: {T: log, P: {LogGroupName: !Sub '${L}-more'}}}",
    )
    .unknown_to_ministack("L Modify Conditional, M Modify Conditional"),
];

/// Returns a template. Abbreviations stand for resource types and for properties that a type requires.
fn template(resources: &str) -> String {
    let mut text = format!("Resources: {resources}");
    for (short, long) in [
        ("T: log", "Type: AWS::Logs::LogGroup"),
        ("T: queue", "Type: AWS::SQS::Queue"),
        ("T: role", "Type: AWS::IAM::Role"),
        ("T: managed", "Type: AWS::IAM::ManagedPolicy"),
        ("T: function", "Type: AWS::Lambda::Function"),
        ("T: permission", "Type: AWS::Lambda::Permission"),
        ("T: url", "Type: AWS::Lambda::Url"),
        ("T: alarm", "Type: AWS::CloudWatch::Alarm"),
        (", P: {", ", Properties: {"),
        ("{ROLE", &format!("{{{ROLE}")),
        ("{DOCUMENT", &format!("{{{DOCUMENT}")),
        ("{FUNCTION", &format!("{{{FUNCTION}")),
        ("{ALARM", &format!("{{{ALARM}")),
    ] {
        text = text.replace(short, long);
    }
    text
}

/// Returns the changes from one template to the other as `LogicalId Action Replacement`.
async fn changes(cloud: &Cloud, client: &Client, pair: &Pair) -> Result<String, Failure> {
    let capability = Capability::CapabilityNamedIam;
    let create = client.create_stack().stack_name(pair.name).template_body(template(pair.before));
    create.capabilities(capability.clone()).send().await?;
    let status = cloud
        .poll_until(async || {
            let stacks = client.describe_stacks().stack_name(pair.name).send().await?.stacks.unwrap_or_default();
            let status = stacks.first().and_then(|stack| stack.stack_status.as_ref());
            let status = status.map(|status| status.as_str().to_owned()).unwrap_or_default();
            Ok((!status.ends_with("IN_PROGRESS")).then_some(status))
        })
        .await?;
    if status != "CREATE_COMPLETE" {
        return Err(Failure(status));
    }
    let call = client.create_change_set().stack_name(pair.name).change_set_name("change");
    call.template_body(template(pair.after)).capabilities(capability).send().await?;
    cloud
        .poll_until(async || {
            let described = client.describe_change_set().stack_name(pair.name).change_set_name("change").send().await?;
            if !matches!(described.status, Some(ChangeSetStatus::CreateComplete | ChangeSetStatus::Failed)) {
                return Ok(None);
            }
            let changes = described.changes.unwrap_or_default().into_iter().filter_map(|change| change.resource_change);
            let mut changes: Vec<String> = changes
                .map(|change| {
                    let action = change.action.as_ref().map_or("", |action| action.as_str());
                    let replacement = change.replacement.as_ref().map_or("", |replacement| replacement.as_str());
                    let id = change.logical_resource_id.unwrap_or_default();
                    format!("{id} {action} {replacement}").trim_end().to_owned()
                })
                .collect();
            changes.sort();
            Ok(Some(changes.join(", ")))
        })
        .await
}

async fn all_changes(target: &Target) -> Vec<String> {
    let cloud = target.new_organisation().await.expect("an organisation");
    let member = cloud.create_member("a").await.expect("a member account");
    let client = cloud.cloudformation(&member);
    let mut all = Vec::new();
    for pair in PAIRS {
        all.push(changes(&cloud, &client, pair).await.unwrap_or_else(|Failure(code)| code));
    }
    all
}

#[tokio::test]
async fn replacements_in_change_sets_agree_with_ministack() {
    let simulated = all_changes(&Target::simulator()).await;
    let compared = all_changes(&Target::ministack().await).await;
    let mut differences = Vec::new();
    for ((pair, ours), theirs) in PAIRS.iter().zip(simulated).zip(compared) {
        let expected = pair.deviation.map_or(ours.as_str(), |(deviation, _)| deviation);
        if theirs != expected || (pair.deviation.is_some() && theirs == ours) {
            let reason = pair.deviation.map_or("", |(_, reason)| reason);
            differences.push(format!("{}: simulator [{ours}], ministack [{theirs}] {reason}", pair.name));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
