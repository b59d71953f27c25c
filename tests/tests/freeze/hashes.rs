//! Compares hashes and signatures in stored rows and webhooks with frozen values; one test vector for each.

use chrono::{DateTime, Utc};
use freehold_tenancy::approval::{ApprovalAction, request_hash};
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, ChainHead, Signer, chain_hash};
use freehold_tenancy::config::Secrets;
use freehold_tenancy::db::audit::{self, AuditFilter};
use freehold_tenancy::secrets::{Keyring, SealingKey};
use freehold_tenancy::webhook::WebhookSecret;
use freehold_tenancy::{InstallationId, OperationId, TenantId};
use freehold_tests::database::Database;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

fn fixed_time() -> DateTime<Utc> {
    "2026-01-02T03:04:05.678901Z".parse().expect("a time")
}

#[test]
fn the_hash_of_an_approval_is_unchanged() {
    let operation = OperationId::from(Uuid::from_u128(0x0199_aa5b_6c1e_7d3f_8a9b_0c1d_2e3f_4a5b));
    let hash = |action, request| request_hash(operation, action, &request);
    assert_eq!(
        hash(ApprovalAction::Adopt, json!({ "b": [1, { "d": null, "c": "ü" }], "adopt_account_id": "111122223333" })),
        "ea245c1ce7a466e016d80845ca578f24a9efce8283c162da456e55a9278c0a96"
    );
    assert_eq!(
        hash(ApprovalAction::Close, json!({ "close_account": true })),
        "f94a5f05b41a945fddc0e956ba7c98c018b917d729cb337a617319e69b3a43ce"
    );
}

#[tokio::test]
async fn the_text_and_the_hash_of_an_audit_record_are_unchanged() {
    let database = Database::new().await;
    database.simulate_clock(fixed_time()).await;
    let actor = Actor::Process { process: "tests".to_owned() };
    let entry =
        AuditEntry { step: Some("verify".to_owned()), ..AuditEntry::new(AuditKind::ApiCall, "createTenant", actor) };
    let outcome = AuditOutcome { status: Some(202), ..AuditOutcome::of(AuditResult::Succeeded) };
    let tenant = TenantId::from(Uuid::from_u128(7));
    audit::note(&database.pool, &entry, Some(tenant), &outcome, fixed_time()).await.expect("an entry");
    let head = audit::advance(&database.pool, fixed_time()).await.expect("a chain");
    let records = audit::list(&database.pool, &AuditFilter::default(), 0, 10).await.expect("the trail");
    assert_eq!(
        records[0].text,
        concat!(
            r#"{"at": "2026-01-02T03:04:05.678901Z", "kind": "api.call", "step": "verify", "#,
            r#""actor": {"process": "tests"}, "action": "createTenant", "#,
            r#""tenant_id": "ten_00000000000000000000000007", "outcome": {"result": "succeeded", "status": 202}}"#
        )
    );
    assert_eq!(head.hash, chain_hash(&[0; 32], 1, fixed_time(), &records[0].text), "the hash of the database");
    let record = r#"{"at":"2026-01-02T03:04:05.678901Z","kind":"command"}"#;
    assert_eq!(
        hex(&chain_hash(&[7; 32], 42, fixed_time(), record)),
        "d1e97f8f1f8e58a518c70cff830e5160c208cca0fb01e53340317a0ae3d71146"
    );
    assert_eq!(
        hex(&chain_hash(&[0; 32], 1, fixed_time(), "")),
        "0b7421e611fcacdda4d249bf477149ec1838d85ace7e62de29edb1daec2cba40"
    );
}

#[test]
fn the_line_of_an_audit_anchor_is_unchanged() {
    let signer = Signer::new(&"a2V5LW9mLXRoZS1hdWRpdC10ZXN0cy0zMi1ieXRlcyE=".into()).expect("a key");
    let installation = InstallationId::from(Uuid::from_u128(9));
    let anchor = signer.sign(installation, ChainHead { position: 42, hash: [7; 32] }, fixed_time());
    assert_eq!(
        anchor.line(),
        concat!(
            r#"{"installation":"ins_00000000000000000000000009","position":42,"#,
            r#""hash":"0707070707070707070707070707070707070707070707070707070707070707","#,
            r#""at":"2026-01-02T03:04:05.678901Z","public_key":"JZ4mxGubUJaOmVxRbgB1rhQdyBsvGgaJWd7hCUmmcog=","#,
            r#""signature":"ytksnhgwwg/mNOlZ0qZSufDqPWQUZMd6tjMFvDflYVPuvmGADBm2DI6lHWqGU6Gy0UVcxcpw80AXXDA8FLOQAg=="}"#
        )
    );
}

#[test]
fn the_signature_of_a_webhook_is_unchanged() {
    let secret = WebhookSecret::parse(&"whsec_a2V5LW9mLXRoZS13ZWJob29rcy10ZXN0cy0zMi1ieXQ=".into()).expect("a secret");
    let signature = secret.sign("whd_00000000000000000000000007", 1_767_323_045, r#"{"specversion":"1.0"}"#);
    assert_eq!(signature, "v1,WZR9Ga4HkbxK3TQ6qpTWApFRRyRgcALaH6FiEv/nCLA=");
}

#[test]
fn a_secret_encrypted_by_an_older_version_can_be_decrypted() {
    let key = SealingKey::parse(&"a2V5LW9mLXRoZS13ZWJob29rcy10ZXN0cy0zMi1ieXQ=".into()).expect("a key");
    let keyring = Keyring::new(&Secrets { key: Some(key), ..Secrets::default() });
    let sealed = concat!(
        "0181b42840b2a9e571000102030405060708090a0b",
        "297194e5c4f56cb3136c280a92222829fc12f2669203b6fdca7acd542b3fbaec18bb2555ed2c24d5b14830daf5724db2"
    );
    let sealed: Vec<u8> = (0..sealed.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&sealed[at..at + 2], 16).expect("hexadecimal digits"))
        .collect();
    let opened = keyring.open(&sealed, "whe_00000000000000000000000007").expect("the secret");
    assert_eq!(opened.expose_secret(), b"a secret of an endpoint, 32 byte");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + format!("{byte:02x}").as_str())
}
