//! Tests of templates of releases that AWS refuses or cannot read: scenarios 72 and 73.

use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::config::{TemplateUrl, sha256_of};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::release::{Release, ReleaseContent, ReleaseState};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::Worker;

use super::{attention, region};
use crate::releases::{
    ALARM_RIGHTS, TEMPLATE, content, create_approved, create_ready_tenant, environment, find, register, releases_of,
    update, with_alarm,
};

const HOME: &str = "eu-central-1";
const BUCKET: &str = "freehold-templates-example";

/// Returns the built-in template with a comment of multi-byte characters, `bytes` long.
fn template_of(bytes: usize) -> String {
    let start = format!("{TEMPLATE}# ");
    let rest = bytes - start.len() - 1;
    format!("{start}{}{}\n", "x".repeat(rest % 2), "ä".repeat(rest / 2))
}

/// Registers a release and has the worker check it.
async fn check(freehold: &Freehold, worker: &Worker, content: &ReleaseContent) -> Release {
    let id = register(freehold, content).await;
    worker.check_releases().await.expect("a check");
    find(freehold, id).await
}

/// Returns a release whose template in the home region is the object at `url`.
fn with_url(url: String, text: &str) -> ReleaseContent {
    ReleaseContent { urls: [(region(HOME), TemplateUrl { url, sha256: sha256_of(text) })].into(), ..content(60) }
}

#[tokio::test]
async fn the_size_of_a_template_is_limited_in_bytes() {
    let freehold = Freehold::instant().await;
    let (_, worker) = create_ready_tenant(&freehold, &[]).await;
    let of_size = |bytes| ReleaseContent { template: Some(template_of(bytes)), ..content(60) };
    assert!(template_of(51_201).chars().count() < 51_200);
    let refused = check(&freehold, &worker, &of_size(51_201)).await;
    assert_eq!(refused.state, ReleaseState::Refused);
    assert!(refused.problems[0].contains("must have at most 51200 bytes, not 51201"), "{:?}", refused.problems);
    let accepted = check(&freehold, &worker, &of_size(51_200)).await;
    assert_eq!((accepted.state, accepted.problems), (ReleaseState::Ready, vec![]));
}

#[tokio::test]
async fn a_copy_that_aws_cannot_read_refuses_the_release() {
    let freehold = Freehold::instant().await;
    let (_, worker) = create_ready_tenant(&freehold, &[]).await;
    let of_home = freehold.world.store_template(HOME, BUCKET, "app.yaml", TEMPLATE);
    let elsewhere = freehold.world.store_template("eu-west-1", "freehold-templates-west", "app.yaml", TEMPLATE);
    for (url, reason) in [
        (of_home.replace("versionId=", "versionId=0"), "S3 error: Access Denied"),
        (elsewhere.replace("eu-west-1", HOME), "must be addressed using the specified endpoint"),
    ] {
        let refused = check(&freehold, &worker, &with_url(url, TEMPLATE)).await;
        assert_eq!(refused.state, ReleaseState::Refused);
        let problem = &refused.problems[0];
        assert!(problem.starts_with("urls.eu-central-1") && problem.contains(reason), "{:?}", refused.problems);
    }
}

#[tokio::test]
async fn a_copy_that_the_deploying_role_cannot_read_needs_a_person() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let before = releases_of(&environment(&freehold, &tenant).await);
    let text = content(60).template.expect("a template");
    let url = freehold.world.store_template(HOME, BUCKET, "app.yaml", &text);
    let release = create_approved(&freehold, &worker, &with_url(url, &text)).await;
    let denied = Fault::error("ValidationError", "S3 error: Access Denied");
    freehold.world.inject(Rule::on("cloudformation", "CreateChangeSet", denied));
    let operation = update(&freehold, &worker, &tenant, release).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "aws_access_denied");
    assert!(message.contains("S3 error: Access Denied"), "{message}");
    assert_eq!(releases_of(&environment(&freehold, &tenant).await), before);
    freehold.world.clear_faults();
    let (_, operation) = super::retry(&freehold, &freehold.reload_tenant(&tenant).await).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
}

#[tokio::test]
async fn a_right_that_the_deploying_role_lacks_rolls_the_update_back() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let before = releases_of(&environment(&freehold, &tenant).await);
    let content = with_alarm(content(60));
    // The check finds a missing right in a text, but does not read copies in S3.
    let refused = check(&freehold, &worker, &content).await;
    assert_eq!(refused.state, ReleaseState::Refused);
    assert!(refused.problems[0].contains("AWS::CloudWatch::Alarm"), "{:?}", refused.problems);
    let text = content.template.expect("a template");
    let url = freehold.world.store_template(HOME, BUCKET, "app.yaml", &text);
    let release = create_approved(&freehold, &worker, &with_url(url, &text)).await;
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    let message = operation.failure.expect("a failure").message;
    assert!(message.contains("Errors: ") && message.contains("cloudwatch:PutMetricAlarm"), "{message}");
    assert_eq!(releases_of(&environment(&freehold, &tenant).await), before);

    // The next update installs the baseline with the right first.
    let freehold = freehold.with_config(&format!("{CONFIG}\n{ALARM_RIGHTS}"));
    let updated = update(&freehold, &freehold.worker("worker-2"), &tenant, release).await;
    assert_eq!(updated.state, OperationState::Succeeded, "{updated:#?}");
}

#[tokio::test]
async fn code_in_a_bucket_of_another_region_rolls_the_update_back() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let before = releases_of(&environment(&freehold, &tenant).await);
    let template = TEMPLATE.replace("MemorySize: 128", "MemorySize: 256");
    let release = ReleaseContent { template: Some(template), ..content(60) };
    let release = create_approved(&freehold, &worker, &release).await;
    let fault = Fault::failed(
        "Resource handler returned message: \"Error occurred while GetObject. S3 Error Code: PermanentRedirect. S3 \
         Error Message: The bucket is in this region: eu-west-1. Please use this region to retry the request\"",
    );
    freehold.world.inject(Rule::on("cloudformation", "AWS::Lambda::Function", fault).times(1));
    let operation = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    let message = operation.failure.expect("a failure").message;
    assert!(message.contains("Function: ") && message.contains("PermanentRedirect"), "{message}");
    assert_eq!(releases_of(&environment(&freehold, &tenant).await), before);
}
