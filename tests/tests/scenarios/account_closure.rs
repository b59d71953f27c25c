//! Test of account closures: scenario 47.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::settings::{DurationDistribution, Durations};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::cloud::CloudErrorKind;

use super::{create_external_account, target_of};

const QUOTA_EXHAUSTED: CloudErrorKind = CloudErrorKind::Throttled { until: None };

#[tokio::test]
async fn closing_an_account_reports_closed_in_progress_or_quota_exhausted() {
    let durations = Durations { close_account: DurationDistribution::constant(60.0), ..Durations::instant() };
    let freehold = Freehold::with(Settings { durations, ..Settings::instant() }, CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let aws = freehold.administrator().await;
    let mut targets = Vec::new();
    for number in 0..4 {
        let account = create_external_account(&freehold, &format!("another-{number}")).await;
        targets.push(target_of(&freehold, &tenant, account.as_str()));
    }
    for target in &targets[..3] {
        aws.close_account(target).await.expect("a closure");
    }
    let too_many = aws.close_account(&targets[3]).await.expect_err("a quota error: three closures are in progress");
    assert_eq!(
        (too_many.kind.clone(), too_many.has_reason("CLOSE_ACCOUNT_REQUESTS_LIMIT_EXCEEDED")),
        (QUOTA_EXHAUSTED, true)
    );
    assert_eq!(
        aws.account(targets[0].id()).await.expect("an answer").map(|account| account.state).as_deref(),
        Some("PENDING_CLOSURE")
    );
    assert_eq!(aws.close_account(&targets[0]).await.expect_err("a closure in progress").kind, CloudErrorKind::NotYet);

    freehold.clock.advance(std::time::Duration::from_mins(2));
    assert_eq!(
        aws.account(targets[0].id()).await.expect("an answer").map(|account| account.state).as_deref(),
        Some("CLOSED")
    );
    aws.close_account(&targets[0]).await.expect("success for a closed account");

    let month = vec![freehold.clock.now() - TimeDelta::days(1); 250];
    freehold.world.state().organization.closures = month;
    let too_often = aws.close_account(&targets[3]).await.expect_err("a quota error: 250 closures in 30 days");
    assert_eq!((too_often.kind.clone(), too_often.has_reason("CLOSE_ACCOUNT_QUOTA_EXCEEDED")), (QUOTA_EXHAUSTED, true));
    freehold.clock.advance(std::time::Duration::from_hours(24 * 30));
    aws.close_account(&targets[3]).await.expect("a closure a month later");
}
