//! Tests that compare the simulator and two external emulators with AWS.
//!
//! If a simulator and its client are written together, both can contain the same mistake. Therefore a test case exists
//! for each behaviour of AWS that Freehold relies on. Each test case runs with the real SDK against the simulator, moto
//! and ministack. The results are compared with `conformance/expected.toml`, which records the documented behaviour of
//! AWS and the known deviations of the three targets. A test also fails if a target no longer has a recorded deviation.

pub(crate) mod case;
pub(crate) mod cloud;
mod emulator;
mod expected;
mod simulator;
pub(crate) mod target;
pub(crate) mod venv;

mod change_sets;
mod cloudformation;
mod guardrails;
pub(crate) mod identity_center;
pub(crate) mod identity_store;
mod organizations;
mod policies;
mod regions;
mod replacements;
mod sts;
mod templates;

use case::Case;
use expected::Expected;
use target::Target;

/// Returns all test cases in the order of `expected.toml`.
fn cases() -> Vec<Case> {
    [
        organizations::cases(),
        policies::cases(),
        guardrails::cases(),
        sts::cases(),
        identity_center::cases(),
        identity_store::cases(),
        regions::cases(),
        cloudformation::cases(),
        templates::cases(),
        change_sets::cases(),
    ]
    .concat()
}

/// Runs all test cases against a target and compares the results with `expected.toml`. The environment variable
/// `FREEHOLD_CONFORMANCE_CASE` selects cases by name.
async fn check(target: Target) {
    let expected = Expected::load();
    let only = std::env::var("FREEHOLD_CONFORMANCE_CASE").unwrap_or_default();
    let mut differences = Vec::new();
    for case in cases().into_iter().filter(|case| case.name.contains(&only)) {
        let observed = case.run(&target).await;
        let wanted = expected.of(&case.name, target.name());
        if observed != wanted {
            differences.push(format!("{}\n    expected {wanted:?}\n    observed {observed:?}", case.name));
        }
    }
    let (name, differences) = (target.name(), differences.join("\n"));
    assert!(
        differences.is_empty(),
        "{name} does not answer as tests/conformance/expected.toml says. If it is right and the table is wrong, change \
         the table:\n{differences}"
    );
}

#[tokio::test]
async fn the_simulator_answers_as_expected() {
    check(Target::simulator()).await;
}

#[tokio::test]
async fn moto_answers_as_expected() {
    check(Target::moto().await).await;
}

#[tokio::test]
async fn ministack_answers_as_expected() {
    check(Target::ministack().await).await;
}

#[test]
fn expected_toml_contains_exactly_the_test_cases() {
    let mut names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    names.sort();
    assert_eq!(Expected::load().names(), names);
}
