//! Tests of templates in S3: larger than a request, read by AWS with the permissions of the role, and compared with the
//! checked file.

use std::fmt::Write as _;

use chrono::TimeDelta;
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::config::sha256_of;
use freehold_tests::fixture::{CONFIG, Freehold};
use tempfile::NamedTempFile;

use super::{MAX_SIMULATED_TIME, assert_ready, attention, calls, onboard, onboard_in, retry};

const TEMPLATE: &str = include_str!("../../../stacks/tenant.yaml");
const TEMPLATE_WITHOUT_URL: &str = include_str!("../../../stacks/tenant-without-url.yaml");

const WITHOUT_URL_REGION: &str = "eu-central-2";

/// Returns a template with a comment, larger than a request may be.
fn large(template: &str, comment: char) -> String {
    let template = format!("{template}# {}\n", comment.to_string().repeat(60_000));
    assert!(template.len() > 51_200);
    template
}

/// Files with the template of all regions and that of the region without Function URLs.
struct Files([NamedTempFile; 2]);

impl Files {
    fn new() -> Self {
        Self([large(TEMPLATE, 'x'), large(TEMPLATE_WITHOUT_URL, 'x')].map(|text| {
            let file = NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), text).expect("the template");
            file
        }))
    }

    /// Returns the configuration with a copy of the template in each region. `text_in_s3` returns the text of the copy
    /// in a region, given the text of the file.
    fn configure(&self, freehold: &Freehold, text_in_s3: impl Fn(&str, String) -> String) -> String {
        let [all, other] = &self.0;
        let path = |file: &NamedTempFile| file.path().display().to_string();
        let mut config = format!(
            "{CONFIG}\n[stack]\ntemplate = {:?}\nregion_templates = {{{WITHOUT_URL_REGION} = {:?}}}\n",
            path(all),
            path(other)
        );
        for region in ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2", WITHOUT_URL_REGION] {
            let file = if region == WITHOUT_URL_REGION { other } else { all };
            let text = std::fs::read_to_string(file.path()).expect("the template");
            let sha256 = sha256_of(&text);
            let bucket = format!("freehold-templates-{region}");
            let url = freehold.world.store_template(region, &bucket, "stack.yaml", &text_in_s3(region, text));
            write!(config, "[stack.template_urls.{region}]\nurl = \"{url}\"\nsha256 = \"{sha256}\"\n").expect("a text");
        }
        config
    }
}

#[tokio::test]
async fn a_template_larger_than_a_request_is_deployed_from_s3() {
    let files = Files::new();
    let freehold = Freehold::instant().await;
    let config = files.configure(&freehold, |_, text| text);
    let freehold = freehold.with_config(&config);
    assert_ready(&onboard(&freehold).await);
    assert_eq!(calls(&freehold, "cloudformation:GetTemplate"), (1, 0), "the template was compared once");
    assert_ready(&onboard_in(&freehold, WITHOUT_URL_REGION).await);
    assert_eq!(calls(&freehold, "lambda:Invoke").0, 1, "this region has no Function URLs");
}

#[tokio::test]
async fn a_stack_with_another_template_is_deleted_and_holds_the_region() {
    let files = Files::new();
    let freehold = Freehold::instant().await;
    let config = files.configure(&freehold, |region, text| match region {
        "eu-central-1" => text.replace("MemorySize: 128", "MemorySize: 256"),
        _ => text,
    });
    let freehold = freehold.with_config(&config);
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let elsewhere = freehold.sign_up("Example", "us-east-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(10)).await;
    let waits: Vec<_> =
        freehold.operation_of(&tenant).await.steps.into_iter().filter_map(|step| step.waits_for).collect();
    assert!(
        waits.iter().any(|wait| wait.contains("has read another template from https://freehold-templates-eu-c")),
        "{waits:#?}"
    );
    let states = || {
        let stacks = freehold.world.stacks().into_iter().filter(|one| one.region == "eu-central-1");
        let stacks = stacks.filter(|one| one.name == "freehold-tenant");
        stacks.map(|stack| stack.status).collect::<Vec<_>>()
    };
    assert_eq!(states(), ["DELETE_COMPLETE"]);
    // Tenants of other regions are not affected.
    assert_ready(&(freehold.reload_tenant(&elsewhere).await, freehold.operation_of(&elsewhere).await));

    let config = files.configure(&freehold, |_, text| text);
    let freehold = freehold.with_config(&config);
    freehold.run_until_idle(&freehold.worker("worker-2"), MAX_SIMULATED_TIME).await;
    assert_ready(&(freehold.reload_tenant(&tenant).await, freehold.operation_of(&tenant).await));
}

#[tokio::test]
async fn an_unreadable_copy_is_reported_after_the_propagation_time() {
    let files = Files::new();
    let freehold = Freehold::instant().await;
    let config = files.configure(&freehold, |_, text| text).replace("?versionId=", "?versionId=0");
    let freehold = freehold.with_config(&config);
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, AttentionCode::DeadlinePassed.as_str());
    assert!(message.contains("S3 error: Access Denied"), "{message}");
    assert_eq!(calls(&freehold, "cloudformation:GetTemplate").0, 0);
    let config = files.configure(&freehold, |_, text| text);
    let freehold = freehold.with_config(&config);
    assert_ready(&retry(&freehold, &tenant).await);
}
