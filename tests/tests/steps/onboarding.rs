//! Tests of onboarding from the signup to the ready tenant.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_tenancy::db::events;
use freehold_tenancy::event::Event;
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::database::current_mappings;
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::onboarding::ONBOARD_STEPS;
use serde_json::Value;

/// Onboards a standard tenant in eu-central-1, in a simulated organisation with durations similar to those of AWS.
async fn onboard() -> (Freehold, Tenant) {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready, "{:#?}", freehold.operation_of(&tenant).await);
    (freehold, tenant)
}

/// Formats events without times and ids. Concurrent steps write events at the same time in any order; therefore such
/// events are sorted in the order of the workflow.
fn format_events(events: &[Event]) -> String {
    let mut index = 0;
    let lines = events.iter().map(|event| {
        let field = |field: &str| event.data.get(field).and_then(Value::as_str);
        // Other events are sorted with the step event before them.
        index = ONBOARD_STEPS.iter().position(|step| Some(step.name.as_str()) == field("step")).unwrap_or(index);
        let more = ["step", "waits_for", "error", "reason"].into_iter().filter_map(field);
        let line = std::iter::once(event.event_type.as_str()).chain(more).collect::<Vec<_>>().join(" | ");
        (event.occurred_at, index, line)
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by_key(|(at, index, _)| (*at, *index));
    lines.into_iter().map(|(_, _, line)| line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_signup_becomes_a_ready_tenant_step_by_step() {
    let (freehold, tenant) = onboard().await;
    let events = events::after(freehold.pool(), tenant.environments[0].operation_id, 0, 1000).await.expect("events");
    insta::assert_snapshot!(format_events(&events));

    let positions: Vec<i64> = events.iter().map(|event| event.seq).collect();
    let without_gaps: Vec<i64> = (1..).take(events.len()).collect();
    assert_eq!(positions, without_gaps);
    assert!(events.is_sorted_by_key(|event| event.occurred_at), "events are not in the order of time");
}

#[tokio::test]
async fn a_ready_tenant_has_its_own_account_with_a_guardrail() {
    let (freehold, tenant) = onboard().await;
    let environment = &tenant.environments[0];
    let id = environment.aws_account_id.as_ref().expect("an account");
    let account = freehold.world.account_by_email(&format!("aws+{}@example.com", environment.id)).expect("an account");
    assert_eq!((account.id.as_str(), account.state), (id.as_str(), "ACTIVE"));
    assert_eq!(account.parent_name, "freehold-eu");
    assert_eq!(account.tags["freehold:tenant"], tenant.id.to_string());

    let policies = freehold.world.policies();
    let guardrail = policies.iter().find(|policy| policy.name == "freehold-region-eu").expect("a guardrail");
    assert!(guardrail.targets.contains(&account.parent), "{guardrail:?}");

    let mapped = current_mappings(freehold.pool()).await;
    let mapped: Vec<_> = mapped.iter().map(|one| (&one.tenant_id, &one.environment_id, &one.aws_account_id)).collect();
    assert_eq!(mapped, [(&tenant.id, &environment.id, id)]);
}

#[tokio::test]
async fn a_ready_tenant_has_access_stacks_and_a_responding_url() {
    let (freehold, tenant) = onboard().await;
    let account = tenant.environments[0].aws_account_id.as_ref().expect("an account").to_string();
    let assignments = freehold.world.assignments().into_iter();
    let assigned: Vec<_> = assignments.map(|one| (one.account, one.permission_set, one.principal_type)).collect();
    assert_eq!(assigned, [(account.clone(), "support".to_owned(), "GROUP".to_owned())]);

    let stacks = freehold.world.stacks();
    let mut found: Vec<_> = stacks.iter().map(|one| (one.name.as_str(), one.region.as_str(), one.status)).collect();
    found.sort_unstable();
    let complete = |name| (name, "eu-central-1", "CREATE_COMPLETE");
    assert_eq!(found, [complete("freehold-baseline"), complete("freehold-tenant")]);
    assert!(stacks.iter().all(|stack| stack.account == account), "{stacks:#?}");

    let stack = stacks.iter().find(|stack| stack.name == "freehold-tenant").expect("the stack");
    let function = format!("arn:aws:lambda:eu-central-1:{account}:function:freehold-tenant");
    assert_eq!(stack.outputs["FunctionArn"], function);
    let operation = freehold.operation_of(&tenant).await;
    let verified = operation.steps.last().expect("a last step");
    let url = verified.facts["answered_at"].as_str().expect("a URL");
    // The simulator serves the URL below the id of the function.
    let (id, _) = stack.outputs["FunctionUrl"].trim_start_matches("https://").split_once('.').expect("a URL");
    assert!(url.contains(id), "{url} does not contain {id}");
}

#[tokio::test]
async fn a_name_outside_ascii_reaches_aws_in_the_characters_it_accepts() {
    let freehold = Freehold::with(Settings::default(), CONFIG).await;
    // Signup accepts joiners, but Identity Center accepts none, and the name of an account is ASCII.
    let tenant = freehold.sign_up("Möbel می\u{200c}خواهم 👩\u{200d}🚀", "eu-central-1", "enterprise").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready, "{:#?}", freehold.operation_of(&tenant).await);
    assert_eq!(tenant.company_name.as_str(), "Möbel می\u{200c}خواهم 👩\u{200d}🚀");

    let environment = tenant.environments[0].id;
    let account = freehold.world.account_by_email(&format!("aws+{environment}@example.com")).expect("an account");
    assert_eq!(account.name, format!("Mobel {environment}"));
    let state = freehold.world.state();
    let names: Vec<_> = state.identity_store.users.values().map(|user| &user.attributes["DisplayName"]).collect();
    assert_eq!(names, ["Möbel میخواهم 👩🚀"]);
}
