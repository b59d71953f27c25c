use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

/// Resource values for tests. Every resource exists: `Ref` returns `{id}-ref`, and the attribute `Arn` is `arn:{id}`.
struct ExistingResources;

impl ResourceValues for ExistingResources {
    fn reference(&self, id: &str) -> Option<Value> {
        Some(json!(format!("{id}-ref")))
    }

    fn attribute(&self, id: &str, attribute: &str) -> Option<Value> {
        (attribute == "Arn").then(|| json!(format!("arn:{id}")))
    }
}

fn pseudo_parameters() -> PseudoParameters {
    PseudoParameters {
        account: "111122223333".into(),
        region: "eu-central-1".into(),
        stack_id: "arn:stack".into(),
        stack_name: "demo".into(),
        exports: BTreeMap::from([("vpc".into(), "vpc-1".into())]),
        notification_arns: Vec::new(),
    }
}

fn parameter_values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// Returns the resolved properties of the resource with the logical id `R`.
fn properties(text: &str, parameters: &[(&str, &str)]) -> Result<Value, TemplateError> {
    let template = Template::parse(text)?;
    let bound = template.bind(&parameter_values(parameters), pseudo_parameters())?;
    bound.resolve(&bound.resource("R").expect("a resource R").properties, &ExistingResources)
}

fn error(text: &str) -> String {
    properties(text, &[]).expect_err("this template is not valid").to_string()
}

#[test]
fn yaml_short_forms_are_resolved() {
    let text = r#"
Parameters:
  Name: {Type: String}
  List: {Type: CommaDelimitedList, Default: "a, b,c"}
Mappings:
  Sizes: {prod: {memory: 512}}
Conditions:
  Named: !Not [!Equals [!Ref Name, ""]]
  Both: !And [!Condition Named, !Equals [!Ref "AWS::Region", eu-central-1]]
  Either: !Or [!Equals [1, 2], !Condition Both]
Resources:
  Other: {Type: "AWS::Logs::LogGroup"}
  R:
    Type: AWS::Logs::LogGroup
    Properties:
      Ref: {"Ref": Name}
      Sub: !Sub "${Name}-${AWS::AccountId}-${Other}-${Other.Arn}-${!Literal}"
      Own: !Sub ["${Name}/${x}", {x: !Ref AWS::StackName}]
      Get: !GetAtt Other.Arn
      If: !If [Either, yes-it-is, no]
      Gone: !If [Named, !Ref AWS::NoValue, there]
      Join: !Join ["+", !Ref List]
      Select: !Select [1, !Split [".", "a.b.c"]]
      Map: !FindInMap [Sizes, prod, memory]
      Encoded: !Base64 hello
      Import: !ImportValue vpc
      Zones: !GetAZs ""
"#;
    assert_eq!(
        properties(text, &[("Name", "n")]).unwrap(),
        json!({
            "Ref": "n", "Sub": "n-111122223333-Other-ref-arn:Other-${Literal}", "Own": "n/demo", "Get": "arn:Other",
            "If": "yes-it-is", "Join": "a+b+c", "Select": "b", "Map": 512, "Encoded": "aGVsbG8=",
            "Import": "vpc-1", "Zones": ["eu-central-1a", "eu-central-1b", "eu-central-1c"],
        })
    );
}

#[test]
fn json_templates_are_supported() {
    let text = r#"{"Resources": {
        "R": {"Type": "AWS::Logs::LogGroup", "Properties": {"A": {"Fn::Sub": "x-${AWS::Region}"}}}}}"#;
    assert_eq!(properties(text, &[]).unwrap(), json!({ "A": "x-eu-central-1" }));
}

#[test]
fn references_are_dependencies_if_their_condition_is_true() {
    let text = r"
Parameters: {Own: {Type: String}}
Conditions: {HasOwn: !Equals [!Ref Own, 'true']}
Resources:
  Log: {Type: AWS::Logs::LogGroup}
  Extra: {Type: AWS::Logs::LogGroup, Condition: HasOwn}
  R:
    Type: AWS::Lambda::Function
    DependsOn: Log
    Properties: {A: !If [HasOwn, !Ref Extra, none]}
";
    let template = Template::parse(text).unwrap();
    for (own, expected) in [("true", vec!["Extra", "Log"]), ("false", vec!["Log"])] {
        let bound = template.clone().bind(&parameter_values(&[("Own", own)]), pseudo_parameters()).unwrap();
        let found = bound.dependencies(bound.resource("R").unwrap());
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn parameters_must_satisfy_their_constraints() {
    let text = r"
Parameters:
  Tier: {Type: String, AllowedValues: [standard, enterprise], Default: standard}
  Id: {Type: String, AllowedPattern: 'ten_[a-z]+', ConstraintDescription: must be an id.}
  Days: {Type: Number, MinValue: 1, MaxValue: 30, Default: 7}
  Short: {Type: String, MaxLength: 3, Default: abc}
Resources: {R: {Type: 'AWS::Logs::LogGroup'}}
";
    let message = |parameters: &[(&str, &str)]| match properties(text, parameters) {
        Ok(_) => "valid".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(message(&[("Id", "ten_a")]), "valid");
    assert_eq!(message(&[]), "Parameters: [Id] must have values");
    assert_eq!(message(&[("Id", "ten_a"), ("Foo", "1")]), "Parameters: [Foo] do not exist in the template");
    assert_eq!(message(&[("Id", "xten_a")]), "Parameter Id failed to satisfy constraint: must be an id.");
    assert!(message(&[("Id", "ten_a"), ("Tier", "gold")]).starts_with("Parameter 'Tier' must be one of AllowedValues"));
    assert!(message(&[("Id", "ten_a"), ("Days", "31")]).contains("not greater than 30"));
    assert!(message(&[("Id", "ten_a"), ("Days", "x")]).contains("must be a number"));
    assert!(message(&[("Id", "ten_a"), ("Short", "abcd")]).contains("at most 3 characters"));
}

#[test]
fn invalid_templates_are_rejected_with_cloudformations_messages() {
    for (text, expected) in [
        ("just text", "Template format error: unsupported structure."),
        ("a: [", "Template format error: YAML not well-formed."),
        ("{", "Template format error: JSON not well-formed."),
        ("Description: x", "Template format error: At least one Resources member must be defined."),
        ("Foo: 1\nResources: {R: {Type: A}}", "Invalid template property or properties [Foo]"),
        ("Resources: {R: {}}", "[/Resources/R] Every Resources object must contain a Type member."),
        ("Resources: {R: {Type: A, Foo: 1}}", "Invalid template resource property 'Foo'"),
        (
            "Resources: {R: {Type: A, Properties: {x: !Ref Missing}}}",
            "Unresolved resource dependencies [Missing] in the Resources block of the template",
        ),
        (
            "Resources: {R: {Type: A}}\nOutputs: {O: {Value: !Sub '${Missing.Arn}'}}",
            "Unresolved resource dependencies [Missing] in the Outputs block of the template",
        ),
        ("Resources: {R: {Type: A, DependsOn: [Q]}}", "Unresolved resource dependencies [Q]"),
        ("Resources: {R: {Type: A, Condition: C}}", "Unresolved condition dependency C in the Resources block"),
        (
            "Resources: {R: {Type: A, DependsOn: S}, S: {Type: A, Properties: {x: !Ref R}}}",
            "Circular dependency between resources: [R, S]",
        ),
        (
            "Conditions: {A: !Not [!Condition B], B: !Not [!Condition A]}\nResources: {R: {Type: A}}",
            "Found circular condition dependency",
        ),
        (
            "Resources: {R: {Type: A, Properties: {x: !Nope y}}}",
            "Template format error: Encountered unsupported function: Fn::Nope Supported functions are: [Fn::Base64, ",
        ),
        ("Resources: {R: {Type: A, Properties: {x: !ImportValue subnet}}}", "No export named subnet found"),
        ("Resources: {R: {Type: A, Properties: {x: !Select [5, [a]]}}}", "cannot select nonexistent value at index 5"),
    ] {
        let message = error(text);
        assert!(message.contains(expected), "{text}\nwas rejected with\n{message}");
    }
}

#[test]
fn named_iam_resources_require_a_stronger_capability() {
    let needed = |text: &str| Template::parse(text).unwrap().capabilities();
    let resource = |resource: &str| needed(&format!("Resources: {{R: {resource}}}"));
    assert_eq!(resource("{Type: AWS::Logs::LogGroup}"), [""; 0]);
    assert_eq!(resource("{Type: AWS::IAM::Role}"), ["CAPABILITY_IAM"]);
    assert_eq!(resource("{Type: AWS::IAM::Role, Properties: {RoleName: x}}"), ["CAPABILITY_NAMED_IAM"]);
    assert_eq!(needed("Transform: Own\nResources: {R: {Type: A}}"), ["CAPABILITY_AUTO_EXPAND"]);
    assert_eq!(resource("{Type: A, Properties: {a: !Transform {Name: 'AWS::Include'}}}"), ["CAPABILITY_AUTO_EXPAND"]);
}
