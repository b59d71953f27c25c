//! Tests of the validation of the template by AWS, before any account exists.

use std::fmt::Write as _;
use std::sync::Arc;

use freehold_tenancy::Config;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::template::validate_in_aws::{AwsTemplateReport, validate};

const TEMPLATE: &str = "Resources: {Function: {Type: 'AWS::Lambda::Function'}}\n\
                        Outputs: {FunctionUrl: {Value: !GetAtt Function.Arn}}\n";

/// Validates a template with further lines of `[stack]`, with the credentials of the worker.
async fn validate_template(freehold: Freehold, template: &str, stack: &str) -> AwsTemplateReport {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), template).expect("the template");
    let config = format!("{CONFIG}\n[stack]\ntemplate = {:?}\n{stack}", file.path().display().to_string());
    let freehold = freehold.with_config(&config);
    validate(&freehold.aws(None), &freehold.config).await.expect("a report")
}

#[tokio::test]
async fn aws_accepts_the_built_in_templates_in_every_enabled_region() {
    let freehold = Freehold::instant().await;
    let report = validate(&freehold.aws(None), &freehold.config).await.expect("a report");
    assert_eq!((report.accepted, report.problems.len()), (4, 0), "{report:?}");
    // The management account has not enabled this region.
    assert_eq!(report.skipped.len(), 1, "{:?}", report.skipped);
    assert!(report.skipped[0].starts_with("stack.template: not validated by AWS in eu-central-2: "), "{report:?}");
    assert_eq!(freehold.world.stacks(), [], "nothing was created");
}

#[tokio::test]
async fn aws_is_not_asked_about_a_region_that_lacks_a_type() {
    let with_url = TEMPLATE.replace("{Function:", "{Url: {Type: 'AWS::Lambda::Url'}, Function:");
    let report = validate_template(Freehold::instant().await, &with_url, "").await;
    assert_eq!((report.accepted, &report.problems[..], &report.skipped[..]), (4, &[][..], &[][..]));
}

#[tokio::test]
async fn a_refused_template_names_the_field_the_region_and_the_reason() {
    let broken = TEMPLATE.replace("Lambda::Function", "Lambda::Functoin");
    let report = validate_template(Freehold::instant().await, &broken, "").await;
    let expected = "stack.template: must be a template that AWS accepts in eu-central-1: Template format error: \
                    Unrecognized resource types: [AWS::Lambda::Functoin]";
    assert!(report.problems.contains(&expected.to_owned()), "{:#?}", report.problems);
    assert_eq!((report.accepted, report.problems.len()), (0, 4));

    let role = TEMPLATE.replace("{Function:", "{Role: {Type: 'AWS::IAM::Role', Properties: {RoleName: x}}, Function:");
    let report = validate_template(Freehold::instant().await, &role, "capabilities = []").await;
    let expected = "stack.capabilities: must contain CAPABILITY_NAMED_IAM, which AWS requires in eu-central-1: The \
                    following resource(s) require capabilities: [AWS::IAM::Role]";
    assert!(report.problems.contains(&expected.to_owned()), "{:#?}", report.problems);
}

#[tokio::test]
async fn a_copy_in_s3_is_validated_with_the_permissions_of_the_control_role() {
    let freehold = Freehold::instant().await;
    let large = format!("{TEMPLATE}# {}\n", "x".repeat(60_000));
    let sha256 = freehold_tenancy::config::sha256_of(&large);
    let mut stack = String::new();
    for region in ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "eu-central-2"] {
        let bucket = format!("freehold-templates-{region}");
        let mut url = freehold.world.store_template(region, &bucket, "stack.yaml", &large);
        if region == "us-east-1" {
            url.push('0');
        }
        write!(stack, "[stack.template_urls.{region}]\nurl = \"{url}\"\nsha256 = \"{sha256}\"\n").expect("a text");
    }
    let report = validate_template(freehold, &large, &stack).await;
    assert_eq!(report.accepted, 3, "{report:#?}");
    let expected = "stack.template_urls.us-east-1: must be a template that AWS accepts in us-east-1: S3 error: Access";
    assert!(report.problems.len() == 1 && report.problems[0].starts_with(expected), "{:#?}", report.problems);
}

#[tokio::test]
async fn an_administrator_needs_no_control_role() {
    let freehold = Freehold::instant().await;
    let config = CONFIG.replace("role/freehold-control", "role/missing");
    let config = Arc::new(Config::parse(&config).expect("a configuration"));
    let key = &freehold.world.settings().management_access_key;
    let key = freehold_worker::aws::AccessKey { id: key, secret: "secret" };
    let http = freehold_sandbox::http::client(&freehold.world);
    let connection = freehold_worker::aws::Connection::in_process(key, "eu-central-1", http);
    let aws = freehold_worker::aws::Aws::connect(Arc::clone(&config), freehold.clock.clone(), None, connection);
    assert_eq!(validate(&aws, &config).await.expect("a report").accepted, 4);
    // The worker cannot assume the role.
    let freehold = freehold.with_config(&CONFIG.replace("role/freehold-control", "role/missing"));
    let error = validate(&freehold.aws(None), &freehold.config).await.unwrap_err();
    assert!(error.to_string().starts_with("sts:AssumeRole answered AccessDenied"), "{error}");
}
