//! Tests of drift detection, of the calls that read resources and templates, and of cancelled updates.

use serde_json::{Value, json};

use crate::testing::{TestClient, advance_clock, instant_world, xml_text};
use crate::world::testing::world;

const TEMPLATE: &str = "
Parameters: {Size: {Type: String, AllowedValues: [small, large], Default: small}}
Resources:
  Log: {Type: 'AWS::Logs::LogGroup', Properties: {RetentionInDays: 7}}
  Free: {Type: 'AWS::Logs::LogGroup'}
  Queue: {Type: 'AWS::SQS::Queue'}
";

impl TestClient {
    fn read(&self, action: &str, params: &[(&str, &str)]) -> String {
        let (status, xml) = self.cloudformation(action, params);
        assert_eq!(status, 200, "{action}: {xml}");
        xml
    }

    fn detect_drift(&self) -> String {
        let started = self.read("DetectStackDrift", &[("StackName", "one")]);
        let id = xml_text(&started, "StackDriftDetectionId").unwrap();
        self.read("DescribeStackDriftDetectionStatus", &[("StackDriftDetectionId", &id)])
    }

    fn physical_id(&self, logical_id: &str) -> String {
        let params = [("StackName", "one"), ("LogicalResourceId", logical_id)];
        xml_text(&self.read("DescribeStackResource", &params), "PhysicalResourceId").unwrap()
    }

    fn change_log_group(&self, logical_id: &str, days: Value) {
        let (account, id) = (self.account(), self.physical_id(logical_id));
        let kind = "AWS::Logs::LogGroup";
        assert!(self.world.change_resource(&account, "eu-central-1", kind, &id, "RetentionInDays", days));
    }
}

#[test]
fn a_resource_that_was_changed_by_hand_has_drifted() {
    let member = TestClient::member(&instant_world());
    member.create_stack("one", TEMPLATE, &[]).unwrap();
    let status = member.detect_drift();
    assert_eq!(xml_text(&status, "DetectionStatus").unwrap(), "DETECTION_COMPLETE");
    assert_eq!(xml_text(&status, "StackDriftStatus").unwrap(), "IN_SYNC");

    member.change_log_group("Log", json!(14));
    // The template does not contain this property.
    member.change_log_group("Free", json!(14));
    let status = member.detect_drift();
    assert_eq!(xml_text(&status, "StackDriftStatus").unwrap(), "DRIFTED");
    assert_eq!(xml_text(&status, "DriftedStackResourceCount").unwrap(), "1");
    let filter = "StackResourceDriftStatusFilters.member.1";
    let drifts = member.read("DescribeStackResourceDrifts", &[("StackName", "one"), (filter, "MODIFIED")]);
    let text = |element: &str| xml_text(&drifts, element).unwrap();
    assert_eq!(text("LogicalResourceId"), "Log");
    assert_eq!(text("PropertyPath"), "/RetentionInDays");
    assert_eq!((text("ExpectedValue"), text("ActualValue")), ("7".to_owned(), "14".to_owned()));
    assert_eq!(text("DifferenceType"), "NOT_EQUAL");
    let described = member.read("DescribeStacks", &[("StackName", "one")]);
    assert_eq!(xml_text(&described, "StackDriftStatus").unwrap(), "DRIFTED");
    let resources = member.read("ListStackResources", &[("StackName", "one")]);
    for expected in ["IN_SYNC", "MODIFIED", "NOT_CHECKED"] {
        let element = format!("<StackResourceDriftStatus>{expected}</StackResourceDriftStatus>");
        assert_eq!(resources.matches(&element).count(), 1, "{expected}: {resources}");
    }

    member.change_log_group("Log", Value::Null);
    member.detect_drift();
    let drifts = member.read("DescribeStackResourceDrifts", &[("StackName", "one"), (filter, "MODIFIED")]);
    assert_eq!(xml_text(&drifts, "DifferenceType").unwrap(), "REMOVE");
    let (account, log) = (member.account(), member.physical_id("Log"));
    assert!(member.world.delete_resource(&account, "eu-central-1", "AWS::Logs::LogGroup", &log));
    member.detect_drift();
    let drifts = member.read("DescribeStackResourceDrifts", &[("StackName", "one"), (filter, "DELETED")]);
    assert_eq!(xml_text(&drifts, "LogicalResourceId").unwrap(), "Log");
}

#[test]
fn a_drift_detection_takes_time_and_needs_a_stack_at_rest() {
    let world = world();
    let member = TestClient::member(&world);
    member.create_stack("one", TEMPLATE, &[]).unwrap();
    let (_, busy) = member.cloudformation("DetectStackDrift", &[("StackName", "one")]);
    assert!(busy.contains("in CREATE_IN_PROGRESS state"), "{busy}");
    advance_clock(&world, 600);
    let status = member.detect_drift();
    assert_eq!(xml_text(&status, "DetectionStatus").unwrap(), "DETECTION_IN_PROGRESS");
    let again = member.cloudformation("DetectStackDrift", &[("StackName", "one")]);
    assert_eq!(again.0, 400, "{}", again.1);
    advance_clock(&world, 600);
    let described = member.read("DescribeStacks", &[("StackName", "one")]);
    assert_eq!(xml_text(&described, "StackDriftStatus").unwrap(), "IN_SYNC");
    let unknown = member.cloudformation("DescribeStackDriftDetectionStatus", &[("StackDriftDetectionId", "none")]);
    assert_eq!(unknown.0, 400, "{}", unknown.1);
}

#[test]
fn a_template_summary_names_parameters_and_resource_types() {
    let member = TestClient::member(&instant_world());
    member.create_stack("one", TEMPLATE, &[]).unwrap();
    for params in [[("TemplateBody", TEMPLATE)], [("StackName", "one")]] {
        let summary = member.read("GetTemplateSummary", &params);
        assert_eq!(xml_text(&summary, "ParameterType").unwrap(), "String");
        assert!(summary.contains("<member>small</member><member>large</member>"), "{summary}");
        assert_eq!(summary.matches("<member>AWS::Logs::LogGroup</member>").count(), 1, "{summary}");
    }
    let both = member.cloudformation("GetTemplateSummary", &[("TemplateBody", TEMPLATE), ("StackName", "one")]);
    assert_eq!(both.0, 400);
}

#[test]
fn a_resource_is_described_by_its_logical_or_physical_id() {
    let member = TestClient::member(&instant_world());
    member.create_stack("one", TEMPLATE, &[]).unwrap();
    let id = member.physical_id("Log");
    let by_physical_id = member.read("DescribeStackResources", &[("PhysicalResourceId", &id)]);
    assert_eq!(xml_text(&by_physical_id, "StackName").unwrap(), "one");
    let params = [("StackName", "one"), ("LogicalResourceId", "None")];
    let missing = member.cloudformation("DescribeStackResource", &params);
    assert!(missing.1.contains("Resource None does not exist for stack one"), "{}", missing.1);
}

#[test]
fn only_an_update_in_progress_can_be_cancelled() {
    let world = world();
    let member = TestClient::member(&world);
    member.create_stack("one", TEMPLATE, &[]).unwrap();
    let (_, refused) = member.cloudformation("CancelUpdateStack", &[("StackName", "one")]);
    assert!(refused.contains("CancelUpdateStack cannot be called from current stack status"), "{refused}");
    advance_clock(&world, 600);
    let changed = TEMPLATE.replace("RetentionInDays: 7", "RetentionInDays: 14");
    member.read("UpdateStack", &[("StackName", "one"), ("TemplateBody", &changed)]);
    member.read("CancelUpdateStack", &[("StackName", "one")]);
    assert_eq!(member.stack_status("one"), "UPDATE_ROLLBACK_IN_PROGRESS");
    advance_clock(&world, 600);
    assert_eq!(member.stack_status("one"), "UPDATE_ROLLBACK_COMPLETE");
}
