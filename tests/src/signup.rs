//! Signs up tenants in tests that run without an API.

use chrono::{DateTime, Utc};
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind};
use freehold_tenancy::config::Residency;
use freehold_tenancy::db::PgPool;
use freehold_tenancy::db::idempotency::{IdempotencyKey, StoredResponse};
use freehold_tenancy::db::signup::{self, Signup, SignupResult};
use freehold_tenancy::environment::{Environment, EnvironmentState};
use freehold_tenancy::maintenance_window::MaintenanceWindows;
use freehold_tenancy::operation::Requester;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{Config, EnvironmentId, OperationId, TenantId};
use uuid::Uuid;

/// Returns a tenant with one environment. The ids of the tenant, the environment and the operation are all derived
/// from `id`.
pub fn new_tenant(
    config: &Config,
    now: DateTime<Utc>,
    id: u128,
    company: &str,
    home_region: &str,
    tier: &str,
) -> Tenant {
    let uuid = Uuid::from_u128(id);
    let id = TenantId::from(uuid);
    let home_region = home_region.parse().expect("a region");
    let residency: &Residency = config.residency_of(home_region).expect("a residency");
    let environment = Environment {
        id: EnvironmentId::from(uuid),
        tenant_id: id,
        name: "production".parse().expect("a name"),
        residency: residency.name.clone(),
        home_region,
        replicas: Vec::new(),
        front_door: None,
        parameters: freehold_tenancy::release::StackParameters::new(),
        home_stack: None,
        state: EnvironmentState::Onboarding,
        aws_account_id: None,
        baseline_version: None,
        operation_id: OperationId::from(uuid),
        created_at: now,
        updated_at: now,
        ready_at: None,
        pin: None,
        offboarded_at: None,
        findings: Vec::new(),
    };
    Tenant {
        id,
        company_name: company.parse().expect("a company name"),
        admin_email: Some("admin@example.com".parse().expect("an e-mail address")),
        tier: tier.parse().expect("a tier"),
        external_id: None,
        labels: std::collections::BTreeMap::new(),
        maintenance_windows: MaintenanceWindows::default(),
        created_at: now,
        updated_at: now,
        legal_hold: None,
        suspension: None,
        environments: vec![environment],
    }
}

pub fn audit_entry() -> AuditEntry {
    AuditEntry::new(AuditKind::ApiCall, "createTenant", Actor::Process { process: "tests".to_owned() })
}

/// Inserts the rows that the API inserts when it accepts the signup of this tenant.
pub async fn accept_signup(pool: &PgPool, config: &Config, tenant: &Tenant) {
    let key = IdempotencyKey {
        issuer: "https://issuer.example.com".to_owned(),
        client: "tests".to_owned(),
        route: "POST /v1/tenants".to_owned(),
        key: tenant.id.to_string(),
    };
    let requester = Requester { issuer: key.issuer.clone(), subject: "tests".to_owned() };
    let answer = StoredResponse { status: 202, location: format!("/v1/tenants/{}", tenant.id), body: "{}".to_owned() };
    let entry = audit_entry();
    let signup = Signup {
        key: &key,
        request_hash: [0; 32],
        tenant,
        requested_by: &requester,
        answer: &answer,
        limit: None,
        approval_required: config.requires_approval(&tenant.tier),
        entry: &entry,
    };
    let result = signup::sign_up(pool, &signup).await.expect("a signup");
    assert_eq!(result, SignupResult::Created);
}
