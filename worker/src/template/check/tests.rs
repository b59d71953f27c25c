//! Tests that each rule refuses a broken template with a message that names the field.

use freehold_tenancy::config::OWN_STACK_PARAMETERS;

use super::*;

const CONFIG: &str = concat!(
    include_str!("../../../../tenancy/src/config/minimal.toml"),
    r#"
    [stack]
    template = "template.yaml"
    "#
);

const TEMPLATE: &str = r"
Parameters:
  TenantId: {Type: String}
  ImageTag: {Type: String, Default: latest, AllowedValues: [latest, '1']}
Resources:
  Function:
    Type: AWS::Lambda::Function
    Properties:
      Tags: [{Key: tenant, Value: !Ref ImageTag}]
Outputs:
  FunctionUrl: {Value: !GetAtt Function.Arn}
";

/// Validates a template, which replaces `template.yaml` in the configuration.
fn report(config: &str, template: &str) -> TemplateReport {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), template).unwrap();
    let path = file.path().display().to_string();
    check(&Config::parse(&config.replace("template.yaml", &path)).unwrap())
}

fn problems(config: &str, template: &str) -> Vec<String> {
    report(config, template).problems
}

#[test]
fn a_valid_template_has_no_problems() {
    assert_eq!(problems(CONFIG, TEMPLATE), [""; 0]);
    let json =
        r#"{"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup"}}, "Outputs": {"FunctionUrl": {"Value": "x"}}}"#;
    assert_eq!(problems(CONFIG, json), [""; 0]);
}

#[test]
fn a_broken_template_is_a_problem() {
    let long = format!("# {}{TEMPLATE}", "ü".repeat(25_600));
    for (template, expected) in [
        (long, "stack.template: must have at most 51200 bytes, not "),
        ("Resources: [".to_owned(), "stack.template: must be YAML or JSON: line"),
        ("{\"Resources\": }".to_owned(), "stack.template: must be YAML or JSON: line 1, column 15 is not JSON"),
        ("- a".to_owned(), "stack.template: must be YAML or JSON: a template is an object"),
        (format!("Transform: AWS::Serverless-2016-10-31\n{TEMPLATE}"), "stack.template: must not use Transform"),
        (TEMPLATE.replace("!Ref ImageTag", "!Transform {Name: x}"), "stack.template: must not use Transform"),
        (format!("Resource: {{}}\n{TEMPLATE}"), "stack.template: must not contain the section `Resource`"),
        (format!("Description: {{}}\n{TEMPLATE}"), "stack.template: the section Description must be a text"),
        (
            format!("AWSTemplateFormatVersion: 2010-09-10\n{TEMPLATE}"),
            "stack.template: AWSTemplateFormatVersion must be 2010-09-09",
        ),
        (
            TEMPLATE.replace("TenantId: {Type", "Bucket: {Type"),
            "stack.template: the parameter Bucket must have a default",
        ),
        (TEMPLATE.replace("ImageTag:", "Image-Tag:"), "stack.template: the name `Image-Tag` in Parameters must be"),
        (TEMPLATE.replace("FunctionUrl:", "Url:"), "stack.url_output: must be an output of the template, which lacks"),
        (
            TEMPLATE.replace("{Value: !GetAtt Function.Arn}", "{}"),
            "stack.template: the output FunctionUrl must have a V",
        ),
        (
            TEMPLATE.replace("    Type: AWS::Lambda::Function\n", ""),
            "stack.template: the resource Function must have a T",
        ),
        (TEMPLATE.replace("Lambda::Function", "Lambda::Functoin"), "stack.template: the Type AWS::Lambda::Functoin of"),
        (
            TEMPLATE.replace("Lambda::Function", "SQS::Queue"),
            "stack.template: the Type AWS::SQS::Queue of the resource Function needs permissions that the role \
             freehold-access lacks, such as sqs:CreateQueue; add { Effect = \"Allow\", Action = \"sqs:*\", Resource = \
             \"*\" } to access_role.statements,",
        ),
        (
            TEMPLATE.replace("Lambda::Function", "Organizations::Account"),
            "stack.template: the Type AWS::Organizations::Account of the resource Function needs permissions that the \
             role freehold-access lacks, such as organizations:CreateAccount; access_role.statements must not allow it",
        ),
        ("Outputs: {FunctionUrl: {Value: x}}".to_owned(), "stack.template: must have at least one resource"),
    ] {
        let found = problems(CONFIG, &template);
        assert!(found.iter().any(|one| one.starts_with(expected)), "no `{expected}`: {found:#?}");
    }
}

#[test]
fn a_reference_to_nothing_is_a_problem() {
    for (function, expected) in [
        ("!Ref Missing", "must declare the parameter or resource `Missing`, to which the template refers"),
        ("!GetAtt Missing.Arn", "must declare the resource `Missing`, to which the template refers"),
        ("{'Fn::GetAtt': [Missing, Arn]}", "must declare the resource `Missing`, to which the template refers"),
        ("!Sub '${Missing}-${!Literal}'", "must declare the parameter or resource `Missing`, to which the template"),
        ("!Sub ['${A}${Missing.Arn}', {A: b}]", "must declare the resource `Missing`, to which the template refers"),
        ("!If [Missing, a, b]", "must declare the condition `Missing`, to which the template refers"),
    ] {
        let found = problems(CONFIG, &TEMPLATE.replace("!Ref ImageTag", function));
        assert_eq!(found.len(), 1, "{function}: {found:#?}");
        assert!(found[0].starts_with(&format!("stack.template: {expected}")), "{function}: {found:#?}");
    }
    let valid = "!Sub ['${AWS::Region}-${ImageTag}-${A}', {A: !GetAtt Function.Arn}]";
    assert_eq!(problems(CONFIG, &TEMPLATE.replace("!Ref ImageTag", valid)), [""; 0]);
    // An IAM policy has a key of this name.
    let policy = "{Condition: {StringEquals: {Ref: Missing, x: y}}, Effect: Allow}";
    assert_eq!(problems(CONFIG, &TEMPLATE.replace("!Ref ImageTag", policy)), [""; 0]);
}

#[test]
fn the_configured_parameters_must_fit_the_template() {
    for (parameters, expected) in [
        ("Unknown = \"x\"", "stack.parameters.Unknown: must be declared in the Parameters of the template"),
        ("ImageTag = \"2\"", "stack.parameters.ImageTag: must be one of latest, 1 (parameter of the template)"),
    ] {
        let found = problems(&format!("{CONFIG}[stack.parameters]\n{parameters}"), TEMPLATE);
        assert_eq!(found, [expected]);
    }
    assert_eq!(problems(&format!("{CONFIG}[stack.parameters]\nImageTag = \"1\""), TEMPLATE), [""; 0]);
    let bucket = TEMPLATE.replace("TenantId: {Type", "Bucket: {Type");
    assert_eq!(problems(&format!("{CONFIG}[stack.parameters]\nBucket = \"x\""), &bucket), [""; 0]);
}

#[test]
fn a_parameter_must_accept_the_values_that_freehold_passes() {
    for (parameter, expected) in [
        (
            "Tier: {Type: String, AllowedValues: [enterprise]}",
            "the parameter Tier must accept `standard`, but a value must be one of enterprise",
        ),
        (
            "HomeRegion: {Type: String, AllowedValues: [eu-central-1]}",
            "the parameter HomeRegion must accept `eu-central-2`, but a value must be one of eu-central-1",
        ),
        ("EnvironmentId: {Type: Number}", "the parameter EnvironmentId must have the Type String, not Number"),
        (
            "EnvironmentName: {Type: String, MaxLength: 4}",
            "the parameter EnvironmentName must accept `production`, but a value must have at most 4 characters",
        ),
        (
            "VerifyRoleArn: {Type: String, AllowedPattern: 'arn:aws:iam::\\d{12}:role/x'}",
            "the parameter VerifyRoleArn must accept `arn:aws:iam::111122223333:role/freehold-verify`, but a value \
             must match the AllowedPattern arn:aws:iam::\\d{12}:role/x",
        ),
        ("TenantId: {Default: x}", "the parameter TenantId must have a Type"),
    ] {
        let found = problems(CONFIG, &TEMPLATE.replace("TenantId: {Type: String}", parameter));
        assert_eq!(found, [format!("stack.template: {expected}")]);
    }
}

#[test]
fn a_configured_value_must_fit_its_parameter() {
    for (parameter, value, expected) in [
        ("Type: Number", "x", "must be a number"),
        ("Type: Number, MaxValue: 5", "6", "must be at most 5"),
        ("Type: Number, MinValue: 5", "4", "must be at least 5"),
        ("Type: String, MinLength: 3", "ab", "must have at least 3 characters"),
        ("Type: String, AllowedPattern: '[a-z]+'", "a1", "must match the AllowedPattern [a-z]+"),
    ] {
        let template = TEMPLATE.replace("TenantId: {Type: String}", &format!("Size: {{{parameter}}}"));
        let found = problems(&format!("{CONFIG}[stack.parameters]\nSize = \"{value}\""), &template);
        assert_eq!(found, [format!("stack.parameters.Size: {expected} (parameter of the template)")]);
    }
}

#[test]
fn a_resource_type_can_be_accepted_where_data_are_outdated() {
    let config = CONFIG.replace("[stack]", "[stack]\naccepted_resource_types = [\"AWS::Lambda::Url\"]");
    assert_eq!(problems(&config, &TEMPLATE.replace("Lambda::Function", "Lambda::Url")), [""; 0]);
}

#[test]
fn the_built_in_templates_are_valid_in_every_region() {
    let regions: Vec<_> = Region::all().map(|region| format!("\"{region}\"")).collect();
    let config = CONFIG.replace("template = \"template.yaml\"", "");
    let config = config.replace("\"eu-central-1\", \"eu-central-2\"", &regions.join(", "));
    let report = check(&Config::parse(&config).unwrap());
    assert_eq!((report.problems, report.warnings), (Vec::new(), Vec::new()));
    assert!(report.bytes > 1_000);
}

#[test]
fn a_residency_must_have_a_region_with_all_needed_types() {
    let template = TEMPLATE.replace("Lambda::Function", "Lambda::Url");
    let found = report(CONFIG, &template);
    assert_eq!(found.problems, [""; 0]);
    let advice = "set another template for the region in [stack.region_templates], or, if AWS has added the type there \
                  recently, list it in stack.accepted_resource_types";
    let subject = "the Type AWS::Lambda::Url of the resource Function";
    assert_eq!(
        found.warnings,
        [format!(
            "stack.template: AWS lacks {subject} in eu-central-2, so no environment can run there, and requests are \
             refused with region_without_type; {advice}"
        )]
    );
    let alone = CONFIG.replace("\"eu-central-1\", \"eu-central-2\"", "\"eu-central-2\"");
    let problem = format!("stack.template: {subject} must be replaced, because AWS lacks it in eu-central-2; {advice}");
    assert_eq!(problems(&alone, &template), [problem]);
}

#[test]
fn a_type_under_a_condition_is_only_a_warning() {
    let template = TEMPLATE.replace("Type: AWS::Lambda::Function", "Type: AWS::Lambda::Url\n    Condition: HasUrl");
    let template = format!("Conditions: {{HasUrl: !Equals [!Ref 'AWS::Region', eu-central-1]}}\n{template}");
    let report = report(CONFIG, &template);
    assert_eq!(report.problems, [""; 0]);
    assert_eq!(
        report.warnings,
        ["stack.template: AWS lacks the Type AWS::Lambda::Url of the resource Function in eu-central-2, so the \
          Condition of the resource must be false there"]
    );
}

#[test]
fn the_capabilities_of_the_configuration_must_be_sufficient() {
    let role = |name: &str| {
        let properties = format!("{{{name}AssumeRolePolicyDocument: {{}}}}");
        TEMPLATE.replace(
            "Resources:\n",
            &format!("Resources:\n  Role: {{Type: 'AWS::IAM::Role', Properties: {properties}}}\n"),
        )
    };
    let with = |capabilities: &str| CONFIG.replace("[stack]", &format!("[stack]\ncapabilities = [{capabilities}]"));
    let missing = |capability: &str, reason: &str| {
        format!(
            "stack.capabilities: must contain {capability}, because the template has the resource Role of the type \
             AWS::IAM::Role{reason}"
        )
    };
    assert_eq!(problems(CONFIG, &role("RoleName: x, ")), [""; 0]);
    assert_eq!(problems(&with(""), &role("")), [missing("CAPABILITY_IAM", "")]);
    assert_eq!(problems(&with("\"CAPABILITY_IAM\""), &role("")), [""; 0]);
    assert_eq!(
        problems(&with("\"CAPABILITY_IAM\""), &role("RoleName: x, ")),
        [missing("CAPABILITY_NAMED_IAM", " with a RoleName")]
    );
    let macros = format!("Transform: AWS::LanguageExtensions\n{TEMPLATE}").replace("!Ref ImageTag", "!ToJsonString {}");
    assert_eq!(problems(&with("\"CAPABILITY_AUTO_EXPAND\""), &macros), [""; 0]);
    assert_eq!(problems(CONFIG, &macros).len(), 1);
}

#[test]
fn a_template_in_s3_may_be_large_and_must_have_the_configured_hash() {
    let large = format!("# {}\n{TEMPLATE}", "x".repeat(60_000));
    let entry = |region: &str, sha256: &str| {
        let host = format!("freehold-templates-example.s3.{region}.amazonaws.com");
        format!("[stack.template_urls.{region}]\nurl = \"https://{host}/a?versionId=1\"\nsha256 = \"{sha256}\"\n")
    };
    let (right, wrong) = (sha256_of(&large), sha256_of("x"));
    let config = format!("{CONFIG}{}{}", entry("eu-central-1", &right), entry("eu-central-2", &right));
    assert_eq!(problems(&config, &large), [""; 0]);
    let config = format!("{CONFIG}{}{}", entry("eu-central-1", &right), entry("eu-central-2", &wrong));
    assert_eq!(
        problems(&config, &large),
        [format!("stack.template_urls.eu-central-2.sha256: must be the SHA-256 of stack.template, which is {right}")]
    );
    let found = problems(&config, &"x".repeat(1_000_001));
    assert!(found.iter().any(|one| one.starts_with("stack.template: must be YAML or JSON")), "{found:?}");
    let found = problems(&config, &format!("# {}\n{TEMPLATE}", "x".repeat(1_000_000)));
    assert!(found.iter().any(|one| one.starts_with("stack.template: must have at most 1000000 bytes")), "{found:?}");
}

#[test]
fn a_region_can_have_a_template_of_its_own() {
    let other = tempfile::NamedTempFile::new().unwrap();
    let write = |text: String| std::fs::write(other.path(), text).unwrap();
    let path = other.path().display();
    let config = format!("{CONFIG}[stack.region_templates]\neu-central-2 = \"{path}\"\n");
    // The other region has Function URLs.
    let with_url = TEMPLATE.replace("Lambda::Function", "Lambda::Url");
    write(TEMPLATE.replace("FunctionUrl:", "FunctionName:"));
    assert_eq!(problems(&config, &with_url), [""; 0]);
    write(TEMPLATE.replace("FunctionUrl:", "Name:"));
    let found = problems(&config, &with_url);
    assert_eq!(
        found,
        ["stack.url_output: must be an output of stack.region_templates.eu-central-2, which lacks `FunctionUrl`; its \
          outputs are: Name"]
    );
    write("- a".to_owned());
    let found = problems(&config, &with_url);
    assert!(found[0].starts_with("stack.region_templates.eu-central-2: must be YAML or JSON: "), "{found:?}");
}

#[test]
fn functions_that_cloudformation_refuses_are_problems() {
    for (function, expected) in [
        ("!Nope x", "must not use Fn::Nope, which CloudFormation does not know"),
        ("!ToJsonString {}", "must not use Fn::ToJsonString, which CloudFormation does not know"),
        ("!ImportValue x", "must not use Fn::ImportValue, because a new account has no exports; pass a parameter"),
    ] {
        let found = problems(CONFIG, &TEMPLATE.replace("!Ref ImageTag", function));
        assert_eq!(found, [format!("stack.template: {expected}")]);
    }
}

#[test]
fn an_output_with_an_export_is_a_problem() {
    let exported = TEMPLATE.replace("Outputs:\n", "Outputs:\n  Shared: {Value: x, Export: {Name: shared}}\n");
    let found = problems(CONFIG, &exported);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("stack.template: the output Shared must not have an Export"), "{found:?}");
}

#[test]
fn a_template_that_cannot_be_read_is_a_problem() {
    let report = check(&Config::parse(CONFIG).unwrap());
    assert!(report.problems[0].starts_with("stack.template: template.yaml cannot be read:"), "{:?}", report.problems);
}

#[test]
fn only_declared_parameters_are_passed() {
    let template = Template::parse(TEMPLATE).unwrap();
    let all = OWN_STACK_PARAMETERS.map(|name| (name.to_owned(), "value".to_owned()));
    assert_eq!(template.declared_only(all.into()).into_keys().collect::<Vec<_>>(), ["TenantId"]);
}

#[test]
fn a_configured_statement_allows_its_resource_types() {
    let queue = TEMPLATE.replace("Lambda::Function", "SQS::Queue");
    let section = |action: &str| {
        let statement = "[[access_role.statements]]\nEffect = \"Allow\"\nResource = \"*\"";
        CONFIG.replace("[stack]", &format!("{statement}\nAction = \"{action}\"\n[stack]"))
    };
    assert_eq!(problems(&section("sqs:*"), &queue), [""; 0]);
    assert_eq!(problems(&section("sqs:Send*"), &queue).len(), 1);
}
