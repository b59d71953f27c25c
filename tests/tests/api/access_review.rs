//! Tests of the access review: it names each access to an account with its start, its operation and its approver, and
//! follows changes by operations and by others.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tests::api_fixture::{ApiFixture, send, signup_body_with};
use freehold_tests::fixture::{CONFIG, Freehold};
use freehold_worker::Worker;
use freehold_worker::reconcile::RepairMode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::steps::reconcile::administrator::Administrator;
use crate::steps::reconcile::{account, compare, create_ready_tenants};

const HALF_AN_HOUR: TimeDelta = TimeDelta::minutes(30);
const TEN_DAYS: TimeDelta = TimeDelta::days(10);

/// Returns the entries of the access review with these query parameters.
async fn review(api: &ApiFixture, query: &str) -> Vec<Value> {
    let page = api.get(&format!("/v1/access-review?page_size=200{query}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let page = page.json();
    assert_eq!(page["next_page_token"], Value::Null);
    page["access_review"].as_array().expect("entries").clone()
}

/// Returns the kind of the principal and the name of the permission set of each entry, in alphabetical order.
fn summary(entries: &[Value]) -> Vec<(&str, &str)> {
    let mut summary: Vec<_> = entries
        .iter()
        .map(|entry| (entry["principal"]["kind"].as_str().unwrap(), entry["permission_set"].as_str().unwrap()))
        .collect();
    summary.sort_unstable();
    summary
}

fn find<'a>(entries: &'a [Value], permission_set: &str) -> &'a Value {
    entries.iter().find(|entry| entry["permission_set"] == permission_set).expect("an entry")
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().expect("a time").parse().expect("a time")
}

/// Signs up a tenant of the tier `enterprise` through the API, and runs its onboarding.
async fn onboard(freehold: &Freehold, api: &ApiFixture, worker: &Arc<Worker>, changes: Value) -> Value {
    let tenant = api.sign_up(&signup_body_with(changes)).await;
    freehold.run_until_idle(worker, HALF_AN_HOUR).await;
    tenant
}

const ROLES: [(&str, &str); 3] =
    [("account", "OrganizationAccountAccessRole"), ("role", "freehold-access"), ("role", "freehold-verify")];

#[tokio::test]
async fn each_access_names_its_start_its_operation_and_its_approver() {
    let config = format!("{CONFIG}\napproval = \"required\"");
    let freehold = Freehold::instant().await.with_config(&config);
    let (api, worker) = (ApiFixture::of(&freehold, &config).await, freehold.worker("worker-1"));
    let tenant = onboard(&freehold, &api, &worker, json!({ "tier": "enterprise" })).await;
    assert_eq!(review(&api, "").await, [Value::Null; 0], "access before there is an account");
    let path = format!("/v1/operations/{}", tenant["environments"][0]["operation_id"].as_str().unwrap());
    let operation = api.get(&path).await.json();
    let hash = operation["approvals"][0]["request_hash"].clone();
    let approved = api.send_as("bob", Method::POST, &format!("{path}/approve"), &json!({ "request_hash": hash })).await;
    assert_eq!(approved.status, 202, "{}", approved.text);
    let approved_at = freehold.clock.now();
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;

    let entries = review(&api, "").await;
    let assignments = [("configured_group", "support"), ("tenant_group", "tenant-admin")];
    assert_eq!(summary(&entries), [&ROLES[..1], &assignments[..1], &ROLES[1..], &assignments[1..]].concat());
    let tenant = api.get(&format!("/v1/tenants/{}", tenant["id"].as_str().unwrap())).await.json();
    let account = tenant["environments"][0]["aws_account_id"].as_str().expect("an account");
    let [management, control] = ["111122223333", "arn:aws:iam::111122223333:role/freehold-control"];
    for entry in &entries {
        let expected = [
            ("tenant_id", &tenant["id"]),
            ("company_name", &tenant["company_name"]),
            ("environment_id", &tenant["environments"][0]["id"]),
            ("environment", &tenant["environments"][0]["name"]),
            ("aws_account_id", &tenant["environments"][0]["aws_account_id"]),
            ("source", &json!("freehold")),
            ("observed_at", &Value::Null),
            ("finding", &Value::Null),
            ("ended_at", &Value::Null),
            ("ended_by", &Value::Null),
        ];
        for (field, value) in expected {
            assert_eq!(entry[field], *value, "{field}: {entry:#}");
        }
        assert_eq!(entry["operation"]["id"], operation["id"], "{entry:#}");
        assert_eq!(entry["operation"]["kind"], "onboard");
        assert_eq!(entry["operation"]["requested_by"], "ann");
        assert_eq!(time(&entry["operation"]["requested_at"]), time(&operation["created_at"]));
        let approval = &entry["approval"];
        assert_eq!((&approval["action"], &approval["approved_by"]), (&json!("vend"), &json!("bob")), "{entry:#}");
        assert_eq!(time(&approval["approved_at"]), approved_at);
        assert!(time(&entry["granted_at"]) >= approved_at && time(&entry["granted_at"]) <= freehold.clock.now());
    }
    let (access, organization) = (find(&entries, "freehold-access"), find(&entries, "OrganizationAccountAccessRole"));
    assert_eq!(access["arn"], format!("arn:aws:iam::{account}:role/freehold-access"));
    assert_eq!((&access["principal"]["id"], &access["kind"]), (&json!(control), &json!("freehold_role")));
    assert_eq!(organization["principal"]["id"], management);
    let world_groups = freehold.world.state().identity_store.groups.clone();
    let own = find(&entries, "tenant-admin");
    let group = world_groups.values().find(|group| group.id == own["principal"]["id"].as_str().unwrap()).unwrap();
    assert_eq!(own["principal"]["name"], group.display_name);
    assert_eq!(own["principal"]["members"], 1);
    assert_eq!(find(&entries, "support")["principal"]["name"], "support");
    assert_eq!(find(&entries, "support")["principal"]["members"], Value::Null);
    assert!(!json!(entries).to_string().contains("admin@example.com"), "the review has an e-mail address");

    for (filter, count) in [
        ("&permission_set=support", 1),
        ("&principal=support", 1),
        (&format!("&principal={}", group.display_name)[..], 1),
        (&format!("&principal={management}")[..], 1),
        (&format!("&tenant={}", tenant["id"].as_str().unwrap())[..], 5),
        (&format!("&environment={}", tenant["environments"][0]["id"].as_str().unwrap())[..], 5),
        ("&tenant=ten_01k2m8v3x9e7rt4s5q6w7y8z9b", 0),
        ("&environment=env_01k2m8v3x9e7rt4s5q6w7y8z9b", 0),
        ("&principal=someone", 0),
    ] {
        assert_eq!(review(&api, filter).await.len(), count, "{filter}");
    }
    for wrong in ["tenant=ten_x", "environment=x", "include_ended=yes", "principal=", "permission_set=%00", "role=x"] {
        let refused = api.get(&format!("/v1/access-review?{wrong}")).await;
        assert_eq!(refused.status_and_code(), (400, "invalid_query".into()), "{wrong}");
        assert_eq!(refused.json()["errors"][0]["field"], wrong.split('=').next().unwrap());
    }
}

#[tokio::test]
async fn the_review_follows_an_admin_change_an_offboarding_and_a_restore() {
    let freehold = Freehold::instant().await;
    let (api, worker) = (ApiFixture::of(&freehold, CONFIG).await, freehold.worker("worker-1"));
    let tenant = onboard(&freehold, &api, &worker, json!({ "tier": "enterprise" })).await;
    let path = format!("/v1/tenants/{}", tenant["id"].as_str().unwrap());
    let onboarded = review(&api, "").await;
    assert_eq!(onboarded.len(), 5);

    // The group keeps its access; its member is another person.
    freehold.clock.advance(std::time::Duration::from_hours(1));
    let change = api.request(Method::PATCH, &path).header("If-Match", "*");
    let changed = send(change.json(&json!({ "admin_email": "new@example.com" }))).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(find(&review(&api, "").await, "tenant-admin")["principal"]["members"], 2, "both have access for now");
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    assert_eq!(review(&api, "").await, onboarded, "an operation changed the start of the access");

    assert_eq!(api.delete(&path).await.status, 202);
    let offboarding = api.get(&path).await.json()["environments"][0]["operation_id"].clone();
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    assert_eq!(summary(&review(&api, "").await), ROLES, "the access during the cooling-off period");
    let with_ended = review(&api, "&include_ended=true").await;
    assert_eq!(with_ended.len(), 5);
    for set in ["support", "tenant-admin"] {
        let entry = find(&with_ended, set);
        assert_eq!(entry["ended_by"], offboarding, "{entry:#}");
        assert!(time(&entry["ended_at"]) > time(&entry["granted_at"]));
    }

    assert_eq!(api.post(&format!("{path}/restore")).await.status, 202);
    let restore = api.get(&path).await.json()["environments"][0]["operation_id"].clone();
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    let restored = review(&api, "").await;
    assert_eq!(summary(&restored).len(), 5);
    for set in ["support", "tenant-admin"] {
        let entry = find(&restored, set);
        assert_eq!((&entry["operation"]["id"], &entry["operation"]["kind"]), (&restore, &json!("restore")));
        assert!(time(&entry["granted_at"]) > time(&find(&with_ended, set)["ended_at"]), "{entry:#}");
    }
    assert_eq!(find(&restored, "freehold-access")["operation"]["kind"], "onboard");
    assert_eq!(review(&api, "&include_ended=true").await.len(), 7);
    check_backfill(&freehold).await;

    assert_eq!(api.delete(&path).await.status, 202);
    freehold.run_until_idle(&worker, TEN_DAYS).await;
    assert_eq!(api.get(&path).await.json()["state"], "offboarded");
    assert_eq!(review(&api, "").await, [Value::Null; 0]);
    let all = review(&api, "&include_ended=true").await;
    assert_eq!(all.len(), 7);
    assert!(all.iter().all(|entry| entry["ended_by"].is_string() && entry["principal"]["members"].is_null()));
}

/// Checks that the statement of the migration finds in the journal what the steps have recorded.
async fn check_backfill(freehold: &Freehold) {
    freehold.database.do_not_reuse();
    let columns = "select tenant_id::text || environment_id::text || aws_account_id || permission_set
            || permission_set_arn || principal_kind || principal_id || source || granted_by::text
            || coalesce(ended_by::text, ''), ended_at is null
        from access_grants order by 1";
    let read =
        async || -> Vec<(String, bool)> { sqlx::query_as(columns).fetch_all(freehold.pool()).await.expect("the rows") };
    let recorded = read().await;
    let migration = include_str!("../../../migrations/0012_access_grants.sql");
    let start = migration.find("insert into access_grants").expect("the statement");
    let statement = migration[start..].split_once(';').expect("its end").0;
    let backfill = format!("alter table access_grants disable trigger all; delete from access_grants; {statement}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(backfill)).execute(freehold.pool()).await.expect("a migration");
    assert_eq!(read().await, recorded);
}

#[tokio::test]
async fn changes_outside_freehold_appear_with_their_finding() {
    let (freehold, tenants) = create_ready_tenants(1).await;
    let (api, admin) = (ApiFixture::of(&freehold, CONFIG).await, Administrator::of(&freehold));
    let account = account(&tenants[0]);
    compare(&freehold, RepairMode::Off).await;
    let before = review(&api, "").await;
    let granted = find(&before, "support");
    assert!(time(&granted["observed_at"]) > time(&granted["granted_at"]), "{granted:#}");

    let group = admin.assign(&account, "tenant-admin", "support").await;
    admin.unassign(&account, "support", "support").await;
    freehold.clock.advance(std::time::Duration::from_mins(5));
    compare(&freehold, RepairMode::Off).await;
    let found = api.get("/v1/findings?state=open").await.json();
    let finding = |kind: &str| {
        let found = found["findings"].as_array().unwrap().iter().find(|one| one["kind"] == kind).expect("a finding");
        json!({ "id": found["id"], "kind": kind })
    };
    let entries = review(&api, "").await;
    assert_eq!(summary(&entries), [ROLES[0], ("other_group", "tenant-admin"), ROLES[1], ROLES[2]]);
    let extra = find(&entries, "tenant-admin");
    assert_eq!((&extra["source"], &extra["operation"]), (&json!("observed"), &Value::Null));
    assert_eq!((&extra["principal"]["id"], &extra["principal"]["name"]), (&json!(group), &json!("support")));
    assert_eq!((&extra["finding"], &extra["granted_at"]), (&finding("assignment_extra"), &extra["observed_at"]));
    let with_ended = review(&api, "&include_ended=true&permission_set=support").await;
    let [removed] = &with_ended[..] else { panic!("{with_ended:#?}") };
    assert_eq!((&removed["finding"], &removed["ended_by"]), (&finding("assignment_missing"), &Value::Null));
    assert_eq!(removed["ended_at"], extra["observed_at"], "the comparison is the end and the start");

    // A repair assigns the missing permission set again, and a person removes the other assignment.
    admin.unassign(&account, "tenant-admin", "support").await;
    freehold.clock.advance(std::time::Duration::from_mins(5));
    compare(&freehold, RepairMode::All).await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::hours(2)).await;
    freehold.clock.advance(std::time::Duration::from_mins(5));
    compare(&freehold, RepairMode::Off).await;
    let repaired = review(&api, "").await;
    assert_eq!(summary(&repaired), [ROLES[0], ("configured_group", "support"), ROLES[1], ROLES[2]]);
    assert_eq!(find(&repaired, "support")["operation"]["kind"], "repair");
    assert!(repaired.iter().all(|entry| entry["finding"] == Value::Null));
    assert_eq!(review(&api, "&include_ended=true").await.len(), 6);

    // The organisation uses a permission set that Freehold does not know.
    admin.create_permission_set("auditors").await;
    let group = admin.assign(&account, "auditors", "support").await;
    freehold.clock.advance(std::time::Duration::from_mins(5));
    assert!(compare(&freehold, RepairMode::Off).await.is_clean(), "the organisation may do so on purpose");
    let audited = review(&api, "&permission_set=auditors").await;
    let [entry] = &audited[..] else { panic!("{audited:#?}") };
    assert_eq!((&entry["source"], &entry["finding"]), (&json!("observed"), &Value::Null));
    assert_eq!((&entry["principal"]["id"], &entry["principal"]["kind"]), (&json!(group), &json!("other_group")));
    assert!(entry["arn"].as_str().unwrap().starts_with("arn:aws:sso:::permissionSet/"), "{entry:#}");
    admin.unassign(&account, "auditors", "support").await;
    freehold.clock.advance(std::time::Duration::from_mins(5));
    compare(&freehold, RepairMode::Off).await;
    assert_eq!(review(&api, "&permission_set=auditors").await, [Value::Null; 0]);

    // Freehold has lost its role in the account.
    admin.delete_stack(&account, "freehold-baseline").await;
    freehold.clock.advance(std::time::Duration::from_hours(2));
    compare(&freehold, RepairMode::Off).await;
    let entries = review(&api, "").await;
    assert_eq!(find(&entries, "freehold-access")["finding"]["kind"], "access_lost");
    assert_eq!(find(&entries, "freehold-verify")["finding"], Value::Null);
}

#[tokio::test]
async fn access_that_is_no_longer_configured_is_revoked_and_ends() {
    let freehold = Freehold::instant().await;
    let worker = freehold.worker("worker-1");
    let tenant = freehold.sign_up("Example", "eu-central-1", "enterprise").await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    // The configuration of the offboarding does not name the permission set of the tenant's own group.
    let start = CONFIG.find("[[permission_sets]]\n    name = \"tenant-admin\"").expect("a permission set");
    let end = CONFIG.find("[[access]]").expect("an access");
    let config = [&CONFIG[..start], &CONFIG[end..]].concat().replace("tenant-admin", "support");
    let freehold = freehold.with_config(&config);
    let (api, worker) = (ApiFixture::of(&freehold, &config).await, freehold.worker("worker-2"));
    // After a repair, the latest operation of the environment does not contain the grants of the onboarding.
    Administrator::of(&freehold).unassign(&account(&freehold.reload_tenant(&tenant).await), "support", "support").await;
    freehold.clock.advance(std::time::Duration::from_hours(5 * 24));
    compare(&freehold, RepairMode::All).await;
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    assert_eq!(freehold.world.assignments().len(), 3);
    assert_eq!(review(&api, "&permission_set=tenant-admin").await.len(), 1);

    // The organisation audits all accounts, and the review contains its access when the offboarding starts.
    let admin = Administrator::of(&freehold);
    admin.create_permission_set("auditors").await;
    admin.assign(&account(&freehold.reload_tenant(&tenant).await), "auditors", "support").await;
    freehold.clock.advance(std::time::Duration::from_hours(2));
    compare(&freehold, RepairMode::Off).await;
    assert_eq!(review(&api, "&permission_set=auditors").await.len(), 1);

    assert_eq!(api.delete(&format!("/v1/tenants/{}", tenant.id)).await.status, 202);
    freehold.run_until_idle(&worker, HALF_AN_HOUR).await;
    let left = freehold.world.assignments();
    assert_eq!(left.len(), 1, "only the access of the organisation: {left:#?}");
    assert_eq!(review(&api, "&permission_set=auditors").await.len(), 1);
    assert_eq!(review(&api, "").await.len(), ROLES.len() + 1);
}

#[tokio::test]
async fn pages_and_exports_of_the_review_contain_the_same_entries() {
    let freehold = Freehold::instant().await;
    let (api, worker) = (ApiFixture::of(&freehold, CONFIG).await, freehold.worker("worker-1"));
    for company in ["=HYPERLINK(\"https://example.com\")", "Example, \"GmbH\"", "+49"] {
        onboard(&freehold, &api, &worker, json!({ "company_name": company })).await;
        freehold.clock.advance(std::time::Duration::from_mins(1));
    }
    let all = review(&api, "").await;
    assert_eq!(all.len(), 12);
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/v1/access-review?page_size=5&page_token={token}")).await.json();
        paged.extend(page["access_review"].as_array().unwrap().clone());
        if paged.len() <= 5 {
            // Access that is granted between two pages neither moves nor repeats entries.
            onboard(&freehold, &api, &worker, json!({})).await;
        }
        let Some(next) = page["next_page_token"].as_str() else { break };
        token = next.to_owned();
    }
    assert_eq!((&paged[..12], paged.len()), (&all[..], 16));
    let refused = api.get(&format!("/v1/access-review?include_ended=true&page_token={token}")).await;
    assert_eq!(refused.status_and_code(), (400, "invalid_page_token".into()));

    let export = async |accept: &str| {
        let response = send(api.request(Method::GET, "/v1/access-review").header("Accept", accept)).await;
        assert_eq!((response.status.as_u16(), response.header("content-type")), (200, accept));
        response.text
    };
    let now = review(&api, "").await;
    let ndjson = export("application/x-ndjson").await;
    let lines: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, now);
    let csv = export("text/csv").await;
    let rows: Vec<_> = csv.trim_end().split("\r\n").collect();
    assert_eq!(rows.len(), now.len() + 1);
    assert!(rows[0].starts_with("id,kind,tenant_id,company_name,"), "{}", rows[0]);
    assert!(csv.contains(",\"'=HYPERLINK(\"\"https://example.com\"\")\","), "{csv}");
    assert!(csv.contains(",\"Example, \"\"GmbH\"\"\",") && csv.contains(",'+49,"), "{csv}");
    let first = &now[0];
    assert!(rows[1].starts_with(&format!("{},", first["id"].as_str().unwrap())), "{}", rows[1]);
    let paged = send(api.request(Method::GET, "/v1/access-review?page_size=7").header("Accept", "text/csv")).await;
    assert_eq!((paged.status.as_u16(), &paged.json()["errors"][0]["field"]), (400, &json!("page_size")));
    let refused = send(api.request(Method::GET, "/v1/access-review").header("Accept", "application/pdf")).await;
    assert_eq!(refused.status_and_code(), (406, "not_acceptable".into()));
}
