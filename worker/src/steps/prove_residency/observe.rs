//! Observations of a residency proof, all of which are reads in AWS.

use chrono::{DateTime, Utc};
use freehold_tenancy::config::sha256_of;
use freehold_tenancy::environment::RegionRole;
use freehold_tenancy::environment_stack::{EnvironmentStackState, StackKind, StackSlot};
use freehold_tenancy::residency_proof::{
    AttachedPolicy, Attachment, AttachmentKind, Drift, PROOF_VERSION, ProbeResult, ProofDocument, ProofReplica,
    ProofStack, RegionProbe, STACK_NOT_FOUND, STACK_NOT_READABLE,
};
use serde::{Deserialize, Serialize};

use super::sentences;
use crate::cloud::{CloudErrorKind, Role, StackStatus};
use crate::context::StepContext;
use crate::guardrail::{self, VERIFY_ROLE};
use crate::step_outcome::StepError;
use crate::steps::shared::region_checks::{self, CHECK_MAX_AGE};

/// Fact with the observations of runs that a rate limit or a lost response has interrupted.
pub(super) const PROGRESS_FACT: &str = "proof_progress";

/// Call with which a region outside the residency is tried.
const PROBE_CALL: &str = "cloudformation:ListStacks";

/// Policies that were read so far. A rate limit can interrupt the reads, and the next run continues them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Progress {
    started_at: DateTime<Utc>,
    attachments: Vec<Attachment>,
    policies: Vec<AttachedPolicy>,
    /// Account, OU or root that is being read; `None` after the root.
    current: Option<PolicyTarget>,
}

/// Account, OU or root, with what was read of it so far.
#[derive(Debug, Serialize, Deserialize)]
struct PolicyTarget {
    id: String,
    /// Name and id of each attached policy.
    attached: Option<Vec<(String, String)>>,
    parent: Option<String>,
}

impl PolicyTarget {
    fn new(id: String) -> Self {
        Self { id, attached: None, parent: None }
    }

    fn kind(&self) -> AttachmentKind {
        if self.id.starts_with("r-") {
            AttachmentKind::Root
        } else if self.id.starts_with("ou-") {
            AttachmentKind::OrganizationalUnit
        } else {
            AttachmentKind::Account
        }
    }
}

impl Progress {
    /// Returns the progress of earlier runs, or the start if there is none or if it is too old.
    pub(super) fn resume(context: &StepContext) -> Self {
        let stored: Option<Self> = context.step_fact(PROGRESS_FACT);
        stored.filter(|progress| context.now() - progress.started_at < CHECK_MAX_AGE).unwrap_or_else(|| Self {
            started_at: context.now(),
            attachments: Vec::new(),
            policies: Vec::new(),
            current: context.account_id().map(|id| PolicyTarget::new(id.into())),
        })
    }
}

/// Observes the environment. The result does not say yet whether the environment conforms.
pub(super) async fn document(context: &StepContext, progress: &mut Progress) -> Result<ProofDocument, StepError> {
    let account = context.account()?;
    read_policies(context, progress).await?;
    let denied_region = probe_other_region(context).await?;
    let (stacks, front_door) = read_stacks(context).await?;
    let (environment, residency) = (context.environment(), context.residency()?);
    let replicas = environment.replicas.iter().map(|replica| ProofReplica {
        region: replica.region,
        state: replica.state,
        since: replica.since,
    });
    let requested = environment.replicas.iter().map(|replica| replica.region);
    let drift = environment.findings.iter();
    let drift = drift.map(|one| Drift { kind: one.kind, severity: one.severity, since: one.first_seen_at });
    Ok(ProofDocument {
        version: PROOF_VERSION,
        installation_id: context.installation(),
        tenant_id: context.tenant().id,
        environment_id: environment.id,
        environment: environment.name.clone(),
        operation_id: context.operation_id(),
        observed_at: progress.started_at,
        aws_account_id: account.id().clone(),
        residency: environment.residency.clone(),
        conforms: false,
        reasons: Vec::new(),
        requested_regions: std::iter::once(environment.home_region).chain(requested).collect(),
        allowed_regions: residency.regions.clone(),
        guardrail: residency.guardrail_name(),
        attachments: progress.attachments.clone(),
        policies: progress.policies.clone(),
        denied_region,
        stacks,
        replicas: replicas.collect(),
        exemptions: sentences::exemptions(&context.config().organization),
        drift: drift.collect(),
        leaves_region: sentences::leaves_region(context.config(), front_door.is_some()),
        front_door_allowed: residency.edge,
        front_door,
    })
}

/// Reads the policies of the account and of everything above it up to the root.
async fn read_policies(context: &StepContext, progress: &mut Progress) -> Result<(), StepError> {
    let aws = context.aws();
    while let Some(current) = &mut progress.current {
        let attached = match &current.attached {
            Some(attached) => attached.clone(),
            None => current.attached.insert(aws.policies_on(&current.id).await?).clone(),
        };
        for (name, policy) in &attached {
            read_policy(context, &mut progress.policies, name, policy).await?;
        }
        let kind = current.kind();
        if kind != AttachmentKind::Root && current.parent.is_none() {
            current.parent = Some(aws.parent_of_child(&current.id).await?);
        }
        let (id, parent) = (current.id.clone(), current.parent.clone());
        let name = match (&parent, kind) {
            (Some(parent), AttachmentKind::OrganizationalUnit) => {
                aws.ous_in(parent).await?.into_iter().find(|(_, known)| *known == id).map(|(name, _)| name)
            }
            _ => None,
        };
        let policies = attached.into_iter().map(|(_, policy)| policy).collect();
        progress.attachments.push(Attachment { kind, id, name, policies });
        progress.current = parent.map(PolicyTarget::new);
    }
    Ok(())
}

/// Reads the text of a policy, unless it was read already.
async fn read_policy(
    context: &StepContext,
    policies: &mut Vec<AttachedPolicy>,
    name: &str,
    id: &str,
) -> Result<(), StepError> {
    if policies.iter().any(|known| known.id == id) {
        return Ok(());
    }
    let residency = context.residency()?;
    let text = context.aws().policy_content(id).await?;
    let is_guardrail = name == residency.guardrail_name();
    // A guardrail that is too long was never created, so that no attached policy has its content.
    let expected = guardrail::residency_guardrail(residency, &context.config().organization).unwrap_or_default();
    policies.push(AttachedPolicy {
        id: id.to_owned(),
        name: name.to_owned(),
        sha256: sha256_of(&text),
        is_guardrail,
        matches_expected: is_guardrail.then(|| guardrail::is_same_json(&text, &expected)),
        text,
    });
    Ok(())
}

/// Tries a read in a region outside the residency, with the role to which the policy applies as it does to the
/// customer.
async fn probe_other_region(context: &StepContext) -> Result<RegionProbe, StepError> {
    let region = region_checks::outside_region(context);
    let result = match region {
        None => ProbeResult::NoOtherRegion,
        Some(region) => match context.aws().read_in_region(&context.account()?, region).await {
            Ok(()) => ProbeResult::Allowed,
            Err(error) => match error.kind {
                // The role itself could not be assumed.
                CloudErrorKind::Denied { .. } if error.call != PROBE_CALL => ProbeResult::NotObserved,
                CloudErrorKind::Denied { explicit_deny: true } => ProbeResult::Denied,
                CloudErrorKind::Denied { explicit_deny: false } => ProbeResult::RefusedWithoutPolicy,
                _ => return Err(error.into()),
            },
        },
    };
    let (role, call) = (VERIFY_ROLE.to_owned(), PROBE_CALL.to_owned());
    Ok(RegionProbe { region, role, call, result, at: context.now() })
}

/// Reads the stacks on record. Returns them and the status of the front door's stack, if there is one.
async fn read_stacks(context: &StepContext) -> Result<(Vec<ProofStack>, Option<String>), StepError> {
    let (account, mut stacks, mut front_door) = (context.account()?, Vec::new(), None);
    for stack in context.stacks().await? {
        let (stack_id, status) = match context.aws().stack(&account, Role::Access, stack.region, &stack.name).await {
            Ok(Some(found)) if found.status != StackStatus::Deleted => (Some(found.id), found.status_text),
            Ok(_) => (None, STACK_NOT_FOUND.to_owned()),
            Err(error) if matches!(error.kind, CloudErrorKind::Denied { .. }) => (None, STACK_NOT_READABLE.to_owned()),
            Err(error) => return Err(error.into()),
        };
        if stack.kind == StackKind::FrontDoor {
            front_door = Some(status.clone());
        }
        stacks.push(ProofStack {
            kind: stack.kind,
            serves: match (stack.kind, stack.slot) {
                (StackKind::Tenant, StackSlot::Home) => RegionRole::Home.as_str(),
                (StackKind::Tenant, StackSlot::Replica(_)) => RegionRole::Replica.as_str(),
                (StackKind::Baseline | StackKind::FrontDoor, _) => "all regions",
            }
            .to_owned(),
            region: stack.region,
            name: stack.name,
            stack_id,
            status,
            is_expected: stack.state == EnvironmentStackState::Present,
        });
    }
    Ok((stacks, front_door))
}
