//! Cases of updates that fail for good. A failed operation offers no remedy: after the cause is fixed, the update is
//! requested again.

use freehold_sandbox::Settings;
use freehold_tenancy::Region;
use freehold_tenancy::attention::Remedy;
use freehold_tenancy::config::{TemplateUrl, sha256_of};
use freehold_tenancy::db::lifecycle;
use freehold_tenancy::operation::{Operation, OperationState};
use freehold_tenancy::release::ReleaseContent;
use freehold_tests::fixture::{CONFIG, Freehold};

use super::scene::{Probe, Proof};
use crate::releases::{TEMPLATE, content, create_approved, create_ready_tenant, update};

/// Asserts that the operation has failed with the code of the probe.
fn assert_failed(probe: Probe, operation: &Operation) -> Proof {
    assert_eq!(operation.state, OperationState::Failed, "{operation:#?}");
    assert_eq!(operation.failure.as_ref().expect("a failure").code, probe.code.as_str(), "{operation:#?}");
    Proof { offered: Vec::new(), applied: Remedy::Retry }
}

pub(super) async fn update_under_a_legal_hold(probe: Probe) -> Proof {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    // The new name replaces the log group and deletes the logs.
    let mut replacing = content(60);
    replacing.template =
        replacing.template.map(|text| text.replace("/aws/lambda/freehold-tenant", "/aws/lambda/freehold-tenant-2"));
    let release = create_approved(&freehold, &worker, &replacing).await;
    let hold = |reason: Option<&'static str>| {
        lifecycle::set_legal_hold(freehold.pool(), tenant.id, reason, None, freehold.clock.now())
    };
    hold(Some("Case 42")).await.expect("a hold");
    let proof = assert_failed(probe, &update(&freehold, &worker, &tenant, release).await);
    hold(None).await.expect("no hold");
    let updated = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(updated.state, OperationState::Succeeded, "{updated:#?}");
    proof
}

pub(super) async fn changed_copy_in_s3(probe: Probe) -> Proof {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let (tenant, worker) = create_ready_tenant(&freehold, &[]).await;
    let home: Region = "eu-central-1".parse().expect("a region");
    let text = TEMPLATE.replace("RetentionInDays: 30", "RetentionInDays: 60");
    let publish =
        |body: &str| freehold.world.store_template(home.as_str(), "freehold-templates-example", "app.yaml", body);
    let with_url = |url: String, sha256: String| ReleaseContent {
        urls: [(home, TemplateUrl { url, sha256 })].into(),
        ..content(60)
    };
    let url = publish(&format!("# changed\n{text}"));
    let release = create_approved(&freehold, &worker, &with_url(url, sha256_of(&text))).await;
    let proof = assert_failed(probe, &update(&freehold, &worker, &tenant, release).await);
    let url = publish(&text);
    let release = create_approved(&freehold, &worker, &with_url(url, sha256_of(&text))).await;
    let updated = update(&freehold, &worker, &tenant, release).await;
    assert_eq!(updated.state, OperationState::Succeeded, "{updated:#?}");
    proof
}
