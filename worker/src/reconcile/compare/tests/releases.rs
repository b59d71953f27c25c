//! Tests of the comparison of stacks with their releases on record.

use chrono::TimeDelta;
use freehold_tenancy::ReleaseId;
use freehold_tenancy::environment_stack::StackKind;

use super::scene::{ACCOUNT, Scene, now};
use super::single_finding;
use crate::cloud::StackStatus;

/// Changes the stack after Freehold's last change, to a template with this hash.
fn replace_template(scene: &mut Scene, sha256: &str) {
    scene.stack().updated_at = Some(now() - TimeDelta::hours(1));
    scene.observed(StackKind::Tenant).template_sha256 = Some(sha256.to_owned());
}

#[test]
fn a_template_of_another_release_is_named_with_the_command() {
    let mismatch = single_finding("release_mismatch", &format!("{ACCOUNT}/freehold-tenant"), "person");
    let mut scene = Scene::consistent();
    let other = ReleaseId::new(now());
    replace_template(&mut scene, "new");
    assert_eq!(scene.found(), mismatch);
    let message = scene.compared().found.remove(0).message;
    assert!(message.contains("it has a template that is not of any release."), "{message}");
    scene.template_hashes.insert(("eu-central-1".parse().unwrap(), other), "new".to_owned());
    assert_eq!(scene.found(), mismatch);
    let message = scene.compared().found.remove(0).message;
    assert!(message.contains(&format!("it has the template of the release {other}.")), "{message}");
    assert!(message.contains("freehold releases deploy rel_"), "{message}");
}

#[test]
fn a_rolled_back_update_is_no_finding() {
    let mut scene = Scene::consistent();
    replace_template(&mut scene, "old");
    let drifted = single_finding("stack_drifted", &format!("{ACCOUNT}/freehold-tenant"), "person");
    assert_eq!(scene.found(), drifted, "something else was changed");
    scene.stack().status = StackStatus::UpdateRolledBack;
    assert_eq!(scene.found(), []);
}

#[test]
fn another_value_of_a_parameter_is_named_without_the_value() {
    let mut scene = Scene::consistent();
    scene.stack().parameters.insert("Size".to_owned(), "large".to_owned());
    let mismatch = single_finding("release_mismatch", &format!("{ACCOUNT}/freehold-tenant"), "person");
    assert_eq!(scene.found(), mismatch);
    let message = scene.compared().found.remove(0).message;
    assert!(message.contains("its parameters differ: Size.") && !message.contains("large"), "{message}");
    // CloudFormation hides the value of a parameter with NoEcho.
    scene.stack().parameters.insert("Size".to_owned(), "****".to_owned());
    assert_eq!(scene.found(), []);
    scene.stack().parameters.remove("Size");
    assert_eq!(scene.found(), []);
}
