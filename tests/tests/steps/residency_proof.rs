//! Tests of residency proofs: what a worker observes in AWS, signs and stores.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::db::events;
use freehold_tenancy::db::lifecycle::{self, ProofRequestResult};
use freehold_tenancy::db::residency_proofs::{self, LatestResult};
use freehold_tenancy::environment::EnvironmentState;
use freehold_tenancy::environment_stack::StackKind;
use freehold_tenancy::feed::FeedType;
use freehold_tenancy::operation::{Operation, OperationKind, OperationState, Requester};
use freehold_tenancy::residency_proof::{AttachmentKind, ProbeResult, ProofDocument, ProofSigner, SignedProof, verify};
use freehold_tenancy::tenant::{Tenant, TenantState};
use freehold_tests::fixture::{CONFIG, Freehold, config_with_edge};
use freehold_worker::reconcile::RepairMode;

use super::reconcile::administrator::Administrator;
use super::reconcile::compare;

/// Key that signs the proofs of the tests.
pub(crate) const SIGNING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) fn signer() -> ProofSigner {
    ProofSigner::new(&SIGNING_KEY.to_owned().into()).expect("a key")
}

/// Returns the default configuration with the keys for proofs.
pub(crate) fn config() -> String {
    let public_key = signer().public_key();
    format!("{CONFIG}\n[proof]\nsigning_key = \"{SIGNING_KEY}\"\npublic_keys = [\"{public_key}\"]\n")
}

/// Onboards a tenant in eu-central-1 with a replica in eu-west-1.
pub(super) async fn onboard(freehold: &Freehold) -> Tenant {
    let tenant = freehold.sign_up_with_replicas("Example", "eu-central-1", &["eu-west-1"]).await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.state(), TenantState::Ready, "{:#?}", freehold.operation_of(&tenant).await);
    tenant
}

/// Requests a proof of the tenant's only environment.
pub(super) async fn request(freehold: &Freehold, tenant: &Tenant) -> ProofRequestResult {
    let by = Requester { issuer: "https://issuer.example.com".to_owned(), subject: "ann".to_owned() };
    let (name, now) = (&tenant.environments[0].name, freehold.clock.now());
    let pool = &freehold.database.api_pool;
    lifecycle::open_residency_proof(pool, tenant.id, name, &by, now).await.expect("an answer")
}

/// Requests a proof and runs a new worker until the operation has ended. Returns the operation.
async fn refresh(freehold: &Freehold, tenant: &Tenant) -> Operation {
    // The latest operation is found by its time.
    freehold.clock.advance(std::time::Duration::from_secs(1));
    let ProofRequestResult::Started(_) = request(freehold, tenant).await else { panic!("not started") };
    freehold.run_until_idle(&freehold.worker("prover"), TimeDelta::days(1)).await;
    freehold.operation_of(&freehold.reload_tenant(tenant).await).await
}

async fn signed_proof(freehold: &Freehold, tenant: &Tenant) -> SignedProof {
    let (pool, name) = (&freehold.database.api_pool, &tenant.environments[0].name);
    match residency_proofs::latest(pool, tenant.id, name).await.expect("an answer") {
        LatestResult::Found(latest) => latest.proof,
        other => panic!("{other:?}"),
    }
}

/// Refreshes the proof and returns the verified document.
pub(super) async fn prove(freehold: &Freehold, tenant: &Tenant) -> ProofDocument {
    let operation = refresh(freehold, tenant).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:#?}");
    document(freehold, tenant).await
}

/// Returns the document of the latest proof, whose signature is valid.
pub(super) async fn document(freehold: &Freehold, tenant: &Tenant) -> ProofDocument {
    let proof = signed_proof(freehold, tenant).await;
    let document = verify(&proof.jws, &[signer().public_key()]).expect("a valid proof");
    assert_eq!((proof.conforms, proof.observed_at), (document.conforms, document.observed_at));
    document
}

#[tokio::test]
async fn a_proof_describes_an_environment_with_a_replica() {
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let tenant = onboard(&freehold).await;
    let before = freehold.world.calls().by_operation();
    let proof = prove(&freehold, &tenant).await;

    assert_eq!((proof.conforms, &proof.reasons), (true, &Vec::new()));
    assert_eq!((proof.tenant_id, proof.environment_id), (tenant.id, tenant.environments[0].id));
    assert_eq!(proof.installation_id, freehold.installation.id);
    assert_eq!(Some(&proof.aws_account_id), tenant.environments[0].aws_account_id.as_ref());
    let regions = proof.requested_regions.iter().map(|region| region.as_str()).collect::<Vec<_>>();
    assert_eq!(regions, ["eu-central-1", "eu-west-1"]);
    let kinds: Vec<_> = proof.attachments.iter().map(|one| (one.kind, one.name.as_deref())).collect();
    let unit = (AttachmentKind::OrganizationalUnit, Some("freehold-eu"));
    assert_eq!(kinds, [(AttachmentKind::Account, None), unit, (AttachmentKind::Root, None)]);
    let guardrail = proof.policies.iter().find(|policy| policy.is_guardrail).expect("the policy");
    assert_eq!((guardrail.name.as_str(), guardrail.matches_expected), ("freehold-region-eu", Some(true)));
    assert_eq!(guardrail.sha256, freehold_tenancy::config::sha256_of(&guardrail.text));
    assert!(guardrail.text.contains("OnlyTheseRegions"));
    assert!(proof.attachments[1].policies.contains(&guardrail.id) && !proof.attachments[2].policies.is_empty());
    let probe = &proof.denied_region;
    assert_eq!((probe.result, probe.role.as_str()), (ProbeResult::Denied, "freehold-verify"));
    assert!(!proof.allowed_regions.contains(&probe.region.expect("a region")));
    let stacks = proof.stacks.iter();
    let stacks: BTreeSet<_> =
        stacks.map(|one| (one.kind.as_str(), one.serves.as_str(), one.region.as_str(), one.status.as_str())).collect();
    let expected = [
        ("baseline", "all regions", "eu-central-1", "CREATE_COMPLETE"),
        ("tenant", "home", "eu-central-1", "CREATE_COMPLETE"),
        ("tenant", "replica", "eu-west-1", "CREATE_COMPLETE"),
    ];
    assert_eq!(stacks, expected.into());
    assert!(proof.stacks.iter().all(|stack| stack.stack_id.as_ref().is_some_and(|id| id.starts_with("arn:"))));
    let replicas: Vec<_> = proof.replicas.iter().map(|one| (one.region.as_str(), one.state.as_str())).collect();
    assert_eq!((replicas, proof.front_door.as_deref()), (vec![("eu-west-1", "ready")], None));
    assert!(proof.drift.is_empty() && proof.exemptions.len() == 4 && proof.leaves_region.len() == 5);

    // The operation only reads, and the environment stays ready.
    let after = freehold.world.calls().by_operation();
    let called = after.iter().filter(|(call, count)| before.get(*call).is_none_or(|one| one.calls < count.calls));
    let called: Vec<_> = called.map(|(call, _)| call.split_once(':').expect("a call").1).collect();
    assert!(called.contains(&"ListPoliciesForTarget"), "{called:?}");
    let is_read = |call: &&str| ["AssumeRole", "Describe", "List"].iter().any(|read| call.starts_with(read));
    assert!(called.iter().all(is_read), "{called:?}");
    let tenant = freehold.reload_tenant(&tenant).await;
    assert_eq!(tenant.environments[0].state, EnvironmentState::Ready);
    let events = events::after(freehold.pool(), proof.operation_id, 0, 100).await.expect("the events");
    let types: Vec<_> =
        events.iter().filter_map(|event| FeedType::of(OperationKind::ProveResidency, event.event_type)).collect();
    assert_eq!(types, [FeedType::ResidencyProofAccepted, FeedType::ResidencyProofSucceeded]);
}

#[tokio::test]
async fn a_proof_says_that_the_policy_was_detached_by_hand() {
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let tenant = onboard(&freehold).await;
    assert!(prove(&freehold, &tenant).await.conforms);
    let admin = Administrator::of(&freehold);
    admin.detach("freehold-region-eu", "freehold-eu").await;
    freehold.clock.advance(std::time::Duration::from_mins(10));

    let proof = prove(&freehold, &tenant).await;
    assert!(!proof.conforms);
    assert_eq!(proof.denied_region.result, ProbeResult::Allowed);
    let [policy, probe] = &proof.reasons[..] else { panic!("{:?}", proof.reasons) };
    assert!(policy.contains("`freehold-region-eu`") && policy.contains("is attached neither"), "{policy}");
    assert!(probe.contains("was possible"), "{probe}");

    admin.attach("freehold-region-eu", "freehold-eu").await;
    freehold.clock.advance(std::time::Duration::from_mins(10));
    assert!(prove(&freehold, &tenant).await.conforms);
}

#[tokio::test]
async fn a_proof_says_that_the_account_is_not_in_its_place() {
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let tenant = onboard(&freehold).await;
    let account = tenant.environments[0].aws_account_id.clone().expect("an account").to_string();
    Administrator::of(&freehold).move_to_root(&account).await;
    freehold.clock.advance(std::time::Duration::from_mins(10));
    let proof = prove(&freehold, &tenant).await;
    let reasons = proof.reasons.join("\n");
    assert!(!proof.conforms && reasons.contains("directly below the root"), "{reasons}");
    assert!(reasons.contains("is attached neither"), "{reasons}");
    // The control role cannot enter an account in the root.
    assert_eq!(proof.denied_region.result, ProbeResult::NotObserved);
    assert!(reasons.contains("could not be observed") && reasons.contains("could not be read"), "{reasons}");
}

#[tokio::test]
async fn a_proof_lists_known_drift_and_missing_stacks() {
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let tenant = onboard(&freehold).await;
    let account = tenant.environments[0].aws_account_id.clone().expect("an account").to_string();
    let admin = Administrator::of(&freehold);
    freehold.clock.advance(std::time::Duration::from_mins(10));
    admin.retag_stack(&account, "freehold-tenant").await;
    freehold.clock.advance(std::time::Duration::from_mins(10));
    let report = compare(&freehold, RepairMode::Off).await;
    assert_eq!(report.findings.len(), 1, "{report:?}");
    let proof = prove(&freehold, &tenant).await;
    assert!(proof.conforms, "{:?}", proof.reasons);
    assert_eq!(proof.drift.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), ["stack_drifted"]);

    admin.delete_stack_in(&account, "eu-west-1", "freehold-tenant").await;
    freehold.clock.advance(std::time::Duration::from_mins(10));
    let proof = prove(&freehold, &tenant).await;
    assert_eq!(proof.reasons.len(), 1, "{:?}", proof.reasons);
    assert!(proof.reasons[0].contains("in eu-west-1 is on record, but AWS does not have it"), "{:?}", proof.reasons);
}

#[tokio::test]
async fn a_proof_with_any_changed_byte_is_not_valid() {
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let tenant = onboard(&freehold).await;
    prove(&freehold, &tenant).await;
    let (jws, keys) = (signed_proof(&freehold, &tenant).await.jws, [signer().public_key()]);
    assert!(verify(&jws, &keys).is_ok());
    for index in 0..jws.len() {
        let mut changed = jws.clone().into_bytes();
        changed[index] ^= 1;
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(verify(&changed, &keys).is_err(), "byte {index}");
    }
    let other = ProofSigner::new(&"0f".repeat(32).into()).expect("a key").public_key();
    assert!(verify(&jws, &[other]).is_err());
}

#[tokio::test]
async fn a_worker_without_a_key_ends_the_operation_with_the_cause() {
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let tenant = onboard(&freehold).await;
    let freehold = freehold.with_config(CONFIG);
    let operation = refresh(&freehold, &tenant).await;
    assert_eq!((operation.kind, operation.state), (OperationKind::ProveResidency, OperationState::Failed));
    let failure = operation.failure.expect("a failure");
    assert_eq!(failure.code, "call_not_possible");
    assert!(failure.message.contains("FREEHOLD_PROOF__SIGNING_KEY"), "{}", failure.message);
    // The environment is free, and the proof can be requested again.
    assert_eq!(freehold.reload_tenant(&tenant).await.environments[0].state, EnvironmentState::Ready);
    let freehold = freehold.with_config(&config());
    assert!(prove(&freehold, &tenant).await.conforms);
}

#[tokio::test]
async fn an_operation_without_answers_of_aws_ends_by_itself() {
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let tenant = onboard(&freehold).await;
    let (code, message) = ("ServiceException".to_owned(), "The service failed.".to_owned());
    let fault = Fault::Error { status: 500, code, message };
    freehold.world.inject(Rule::on("organizations", "ListPoliciesForTarget", fault));
    let operation = refresh(&freehold, &tenant).await;
    let failure = operation.failure.expect("a failure");
    assert_eq!((operation.state, failure.code.as_str()), (OperationState::Failed, "deadline_passed"));
    let took = operation.finished_at.expect("an end") - operation.created_at;
    assert!(took < TimeDelta::minutes(45), "{took}");
}

#[tokio::test]
async fn a_rate_limit_does_not_restart_the_observations() {
    let slow = format!("{}\n[quotas.rates.organizations]\nper_second = 0.1\nburst = 1\n", config());
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let tenant = onboard(&freehold).await;
    let freehold = freehold.with_config(&slow);
    let calls = |freehold: &Freehold| {
        let calls = freehold.world.calls().by_operation();
        ["organizations:ListPoliciesForTarget", "organizations:DescribePolicy"].map(|call| calls[call].calls)
    };
    let before = calls(&freehold);
    assert!(prove(&freehold, &tenant).await.conforms);
    let [policies, texts] = [0, 1].map(|index| calls(&freehold)[index] - before[index]);
    assert_eq!((policies, texts), (3, 2));
}

#[tokio::test]
async fn only_a_ready_environment_without_open_operation_is_proved() {
    let freehold = Freehold::with(Settings::instant(), &config()).await;
    let tenant = freehold.sign_up("Example", "eu-central-1", "standard").await;
    let busy = request(&freehold, &tenant).await;
    assert!(matches!(busy, ProofRequestResult::Busy { kind: OperationKind::Onboard, .. }), "{busy:?}");
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    let ProofRequestResult::Started(id) = request(&freehold, &tenant).await else { panic!("not started") };
    assert_eq!(request(&freehold, &tenant).await, ProofRequestResult::AlreadyOpen(id));
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    super::suspension::suspend(&freehold, &tenant).await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    let suspended = ProofRequestResult::NotReady(EnvironmentState::Suspended);
    assert_eq!(request(&freehold, &tenant).await, suspended);
}

#[tokio::test]
async fn a_front_door_is_in_the_proof_and_must_be_allowed() {
    let keys = config().strip_prefix(CONFIG).expect("the keys").to_owned();
    let with_edge = format!("{}{keys}", config_with_edge());
    let freehold = Freehold::with(Settings::instant(), &with_edge).await;
    let tenant = freehold.sign_up_with_front_door("Example", "eu-central-1", &["eu-west-1"]).await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::days(1)).await;
    let proof = prove(&freehold, &tenant).await;
    assert_eq!((proof.conforms, proof.front_door.as_deref()), (true, Some("CREATE_COMPLETE")), "{:?}", proof.reasons);
    let front_door = proof.stacks.iter().find(|stack| stack.region.as_str() == "us-east-1").expect("a stack");
    assert_eq!((front_door.kind, front_door.serves.as_str()), (StackKind::FrontDoor, "all regions"));
    assert!(proof.leaves_region.iter().any(|text| text.starts_with("This environment has a front door")));

    // The residency no longer allows front doors, and its guardrail is the one without them.
    let freehold = freehold.with_config(&config());
    freehold.bootstrap().await;
    let proof = prove(&freehold, &tenant).await;
    let expected = "The environment has a front door (Amazon CloudFront), which its residency does not allow.";
    assert_eq!((proof.conforms, proof.reasons), (false, vec![expected.to_owned()]));
}
