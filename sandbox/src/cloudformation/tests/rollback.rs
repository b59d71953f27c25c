//! Tests of rollback triggers: alarms that roll back the creation or update of a stack.

use serde_json::json;

use crate::World;
use crate::cloudwatch::AlarmState;
use crate::testing::{TestClient, advance_clock, xml_text};
use crate::world::Service;
use crate::world::testing::world;

const ALARM: &str = "Resources: {Alarm: {Type: 'AWS::CloudWatch::Alarm', Properties: {AlarmName: errors,
  MetricName: Errors, Namespace: AWS/Lambda, Statistic: Sum, Period: 60, EvaluationPeriods: 1, Threshold: 0,
  ComparisonOperator: GreaterThanThreshold, TreatMissingData: notBreaching}}}
Outputs: {Arn: {Value: !GetAtt Alarm.Arn}, Name: {Value: !Ref Alarm}}";

const MINUTES: &str = "RollbackConfiguration.MonitoringTimeInMinutes";

fn template(days: u32) -> String {
    format!("Resources: {{Log: {{Type: 'AWS::Logs::LogGroup', Properties: {{RetentionInDays: {days}}}}}}}")
}

/// A member account with a stack `one` and an alarm `errors`.
struct Setup {
    world: World,
    member: TestClient,
    arn: String,
}

impl Setup {
    fn new() -> Self {
        let world = world();
        let member = TestClient::member(&world);
        member.create_stack("alarm", ALARM, &[]).unwrap();
        member.create_stack("one", &template(7), &[]).unwrap();
        advance_clock(&world, 600);
        assert_eq!(member.output("alarm", "Name"), "errors");
        let arn = member.output("alarm", "Arn");
        Self { world, member, arn }
    }

    fn update(&self, days: u32, more: &[(&str, &str)]) {
        let template = template(days);
        let params = [&[("StackName", "one"), ("TemplateBody", &template)], more].concat();
        let (status, xml) = self.member.cloudformation("UpdateStack", &params);
        assert_eq!(status, 200, "{xml}");
    }

    fn set(&self, state: AlarmState) {
        assert!(self.world.set_alarm_state(&self.member.account(), "eu-central-1", "errors", state));
    }

    fn status(&self) -> String {
        self.member.stack_status("one")
    }

    fn described(&self) -> String {
        self.member.cloudformation("DescribeStacks", &[("StackName", "one")]).1
    }
}

/// Returns the parameters of a rollback configuration with one trigger.
fn trigger(arn: &str) -> [(&str, &str); 2] {
    [
        ("RollbackConfiguration.RollbackTriggers.member.1.Arn", arn),
        ("RollbackConfiguration.RollbackTriggers.member.1.Type", "AWS::CloudWatch::Alarm"),
    ]
}

#[test]
fn an_alarm_in_the_monitoring_time_rolls_an_update_back() {
    let setup = Setup::new();
    setup.update(14, &[&trigger(&setup.arn)[..], &[(MINUTES, "30")]].concat());
    advance_clock(&setup.world, 600);
    assert_eq!(setup.status(), "UPDATE_IN_PROGRESS");
    setup.set(AlarmState::InsufficientData);
    assert_eq!(setup.status(), "UPDATE_IN_PROGRESS");
    setup.set(AlarmState::Alarm);
    assert_eq!(setup.status(), "UPDATE_ROLLBACK_IN_PROGRESS");
    // Alarms are not watched during the rollback.
    advance_clock(&setup.world, 600);
    assert_eq!(setup.status(), "UPDATE_ROLLBACK_COMPLETE");
    let events = setup.member.events_xml("one");
    assert!(events.contains(&format!("The rollback trigger {} is in ALARM state.", setup.arn)), "{events}");
    let described = setup.described();
    assert_eq!(xml_text(&described, "Arn").unwrap(), setup.arn);
    assert_eq!(xml_text(&described, "MonitoringTimeInMinutes").unwrap(), "30");

    // The trigger is remembered, and an alarm that is in ALARM before the update rolls it back.
    setup.update(14, &[]);
    advance_clock(&setup.world, 600);
    assert_eq!(setup.status(), "UPDATE_ROLLBACK_COMPLETE");
    // An empty list removes the trigger.
    setup.update(14, &[("RollbackConfiguration.RollbackTriggers", ""), (MINUTES, "0")]);
    advance_clock(&setup.world, 600);
    assert_eq!(setup.status(), "UPDATE_COMPLETE");
    assert!(!setup.described().contains(&setup.arn));
}

#[test]
fn an_update_is_complete_after_its_monitoring_time() {
    let setup = Setup::new();
    setup.update(14, &[&trigger(&setup.arn)[..], &[(MINUTES, "30")]].concat());
    advance_clock(&setup.world, 29 * 60);
    assert_eq!(setup.status(), "UPDATE_IN_PROGRESS");
    advance_clock(&setup.world, 5 * 60);
    setup.set(AlarmState::Alarm);
    assert_eq!(setup.status(), "UPDATE_COMPLETE");
}

#[test]
fn a_missing_alarm_or_permission_rolls_the_operation_back() {
    let setup = Setup::new();
    let missing = setup.arn.replace("errors", "missing");
    setup.update(14, &trigger(&missing));
    advance_clock(&setup.world, 60);
    assert_eq!(setup.status(), "UPDATE_ROLLBACK_COMPLETE");
    let created = setup.member.create_stack_with("two", &template(7), &[], &trigger(&missing));
    assert!(created.is_ok(), "{created:?}");
    advance_clock(&setup.world, 60);
    assert_eq!(setup.member.stack_status("two"), "ROLLBACK_COMPLETE");
    assert!(setup.member.events_xml("two").contains("missing does not exist. Rollback requested by user."));
}

#[test]
fn a_change_set_brings_its_triggers() {
    let setup = Setup::new();
    let changed = template(14);
    let params = [("StackName", "one"), ("ChangeSetName", "a"), ("TemplateBody", &changed)];
    let params = [&params[..], &trigger(&setup.arn), &[(MINUTES, "10")]].concat();
    assert_eq!(setup.member.cloudformation("CreateChangeSet", &params).0, 200);
    advance_clock(&setup.world, 60);
    let (_, described) = setup.member.cloudformation("DescribeChangeSet", &params[..2]);
    assert_eq!(xml_text(&described, "Arn").unwrap(), setup.arn);
    assert_eq!(setup.member.cloudformation("ExecuteChangeSet", &params[..2]).0, 200);
    advance_clock(&setup.world, 120);
    assert_eq!(setup.status(), "UPDATE_IN_PROGRESS");
    let state = json!({ "AlarmName": "errors", "StateValue": "ALARM", "StateReason": "test" });
    setup.member.call(Service::CloudWatch, "SetAlarmState", state).ok();
    advance_clock(&setup.world, 120);
    assert_eq!(setup.status(), "UPDATE_ROLLBACK_COMPLETE");
}

#[test]
fn invalid_rollback_configurations_are_refused() {
    let setup = Setup::new();
    let many: Vec<(String, &str)> = (1..=6)
        .flat_map(|at| {
            let member = format!("RollbackConfiguration.RollbackTriggers.member.{at}");
            [(format!("{member}.Arn"), setup.arn.as_str()), (format!("{member}.Type"), "AWS::CloudWatch::Alarm")]
        })
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let [arn, _] = trigger(&setup.arn);
    let other_type = [arn, ("RollbackConfiguration.RollbackTriggers.member.1.Type", "AWS::SNS::Topic")];
    for more in [&many[..], &other_type, &trigger("errors"), &[(MINUTES, "181")], &[(MINUTES, "-1")]] {
        let error = setup.member.create_stack_with("two", &template(7), &[], more).unwrap_err();
        assert!(error.starts_with("ValidationError: "), "{more:?}: {error}");
    }
}
