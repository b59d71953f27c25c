//! Every step of the list, found by walking the list, run once more when all is done, as after a worker that died before
//! it could journal what came of it: it finds what it did, and does none of it again.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use freehold_tenancy::operation::{Operation, OperationState};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::fixture::Freehold;
use freehold_tests::world_snapshot;
use freehold_worker::onboarding::ONBOARDING;

/// Begins the name of every call that changes nothing.
const READS: [&str; 5] = ["AssumeRole", "Describe", "Get", "InvokeFunctionUrl", "List"];

/// Puts a step of a finished operation back to where it had written its intent, asked, and not yet heard.
async fn forget_the_outcome(freehold: &Freehold, operation: &Operation, step: &str) {
    let (pool, now) = (freehold.pool(), freehold.clock.now());
    let put_back = "update operation_steps set state = 'running', facts = '{}', finished_at = null
        where operation_id = $1 and name = $2 and state = 'done'";
    let put_back = sqlx::query(put_back).bind(operation.id.as_uuid()).bind(step).execute(pool).await;
    assert_eq!(put_back.expect("put back").rows_affected(), 1, "{step} was not done");
    let reopen = "update operations set state = 'running', wake_at = $2, finished_at = null where id = $1";
    sqlx::query(reopen).bind(operation.id.as_uuid()).bind(now).execute(pool).await.expect("reopened");
}

/// What the organisation has been asked to do, with how often; looking does not count.
fn deeds(freehold: &Freehold) -> BTreeMap<String, u64> {
    let counts = freehold.world.calls().by_operation().into_iter();
    counts.filter(|(call, _)| !looks(call)).map(|(call, count)| (call, count.calls)).collect()
}

/// Whether a call changes nothing, or at most once: Identity Center refuses a membership that is there already, so that
/// asking for it is looking.
fn looks(call: &str) -> bool {
    let (_, name) = call.split_once(':').expect("service:Operation");
    name == "CreateGroupMembership" || READS.iter().any(|read| name.starts_with(read))
}

async fn onboard(freehold: &Freehold) -> Tenant {
    // An enterprise tenant in an opt-in region gives every step something to do.
    let tenant = freehold.sign_up("Example", "eu-central-2", "enterprise").await;
    freehold.settle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    assert_eq!(freehold.tenant_now(&tenant).await.state(), TenantState::Ready);
    tenant
}

#[tokio::test]
async fn a_step_that_is_run_twice_does_nothing_twice() {
    for step in ONBOARDING {
        let freehold = Freehold::instant().await;
        let tenant = onboard(&freehold).await;
        let before = freehold.operation_of(&tenant).await;
        let (picture, done) = (world_snapshot::of(&freehold.world), deeds(&freehold));

        forget_the_outcome(&freehold, &before, step.name.as_str()).await;
        freehold.settle(&freehold.worker("worker-2"), TimeDelta::days(1)).await;

        let after = freehold.operation_of(&tenant).await;
        assert_eq!(after.state, OperationState::Succeeded, "{} twice: {after:#?}", step.name);
        let attempts = |operation: &Operation| {
            operation.steps.iter().find(|entry| entry.name == step.name).expect("the step").attempts
        };
        assert!(attempts(&after) > attempts(&before), "{} was not run again", step.name);
        assert_eq!(world_snapshot::of(&freehold.world), picture, "{} twice changed the end", step.name);
        assert_eq!(deeds(&freehold), done, "{} twice asked for something twice", step.name);
        assert_eq!(
            world_snapshot::accounts_asked_for(&freehold.world),
            1,
            "{} twice asked for another account",
            step.name
        );
    }
}
