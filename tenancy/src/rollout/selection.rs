//! Assigns environments to the waves of a plan. This module accesses no clock and no database.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};

use super::plan::{RolloutPlan, Selection};
use crate::environment::EnvironmentState;
use crate::tenant::Labels;
use crate::{EnvironmentId, EnvironmentName, Region, ReleaseId, TenantId, Tier, WaveName};

/// Environment that a wave can select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub environment_id: EnvironmentId,
    pub tenant_id: TenantId,
    pub name: EnvironmentName,
    pub tier: Tier,
    pub labels: Labels,
    pub home_region: Region,
    /// Release before the rollout: of the first region that does not have the new one. `None` if it is not known.
    pub release: Option<ReleaseId>,
    /// Reason why the environment is no member; `None` if it can be one.
    pub left_out: Option<LeftOutReason>,
}

/// Reason why an environment that a wave selects is no member of the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOutReason {
    /// The environment has the release already.
    Current,
    Pinned {
        reason: String,
        until: Option<DateTime<Utc>>,
    },
    /// The environment is in this state, in which its stacks are not updated.
    NotReady(EnvironmentState),
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("has the release already"),
            Self::Pinned { reason, until: None } => write!(f, "pinned to its release: {reason}"),
            Self::Pinned { reason, until: Some(until) } => {
                write!(f, "pinned to its release until {}: {reason}", until.to_rfc3339_opts(SecondsFormat::Secs, true))
            }
            Self::NotReady(state) => write!(f, "is {state}"),
        }
    }
}

/// Environment that is no member of the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub environment_id: EnvironmentId,
    pub reason: LeftOutReason,
}

/// Environments of each wave in the order of their updates, and those that are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    pub waves: Vec<Vec<Member>>,
    pub left_out: Vec<LeftOut>,
}

/// Environment of a wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub environment_id: EnvironmentId,
    /// Release before the rollout; `None` if it is not known.
    pub previous_release: Option<ReleaseId>,
}

/// Error for a wave without environments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("wave {0} must select an environment that no earlier wave has and that can be updated")]
pub struct EmptyWave(pub WaveName);

/// Assigns each environment to the first wave that selects it. Within a wave, the environments are in the order of
/// their hashes, which do not depend on the rollout.
pub fn assign(plan: &RolloutPlan, candidates: &[Candidate]) -> Result<Membership, EmptyWave> {
    let mut ordered: Vec<_> = candidates.iter().map(|one| (hash(one.environment_id), one)).collect();
    ordered.sort_unstable_by_key(|(hash, one)| (*hash, one.environment_id));
    let mut membership = Membership::default();
    let (mut assigned, mut left_out) = (BTreeSet::new(), BTreeSet::new());
    for wave in &plan.waves {
        let mut matching = Vec::new();
        for (_, candidate) in ordered.iter().filter(|(_, one)| matches(&wave.select, one)) {
            match &candidate.left_out {
                None => matching.push(*candidate),
                Some(reason) if left_out.insert(candidate.environment_id) => {
                    let environment_id = candidate.environment_id;
                    membership.left_out.push(LeftOut { environment_id, reason: reason.clone() });
                }
                Some(_) => {}
            }
        }
        if let Some(percent) = wave.select.percent {
            matching.truncate(share(matching.len(), percent));
        }
        let members: Vec<Member> = matching
            .into_iter()
            .filter(|one| assigned.insert(one.environment_id))
            .map(|one| Member { environment_id: one.environment_id, previous_release: one.release })
            .collect();
        if members.is_empty() {
            return Err(EmptyWave(wave.name.clone()));
        }
        membership.waves.push(members);
    }
    Ok(membership)
}

/// Returns `percent` of `count`, rounded up.
fn share(count: usize, percent: u32) -> usize {
    count.saturating_mul(usize::try_from(percent).unwrap_or(100)).div_ceil(100).min(count)
}

fn hash(environment: EnvironmentId) -> [u8; 32] {
    Sha256::digest(environment.to_string()).into()
}

fn matches(select: &Selection, candidate: &Candidate) -> bool {
    let has_label = |(name, value): (&String, &String)| candidate.labels.get(name) == Some(value);
    (select.environments.is_empty() || select.environments.contains(&candidate.name))
        && (select.tiers.is_empty() || select.tiers.contains(&candidate.tier))
        && (select.tenants.is_empty() || select.tenants.contains(&candidate.tenant_id))
        && (select.home_regions.is_empty() || select.home_regions.contains(&candidate.home_region))
        && select.labels.iter().all(has_label)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn candidate(number: u128, name: &str) -> Candidate {
        Candidate {
            environment_id: Uuid::from_u128(number).into(),
            tenant_id: Uuid::from_u128(number / 2).into(),
            name: name.parse().unwrap(),
            tier: if number.is_multiple_of(2) { "standard" } else { "enterprise" }.parse().unwrap(),
            labels: BTreeMap::from([("ring".to_owned(), (number % 3).to_string())]),
            home_region: if number < 10 { "eu-central-1" } else { "us-east-1" }.parse().unwrap(),
            release: None,
            left_out: None,
        }
    }

    fn fleet(count: u128) -> Vec<Candidate> {
        (0..count).map(|number| candidate(number, "production")).collect()
    }

    fn plan(selections: &[serde_json::Value]) -> RolloutPlan {
        let wave = |(number, select)| json!({ "name": format!("w{number}"), "select": select });
        let waves: Vec<_> = selections.iter().enumerate().map(wave).collect();
        serde_json::from_value(json!({ "waves": waves })).unwrap()
    }

    fn sizes(plan: &RolloutPlan, candidates: &[Candidate]) -> Vec<usize> {
        assign(plan, candidates).unwrap().waves.iter().map(Vec::len).collect()
    }

    #[test]
    fn the_first_wave_that_selects_an_environment_has_it() {
        let plan = plan(&[json!({ "tiers": ["enterprise"] }), json!({})]);
        let membership = assign(&plan, &fleet(10)).unwrap();
        let all: BTreeSet<_> = membership.waves.iter().flatten().map(|one| one.environment_id).collect();
        assert_eq!(membership.waves.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
        assert_eq!(all.len(), 10);
    }

    #[test]
    fn a_share_is_rounded_up_and_contains_each_smaller_share() {
        let shares = [json!({ "percent": 1 }), json!({ "percent": 10 }), json!({ "percent": 34 }), json!({})];
        assert_eq!(sizes(&plan(&shares), &fleet(101)), [2, 9, 24, 66]);
        assert_eq!(sizes(&plan(&[json!({ "percent": 1 })]), &fleet(1)), [1]);
        assert_eq!(sizes(&plan(&[json!({ "percent": 100 })]), &fleet(7)), [7]);
    }

    #[test]
    fn a_share_does_not_depend_on_the_order_of_the_environments() {
        let plan = plan(&[json!({ "percent": 30 })]);
        let mut reversed = fleet(50);
        reversed.reverse();
        assert_eq!(assign(&plan, &fleet(50)).unwrap(), assign(&plan, &reversed).unwrap());
    }

    #[test]
    fn an_environment_must_meet_all_conditions() {
        let tenant = TenantId::from(Uuid::from_u128(3));
        for (select, expected) in [
            (json!({ "tenants": [tenant] }), vec![6, 7]),
            (json!({ "tenants": [tenant], "tiers": ["standard"] }), vec![6]),
            (json!({ "labels": { "ring": "1" }, "home_regions": ["eu-central-1"] }), vec![1, 4, 7]),
            (json!({ "environments": ["production"], "home_regions": ["us-east-1"] }), vec![10, 11]),
        ] {
            let membership = assign(&plan(&[select]), &fleet(12)).unwrap();
            let mut found: Vec<_> = membership.waves[0].iter().map(|one| one.environment_id).collect();
            found.sort();
            let expected: Vec<EnvironmentId> = expected.into_iter().map(|one| Uuid::from_u128(one).into()).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_wave_without_environments_is_refused() {
        let plan = plan(&[json!({}), json!({ "tiers": ["standard"] })]);
        assert_eq!(assign(&plan, &fleet(4)), Err(EmptyWave("w1".parse().unwrap())));
    }

    #[test]
    fn an_environment_that_is_left_out_does_not_count_for_a_share() {
        let mut candidates = fleet(4);
        candidates[0].left_out = Some(LeftOutReason::Current);
        candidates[1].left_out = Some(LeftOutReason::Pinned { reason: "audit".to_owned(), until: None });
        candidates[2].left_out = Some(LeftOutReason::NotReady(EnvironmentState::Offboarding));
        let membership = assign(&plan(&[json!({ "percent": 1 })]), &candidates).unwrap();
        assert_eq!(membership.waves[0][0].environment_id, candidates[3].environment_id);
        let mut reasons: Vec<_> = membership.left_out.iter().map(|one| one.reason.to_string()).collect();
        reasons.sort();
        assert_eq!(reasons, ["has the release already", "is offboarding", "pinned to its release: audit"]);
    }
}
