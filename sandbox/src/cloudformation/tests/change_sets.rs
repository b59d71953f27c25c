//! Tests of change sets: their status over time, their changes, their execution and their errors.

use crate::faults::{Fault, Rule};
use crate::testing::{TestClient, advance_clock, instant_world, xml_text};
use crate::world::testing::world;

/// A template with a parameter, a queue that refers to a log group, and an output.
const TEMPLATE: &str = "\
Parameters: {Days: {Type: Number, Default: 7}, Name: {Type: String, Default: one}}
Resources:
  Log: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: !Ref Name, RetentionInDays: !Ref Days}}
  Other: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: !Sub '${Log}-other'}}
Outputs: {Name: {Value: !Ref Log}}
";

const CREATE: (&str, &str) = ("ChangeSetType", "CREATE");

impl TestClient {
    /// Calls an operation of a change set. Returns the response, or the error code and message.
    fn change_set(&self, action: &str, name: &str, more: &[(&str, &str)]) -> Result<String, String> {
        let params = [&[("StackName", "one"), ("ChangeSetName", name)], more].concat();
        match self.cloudformation(action, &params) {
            (200, xml) => Ok(xml),
            (_, xml) => Err(xml_text(&xml, "Code").unwrap() + ": " + &xml_text(&xml, "Message").unwrap()),
        }
    }

    fn create_change_set(&self, name: &str, template: &str, more: &[(&str, &str)]) -> Result<String, String> {
        self.change_set("CreateChangeSet", name, &[&[("TemplateBody", template)], more].concat())
    }

    /// Returns the status and the execution status of a change set.
    fn change_set_status(&self, name: &str) -> String {
        let xml = self.change_set("DescribeChangeSet", name, &[]).unwrap();
        format!("{} {}", xml_text(&xml, "Status").unwrap(), xml_text(&xml, "ExecutionStatus").unwrap())
    }

    /// Returns the changes of a change set as `LogicalId Action Replacement` and the names of the changed properties.
    fn changes(&self, name: &str) -> Vec<String> {
        let xml = self.change_set("DescribeChangeSet", name, &[]).unwrap();
        let change = |xml: &str| {
            let text = |element: &str| xml_text(xml, element).unwrap_or_default();
            let mut names: Vec<&str> = xml.split("<Name>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
            names.dedup();
            let parts = [text("LogicalResourceId"), text("Action"), text("Replacement"), names.join(",")];
            parts.join(" ").trim_end().to_owned()
        };
        xml.split("<ResourceChange>").skip(1).map(change).collect()
    }
}

#[test]
fn a_change_set_creates_a_stack_that_is_in_review_until_then() {
    let world = world();
    let member = TestClient::member(&world);
    let token = ("ClientToken", "a");
    let created = member.create_change_set("first", TEMPLATE, &[CREATE, token]).unwrap();
    assert_eq!(member.create_change_set("first", TEMPLATE, &[CREATE, token]).unwrap().len(), created.len());
    assert_eq!(member.change_set_status("first"), "CREATE_PENDING UNAVAILABLE");
    assert_eq!(member.stack_status("one"), "REVIEW_IN_PROGRESS");
    let early = member.change_set("ExecuteChangeSet", "first", &[]).unwrap_err();
    assert!(early.starts_with("InvalidChangeSetStatus: ChangeSet [arn:aws:cloudformation:eu-central-1:"), "{early}");
    assert!(early.ends_with("] cannot be executed in its current status of [CREATE_PENDING]"), "{early}");
    advance_clock(&world, 60);
    assert_eq!(member.change_set_status("first"), "CREATE_COMPLETE AVAILABLE");
    assert_eq!(member.changes("first"), ["Log Add", "Other Add"]);

    let refused = member.create_change_set("second", TEMPLATE, &[]).unwrap_err();
    assert!(refused.ends_with("is in REVIEW_IN_PROGRESS state and can not be updated."), "{refused}");
    let exists = member.create_stack("one", TEMPLATE, &[]).unwrap_err();
    assert_eq!(exists, "AlreadyExistsException: Stack [one] already exists");

    let token = [("ClientRequestToken", "execute")];
    member.change_set("ExecuteChangeSet", "first", &token).unwrap();
    member.change_set("ExecuteChangeSet", "first", &token).unwrap();
    assert_eq!(member.stack_status("one"), "CREATE_IN_PROGRESS");
    assert_eq!(member.change_set_status("first"), "CREATE_COMPLETE EXECUTE_IN_PROGRESS");
    advance_clock(&world, 600);
    assert_eq!(member.stack_status("one"), "CREATE_COMPLETE");
    assert_eq!(member.change_set_status("first"), "CREATE_COMPLETE EXECUTE_COMPLETE");
    assert_eq!(member.event_history("one")[..2], ["one REVIEW_IN_PROGRESS", "one CREATE_IN_PROGRESS"]);
    let again = member.create_change_set("third", TEMPLATE, &[CREATE]).unwrap_err();
    let words = "ValidationError: Stack [one] already exists and cannot be created again with the changeSet [third].";
    assert_eq!(again, words);
}

#[test]
fn a_change_set_shows_which_resources_an_update_replaces() {
    let member = TestClient::member(&instant_world());
    member.create_stack("one", TEMPLATE, &[]).unwrap();
    let parameter = |key: &'static str, value: &'static str| {
        [("Parameters.member.1.ParameterKey", key), ("Parameters.member.1.ParameterValue", value)]
    };
    member.create_change_set("days", TEMPLATE, &parameter("Days", "14")).unwrap();
    assert_eq!(member.changes("days"), ["Log Modify False RetentionInDays"]);
    member.create_change_set("name", TEMPLATE, &parameter("Name", "two")).unwrap();
    assert_eq!(member.changes("name"), ["Log Modify True LogGroupName", "Other Modify True LogGroupName"]);
    let without = TEMPLATE.replace("  Other:", "  New:");
    member.create_change_set("new", &without, &[]).unwrap();
    assert_eq!(member.changes("new"), ["New Add", "Other Remove"]);

    let described = member.change_set("DescribeChangeSet", "days", &[]).unwrap();
    assert!(described.contains("<ChangeSource>ParameterReference</ChangeSource>"), "{described}");
    assert!(described.contains("<CausingEntity>Days</CausingEntity>"), "{described}");
    assert!(!described.contains("Context>"), "{described}");
    let values = member.change_set("DescribeChangeSet", "days", &[("IncludePropertyValues", "true")]).unwrap();
    let context = |days: &str| format!(r#"{{"Properties":{{"LogGroupName":"one","RetentionInDays":"{days}"}}}}"#);
    assert_eq!(xml_text(&values, "BeforeContext").unwrap(), context("7"));
    assert_eq!(xml_text(&values, "AfterContext").unwrap(), context("14"));
    assert_eq!(xml_text(&values, "BeforeValue").unwrap(), "7");

    let other_type = TEMPLATE.replace("Log: {Type: 'AWS::Logs::LogGroup'", "Log: {Type: 'AWS::SQS::Queue'");
    let refused = member.create_change_set("type", &other_type, &[]).unwrap_err();
    assert!(refused.ends_with("modifies resource type of the following resources: [Log]"), "{refused}");
}

#[test]
fn an_execution_deletes_the_others_and_an_update_makes_them_obsolete() {
    let member = TestClient::member(&instant_world());
    member.create_stack("one", TEMPLATE, &[]).unwrap();
    let without = TEMPLATE.replace("  Other:", "  New:").replace("-other", "-new");
    let listed = |member: &TestClient| {
        let (_, xml) = member.cloudformation("ListChangeSets", &[("StackName", "one")]);
        xml.split("<ChangeSetName>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for name in ["a", "b"] {
        member.create_change_set(name, &without, &[]).unwrap();
    }
    let duplicate = member.create_change_set("a", TEMPLATE, &[]).unwrap_err();
    assert_eq!(duplicate, "AlreadyExistsException: ChangeSet [a] already exists");
    assert_eq!(listed(&member), ["a", "b"]);
    let template = [("StackName", "one"), ("ChangeSetName", "a")];
    let (_, template) = member.cloudformation("GetTemplate", &template);
    assert_eq!(xml_text(&template, "TemplateBody").unwrap(), without);
    member.change_set("ExecuteChangeSet", "a", &[]).unwrap();
    assert_eq!(member.stack_status("one"), "UPDATE_COMPLETE");
    assert_eq!(listed(&member), Vec::<String>::new());
    let missing = member.change_set("DescribeChangeSet", "b", &[]).unwrap_err();
    assert_eq!(missing, "ChangeSetNotFound: ChangeSet [b] does not exist");
    member.change_set("DeleteChangeSet", "b", &[]).unwrap();

    member.create_change_set("c", TEMPLATE, &[]).unwrap();
    let update = [("StackName", "one"), ("TemplateBody", TEMPLATE)];
    assert_eq!(member.cloudformation("UpdateStack", &update).0, 200);
    assert_eq!(member.change_set_status("c"), "CREATE_COMPLETE OBSOLETE");
    let obsolete = member.change_set("ExecuteChangeSet", "c", &[]).unwrap_err();
    assert!(obsolete.ends_with("cannot be executed in its current execution status of [OBSOLETE]"), "{obsolete}");
}

#[test]
fn a_change_set_without_changes_fails_and_cannot_be_executed() {
    let member = TestClient::member(&instant_world());
    member.create_stack("one", TEMPLATE, &[]).unwrap();
    member.change_set("CreateChangeSet", "none", &[("UsePreviousTemplate", "true")]).unwrap();
    let described = member.change_set("DescribeChangeSet", "none", &[]).unwrap();
    let reason =
        "The submitted information didn't contain changes. Submit different information to create a change set.";
    assert_eq!(xml_text(&described, "StatusReason").unwrap(), reason);
    assert_eq!(member.change_set_status("none"), "FAILED UNAVAILABLE");
    let refused = member.change_set("ExecuteChangeSet", "none", &[]).unwrap_err();
    assert!(refused.ends_with("cannot be executed in its current status of [FAILED]"), "{refused}");
    let description = format!("Description: new\n{TEMPLATE}");
    member.create_change_set("description", &description, &[]).unwrap();
    assert_eq!(member.change_set_status("description"), "FAILED UNAVAILABLE");
    let output = TEMPLATE.replace("Name: {Value", "Other: {Value");
    member.create_change_set("output", &output, &[]).unwrap();
    assert_eq!(member.change_set_status("output"), "CREATE_COMPLETE AVAILABLE");
    assert_eq!(member.changes("output"), Vec::<String>::new());
}

#[test]
fn invalid_change_sets_are_refused_and_leave_no_stack() {
    let world = world();
    let member = TestClient::member(&world);
    for (name, template, more, expected) in [
        ("1a", TEMPLATE, CREATE, "failed to satisfy constraint: Member must satisfy regular expression pattern"),
        (&"a".repeat(129), TEMPLATE, CREATE, "Member must have length less than or equal to 128"),
        ("a", "Resources: {}", CREATE, "At least one Resources member must be defined."),
        ("a", TEMPLATE, ("ChangeSetType", "DROP"), "Member must satisfy enum value set"),
        ("a", TEMPLATE, ("ChangeSetType", "UPDATE"), "ValidationError: Stack [one] does not exist"),
    ] {
        let error = member.create_change_set(name, template, &[more]).unwrap_err();
        assert!(error.contains(expected), "{name} {more:?}: {error}");
    }
    assert_eq!(member.stack_status("one"), "Stack with id one does not exist");
    let by_name = member.cloudformation("DescribeChangeSet", &[("ChangeSetName", "a")]).1;
    assert!(by_name.contains("StackName must be specified if ChangeSetName is not specified as an ARN."), "{by_name}");

    member.create_stack("one", TEMPLATE, &[]).unwrap();
    let busy = member.create_change_set("a", TEMPLATE, &[]).unwrap_err();
    assert!(busy.ends_with("is in CREATE_IN_PROGRESS state and can not be updated."), "{busy}");
}

#[test]
fn a_change_set_is_executed_with_the_permissions_of_the_caller() {
    let world = instant_world();
    let member = TestClient::member(&world);
    member.create_change_set("first", TEMPLATE, &[CREATE]).unwrap();
    world.inject(Rule::on("cloudformation", "AWS::Logs::LogGroup", Fault::failed("no quota")));
    member.change_set("ExecuteChangeSet", "first", &[]).unwrap();
    assert_eq!(member.stack_status("one"), "ROLLBACK_COMPLETE");
    assert_eq!(member.change_set_status("first"), "CREATE_COMPLETE EXECUTE_FAILED");
    let refused = member.create_change_set("second", TEMPLATE, &[]).unwrap_err();
    assert!(refused.ends_with("is in ROLLBACK_COMPLETE state and can not be updated."), "{refused}");
}

#[test]
fn a_stack_in_review_can_be_deleted() {
    let member = TestClient::member(&instant_world());
    member.create_change_set("first", TEMPLATE, &[CREATE]).unwrap();
    member.change_set("DeleteChangeSet", "first", &[]).unwrap();
    assert_eq!(member.stack_status("one"), "REVIEW_IN_PROGRESS");
    assert_eq!(member.cloudformation("DeleteStack", &[("StackName", "one")]).0, 200);
    assert_eq!(member.stack_status("one"), "Stack with id one does not exist");
}
