//! Tests of roles in stacks: trust policies, managed policies and permissions boundaries.

use serde_json::{Value, json};

use crate::testing::{TestClient, instant_world};

const TRUST: &str = "AssumeRolePolicyDocument";

/// Creates a stack with a role of which one property has another value. Returns the status and the events of the
/// stack.
fn create_role(name: &str, property: &str, value: &Value) -> (String, String) {
    let member = TestClient::member(&instant_world());
    let lambda =
        json!({ "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" });
    let mut properties = json!({ TRUST: { "Version": "2012-10-17", "Statement": [lambda] } });
    properties[property] = value.clone();
    let template = json!({ "Resources": {
        "Queue": { "Type": "AWS::SQS::Queue" },
        "Topic": { "Type": "AWS::SNS::Topic" },
        "Role": { "Type": "AWS::IAM::Role", "Properties": properties },
    }});
    member.create_stack(name, &template.to_string(), &[]).unwrap();
    (member.stack_status(name), member.events_xml(name))
}

fn policy(statement: &Value) -> Value {
    json!([{ "PolicyName": "one", "PolicyDocument": { "Version": "2012-10-17", "Statement": [statement] } }])
}

#[test]
fn a_role_that_iam_refuses_fails_its_stack() {
    let trust = |statement: Value| json!({ "Version": "2012-10-17", "Statement": [statement] });
    let account_root = json!({ "AWS": "arn:aws:iam::111122223333:root" });
    for (property, value, reason) in [
        (TRUST, json!({}), "MalformedPolicyDocument"),
        (TRUST, trust(json!({ "Effect": "Allow", "Action": "sts:AssumeRole" })), "Missing required field Principal"),
        (
            TRUST,
            trust(json!({ "Effect": "Allow", "Principal": account_root, "Action": "sts:AssumeRole", "Resource": "*" })),
            "Has prohibited field Resource",
        ),
        (
            TRUST,
            trust(json!({ "Effect": "Allow", "Principal": account_root, "Action": "iam:PassRole" })),
            "AssumeRole policy may only specify STS AssumeRole actions",
        ),
        (
            "ManagedPolicyArns",
            json!(["arn:aws:iam::aws:policy/ReadOnlyAcess"]),
            "Policy arn:aws:iam::aws:policy/ReadOnlyAcess does not exist or is not attachable.",
        ),
        ("ManagedPolicyArns", json!(["arn:aws:iam::111122223333:policy/own"]), "does not exist or is not attachable"),
        ("PermissionsBoundary", json!("arn:aws:iam::aws:policy/Unknown"), "does not exist or is not attachable"),
        ("Policies", policy(&json!({ "Effect": "Allow", "Action": "s3", "Resource": "*" })), "prefaced by a vendor"),
        ("Policies", policy(&json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "b" })), "must be in ARN format"),
    ] {
        let (status, events) = create_role("one", property, &value);
        assert_eq!(status, "ROLLBACK_COMPLETE", "{property} {value}");
        assert!(events.contains(reason), "{property} {value}: {events}");
    }
}

#[test]
fn a_role_with_valid_policies_is_created() {
    let queue = json!({ "Effect": "Allow", "Action": "sqs:*", "Resource": { "Fn::GetAtt": ["Queue", "Arn"] } });
    let topic = json!({ "Effect": "Allow", "Action": "sns:Publish", "Resource": { "Ref": "Topic" } });
    for (property, value) in [
        ("ManagedPolicyArns", json!(["arn:aws:iam::aws:policy/AmazonS3FullAccess"])),
        ("PermissionsBoundary", json!("arn:aws:iam::aws:policy/PowerUserAccess")),
        ("Policies", policy(&queue)),
        ("Policies", policy(&topic)),
    ] {
        let (status, events) = create_role("one", property, &value);
        assert_eq!(status, "CREATE_COMPLETE", "{property} {value}: {events}");
    }
}

#[test]
fn a_described_stack_has_the_fields_that_clients_read() {
    let member = TestClient::member(&instant_world());
    member.create_stack("one", super::LOG, &[]).unwrap();
    let (_, described) = member.cloudformation("DescribeStacks", &[("StackName", "one")]);
    for element in ["NotificationARNs", "RollbackConfiguration", "DriftInformation", "Tags", "DisableRollback"] {
        assert!(described.contains(&format!("<{element}")), "{element}: {described}");
    }
    assert!(described.contains("<StackDriftStatus>NOT_CHECKED</StackDriftStatus>"), "{described}");
    let (_, listed) = member.cloudformation("ListStacks", &[]);
    assert!(listed.contains("<StackDriftStatus>NOT_CHECKED</StackDriftStatus>"), "{listed}");
    let (_, resources) = member.cloudformation("DescribeStackResources", &[("StackName", "one")]);
    assert!(resources.contains("<StackResourceDriftStatus>NOT_CHECKED"), "{resources}");
}
