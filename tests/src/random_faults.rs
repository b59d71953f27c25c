//! Bad luck by the seed: which calls go wrong, how, and how often. The same seed brings the same.

use std::fmt;
use std::time::Duration;

use freehold_sandbox::World;
use freehold_sandbox::faults::{Fault, FaultyClient, Rule, WireEffect, WireRule};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Every call that onboarding and what follows it make, by service.
const CALLS: &[(&str, &str)] = &[
    ("organizations", "CreateAccount"),
    ("organizations", "ListCreateAccountStatus"),
    ("organizations", "DescribeCreateAccountStatus"),
    ("organizations", "ListAccounts"),
    ("organizations", "ListTagsForResource"),
    ("organizations", "ListParents"),
    ("organizations", "MoveAccount"),
    ("organizations", "ListRoots"),
    ("organizations", "ListOrganizationalUnitsForParent"),
    ("organizations", "ListPoliciesForTarget"),
    ("organizations", "DescribePolicy"),
    ("account", "GetRegionOptStatus"),
    ("account", "EnableRegion"),
    ("sts", "AssumeRole"),
    ("sts", "GetCallerIdentity"),
    ("cloudformation", "CreateStack"),
    ("cloudformation", "DescribeStacks"),
    ("cloudformation", "DeleteStack"),
    ("cloudformation", "DescribeStackEvents"),
    ("cloudformation", "ListStacks"),
    ("ssoadmin", "ListInstances"),
    ("ssoadmin", "ListPermissionSets"),
    ("ssoadmin", "DescribePermissionSet"),
    ("ssoadmin", "CreateAccountAssignment"),
    ("ssoadmin", "DescribeAccountAssignmentCreationStatus"),
    ("ssoadmin", "ListAccountAssignments"),
    ("identitystore", "GetGroupId"),
    ("identitystore", "GetUserId"),
    ("identitystore", "CreateGroup"),
    ("identitystore", "CreateUser"),
    ("identitystore", "CreateGroupMembership"),
    ("lambda", "InvokeFunctionUrl"),
];

/// Calls that begin work which takes its time, and how that work may fail; a request for a region never fails.
const WORK: &[(&str, &str, &[&str])] = &[
    (
        "organizations",
        "CreateAccount",
        &[
            "INTERNAL_FAILURE",
            "CONCURRENT_ACCOUNT_MODIFICATION",
            "EMAIL_ALREADY_EXISTS",
            "ACCOUNT_LIMIT_EXCEEDED",
            "INVALID_PAYMENT_INSTRUMENT",
            "A_REASON_OF_NEXT_YEAR",
        ],
    ),
    ("cloudformation", "CreateStack", &["Resource handler returned message: Rate exceeded", "Internal Failure"]),
    ("cloudformation", "AWS::IAM::Role", &["Role is being modified"]),
    ("cloudformation", "AWS::Lambda::Function", &["The function could not be created"]),
    ("ssoadmin", "CreateAccountAssignment", &["Received a 403 status error: Access denied by IAM"]),
    ("account", "EnableRegion", &[]),
];

/// Refusals, with the calls that give them; `*` for any of the service.
const REFUSALS: &[(&str, &str, u16, &str)] = &[
    ("organizations", "CreateAccount", 400, "ConcurrentModificationException"),
    ("organizations", "CreateAccount", 400, "FinalizingOrganizationException"),
    ("organizations", "MoveAccount", 400, "ConcurrentModificationException"),
    ("organizations", "MoveAccount", 400, "SourceParentNotFoundException"),
    ("organizations", "MoveAccount", 400, "AccessDeniedException"),
    ("organizations", "*", 500, "ServiceException"),
    ("organizations", "*", 503, "ServiceUnavailable"),
    ("account", "EnableRegion", 409, "ConflictException"),
    ("account", "*", 500, "InternalServerException"),
    ("sts", "AssumeRole", 403, "AccessDenied"),
    ("sts", "*", 403, "InvalidClientTokenId"),
    ("sts", "*", 500, "InternalFailure"),
    ("cloudformation", "CreateStack", 400, "InsufficientCapabilitiesException"),
    ("cloudformation", "*", 403, "OptInRequired"),
    ("cloudformation", "*", 403, "ExpiredToken"),
    ("cloudformation", "*", 500, "InternalFailure"),
    ("ssoadmin", "CreateAccountAssignment", 400, "ConflictException"),
    ("ssoadmin", "*", 400, "ResourceNotFoundException"),
    ("ssoadmin", "*", 500, "InternalServerException"),
    ("identitystore", "*", 500, "InternalServerException"),
    ("lambda", "*", 502, "BadGateway"),
];

/// The longest that a call is held up: longer than a lease, so that its worker is thought dead, and shorter than the
/// certainty that is needed before an account is asked for again.
const LONGEST_DELAY: u64 = 200;

/// One thing that goes wrong.
#[derive(Debug, Clone)]
struct RandomFault {
    service: &'static str,
    call: &'static str,
    /// Which of the matching calls is the first, counted from 1, and how many there are.
    nth: u64,
    times: u64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Wire(WireEffect),
    World(Fault),
}

/// Everything that goes wrong under one seed.
#[derive(Debug, Clone)]
pub struct RandomFaults {
    mishaps: Vec<RandomFault>,
}

impl RandomFaults {
    /// What `seed` brings.
    pub fn from_seed(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let count = dice.random_range(3..=14);
        Self { mishaps: (0..count).map(|_| mishap(&mut dice)).collect() }
    }

    /// Lets it befall an organisation and the wire to it.
    pub fn apply(&self, world: &World, wire: &FaultyClient) {
        for RandomFault { service, call, nth, times, what } in &self.mishaps {
            match what {
                What::Wire(effect) => wire.inject(WireRule::on(service, call, effect.clone()).nth(*nth).times(*times)),
                What::World(fault) => world.inject(Rule::on(service, call, fault.clone()).nth(*nth).times(*times)),
            }
        }
    }
}

fn mishap(dice: &mut StdRng) -> RandomFault {
    let (service, call) = *CALLS.choose(dice).expect("a call");
    let (nth, times) = (dice.random_range(1..=10), dice.random_range(1..=3));
    let on = |service, call, what| RandomFault { service, call, nth, times, what };
    match dice.random_range(0..100) {
        0..15 => on(service, call, What::Wire(WireEffect::Throttle)),
        15..30 => on(service, call, What::Wire(WireEffect::ResetBeforeCall)),
        30..50 => on(service, call, What::Wire(WireEffect::ResetAfterCall)),
        50..60 => {
            let seconds = dice.random_range(1..=LONGEST_DELAY);
            on(service, call, What::Wire(WireEffect::Delay(Duration::from_secs(seconds))))
        }
        60..72 => {
            let (service, call, status, code) = *REFUSALS.choose(dice).expect("a refusal");
            let fault = Fault::Error { status, code: code.to_owned(), message: "as the seed has it".to_owned() };
            on(service, call, What::World(fault))
        }
        72..75 => on(service, call, What::World(Fault::EmptyPage)),
        75..90 => {
            let (service, call, reasons) = *WORK.choose(dice).expect("some work");
            let fault = reasons.choose(dice).map_or(Fault::Stuck, |reason| Fault::failed(reason));
            on(service, call, What::World(fault))
        }
        // Stuck work holds a place until its deadline: seldom more than one.
        _ => {
            let (service, call, _) = *WORK.choose(dice).expect("some work");
            RandomFault { times: 1, ..on(service, call, What::World(Fault::Stuck)) }
        }
    }
}

impl fmt::Display for RandomFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for RandomFault { service, call, nth, times, what } in &self.mishaps {
            let (from, until) = (nth, nth + times - 1);
            match what {
                What::Wire(effect) => writeln!(f, "  {service}:{call} {from} to {until}, on the wire: {effect:?}")?,
                What::World(fault) => writeln!(f, "  {service}:{call} {from} to {until}: {fault:?}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_brings_the_same() {
        assert_eq!(RandomFaults::from_seed(7).to_string(), RandomFaults::from_seed(7).to_string());
        assert_ne!(RandomFaults::from_seed(7).to_string(), RandomFaults::from_seed(8).to_string());
    }
}
