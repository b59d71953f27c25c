mod deploy;

use serde_json::json;

use super::*;
use crate::faults::{Fault, Rule};
use crate::testing::{TestClient, instant_world, wait, xml_text};
use crate::world::Service;
use crate::world::testing::world;

const TENANT: &str = include_str!("../../../stacks/tenant.yaml");
const BASELINE: &str = include_str!("../../../stacks/baseline.yaml");
const ENVIRONMENT: &str = "env_01jb0000000000000000000000";
const CONTROL: &str = "arn:aws:iam::111122223333:role/freehold-control";

impl TestClient {
    fn cloudformation(&self, action: &str, params: &[(&str, &str)]) -> (u16, String) {
        let input = params.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let answer = self.call(Service::CloudFormation, action, serde_json::Value::Object(input));
        (answer.status, answer.body.as_str().unwrap_or_default().to_owned())
    }

    /// CreateStack with a template and parameters; answers the stack's id.
    fn create(&self, name: &str, template: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
        self.create_with(name, template, parameters, &[("Capabilities.member.1", "CAPABILITY_NAMED_IAM")])
    }

    fn create_with(
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

    fn status(&self, name: &str) -> String {
        let (_, xml) = self.cloudformation("DescribeStacks", &[("StackName", name)]);
        xml_text(&xml, "StackStatus").or(xml_text(&xml, "Message")).unwrap()
    }

    fn output(&self, name: &str, key: &str) -> String {
        let (_, xml) = self.cloudformation("DescribeStacks", &[("StackName", name)]);
        let after = xml.split_once(&format!("<OutputKey>{key}</OutputKey>")).expect("the output").1;
        xml_text(after, "OutputValue").unwrap()
    }

    /// `LogicalId STATUS`, oldest first.
    fn history(&self, name: &str) -> Vec<String> {
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

    fn reasons(&self, name: &str) -> String {
        self.cloudformation("DescribeStackEvents", &[("StackName", name)]).1
    }
}

fn install_baseline(member: &TestClient) -> (TestClient, TestClient) {
    let parameters = [("ControlRoleArn", CONTROL), ("ExternalId", ENVIRONMENT)];
    member.create("freehold-baseline", BASELINE, &parameters).unwrap();
    wait(&member.world, 600);
    assert_eq!(member.status("freehold-baseline"), "CREATE_COMPLETE", "{}", member.reasons("freehold-baseline"));
    let control = TestClient::control(&member.world);
    let role = |name: &str| {
        let arn = format!("arn:aws:iam::{}:role/{name}", member.account());
        control.assume(&arn, &[("ExternalId", ENVIRONMENT)])
    };
    (role("freehold-access"), role("freehold-verify"))
}

fn tenant_parameters(verify: &str) -> [(&str, &str); 4] {
    [
        ("TenantId", "ten_01jb0000000000000000000000"),
        ("EnvironmentId", ENVIRONMENT),
        ("EnvironmentName", "production"),
        ("VerifyRoleArn", verify),
    ]
}

const LOG: &str = "Resources: {Log: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: one}}}";

#[test]
fn a_name_is_taken_once_and_a_token_is_used_once() {
    let member = TestClient::member(&instant_world());
    let token = [("ClientRequestToken", "a")];
    let id = member.create_with("one", LOG, &[], &token).unwrap();
    assert_eq!(member.create_with("one", LOG, &[], &token).unwrap(), id, "a repeated request is one request");
    assert_eq!(member.create("one", LOG, &[]).unwrap_err(), "AlreadyExistsException: Stack [one] already exists");
    assert!(member.create_with("two", LOG, &[], &token).unwrap_err().starts_with("TokenAlreadyExistsException"));

    assert_eq!(member.cloudformation("DeleteStack", &[("StackName", "one")]).0, 200);
    assert_eq!(member.status("one"), "Stack with id one does not exist");
    assert_eq!(member.status(&id), "DELETE_COMPLETE", "a deleted stack is found by its id");
    assert_eq!(member.cloudformation("DeleteStack", &[("StackName", "one")]).0, 200, "deleting nothing is no error");
    assert!(member.create_with("one", LOG, &[], &token).unwrap_err().starts_with("TokenAlreadyExistsException"));
    assert!(member.create("one", LOG, &[]).is_ok());
}

#[test]
fn stacks_belong_to_one_account_and_one_region() {
    let member = TestClient::member(&instant_world());
    member.create("one", LOG, &[]).unwrap();
    let elsewhere = member.in_region("eu-west-1");
    assert_eq!(elsewhere.status("one"), "Stack with id one does not exist");
    assert!(elsewhere.create("one", LOG, &[]).is_ok(), "log groups of two regions do not meet");
    let administrator = TestClient::administrator(&member.world);
    assert_eq!(administrator.status("one"), "Stack with id one does not exist");
}

#[test]
fn what_fails_is_rolled_back_and_the_rest_can_only_be_deleted() {
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
    let id = member.create("one", template, &[]).unwrap();
    assert_eq!(member.status("one"), "ROLLBACK_COMPLETE");
    let reasons = member.reasons("one");
    assert!(reasons.contains("UnreservedConcurrentExecution below its minimum value of [10]"), "{reasons}");
    assert!(reasons.contains("The following resource(s) failed to create: [Function]. Rollback requested by user."));
    {
        let state = member.world.state();
        let account = &state.accounts[&member_account(&id)];
        assert!(account.regions["eu-central-1"].log_groups.is_empty(), "the rollback left a log group behind");
        assert!(!account.roles.keys().any(|name| name.starts_with("one-Role")), "the rollback left a role behind");
    }
    let (_, refusal) = member.cloudformation("UpdateStack", &[("StackName", "one"), ("TemplateBody", LOG)]);
    let says = xml_text(&refusal, "Message").unwrap();
    assert_eq!(says, format!("Stack:{id} is in ROLLBACK_COMPLETE state and can not be updated."));
    assert!(member.create("one", LOG, &[]).unwrap_err().starts_with("AlreadyExistsException"));
    member.cloudformation("DeleteStack", &[("StackName", "one")]);
    assert!(member.create("one", LOG, &[]).is_ok());
}

fn member_account(stack_id: &str) -> String {
    stack_id.split(':').nth(4).unwrap().to_owned()
}

#[test]
fn on_failure_says_what_is_left() {
    let member = TestClient::member(&instant_world());
    let template = "Resources: {A: {Type: 'AWS::Logs::LogGroup'}, \
                    B: {Type: 'AWS::Logs::LogGroup', DependsOn: A, Properties: {RetentionInDays: 2}}}";
    member.create_with("kept", template, &[], &[("OnFailure", "DO_NOTHING")]).unwrap();
    assert_eq!(member.status("kept"), "CREATE_FAILED");
    let id = member.create_with("gone", template, &[], &[("OnFailure", "DELETE")]).unwrap();
    assert_eq!(member.status(&id), "DELETE_COMPLETE");
}

#[test]
fn a_stack_may_do_what_its_caller_may_and_no_more() {
    let member = TestClient::member(&instant_world());
    let (access, verify) = install_baseline(&member);
    // freehold-access may touch log groups of its own only.
    access.create("freehold-other", LOG, &[]).unwrap();
    assert_eq!(access.status("freehold-other"), "ROLLBACK_COMPLETE");
    let reasons = access.reasons("freehold-other");
    assert!(reasons.contains("is not authorized to perform: logs:CreateLogGroup on resource"), "{reasons}");
    assert!(verify.create("freehold-other2", LOG, &[]).unwrap_err().starts_with("AccessDenied"));
}

#[test]
fn a_guardrail_denies_inside_a_stack() {
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
    let policy = organizations(
        "CreatePolicy",
        json!({ "Name": "no-logs", "Description": "", "Type": "SERVICE_CONTROL_POLICY", "Content": content.to_string() }),
    );
    let policy = policy["Policy"]["PolicySummary"]["Id"].as_str().unwrap().to_owned();
    organizations("AttachPolicy", json!({ "PolicyId": policy, "TargetId": member.account() }));
    member.create("one", LOG, &[]).unwrap();
    assert_eq!(member.status("one"), "ROLLBACK_COMPLETE");
    assert!(member.reasons("one").contains("with an explicit deny in a service control policy"));
}

#[test]
fn capabilities_names_bodies_and_parameters_are_checked_before_anything_begins() {
    let member = TestClient::member(&instant_world());
    let role = "Resources: {R: {Type: 'AWS::IAM::Role', Properties: {RoleName: r, AssumeRolePolicyDocument: {}}}}";
    let says = |outcome: Result<String, String>| outcome.unwrap_err();
    assert_eq!(
        says(member.create_with("one", role, &[], &[("Capabilities.member.1", "CAPABILITY_IAM")])),
        "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_NAMED_IAM]"
    );
    assert!(says(member.create("bad_name", LOG, &[])).contains("at 'stackName' failed to satisfy constraint"));
    let long = format!("{LOG}\n#{}", "x".repeat(51_200));
    assert!(says(member.create("one", &long, &[])).contains("less than or equal to 51200"));
    assert!(
        says(member.create("one", LOG, &[("Foo", "1")])).contains("Parameters: [Foo] do not exist in the template")
    );
    assert!(says(member.create("one", TENANT, &[])).contains("must have values"));
    assert!(
        says(member.create("one", "Resources: {R: {Type: AWS::EC2::VPC}}", &[]))
            .contains("Unrecognized resource types")
    );
    assert!(says(member.create_with("one", LOG, &[], &[("ClientRequestToken", "-")])).contains("clientRequestToken"));
}

#[test]
fn an_update_changes_what_differs_and_a_failed_one_is_taken_back() {
    let member = TestClient::member(&instant_world());
    let first = "Resources: {A: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: a, RetentionInDays: 7}}, \
                 B: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: b}}}\nOutputs: {O: {Value: !Ref B}}";
    member.create("one", first, &[]).unwrap();
    let update = |template: &str| {
        let (status, xml) = member.cloudformation("UpdateStack", &[("StackName", "one"), ("TemplateBody", template)]);
        if status == 200 { member.status("one") } else { xml_text(&xml, "Message").unwrap() }
    };
    assert_eq!(update(&format!("# only a comment\n{first}")), "No updates are to be performed.");
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
    assert_eq!(update(first), "UPDATE_COMPLETE", "and it can be updated again");
}

#[test]
fn a_protected_stack_stays() {
    let member = TestClient::member(&instant_world());
    member.create_with("one", LOG, &[], &[("EnableTerminationProtection", "true")]).unwrap();
    let (status, xml) = member.cloudformation("DeleteStack", &[("StackName", "one")]);
    assert_eq!(status, 400);
    assert!(xml.contains("cannot be deleted while TerminationProtection is enabled"), "{xml}");
    let off = [("StackName", "one"), ("EnableTerminationProtection", "false")];
    assert_eq!(member.cloudformation("UpdateTerminationProtection", &off).0, 200);
    member.cloudformation("DeleteStack", &[("StackName", "one")]);
    assert_eq!(member.status("one"), "Stack with id one does not exist");
}

#[test]
fn a_world_that_was_saved_goes_on_with_its_stacks() {
    let world = world();
    let member = TestClient::member(&world);
    member.create("one", LOG, &[]).unwrap();
    let text = serde_json::to_string(&*world.state()).unwrap();
    let restored: State = serde_json::from_str(&text).unwrap();
    *world.state() = restored;
    wait(&world, 600);
    assert_eq!(member.status("one"), "CREATE_COMPLETE");
}

#[test]
fn a_stack_that_is_to_fail_rolls_back_and_one_that_is_stuck_can_still_be_deleted() {
    let member = TestClient::member(&instant_world());
    let rule = |fault| Rule::on("cloudformation", "CreateStack", fault).times(1);
    member.world.inject(rule(Fault::failed("the service is on fire")));
    member.create("one", LOG, &[]).unwrap();
    assert_eq!(member.status("one"), "ROLLBACK_COMPLETE");
    assert!(member.reasons("one").contains("the service is on fire"));

    member.world.inject(rule(Fault::Stuck));
    let id = member.create("two", LOG, &[]).unwrap();
    wait(&member.world, 1_800);
    assert_eq!(member.status("two"), "CREATE_IN_PROGRESS");
    member.cloudformation("DeleteStack", &[("StackName", "two")]);
    assert_eq!(member.status(&id), "DELETE_COMPLETE");
}

#[test]
fn one_resource_can_be_made_to_fail() {
    let member = TestClient::member(&instant_world());
    let fault = Fault::error("Throttling", "Rate exceeded");
    member.world.inject(Rule::on("cloudformation", "AWS::Logs::LogGroup", fault).containing("one/Log").times(1));
    member.create("one", LOG, &[]).unwrap();
    assert_eq!(member.status("one"), "ROLLBACK_COMPLETE");
    assert!(member.reasons("one").contains("HandlerErrorCode: Throttling"));
    member.cloudformation("DeleteStack", &[("StackName", "one")]);
    member.create("one", LOG, &[]).unwrap();
    assert_eq!(member.status("one"), "CREATE_COMPLETE");
}
