//! Tests of CloudFront: the rules by which distributions answer, also during the outage of a region.

mod outages;
mod refusals;

use freehold_tenancy::Region;
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use winterbaume_core::MockRequest;

use crate::World;
use crate::faults::OutageForm;
use crate::testing::{TestClient, instant_world, xml_text};

const HOME: &str = "eu-central-1";
const REPLICA: &str = "eu-west-1";

/// A function with a URL that CloudFront may call.
const FUNCTION: &str = r#"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
  Function:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code: {ZipFile: "def handler(event, context): return {}"}
      Environment: {Variables: {TENANT_ID: a, ENVIRONMENT_ID: b, ENVIRONMENT: c}}
  Url:
    Type: AWS::Lambda::Url
    Properties: {TargetFunctionArn: !GetAtt Function.Arn, AuthType: AWS_IAM}
  MayCallUrl:
    Type: AWS::Lambda::Permission
    Properties:
      FunctionName: !GetAtt Function.Arn
      Action: lambda:InvokeFunctionUrl
      Principal: cloudfront.amazonaws.com
      FunctionUrlAuthType: AWS_IAM
      SourceArn: !Sub arn:aws:cloudfront::${AWS::AccountId}:distribution/*
  MayInvoke:
    Type: AWS::Lambda::Permission
    Properties:
      FunctionName: !GetAtt Function.Arn
      Action: lambda:InvokeFunction
      Principal: cloudfront.amazonaws.com
      InvokedViaFunctionUrl: true
      SourceArn: !Sub arn:aws:cloudfront::${AWS::AccountId}:distribution/*
Outputs:
  Domain: {Value: !Select [2, !Split ["/", !GetAtt Url.FunctionUrl]]}
"#;

/// A distribution with an origin group, and a behaviour for `/write/*` to the home region alone.
const FRONT_DOOR: &str = r#"
Parameters:
  Home: {Type: String}
  Replica: {Type: String}
Resources:
  Control:
    Type: AWS::CloudFront::OriginAccessControl
    Properties:
      OriginAccessControlConfig:
        {Name: front-door, OriginAccessControlOriginType: lambda, SigningBehavior: always, SigningProtocol: sigv4}
  Distribution:
    Type: AWS::CloudFront::Distribution
    Properties:
      DistributionConfig:
        Enabled: true
        Comment: test
        Origins:
          - Id: home
            DomainName: !Ref Home
            OriginAccessControlId: !Ref Control
            ConnectionAttempts: 1
            ConnectionTimeout: 2
            CustomOriginConfig: {OriginProtocolPolicy: https-only, OriginReadTimeout: 5}
          - Id: replica
            DomainName: !Ref Replica
            OriginAccessControlId: !Ref Control
            ConnectionAttempts: 1
            ConnectionTimeout: 2
            CustomOriginConfig: {OriginProtocolPolicy: https-only, OriginReadTimeout: 5}
        OriginGroups:
          Quantity: 1
          Items:
            - Id: both
              FailoverCriteria: {StatusCodes: {Quantity: 4, Items: [500, 502, 503, 504]}}
              Members: {Quantity: 2, Items: [{OriginId: home}, {OriginId: replica}]}
        CacheBehaviors:
          - PathPattern: /write/*
            TargetOriginId: home
            ViewerProtocolPolicy: https-only
            AllowedMethods: [GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE]
            CachePolicyId: 4135ea2d-6df8-44a3-9df3-4b5a84be39ad
            OriginRequestPolicyId: b689b0a8-53d0-40ab-baf2-68738e2966ac
        DefaultCacheBehavior:
          TargetOriginId: both
          ViewerProtocolPolicy: https-only
          AllowedMethods: [GET, HEAD, OPTIONS]
          CachePolicyId: 4135ea2d-6df8-44a3-9df3-4b5a84be39ad
          OriginRequestPolicyId: b689b0a8-53d0-40ab-baf2-68738e2966ac
Outputs:
  Url: {Value: !Sub "https://${Distribution.DomainName}/"}
"#;

/// A distribution in front of functions in two regions.
struct FrontDoor {
    world: World,
    member: TestClient,
    domains: [String; 2],
    url: String,
}

/// Response of a distribution, as a viewer sees it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    /// Region of the function that has answered.
    region: Option<String>,
    seconds: u64,
}

fn seen(status: u16, region: Option<&str>, seconds: u64) -> Seen {
    Seen { status, region: region.map(str::to_owned), seconds }
}

impl FrontDoor {
    fn new() -> Self {
        Self::with(FRONT_DOOR)
    }

    fn with(front_door: &str) -> Self {
        let world = instant_world();
        let member = TestClient::member(&world);
        let domains = [HOME, REPLICA].map(|region| {
            let client = member.in_region(region);
            client.create_stack("function", FUNCTION, &[]).unwrap();
            client.output("function", "Domain")
        });
        let mut door = Self { world, member: member.in_region("us-east-1"), domains, url: String::new() };
        door.deploy("front-door", front_door).unwrap();
        door.url = door.member.output("front-door", "Url");
        door
    }

    /// Creates a stack with the domains of both functions. Returns the events of a stack that is rolled back.
    fn deploy(&self, name: &str, template: &str) -> Result<(), String> {
        let parameters = [("Home", self.domains[0].as_str()), ("Replica", self.domains[1].as_str())];
        self.member.create_stack(name, template, &parameters)?;
        match self.member.stack_status(name).as_str() {
            "CREATE_COMPLETE" => Ok(()),
            _ => Err(self.reasons(name)),
        }
    }

    /// Returns the unescaped reasons of all events of a stack.
    fn reasons(&self, name: &str) -> String {
        let events = self.member.events_xml(name);
        let reasons = events.split("<ResourceStatusReason>").skip(1);
        let reasons = reasons.map(|rest| format!("<Reason>{}", rest.replace("</ResourceStatusReason>", "</Reason>")));
        reasons.filter_map(|reason| xml_text(&reason, "Reason")).collect::<Vec<_>>().join("\n")
    }

    fn stop(&self, region: &str, form: OutageForm) {
        self.world.stop_region(region.parse::<Region>().unwrap(), form);
    }

    fn view(&self, method: &str, path: &str, headers: &[(&'static str, &str)], body: &str) -> Seen {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let uri = format!("{}{path}", self.url.trim_end_matches('/'));
        let body = bytes::Bytes::copy_from_slice(body.as_bytes());
        let viewed = self.world.view(&MockRequest { method: method.into(), uri, headers: map, body }).unwrap();
        let body: Value = serde_json::from_slice(&viewed.response.body).unwrap_or_default();
        assert_eq!(viewed.waited.subsec_nanos(), 0);
        seen(viewed.response.status, body["region"].as_str(), viewed.waited.as_secs())
    }

    fn get(&self) -> Seen {
        self.view("GET", "/", &[], "")
    }
}

#[test]
fn a_distribution_answers_from_home_and_fails_over_to_the_replica() {
    let door = FrontDoor::new();
    assert_eq!(door.get(), seen(200, Some(HOME), 0));
    for (form, seconds) in
        [(OutageForm::Refused, 0), (OutageForm::Unreachable, 2), (OutageForm::Hanging, 5), (OutageForm::Unavailable, 0)]
    {
        door.stop(HOME, form);
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(door.view(method, "/", &[], ""), seen(200, Some(REPLICA), seconds), "{form} {method}");
        }
        // CloudFront does not remember that the home region has failed.
        assert_eq!(door.get().seconds, seconds, "{form}");
        door.world.end_outages();
        assert_eq!(door.get(), seen(200, Some(HOME), 0), "{form}");
    }
}

#[test]
fn only_listed_statuses_fail_over() {
    let door = FrontDoor::new();
    door.stop(HOME, OutageForm::NotFound);
    assert_eq!(door.get(), seen(404, None, 0));
    let listed = FRONT_DOOR.replace("Quantity: 4, Items: [500,", "Quantity: 5, Items: [404, 500,");
    let door = FrontDoor::with(&listed);
    door.stop(HOME, OutageForm::NotFound);
    assert_eq!(door.get(), seen(200, Some(REPLICA), 0), "the replica hides an error of the home region");
}

#[test]
fn a_failed_connection_counts_as_503_and_a_timeout_as_504() {
    let without = |code: &str| {
        let remaining: Vec<&str> = ["500", "502", "503", "504"].into_iter().filter(|one| *one != code).collect();
        FRONT_DOOR.replace(
            "Quantity: 4, Items: [500, 502, 503, 504]",
            &format!("Quantity: 3, Items: [{}]", remaining.join(", ")),
        )
    };
    let door = FrontDoor::with(&without("503"));
    door.stop(HOME, OutageForm::Refused);
    assert_eq!(door.get(), seen(502, None, 0));
    door.stop(HOME, OutageForm::Unreachable);
    assert_eq!(door.get(), seen(504, None, 2));
    door.stop(HOME, OutageForm::Hanging);
    assert_eq!(door.get(), seen(200, Some(REPLICA), 5));
    let door = FrontDoor::with(&without("504"));
    door.stop(HOME, OutageForm::Hanging);
    assert_eq!(door.get(), seen(504, None, 5));
    door.stop(HOME, OutageForm::Unreachable);
    assert_eq!(door.get(), seen(200, Some(REPLICA), 2));
}

#[test]
fn the_error_of_the_replica_is_passed_on_if_both_origins_fail() {
    let door = FrontDoor::new();
    door.stop(HOME, OutageForm::Hanging);
    for (form, status, seconds) in [
        (OutageForm::Refused, 502, 5),
        (OutageForm::Unreachable, 504, 7),
        (OutageForm::Hanging, 504, 10),
        (OutageForm::Unavailable, 503, 5),
        (OutageForm::NotFound, 404, 5),
    ] {
        door.stop(REPLICA, form);
        assert_eq!(door.get(), seen(status, None, seconds), "{form}");
    }
}

#[test]
fn attempts_multiply_the_time_until_the_failover() {
    let defaults = FRONT_DOOR
        .replace("            ConnectionAttempts: 1\n            ConnectionTimeout: 2\n", "")
        .replace(", OriginReadTimeout: 5", "");
    let door = FrontDoor::with(&defaults);
    door.stop(HOME, OutageForm::Unreachable);
    assert_eq!(door.get(), seen(200, Some(REPLICA), 30));
    door.stop(HOME, OutageForm::Hanging);
    assert_eq!(door.get(), seen(200, Some(REPLICA), 90));
    assert_eq!(door.view("OPTIONS", "/", &[], ""), seen(200, Some(REPLICA), 30), "OPTIONS is not sent again");
}

#[test]
fn a_write_reaches_only_the_home_region_and_only_on_its_path() {
    let door = FrontDoor::new();
    let hash = hex::encode(Sha256::digest("data"));
    let write = |path: &str| door.view("POST", path, &[("x-amz-content-sha256", &hash)], "data");
    assert_eq!(write("/write/orders"), seen(200, Some(HOME), 0));
    assert_eq!(write("/"), seen(403, None, 0), "the default behaviour does not allow POST");
    door.stop(HOME, OutageForm::Refused);
    assert_eq!(write("/write/orders"), seen(502, None, 0));
    door.stop(HOME, OutageForm::Hanging);
    assert_eq!(write("/write/orders"), seen(504, None, 5));
    assert_eq!(door.view("GET", "/write/orders", &[], ""), seen(504, None, 5), "the path has no replica");
}

#[test]
fn a_write_without_the_hash_of_its_body_is_refused() {
    let door = FrontDoor::new();
    let (empty, other) = (hex::encode(Sha256::digest("")), hex::encode(Sha256::digest("other")));
    for method in ["POST", "PUT"] {
        assert_eq!(door.view(method, "/write/a", &[], "data").status, 403, "{method}");
        assert_eq!(door.view(method, "/write/a", &[], "").status, 403, "{method} without a body");
        assert_eq!(door.view(method, "/write/a", &[("x-amz-content-sha256", &other)], "data").status, 403, "{method}");
        assert_eq!(door.view(method, "/write/a", &[("x-amz-content-sha256", &empty)], "").status, 200, "{method}");
    }
    assert_eq!(door.view("PATCH", "/write/a", &[], "data").status, 403);
    assert_eq!(door.view("DELETE", "/write/a", &[], "").status, 200);
}

#[test]
fn the_origin_access_control_overwrites_the_header_authorization() {
    let token = [("authorization", "Bearer token of the application")];
    let door = FrontDoor::new();
    assert_eq!(door.view("GET", "/", &token, ""), seen(200, Some(HOME), 0));
    let door = FrontDoor::with(&FRONT_DOOR.replace("SigningBehavior: always", "SigningBehavior: no-override"));
    assert_eq!(door.get(), seen(200, Some(HOME), 0));
    assert_eq!(door.view("GET", "/", &token, ""), seen(403, None, 0));
    let door = FrontDoor::with(&FRONT_DOOR.replace("SigningBehavior: always", "SigningBehavior: never"));
    assert_eq!(door.get(), seen(403, None, 0));
    let viewers_host =
        FRONT_DOOR.replace("b689b0a8-53d0-40ab-baf2-68738e2966ac", "216adef6-5c7f-47e4-b989-5492eafa07d3");
    assert_eq!(FrontDoor::with(&viewers_host).get(), seen(403, None, 0));
}

#[test]
fn a_function_that_lacks_one_permission_refuses_cloudfront() {
    let door = FrontDoor::new();
    let client = door.member.in_region(HOME);
    for (removed, kept) in [("MayCallUrl", "MayInvoke"), ("MayInvoke", "MayCallUrl")] {
        let (before, rest) = FUNCTION.split_once(&format!("  {removed}:\n")).unwrap();
        let after = rest
            .find(&format!("  {kept}:\n"))
            .filter(|_| removed == "MayCallUrl")
            .unwrap_or_else(|| rest.find("Outputs:").unwrap());
        let template = format!("{before}{}", &rest[after..]);
        client.update(&template);
        assert_eq!(door.get(), seen(403, None, 0), "without {removed}");
        client.update(FUNCTION);
        assert_eq!(door.get(), seen(200, Some(HOME), 0));
    }
    client.update(&FUNCTION.replace("${AWS::AccountId}", "444455556666"));
    assert_eq!(door.get(), seen(403, None, 0), "the distribution is in another account");
}

#[test]
fn a_disabled_or_deleted_distribution_does_not_answer() {
    let door = FrontDoor::new();
    let parameters = [("Home", &door.domains[0]), ("Replica", &door.domains[1])];
    let mut update = vec![("StackName", "front-door"), ("TemplateBody", "")];
    let template = FRONT_DOOR.replace("Enabled: true", "Enabled: false");
    update[1].1 = &template;
    let names = ["Parameters.member.1", "Parameters.member.2"];
    let keys: Vec<[String; 2]> =
        names.map(|name| [format!("{name}.ParameterKey"), format!("{name}.ParameterValue")]).to_vec();
    for (key, (name, value)) in keys.iter().zip(&parameters) {
        update.extend([(key[0].as_str(), *name), (key[1].as_str(), value.as_str())]);
    }
    assert_eq!(door.member.cloudformation("UpdateStack", &update).0, 200);
    assert_eq!(door.get(), seen(403, None, 0));
    assert_eq!(door.member.cloudformation("DeleteStack", &[("StackName", "front-door")]).0, 200);
    assert_eq!(door.get(), seen(404, None, 0));
    let state = door.world.state();
    let left = &state.accounts.values().find(|account| account.regions.contains_key("us-east-1")).unwrap().cloudfront;
    assert!(left.distributions.is_empty() && left.access_controls.is_empty());
}

#[test]
fn a_served_distribution_has_a_loopback_url() {
    let door = FrontDoor::new();
    assert!(door.url.starts_with("https://d") && door.url.ends_with(".cloudfront.net/"), "{}", door.url);
    door.world.set_base_url("http://127.0.0.1:4566");
    let url = door.member.output("front-door", "Url");
    let label = door.url.trim_start_matches("https://").split('.').next().unwrap();
    assert_eq!(url, format!("http://127.0.0.1:4566/cloudfront/{label}/"));
    let served = FrontDoor { url, ..door };
    assert_eq!(served.get(), seen(200, Some(HOME), 0));
}

impl TestClient {
    /// Updates the stack `function`.
    fn update(&self, template: &str) {
        let (status, body) = self.cloudformation(
            "UpdateStack",
            &[("StackName", "function"), ("TemplateBody", template), ("Capabilities.member.1", "CAPABILITY_IAM")],
        );
        assert_eq!(status, 200, "{body}");
        assert_eq!(self.stack_status("function"), "UPDATE_COMPLETE");
    }
}
