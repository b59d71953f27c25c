mod change_sets;
mod cloudfront;
mod deploy;
mod drift;
mod options;
mod roles;
mod rollback;
mod templates;

use serde_json::json;

use super::*;
use crate::faults::{Fault, Rule};
use crate::testing::{TestClient, advance_clock, instant_world, xml_text};
use crate::world::Service;
use crate::world::testing::world;

const TENANT_TEMPLATE: &str = include_str!("../../../stacks/tenant.yaml");
const BASELINE_TEMPLATE: &str = include_str!("../../../stacks/baseline.yaml");
const ENVIRONMENT_ID: &str = "env_01jb0000000000000000000000";
const CONTROL_ROLE_ARN: &str = "arn:aws:iam::111122223333:role/freehold-control";

impl TestClient {
    fn cloudformation(&self, action: &str, params: &[(&str, &str)]) -> (u16, String) {
        let input = params.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let response = self.call(Service::CloudFormation, action, serde_json::Value::Object(input));
        (response.status, response.body.as_str().unwrap_or_default().to_owned())
    }

    /// Calls CreateStack with a template and parameters. Returns the stack's id, or the error code and message.
    fn create_stack(&self, name: &str, template: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
        self.create_stack_with(name, template, parameters, &[("Capabilities.member.1", "CAPABILITY_NAMED_IAM")])
    }

    fn create_stack_with(
        &self,
        name: &str,
        template: &str,
        parameters: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Result<String, String> {
        let numbered: Vec<(String, &str)> = parameters
            .iter()
            .enumerate()
            .flat_map(|(at, (key, value))| {
                let member = format!("Parameters.member.{}", at + 1);
                [(format!("{member}.ParameterKey"), *key), (format!("{member}.ParameterValue"), *value)]
            })
            .collect();
        let mut params = vec![("StackName", name), ("TemplateBody", template)];
        params.extend(numbered.iter().map(|(key, value)| (key.as_str(), *value)));
        params.extend(more);
        match self.cloudformation("CreateStack", &params) {
            (200, xml) => Ok(xml_text(&xml, "StackId").unwrap()),
            (_, xml) => Err(xml_text(&xml, "Code").unwrap() + ": " + &xml_text(&xml, "Message").unwrap()),
        }
    }

    fn stack_status(&self, name: &str) -> String {
        let (_, xml) = self.cloudformation("DescribeStacks", &[("StackName", name)]);
        xml_text(&xml, "StackStatus").or(xml_text(&xml, "Message")).unwrap()
    }

    fn output(&self, name: &str, key: &str) -> String {
        let (_, xml) = self.cloudformation("DescribeStacks", &[("StackName", name)]);
        let after = xml.split_once(&format!("<OutputKey>{key}</OutputKey>")).expect("the output").1;
        xml_text(after, "OutputValue").unwrap()
    }

    /// Returns the events as `LogicalId STATUS` in chronological order.
    fn event_history(&self, name: &str) -> Vec<String> {
        let (_, xml) = self.cloudformation("DescribeStackEvents", &[("StackName", name)]);
        let mut events: Vec<String> = xml
            .split("<member>")
            .skip(1)
            .map(|event| {
                format!(
                    "{} {}",
                    xml_text(event, "LogicalResourceId").unwrap(),
                    xml_text(event, "ResourceStatus").unwrap()
                )
            })
            .collect();
        events.reverse();
        events
    }

    fn events_xml(&self, name: &str) -> String {
        self.cloudformation("DescribeStackEvents", &[("StackName", name)]).1
    }
}

fn install_baseline(member: &TestClient) -> (TestClient, TestClient) {
    let parameters = [("ControlRoleArn", CONTROL_ROLE_ARN), ("ExternalId", ENVIRONMENT_ID)];
    member.create_stack("freehold-baseline", BASELINE_TEMPLATE, &parameters).unwrap();
    advance_clock(&member.world, 600);
    assert_eq!(
        member.stack_status("freehold-baseline"),
        "CREATE_COMPLETE",
        "{}",
        member.events_xml("freehold-baseline")
    );
    let control = TestClient::control(&member.world);
    let role = |name: &str| {
        let arn = format!("arn:aws:iam::{}:role/{name}", member.account());
        control.assume_role(&arn, &[("ExternalId", ENVIRONMENT_ID)])
    };
    (role("freehold-access"), role("freehold-verify"))
}

fn tenant_parameters(verify: &str) -> [(&str, &str); 4] {
    [
        ("TenantId", "ten_01jb0000000000000000000000"),
        ("EnvironmentId", ENVIRONMENT_ID),
        ("EnvironmentName", "production"),
        ("VerifyRoleArn", verify),
    ]
}

const LOG: &str = "Resources: {Log: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: one}}}";

#[test]
fn stack_names_and_request_tokens_are_unique() {
    let member = TestClient::member(&instant_world());
    let token = [("ClientRequestToken", "a")];
    let id = member.create_stack_with("one", LOG, &[], &token).unwrap();
    assert_eq!(
        member.create_stack_with("one", LOG, &[], &token).unwrap(),
        id,
        "a repeated request returns the same stack"
    );
    assert_eq!(member.create_stack("one", LOG, &[]).unwrap_err(), "AlreadyExistsException: Stack [one] already exists");
    assert!(member.create_stack_with("two", LOG, &[], &token).unwrap_err().starts_with("TokenAlreadyExistsException"));

    assert_eq!(member.cloudformation("DeleteStack", &[("StackName", "one")]).0, 200);
    assert_eq!(member.stack_status("one"), "Stack with id one does not exist");
    assert_eq!(member.stack_status(&id), "DELETE_COMPLETE", "a deleted stack is found by its id");
    assert_eq!(
        member.cloudformation("DeleteStack", &[("StackName", "one")]).0,
        200,
        "deleting a missing stack is no error"
    );
    assert!(member.create_stack_with("one", LOG, &[], &token).unwrap_err().starts_with("TokenAlreadyExistsException"));
    assert!(member.create_stack("one", LOG, &[]).is_ok());
}

#[test]
fn stacks_belong_to_one_account_and_one_region() {
    let member = TestClient::member(&instant_world());
    member.create_stack("one", LOG, &[]).unwrap();
    let other_region = member.in_region("eu-west-1");
    assert_eq!(other_region.stack_status("one"), "Stack with id one does not exist");
    assert!(other_region.create_stack("one", LOG, &[]).is_ok(), "log group names are unique per region only");
    let administrator = TestClient::administrator(&member.world);
    assert_eq!(administrator.stack_status("one"), "Stack with id one does not exist");
}

#[test]
fn a_failed_creation_is_rolled_back_and_can_only_be_deleted() {
    let member = TestClient::member(&instant_world());
    let template = r"
Resources:
  Log: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: kept}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}
  Function:
    Type: AWS::Lambda::Function
    DependsOn: Log
    Properties:
      Role: !GetAtt Role.Arn
      Runtime: python3.13
      Handler: index.handler
      Code: {ZipFile: 'x'}
      ReservedConcurrentExecutions: 1
";
    let id = member.create_stack("one", template, &[]).unwrap();
    assert_eq!(member.stack_status("one"), "ROLLBACK_COMPLETE");
    let reasons = member.events_xml("one");
    assert!(reasons.contains("UnreservedConcurrentExecution below its minimum value of [10]"), "{reasons}");
    assert!(reasons.contains("The following resource(s) failed to create: [Function]. Rollback requested by user."));
    {
        let state = member.world.state();
        let account = &state.accounts[&account_id_of(&id)];
        assert!(account.regions["eu-central-1"].log_groups.is_empty(), "the rollback left a log group behind");
        assert!(!account.roles.keys().any(|name| name.starts_with("one-Role")), "the rollback left a role behind");
    }
    let (_, response) = member.cloudformation("UpdateStack", &[("StackName", "one"), ("TemplateBody", LOG)]);
    let message = xml_text(&response, "Message").unwrap();
    assert_eq!(message, format!("Stack:{id} is in ROLLBACK_COMPLETE state and can not be updated."));
    assert!(member.create_stack("one", LOG, &[]).unwrap_err().starts_with("AlreadyExistsException"));
    member.cloudformation("DeleteStack", &[("StackName", "one")]);
    assert!(member.create_stack("one", LOG, &[]).is_ok());
}

fn account_id_of(stack_id: &str) -> String {
    stack_id.split(':').nth(4).unwrap().to_owned()
}

#[test]
fn on_failure_controls_the_result_of_a_failed_creation() {
    let member = TestClient::member(&instant_world());
    let template = "Resources: {A: {Type: 'AWS::Logs::LogGroup'}, \
                    B: {Type: 'AWS::Logs::LogGroup', DependsOn: A, Properties: {RetentionInDays: 2}}}";
    member.create_stack_with("kept", template, &[], &[("OnFailure", "DO_NOTHING")]).unwrap();
    assert_eq!(member.stack_status("kept"), "CREATE_FAILED");
    let id = member.create_stack_with("gone", template, &[], &[("OnFailure", "DELETE")]).unwrap();
    assert_eq!(member.stack_status(&id), "DELETE_COMPLETE");
}

#[test]
fn a_stack_has_only_the_permissions_of_its_caller() {
    let member = TestClient::member(&instant_world());
    let (access, verify) = install_baseline(&member);
    // freehold-access has permissions only for its own log groups.
    access.create_stack("freehold-other", LOG, &[]).unwrap();
    assert_eq!(access.stack_status("freehold-other"), "ROLLBACK_COMPLETE");
    let reasons = access.events_xml("freehold-other");
    assert!(reasons.contains("is not authorized to perform: logs:CreateLogGroup on resource"), "{reasons}");
    assert!(verify.create_stack("freehold-other2", LOG, &[]).unwrap_err().starts_with("AccessDenied"));
}

#[test]
fn a_guardrail_applies_to_actions_of_a_stack() {
    let world = instant_world();
    let member = TestClient::member(&world);
    let administrator = TestClient::administrator(&world);
    let organizations = |operation: &str, body| administrator.call(Service::Organizations, operation, body).ok().body;
    let root = organizations("ListRoots", json!({}))["Roots"][0]["Id"].as_str().unwrap().to_owned();
    let scps = json!({ "RootId": root, "PolicyType": "SERVICE_CONTROL_POLICY" });
    administrator.call(Service::Organizations, "EnablePolicyType", scps);
    let content = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "logs:CreateLogGroup", "Resource": "*" },
    ]});
    let content = content.to_string();
    let policy = organizations(
        "CreatePolicy",
        json!({ "Name": "no-logs", "Description": "", "Type": "SERVICE_CONTROL_POLICY", "Content": content }),
    );
    let policy = policy["Policy"]["PolicySummary"]["Id"].as_str().unwrap().to_owned();
    organizations("AttachPolicy", json!({ "PolicyId": policy, "TargetId": member.account() }));
    member.create_stack("one", LOG, &[]).unwrap();
    assert_eq!(member.stack_status("one"), "ROLLBACK_COMPLETE");
    assert!(member.events_xml("one").contains("with an explicit deny in a service control policy"));
}

#[test]
fn invalid_requests_are_rejected_before_a_stack_is_created() {
    let member = TestClient::member(&instant_world());
    let role = "Resources: {R: {Type: 'AWS::IAM::Role', Properties: {RoleName: r, AssumeRolePolicyDocument: {}}}}";
    let error = |result: Result<String, String>| result.unwrap_err();
    assert_eq!(
        error(member.create_stack_with("one", role, &[], &[("Capabilities.member.1", "CAPABILITY_IAM")])),
        "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_NAMED_IAM]"
    );
    assert!(error(member.create_stack("bad_name", LOG, &[])).contains("at 'stackName' failed to satisfy constraint"));
    let long = format!("{LOG}\n#{}", "x".repeat(51_200));
    assert!(error(member.create_stack("one", &long, &[])).contains("less than or equal to 51200"));
    assert!(
        error(member.create_stack("one", LOG, &[("Foo", "1")]))
            .contains("Parameters: [Foo] do not exist in the template")
    );
    assert!(error(member.create_stack("one", TENANT_TEMPLATE, &[])).contains("must have values"));
    assert!(
        error(member.create_stack("one", "Resources: {R: {Type: AWS::EC2::Vpc}}", &[]))
            .contains("Unrecognized resource types")
    );
    assert!(
        error(member.create_stack_with("one", LOG, &[], &[("ClientRequestToken", "-")])).contains("clientRequestToken")
    );
}

#[test]
fn an_update_changes_only_modified_resources_and_rolls_back_on_failure() {
    let member = TestClient::member(&instant_world());
    let first = "Resources: {A: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: a, RetentionInDays: 7}}, \
                 B: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: b}}}\nOutputs: {O: {Value: !Ref B}}";
    member.create_stack("one", first, &[]).unwrap();
    let update = |template: &str| {
        let (status, xml) = member.cloudformation("UpdateStack", &[("StackName", "one"), ("TemplateBody", template)]);
        if status == 200 { member.stack_status("one") } else { xml_text(&xml, "Message").unwrap() }
    };
    for unchanged in ["# only a comment", "Description: new", "Conditions: {Never: !Equals [a, b]}"] {
        assert_eq!(update(&format!("{unchanged}\n{first}")), "No updates are to be performed.", "{unchanged}");
    }
    let second = "Resources: {A: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: a, RetentionInDays: 14}}, \
                  C: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: c}}}\nOutputs: {O: {Value: !Ref C}}";
    assert_eq!(update(second), "UPDATE_COMPLETE");
    assert_eq!(member.output("one", "O"), "c");
    let groups = |member: &TestClient| {
        let state = member.world.state();
        let regions = state.accounts.values().filter_map(|account| account.regions.get("eu-central-1"));
        let groups = regions.flat_map(|region| region.log_groups.values());
        groups.map(|group| (group.name.clone(), group.retention_days)).collect::<Vec<_>>()
    };
    let after_second = vec![("a".to_owned(), Some(14)), ("c".to_owned(), None)];
    assert_eq!(groups(&member), after_second);

    let broken = "Resources: {A: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: a, RetentionInDays: 30}}, \
                  D: {Type: 'AWS::Logs::LogGroup', DependsOn: A, Properties: {LogGroupName: d, RetentionInDays: 2}}}";
    assert_eq!(update(broken), "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(groups(&member), after_second);
    assert_eq!(member.output("one", "O"), "c");
    assert_eq!(update(second), "No updates are to be performed.");
    assert_eq!(update(first), "UPDATE_COMPLETE", "a stack can be updated again after a rollback");
}

#[test]
fn a_stack_with_termination_protection_cannot_be_deleted() {
    let member = TestClient::member(&instant_world());
    member.create_stack_with("one", LOG, &[], &[("EnableTerminationProtection", "true")]).unwrap();
    let (status, xml) = member.cloudformation("DeleteStack", &[("StackName", "one")]);
    assert_eq!(status, 400);
    assert!(xml.contains("cannot be deleted while TerminationProtection is enabled"), "{xml}");
    let off = [("StackName", "one"), ("EnableTerminationProtection", "false")];
    assert_eq!(member.cloudformation("UpdateTerminationProtection", &off).0, 200);
    member.cloudformation("DeleteStack", &[("StackName", "one")]);
    assert_eq!(member.stack_status("one"), "Stack with id one does not exist");
}

#[test]
fn stack_operations_continue_after_the_state_is_loaded() {
    let world = world();
    let member = TestClient::member(&world);
    member.create_stack("one", LOG, &[]).unwrap();
    let text = serde_json::to_string(&*world.state()).unwrap();
    let restored: State = serde_json::from_str(&text).unwrap();
    *world.state() = restored;
    advance_clock(&world, 600);
    assert_eq!(member.stack_status("one"), "CREATE_COMPLETE");
}

#[test]
fn a_failed_stack_rolls_back_and_a_stuck_stack_can_be_deleted() {
    let member = TestClient::member(&instant_world());
    let rule = |fault| Rule::on("cloudformation", "CreateStack", fault).times(1);
    member.world.inject(rule(Fault::failed("the service is on fire")));
    member.create_stack("one", LOG, &[]).unwrap();
    assert_eq!(member.stack_status("one"), "ROLLBACK_COMPLETE");
    assert!(member.events_xml("one").contains("the service is on fire"));

    member.world.inject(rule(Fault::Stuck));
    let id = member.create_stack("two", LOG, &[]).unwrap();
    advance_clock(&member.world, 1_800);
    assert_eq!(member.stack_status("two"), "CREATE_IN_PROGRESS");
    member.cloudformation("DeleteStack", &[("StackName", "two")]);
    assert_eq!(member.stack_status(&id), "DELETE_COMPLETE");
}

#[test]
fn a_fault_can_target_one_resource() {
    let member = TestClient::member(&instant_world());
    let fault = Fault::error("Throttling", "Rate exceeded");
    member.world.inject(Rule::on("cloudformation", "AWS::Logs::LogGroup", fault).containing("one/Log").times(1));
    member.create_stack("one", LOG, &[]).unwrap();
    assert_eq!(member.stack_status("one"), "ROLLBACK_COMPLETE");
    assert!(member.events_xml("one").contains("HandlerErrorCode: Throttling"));
    member.cloudformation("DeleteStack", &[("StackName", "one")]);
    member.create_stack("one", LOG, &[]).unwrap();
    assert_eq!(member.stack_status("one"), "CREATE_COMPLETE");
}
