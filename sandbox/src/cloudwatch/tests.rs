//! Tests of alarms through each wire format.

use serde_json::{Value, json};

use super::cbor;
use crate::testing::{TestClient, instant_world};
use crate::world::Service;
use crate::world::testing::signed_request;

const ALARM: [(&str, &str); 8] = [
    ("AlarmName", "errors"),
    ("MetricName", "Errors"),
    ("Namespace", "AWS/Lambda"),
    ("Statistic", "Sum"),
    ("Period", "60"),
    ("EvaluationPeriods", "1"),
    ("Threshold", "0.5"),
    ("ComparisonOperator", "GreaterThanThreshold"),
];

impl TestClient {
    fn put_alarm(&self) {
        let input: serde_json::Map<_, _> = ALARM.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        self.call(Service::CloudWatch, "PutMetricAlarm", Value::Object(input)).ok();
    }

    /// Calls an operation in CBOR. Returns the status and the output.
    fn cbor(&self, operation: &str, input: &Value) -> (u16, Value) {
        let mut request = signed_request(self.credentials(), Service::CloudWatch, operation, &json!({}));
        request.uri =
            format!("https://monitoring.example.com/service/GraniteServiceVersion20100801/operation/{operation}");
        request.headers.insert("smithy-protocol", "rpc-v2-cbor".parse().unwrap());
        request.body = cbor::encode(input).into();
        let response = self.world.handle(&request);
        assert_eq!(response.headers["content-type"], "application/cbor");
        (response.status, cbor::decode(&response.body).unwrap())
    }
}

#[test]
fn a_new_alarm_has_insufficient_data_until_its_state_is_set() {
    let member = TestClient::member(&instant_world());
    member.put_alarm();
    let describe = |member: &TestClient| member.call(Service::CloudWatch, "DescribeAlarms", json!({})).ok();
    let described = describe(&member);
    assert_eq!(described.element("StateValue").unwrap(), "INSUFFICIENT_DATA");
    assert_eq!(described.element("Threshold").unwrap(), "0.5");
    assert!(described.element("StateUpdatedTimestamp").unwrap().starts_with("2026-11-23T"));
    let arn = format!("arn:aws:cloudwatch:eu-central-1:{}:alarm:errors", member.account());
    assert_eq!(described.element("AlarmArn").unwrap(), arn);
    let state = json!({ "AlarmName": "errors", "StateValue": "OK", "StateReason": "test" });
    member.call(Service::CloudWatch, "SetAlarmState", state).ok();
    assert_eq!(describe(&member).element("StateValue").unwrap(), "OK");
    member.call(Service::CloudWatch, "DeleteAlarms", json!({ "AlarmNames.member.1": "errors" })).ok();
    let missing = member.call(Service::CloudWatch, "DeleteAlarms", json!({ "AlarmNames.member.1": "errors" }));
    assert_eq!((missing.status, missing.code().unwrap().as_str()), (404, "ResourceNotFound"));
    assert_eq!(describe(&member).element("StateValue"), None);
}

#[test]
fn clients_that_send_cbor_or_json_get_the_same_answers() {
    let member = TestClient::member(&instant_world());
    member.put_alarm();
    let (status, output) = member.cbor("DescribeAlarms", &json!({ "AlarmNames": ["errors"] }));
    let alarm = &output["MetricAlarms"][0];
    assert_eq!((status, &alarm["AlarmName"], &alarm["Period"]), (200, &json!("errors"), &json!(60)));
    assert!(alarm["StateUpdatedTimestamp"].is_number());
    let state = json!({ "AlarmName": "none", "StateValue": "OK", "StateReason": "test" });
    let (status, error) = member.cbor("SetAlarmState", &state);
    assert_eq!((status, &error["__type"]), (404, &json!("com.amazonaws.cloudwatch#ResourceNotFound")));

    let mut request = signed_request(member.credentials(), Service::CloudWatch, "DescribeAlarms", &json!({}));
    request.headers.insert("x-amz-target", "GraniteServiceVersion20100801.DescribeAlarms".parse().unwrap());
    request.body = json!({ "AlarmNamePrefix": "err" }).to_string().into();
    let response = member.world.handle(&request);
    let output: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(output["MetricAlarms"][0]["StateValue"], "INSUFFICIENT_DATA");
    request.headers.insert("x-amz-target", "GraniteServiceVersion20100801.ListMetrics".parse().unwrap());
    let response = member.world.handle(&request);
    assert_eq!(response.headers["x-amzn-query-error"], "InvalidAction;Sender");
}

#[test]
fn an_alarm_is_created_only_with_valid_members() {
    let member = TestClient::member(&instant_world());
    for (member_name, value) in [
        ("ComparisonOperator", json!("Greater")),
        ("EvaluationPeriods", json!(0)),
        ("Namespace", json!(":x")),
        ("Metrics", json!([])),
        ("AlarmName", json!("x".repeat(256))),
        ("ExtendedStatistic", json!("p90")),
    ] {
        let mut input: Value = ALARM.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        input[member_name] = value;
        let (status, error) = member.cbor("PutMetricAlarm", &input);
        assert_eq!((status, &error["__type"]), (400, &json!("com.amazonaws.cloudwatch#ValidationError")), "{input}");
    }
    assert_eq!(member.cbor("DescribeAlarms", &json!({})).1["MetricAlarms"], json!([]));
    assert_eq!(member.cbor("DescribeAlarms", &json!({ "MaxRecords": 0 })).0, 400);
}
