//! Tests of templates that AWS accepts or refuses: resource types by region, capabilities, macros, exports, and
//! templates in S3.

use serde_json::json;

use super::LOG;
use crate::testing::{TestClient, instant_world, xml_text};
use crate::world::Service;

const BUCKET: &str = "freehold-templates-example";

const URL: &str = "Resources: {Url: {Type: 'AWS::Lambda::Url', Condition: Has}}\n\
                   Conditions: {Has: !Equals [!Ref 'AWS::Region', eu-central-1]}";

fn message(response: (u16, String)) -> String {
    let code = xml_text(&response.1, "Code").unwrap_or_default();
    format!("{code}: {}", xml_text(&response.1, "Message").unwrap_or_default())
}

impl TestClient {
    fn validate(&self, parameter: &str, value: &str) -> (u16, String) {
        self.cloudformation("ValidateTemplate", &[(parameter, value)])
    }
}

#[test]
fn a_resource_type_is_refused_only_in_regions_that_lack_it() {
    let world = instant_world();
    let admin = TestClient::administrator(&world);
    let region = json!({ "RegionName": "eu-central-2" });
    admin.call(Service::Account, "EnableRegion", region).ok();
    let lacking = admin.in_region("eu-central-2");
    let refusal = "ValidationError: Template format error: Unrecognized resource types: [AWS::Lambda::Url]";
    assert_eq!(admin.validate("TemplateBody", URL).0, 200);
    assert_eq!(message(lacking.validate("TemplateBody", URL)), refusal);
    // CreateStack evaluates the condition.
    let with_log = URL.replace("{Url:", "{Log: {Type: 'AWS::Logs::LogGroup'}, Url:");
    lacking.create_stack("with-log", &with_log, &[]).unwrap();
    let unconditional = with_log.replace(", Condition: Has", "");
    assert_eq!(lacking.create_stack("unconditional", &unconditional, &[]).unwrap_err(), refusal);
}

#[test]
fn a_resource_that_is_not_simulated_does_nothing() {
    let member = TestClient::member(&instant_world());
    let template = "Resources: {Stream: {Type: 'AWS::Kinesis::Stream', Properties: {Any: thing}}}\n\
                    Outputs: {Name: {Value: !Ref Stream}, Arn: {Value: !GetAtt Stream.Arn}}";
    member.create_stack("one", template, &[]).unwrap();
    assert_eq!(member.stack_status("one"), "CREATE_COMPLETE");
    let name = member.output("one", "Name");
    assert!(name.starts_with("one-Stream-"), "{name}");
    assert_eq!(member.output("one", "Arn"), format!("arn:aws:kinesis:eu-central-1:{}:{name}", member.account()));
    for kind in ["AWS::Kinesis::Streem", "Kinesis::Stream", "AWS::Kinesis", "Vendor::Service::Type"] {
        let error = member.create_stack("two", &template.replace("AWS::Kinesis::Stream", kind), &[]).unwrap_err();
        assert_eq!(error, format!("ValidationError: Template format error: Unrecognized resource types: [{kind}]"));
    }
}

#[test]
fn macros_need_a_capability_and_must_exist() {
    let member = TestClient::member(&instant_world());
    let create = |name: &str, transform: &str, capability: &str| {
        let template = format!("Transform: {transform}\n{LOG}");
        member.create_stack_with(name, &template, &[], &[("Capabilities.member.1", capability)])
    };
    assert_eq!(
        create("one", "AWS::LanguageExtensions", "CAPABILITY_NAMED_IAM").unwrap_err(),
        "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_AUTO_EXPAND]"
    );
    create("one", "AWS::LanguageExtensions", "CAPABILITY_AUTO_EXPAND").unwrap();
    let account = member.account();
    assert_eq!(
        create("two", "Own", "CAPABILITY_AUTO_EXPAND").unwrap_err(),
        format!("ValidationError: No transform named {account}::Own found.")
    );
    let (_, validated) = member.validate("TemplateBody", &format!("Transform: [Own]\n{LOG}"));
    assert_eq!(xml_text(&validated, "Capabilities").unwrap().trim(), "<member>CAPABILITY_AUTO_EXPAND</member>");
    assert!(validated.contains("Own"), "{validated}");
}

#[test]
fn an_export_can_be_imported_and_a_missing_one_fails_the_stack() {
    let member = TestClient::member(&instant_world());
    let export = format!("{LOG}\nOutputs: {{Name: {{Value: !Ref Log, Export: {{Name: shared-log}}}}}}");
    let import = "Resources: {R: {Type: 'AWS::Kinesis::Stream', Properties: {a: !ImportValue shared-log}}}\n\
                  Outputs: {Log: {Value: !ImportValue shared-log}}";
    member.create_stack("early", import, &[]).unwrap();
    assert_eq!(member.stack_status("early"), "ROLLBACK_COMPLETE");
    assert!(member.events_xml("early").contains("No export named shared-log found"));
    member.create_stack("exporting", &export, &[]).unwrap();
    member.create_stack("late", import, &[]).unwrap();
    assert_eq!(member.output("late", "Log"), "one");
}

#[test]
fn a_template_in_s3_is_read_with_the_permissions_of_the_caller() {
    let world = instant_world();
    let large = format!("{LOG}\n# {}", "x".repeat(60_000));
    let url = world.store_template("eu-central-1", BUCKET, "stack.yaml", &large);
    let member = TestClient::member(&world);
    let created = member.cloudformation("CreateStack", &[("StackName", "one"), ("TemplateURL", &url)]);
    assert_eq!(created.0, 200, "{}", created.1);
    let (_, template) = member.cloudformation("GetTemplate", &[("StackName", "one")]);
    assert_eq!(xml_text(&template, "TemplateBody").unwrap(), large);

    let s3_error = |text: &str| {
        format!(
            "ValidationError: S3 error: {text}\nFor more information check \
             http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
        )
    };
    let (object, _) = url.split_once('?').unwrap();
    let redirect = "The bucket you are attempting to access must be addressed using the specified endpoint. Please \
                    send all future requests to this endpoint.";
    let admin = TestClient::administrator(&world);
    // The member may not list the bucket.
    let missing = object.replace("stack", "missing");
    for (url, expected) in [
        (missing.as_str(), s3_error("Access Denied")),
        (&object.replace(BUCKET, "no-such-bucket"), s3_error("The specified bucket does not exist")),
        (&object.replace("eu-central-1", "eu-west-1"), s3_error(redirect)),
        ("https://example.com/stack.yaml", "ValidationError: TemplateURL must be a supported URL.".to_owned()),
    ] {
        assert_eq!(message(member.validate("TemplateURL", url)), expected, "{url}");
    }
    // The administrator of the management account may not list it either, because it belongs to another account.
    assert_eq!(message(admin.validate("TemplateURL", &missing)), s3_error("Access Denied"));
    let too_large = world.store_template("eu-central-1", BUCKET, "large.yaml", &"x".repeat(1_000_001));
    assert_eq!(
        message(member.validate("TemplateURL", &too_large)),
        "ValidationError: Template may not exceed 1000000 bytes in size."
    );
}
