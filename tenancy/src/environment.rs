//! Environment: one isolated installation of a tenant in its own AWS account.

use chrono::{DateTime, Utc};

use crate::baseline::BaselineVersion;
use crate::environment_pin::EnvironmentPin;
use crate::environment_stack::{EnvironmentStack, StackParameters};
use crate::finding::{Finding, FindingKind};
use crate::front_door::FrontDoor;
use crate::replica::{Replica, ReplicaState};
use crate::string_enum::string_enum;
use crate::{AwsAccountId, EnvironmentId, EnvironmentName, OperationId, Region, ReleaseId, ResidencyName, TenantId};

string_enum! {
    /// State of an environment. It is always changed in the same transaction as the state of the environment's
    /// operation, except for `degraded` and `suspended`, which are derived when the environment is read.
    EnvironmentState {
        /// The onboarding of the environment is in progress.
        Onboarding = "onboarding",
        /// The environment is verified and usable.
        Ready = "ready",
        /// The environment is verified, but an open critical finding puts its data, isolation or service at risk.
        /// Never stored; takes precedence over the other states, unless the environment is being offboarded.
        Degraded = "degraded",
        /// The operation of the environment is stopped or late, and a person must act.
        NeedsAttention = "needs_attention",
        /// The environment is suspended and has no access. It can be restored until the cooling-off period ends.
        Offboarding = "offboarding",
        /// The tenant is suspended: the account is in quarantine or on its way there, without a countdown to deletion.
        /// Never stored: the stored state is `offboarding`.
        Suspended = "suspended",
        /// A restore or repair of the environment is in progress.
        Restoring = "restoring",
        /// The offboarding of the environment is complete.
        Offboarded = "offboarded",
    }
}

string_enum! {
    /// Role of a region of an environment.
    RegionRole {
        /// The region whose stack makes the environment ready.
        Home = "home",
        /// A region with a further copy of the stack.
        Replica = "replica",
    }
}

/// Region of an environment, with the state of its stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRegion {
    pub region: Region,
    pub role: RegionRole,
    pub state: ReplicaState,
    /// ARN of the stack; `None` until AWS has returned it.
    pub stack_id: Option<String>,
    /// Release of the stack; `None` before it is deployed, and before releases existed.
    pub release: Option<ReleaseId>,
    /// URL of the stack; `None` before the first verification, or if the stack has no URL.
    pub url: Option<String>,
    /// Time since which the region has this state.
    pub since: DateTime<Utc>,
    /// Reason of the state; `None` if there is none.
    pub message: Option<String>,
}

/// One isolated installation of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    pub id: EnvironmentId,
    pub tenant_id: TenantId,
    /// Name such as `production` or `staging`.
    pub name: EnvironmentName,
    /// Named set of regions that the environment may use.
    pub residency: ResidencyName,
    /// Region of the tenant stack that makes the environment ready.
    pub home_region: Region,
    /// Further regions of the environment, in the order of their slots.
    pub replicas: Vec<Replica>,
    /// Front door; `None` if the environment has none.
    pub front_door: Option<FrontDoor>,
    /// Parameters of the tenant stack, which override those of the release.
    pub parameters: StackParameters,
    /// Tenant stack in the home region; `None` until its creation is intended.
    pub home_stack: Option<EnvironmentStack>,
    pub state: EnvironmentState,
    /// AWS account of the environment; `None` if no account is mapped to it.
    pub aws_account_id: Option<AwsAccountId>,
    /// Version of the baseline stack; `None` before it is installed.
    pub baseline_version: Option<BaselineVersion>,
    /// Open operation of the environment, or the latest operation if none is open.
    pub operation_id: OperationId,
    /// Time of the request that created the environment.
    pub created_at: DateTime<Utc>,
    /// Time of the last change of the state or of the baseline.
    pub updated_at: DateTime<Utc>,
    /// Time of the first successful verification.
    pub ready_at: Option<DateTime<Utc>>,
    /// Pin of the environment to its release, which may have reached its end; `None` without one.
    pub pin: Option<EnvironmentPin>,
    /// Time at which the offboarding was completed.
    pub offboarded_at: Option<DateTime<Utc>>,
    /// Open findings about the environment, the most severe first.
    pub findings: Vec<Finding>,
}

impl Environment {
    /// Returns the regions of the environment, the home region first. An offboarded environment has none. `url_output`
    /// is the name of the output with the URL of a stack.
    pub fn regions(&self, url_output: &str) -> Vec<EnvironmentRegion> {
        if self.state == EnvironmentState::Offboarded {
            return Vec::new();
        }
        let replicas = self.replicas.iter().map(|replica| self.replica_region(replica));
        std::iter::once(self.home(url_output)).chain(replicas).collect()
    }

    /// Returns the home region. Its state follows from the state of the environment, because the operations of the
    /// environment deploy and verify its stack.
    fn home(&self, url_output: &str) -> EnvironmentRegion {
        let finding = self.home_stack_finding();
        let (state, since) = match self.state {
            EnvironmentState::Offboarding | EnvironmentState::Offboarded => (ReplicaState::Leaving, self.updated_at),
            _ if self.ready_at.is_none() && self.home_stack.is_none() => (ReplicaState::Pending, self.created_at),
            _ if self.ready_at.is_none() => (ReplicaState::Deploying, self.updated_at),
            EnvironmentState::Onboarding | EnvironmentState::Restoring | EnvironmentState::NeedsAttention => {
                (ReplicaState::Updating, self.updated_at)
            }
            EnvironmentState::Ready | EnvironmentState::Degraded | EnvironmentState::Suspended => match finding {
                Some(finding) => (ReplicaState::Failed, finding.first_seen_at),
                None => (ReplicaState::Ready, self.updated_at),
            },
        };
        let url = self.home_stack.as_ref().and_then(|stack| stack.outputs.get(url_output));
        EnvironmentRegion {
            region: self.home_region,
            role: RegionRole::Home,
            state,
            stack_id: self.home_stack.as_ref().and_then(|stack| stack.id.clone()),
            release: self.home_stack.as_ref().and_then(|stack| Some(stack.release.as_ref()?.id)),
            url: url.filter(|_| self.ready_at.is_some()).cloned(),
            since,
            message: finding.filter(|_| state == ReplicaState::Failed).map(|finding| finding.message.clone()),
        }
    }

    /// Returns the URL at which the environment answers: that of its front door, or else that of its home region.
    pub fn url(&self, url_output: &str) -> Option<String> {
        let home = || self.regions(url_output).first().and_then(|home| home.url.clone());
        self.front_door.as_ref().and_then(FrontDoor::serving_url).map(ToOwned::to_owned).or_else(home)
    }

    /// Returns the open finding that reports the stack of the home region as missing or broken.
    fn home_stack_finding(&self) -> Option<&Finding> {
        // Only the subject of a finding about a replica or a front door has a further part.
        let is_at_home = |finding: &Finding| finding.subject.matches('/').count() == 1;
        self.findings.iter().find(|finding| {
            matches!(finding.kind, FindingKind::StackMissing | FindingKind::StackFailed) && is_at_home(finding)
        })
    }

    fn replica_region(&self, replica: &Replica) -> EnvironmentRegion {
        let (state, since) = match self.state {
            EnvironmentState::Offboarding if replica.state != ReplicaState::Leaving => {
                (ReplicaState::Leaving, self.updated_at)
            }
            _ => (replica.state, replica.since),
        };
        EnvironmentRegion {
            region: replica.region,
            role: RegionRole::Replica,
            state,
            stack_id: replica.stack_id.clone(),
            release: replica.release,
            url: replica.url.clone(),
            since,
            message: replica.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::ReplicaSlot;

    fn environment(state: EnvironmentState) -> Environment {
        let at = DateTime::UNIX_EPOCH;
        let ready_at = (state != EnvironmentState::Onboarding).then_some(at);
        let replica = Replica::requested(ReplicaSlot::ALL[0], "eu-west-1".parse().unwrap(), at);
        Environment {
            id: EnvironmentId::new(at),
            tenant_id: TenantId::new(at),
            name: "production".parse().unwrap(),
            residency: "eu".parse().unwrap(),
            home_region: "eu-central-1".parse().unwrap(),
            replicas: vec![Replica { state: ReplicaState::Failed, ..replica }],
            front_door: None,
            parameters: StackParameters::new(),
            home_stack: None,
            state,
            aws_account_id: None,
            baseline_version: None,
            operation_id: OperationId::new(at),
            created_at: at,
            updated_at: at,
            ready_at,
            pin: None,
            offboarded_at: None,
            findings: Vec::new(),
        }
    }

    #[test]
    fn the_state_of_the_environment_determines_that_of_its_regions() {
        use {EnvironmentState as E, ReplicaState as R};
        for (state, expected) in [
            (E::Onboarding, vec![R::Pending, R::Failed]),
            (E::Ready, vec![R::Ready, R::Failed]),
            (E::Degraded, vec![R::Ready, R::Failed]),
            (E::Restoring, vec![R::Updating, R::Failed]),
            (E::NeedsAttention, vec![R::Updating, R::Failed]),
            (E::Suspended, vec![R::Ready, R::Failed]),
            (E::Offboarding, vec![R::Leaving, R::Leaving]),
            (E::Offboarded, vec![]),
        ] {
            let regions = environment(state).regions("FunctionUrl");
            assert_eq!(regions.iter().map(|region| region.state).collect::<Vec<_>>(), expected, "{state}");
        }
    }
}
