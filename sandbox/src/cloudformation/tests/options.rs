//! Tests of the options of stacks: service role, timeout, notifications, resource types and retained resources.

use crate::faults::{Fault, Rule};
use crate::testing::{TestClient, advance_clock, instant_world, xml_text};
use crate::world::testing::world;

const ROLES: &str = "Resources:
  Service: {Type: 'AWS::IAM::Role', Properties: {RoleName: service, AssumeRolePolicyDocument: {Version: '2012-10-17',
    Statement: [{Effect: Allow, Principal: {Service: cloudformation.amazonaws.com}, Action: 'sts:AssumeRole'}]},
    Policies: [{PolicyName: logs, PolicyDocument: {Version: '2012-10-17',
      Statement: [{Effect: Allow, Action: 'logs:*', Resource: '*'}]}}]}}
  Other: {Type: 'AWS::IAM::Role', Properties: {RoleName: other, AssumeRolePolicyDocument: {Version: '2012-10-17',
    Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: 'sts:AssumeRole'}]}}}";

const LOG_AND_QUEUE: &str = "Resources: {Log: {Type: 'AWS::Logs::LogGroup'}, Queue: {Type: 'AWS::SQS::Queue'}}";
const LOG: &str = "Resources: {Log: {Type: 'AWS::Logs::LogGroup'}}";

impl TestClient {
    fn describe_stack(&self, name: &str) -> String {
        self.cloudformation("DescribeStacks", &[("StackName", name)]).1
    }
}

#[test]
fn a_service_role_replaces_the_permissions_of_the_caller() {
    let member = TestClient::member(&instant_world());
    member.create_stack("roles", ROLES, &[]).unwrap();
    let role = |name: &str| format!("arn:aws:iam::{}:role/{name}", member.account());
    let create =
        |stack: &str, template: &str, role: &str| member.create_stack_with(stack, template, &[], &[("RoleARN", role)]);
    create("logs", LOG, &role("service")).unwrap();
    assert_eq!(member.stack_status("logs"), "CREATE_COMPLETE");
    assert_eq!(xml_text(&member.describe_stack("logs"), "RoleARN").unwrap(), role("service"));
    // The role may not create queues, although the caller may.
    create("queue", LOG_AND_QUEUE, &role("service")).unwrap();
    assert_eq!(member.stack_status("queue"), "ROLLBACK_COMPLETE");
    assert!(member.events_xml("queue").contains("assumed-role/service/AWSCloudFormation is not authorized"));
    for name in ["other", "missing"] {
        let error = create("refused", LOG, &role(name)).unwrap_err();
        assert_eq!(error, format!("ValidationError: Role {} is invalid or cannot be assumed", role(name)));
    }
    // The role is remembered.
    let update = [("StackName", "logs"), ("TemplateBody", LOG_AND_QUEUE)];
    assert_eq!(member.cloudformation("UpdateStack", &update).0, 200);
    assert_eq!(member.stack_status("logs"), "UPDATE_ROLLBACK_COMPLETE");
}

#[test]
fn a_creation_that_exceeds_its_timeout_is_rolled_back() {
    let world = world();
    let member = TestClient::member(&world);
    world.inject(Rule::on("cloudformation", "AWS::Logs::LogGroup", Fault::Stuck));
    member.create_stack_with("one", LOG, &[], &[("TimeoutInMinutes", "5")]).unwrap();
    advance_clock(&world, 240);
    assert_eq!(member.stack_status("one"), "CREATE_IN_PROGRESS");
    assert_eq!(xml_text(&member.describe_stack("one"), "TimeoutInMinutes").unwrap(), "5");
    advance_clock(&world, 120);
    assert_eq!(member.stack_status("one"), "ROLLBACK_COMPLETE");
    let words = "Stack creation time exceeded the specified timeout. Rollback requested by user.";
    assert!(member.events_xml("one").contains(words));
    let refused = member.create_stack_with("two", LOG, &[], &[("TimeoutInMinutes", "0")]).unwrap_err();
    assert!(refused.contains("greater than or equal to 1"), "{refused}");
}

#[test]
fn notifications_and_allowed_resource_types_are_checked() {
    let member = TestClient::member(&instant_world());
    let topic = "arn:aws:sns:eu-central-1:111122223333:events";
    let with_topics = format!("{LOG}\nOutputs: {{Topics: {{Value: !Select [0, !Ref 'AWS::NotificationARNs']}}}}");
    let more = [("NotificationARNs.member.1", topic), ("ResourceTypes.member.1", "AWS::Logs::*")];
    member.create_stack_with("one", &with_topics, &[], &more).unwrap();
    assert_eq!(member.output("one", "Topics"), topic);
    assert!(member.describe_stack("one").contains(&format!("<member>{topic}</member>")));
    for (key, value, expected) in [
        ("NotificationARNs.member.1", "events", "Invalid SNS topic ARN: events"),
        (
            "ResourceTypes.member.1",
            "AWS::SQS::Queue",
            "Resource type AWS::Logs::LogGroup is not allowed by parameter ResourceTypes [AWS::SQS::Queue]",
        ),
        ("StackPolicyBody", "{}", "The sandbox does not simulate stack policies."),
    ] {
        let error = member.create_stack_with("two", LOG, &[], &[(key, value)]).unwrap_err();
        assert_eq!(error, format!("ValidationError: {expected}"));
    }
}

#[test]
fn a_resource_retained_except_on_create_is_deleted_with_its_creation() {
    let template = |policy: &str| {
        format!(
            "Resources: {{Log: {{Type: 'AWS::Logs::LogGroup', DeletionPolicy: {policy}, \
             Properties: {{LogGroupName: kept}}}}, Queue: {{Type: 'AWS::SQS::Queue', DependsOn: Log}}}}"
        )
    };
    for (policy, more, is_kept) in [
        ("Retain", None, true),
        ("RetainExceptOnCreate", None, false),
        ("Retain", Some(("RetainExceptOnCreate", "true")), false),
    ] {
        let world = instant_world();
        let member = TestClient::member(&world);
        world.inject(Rule::on("cloudformation", "AWS::SQS::Queue", Fault::failed("no quota")));
        member.create_stack_with("one", &template(policy), &[], more.as_slice()).unwrap();
        assert_eq!(member.stack_status("one"), "ROLLBACK_COMPLETE");
        let account = member.account();
        let exists = world.state().accounts[&account].regions["eu-central-1"].log_groups.contains_key("kept");
        assert_eq!(exists, is_kept, "{policy} {more:?}");
    }
    // After its creation, the resource is retained.
    let member = TestClient::member(&instant_world());
    member.create_stack("one", &template("RetainExceptOnCreate"), &[]).unwrap();
    member.cloudformation("DeleteStack", &[("StackName", "one")]);
    let account = member.account();
    let state = member.world.state();
    assert!(state.accounts[&account].regions["eu-central-1"].log_groups.contains_key("kept"));
}

#[test]
fn events_show_the_start_of_a_creation_and_resources_that_do_nothing() {
    let member = TestClient::member(&instant_world());
    member.create_stack("one", "Resources: {Stream: {Type: 'AWS::Kinesis::Stream'}}", &[]).unwrap();
    let events = member.events_xml("one");
    assert!(events.contains("<ResourceStatusReason>Resource creation Initiated</ResourceStatusReason>"), "{events}");
    assert!(events.contains("The sandbox does not simulate AWS::Kinesis::Stream: this resource does nothing"));
}
