//! Random but reproducible faults in AWS calls: the same seed gives the same faults.

use std::fmt;
use std::time::Duration;

use freehold_sandbox::World;
use freehold_sandbox::faults::{Fault, FaultyClient, Rule, WireEffect, WireRule};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// AWS calls of all workflows, each as service and AWS operation.
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

/// AWS calls that start asynchronous work, each with the possible failure reasons. A region opt-in never fails.
const ASYNC_CALLS: &[(&str, &str, &[&str])] = &[
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

/// Error responses of AWS calls; `*` means all calls of the service.
const ERROR_RESPONSES: &[(&str, &str, u16, &str)] = &[
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

/// Maximum delay of a call in seconds. The delay is longer than a lease, so that another worker can claim the
/// operation. It is shorter than the time after which Freehold requests an account again.
const MAX_DELAY_SECONDS: u64 = 200;

/// Fault in one or more calls of one AWS operation.
#[derive(Debug, Clone)]
struct RandomFault {
    service: &'static str,
    call: &'static str,
    /// Number of the first affected call; the first call has number 1.
    nth: u64,
    times: u64,
    effect: Effect,
}

#[derive(Debug, Clone)]
enum Effect {
    Http(WireEffect),
    Service(Fault),
}

/// All faults that are generated from one seed.
#[derive(Debug, Clone)]
pub struct RandomFaults {
    faults: Vec<RandomFault>,
}

impl RandomFaults {
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rng.random_range(3..=14);
        Self { faults: (0..count).map(|_| random_fault(&mut rng)).collect() }
    }

    /// Injects the faults into the simulated organisation and into the HTTP client.
    pub fn apply(&self, world: &World, wire: &FaultyClient) {
        for RandomFault { service, call, nth, times, effect } in &self.faults {
            match effect {
                Effect::Http(http_effect) => {
                    wire.inject(WireRule::on(service, call, http_effect.clone()).nth(*nth).times(*times));
                }
                Effect::Service(fault) => world.inject(Rule::on(service, call, fault.clone()).nth(*nth).times(*times)),
            }
        }
    }
}

fn random_fault(rng: &mut StdRng) -> RandomFault {
    let (service, call) = *CALLS.choose(rng).expect("a call");
    let (nth, times) = (rng.random_range(1..=10), rng.random_range(1..=3));
    let on = |service, call, effect| RandomFault { service, call, nth, times, effect };
    match rng.random_range(0..100) {
        0..15 => on(service, call, Effect::Http(WireEffect::Throttle)),
        15..30 => on(service, call, Effect::Http(WireEffect::ResetBeforeCall)),
        30..50 => on(service, call, Effect::Http(WireEffect::ResetAfterCall)),
        50..60 => {
            let seconds = rng.random_range(1..=MAX_DELAY_SECONDS);
            on(service, call, Effect::Http(WireEffect::Delay(Duration::from_secs(seconds))))
        }
        60..72 => {
            let (service, call, status, code) = *ERROR_RESPONSES.choose(rng).expect("an error");
            let fault = Fault::Error { status, code: code.to_owned(), message: "injected by the test".to_owned() };
            on(service, call, Effect::Service(fault))
        }
        72..75 => on(service, call, Effect::Service(Fault::EmptyPage)),
        75..90 => {
            let (service, call, reasons) = *ASYNC_CALLS.choose(rng).expect("some work");
            let fault = reasons.choose(rng).map_or(Fault::Stuck, |reason| Fault::failed(reason));
            on(service, call, Effect::Service(fault))
        }
        // Only one call is affected, because work that never finishes holds a slot until its deadline.
        _ => {
            let (service, call, _) = *ASYNC_CALLS.choose(rng).expect("some work");
            RandomFault { times: 1, ..on(service, call, Effect::Service(Fault::Stuck)) }
        }
    }
}

impl fmt::Display for RandomFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for RandomFault { service, call, nth, times, effect } in &self.faults {
            let (from, until) = (nth, nth + times - 1);
            match effect {
                Effect::Http(http_effect) => {
                    writeln!(f, "  {service}:{call} calls {from} to {until}, HTTP: {http_effect:?}")?;
                }
                Effect::Service(fault) => writeln!(f, "  {service}:{call} calls {from} to {until}: {fault:?}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        assert_eq!(RandomFaults::from_seed(7).to_string(), RandomFaults::from_seed(7).to_string());
        assert_ne!(RandomFaults::from_seed(7).to_string(), RandomFaults::from_seed(8).to_string());
    }
}
