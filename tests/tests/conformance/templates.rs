//! Test cases of CloudFormation templates: functions, macros, resource types by region, and templates in S3.

use aws_sdk_cloudformation::Client;

use super::case::{Failure, Observed, accepted, cases, with_message};
use super::cloud::Cloud;

cases![
    an_unknown_function_is_rejected,
    a_macro_requires_a_capability,
    a_resource_type_that_the_region_lacks_is_rejected,
    a_resource_type_of_another_service_is_accepted,
    a_template_that_is_not_in_s3_is_rejected,
    a_missing_export_fails_the_stack,
];

async fn client(cloud: &Cloud) -> Result<Client, Failure> {
    Ok(cloud.cloudformation(&cloud.create_member("a").await?))
}

fn template(kind: &str, properties: &str) -> String {
    format!(r#"{{"Resources": {{"R": {{"Type": "{kind}", "Properties": {properties}}}}}}}"#)
}

async fn validate(cloud: &Cloud, template: &str) -> Observed {
    Ok(client(cloud).await?.validate_template().template_body(template).send().await.map(accepted)?)
}

async fn an_unknown_function_is_rejected(cloud: Cloud) -> Observed {
    validate(&cloud, &template("AWS::Logs::LogGroup", r#"{"LogGroupName": {"Fn::Nope": "x"}}"#)).await
}

async fn a_macro_requires_a_capability(cloud: Cloud) -> Observed {
    let template =
        template("AWS::Logs::LogGroup", "{}").replacen('{', r#"{"Transform": "AWS::LanguageExtensions","#, 1);
    let call = client(&cloud).await?.create_stack().stack_name("app").template_body(template);
    Ok(call.send().await.map(accepted)?)
}

async fn a_resource_type_that_the_region_lacks_is_rejected(cloud: Cloud) -> Observed {
    // This type exists in us-east-1 only.
    validate(&cloud, &template("AWS::CUR::ReportDefinition", "{}")).await
}

async fn a_resource_type_of_another_service_is_accepted(cloud: Cloud) -> Observed {
    validate(&cloud, &template("AWS::SQS::Queue", "{}")).await
}

async fn a_template_that_is_not_in_s3_is_rejected(cloud: Cloud) -> Observed {
    let call = client(&cloud).await?.create_stack().stack_name("app").template_url("https://example.com/stack.yaml");
    call.send().await.map(accepted).map_err(with_message)
}

async fn a_missing_export_fails_the_stack(cloud: Cloud) -> Observed {
    let client = client(&cloud).await?;
    let template = template("AWS::Logs::LogGroup", r#"{"LogGroupName": {"Fn::ImportValue": "missing"}}"#);
    client.create_stack().stack_name("app").template_body(template).send().await?;
    super::cloudformation::final_state(&cloud, &client, "app").await
}
