//! Tests of `freehold proof`: the offline verification with its exit codes, and the sandbox.

use std::path::{Path, PathBuf};

use freehold_tenancy::config::sha256_of;
use freehold_tenancy::residency_proof::{ProofDocument, ProofSigner};
use serde_json::json;

use super::process::{Sandbox, freehold, text};

const INSTALLATION: &str = "ins_01k2m8v3x9e7rt4s5q6w7y8z9a";

fn signer(byte: &str) -> ProofSigner {
    ProofSigner::new(&byte.repeat(32).into()).expect("a key")
}

fn document(conforms: bool) -> ProofDocument {
    let reasons = if conforms { vec![] } else { vec!["The policy `freehold-region-eu` is not attached."] };
    let document = json!({
        "version": 1,
        "installation_id": INSTALLATION,
        "tenant_id": "ten_01k2m8v3x9e7rt4s5q6w7y8z9b",
        "environment_id": "env_01k2m8v3x9e7rt4s5q6w7y8z9a",
        "environment": "production",
        "operation_id": "op_01k2m8v3x9e7rt4s5q6w7y8z9c",
        "observed_at": "2026-01-01T00:00:00Z",
        "aws_account_id": "111122223333",
        "residency": "eu",
        "conforms": conforms,
        "reasons": reasons,
        "requested_regions": ["eu-central-1"],
        "allowed_regions": ["eu-central-1", "eu-west-1"],
        "guardrail": "freehold-region-eu",
        "attachments": [{ "kind": "account", "id": "111122223333", "name": null, "policies": ["p-1"] }],
        "policies": [{
            "id": "p-1", "name": "freehold-region-eu", "sha256": sha256_of("{}"), "text": "{}",
            "is_guardrail": true, "matches_expected": true,
        }],
        "denied_region": {
            "region": "us-east-1", "role": "freehold-verify", "call": "cloudformation:ListStacks",
            "result": "denied", "at": "2026-01-01T00:00:01Z",
        },
        "stacks": [],
        "replicas": [],
        "front_door": null,
        "front_door_allowed": false,
        "exemptions": [],
        "drift": [],
        "leaves_region": ["The name of the account."],
    });
    serde_json::from_value(document).expect("a document")
}

/// Writes a proof to a file in `directory` and returns its path.
fn write(directory: &Path, name: &str, content: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, content).expect("a file");
    path
}

/// Verifies a file. Returns the exit code, stdout and stderr.
fn verify(file: &Path, arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["proof", "verify", file.to_str().expect("UTF-8")], arguments].concat();
    let output = freehold(&arguments);
    (output.status.code().expect("a code"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_valid_proof_is_verified_without_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let (signer, directory) = (signer("01"), directory.path());
    let proof = signer.sign(&document(true));
    let file = write(directory, "proof.jws", &format!("{}\n", proof.jws));
    let key = signer.public_key().to_string();
    let jwks = write(directory, "keys.json", &json!({ "keys": [signer.public_key().jwk()] }).to_string());
    let key_file = write(directory, "key.txt", &format!("{key}\n"));
    for key in [key.as_str(), jwks.to_str().expect("UTF-8"), key_file.to_str().expect("UTF-8")] {
        let (code, output, error) = verify(&file, &["--public-key", key, "--installation", INSTALLATION]);
        assert_eq!((code, error.as_str()), (0, ""), "{output}");
        for text in ["The environment conforms", "freehold-region-eu", "us-east-1", "The signature is valid."] {
            assert!(output.contains(text), "{text} is missing: {output}");
        }
    }
}

#[test]
fn a_proof_that_cannot_be_trusted_has_exit_code_three() {
    let directory = tempfile::tempdir().expect("a directory");
    let (signer, other, directory) = (signer("01"), signer("02"), directory.path());
    let jws = signer.sign(&document(true)).jws;
    let file = write(directory, "proof.jws", &jws);
    let key = signer.public_key().to_string();
    let (code, output, error) = verify(&file, &["--public-key", &other.public_key().to_string()]);
    assert_eq!((code, output.as_str()), (3, ""));
    assert!(error.contains("NOT valid") && error.contains("none of the given keys"), "{error}");
    let another = "ins_01k2m8v3x9e7rt4s5q6w7y8z9b";
    let (code, _, error) = verify(&file, &["--public-key", &key, "--installation", another]);
    assert_eq!(code, 3);
    assert!(error.contains(&format!("belongs to the installation {INSTALLATION}, not to {another}")), "{error}");

    let mut changed = jws.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    for content in [String::from_utf8(changed).expect("ASCII"), String::new(), jws[1..].to_owned(), format!("{jws}A")] {
        let file = write(directory, "changed.jws", &content);
        let (code, output, error) = verify(&file, &["--public-key", &key]);
        assert_eq!((code, output.as_str()), (3, ""), "{error}");
        assert!(error.contains("NOT valid"), "{error}");
    }

    let file = write(directory, "other.jws", &signer.sign(&document(false)).jws);
    let (code, output, error) = verify(&file, &["--public-key", &key]);
    assert_eq!(code, 3);
    assert!(output.contains("does NOT conform") && output.contains("is not attached"), "{output}");
    assert!(error.contains("the proof is valid, but the environment does NOT conform"), "{error}");
}

#[test]
fn a_file_or_key_that_cannot_be_read_is_another_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let signer = signer("01");
    let file = write(directory.path(), "proof.jws", &signer.sign(&document(true)).jws);
    let key = signer.public_key().to_string();
    let (code, _, error) = verify(&directory.path().join("missing.jws"), &["--public-key", &key]);
    assert!(code == 1 && error.contains("cannot read"), "{code}: {error}");
    let (code, _, error) = verify(&file, &["--public-key", "no-key"]);
    assert!(code == 1 && error.contains("must be base64 of 32 bytes"), "{code}: {error}");
    assert_eq!(verify(&file, &[]).0, 2);
    assert_eq!(verify(&file, &["--public-key", &key, "--installation", "4711"]).0, 2);
}

#[test]
fn a_sandbox_issues_proofs_without_configuration() {
    let sandbox = Sandbox::start(&["--speed", "40"]);
    let created = sandbox.create_tenant(&[]);
    let tenant = created["id"].as_str().expect("an id");
    let missing = sandbox.run(&["proof", "show", tenant]);
    assert_eq!(missing.status.code(), Some(4), "{}", text(&missing.stderr));
    let refreshed = sandbox.run(&["proof", "refresh", tenant, "--wait"]);
    assert_eq!(refreshed.status.code(), Some(0), "{}{}", text(&refreshed.stdout), text(&refreshed.stderr));
    assert!(text(&refreshed.stdout).contains("conforms          yes"), "{}", text(&refreshed.stdout));
    let report = sandbox.run(&["proof", "show", tenant]);
    assert!(text(&report.stdout).contains("freehold-region-eu"), "{}", text(&report.stdout));
    let page = sandbox.run(&["proof", "show", tenant, "--output", "html"]);
    assert!(text(&page.stdout).starts_with("<!doctype html>"), "{}", text(&page.stderr));

    let proof = text(&sandbox.run(&["proof", "show", tenant, "--output", "jws"]).stdout);
    let directory = tempfile::tempdir().expect("a directory");
    let file = write(directory.path(), "proof.jws", &proof);
    // The key of a sandbox is fixed.
    let key = ProofSigner::new(&sha256_of("freehold sandbox proofs").into()).expect("a key").public_key();
    let (code, output, error) = verify(&file, &["--public-key", &key.to_string()]);
    assert_eq!(code, 0, "{output}{error}");
}

#[test]
fn the_public_key_of_the_configuration_is_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = format!("{}\n[proof]\nsigning_key = \"{}\"\n", freehold_tests::fixture::CONFIG, "01".repeat(32));
    let config = write(directory.path(), "freehold.toml", &config);
    let output = freehold(&["proof", "public-key", "--config", config.to_str().expect("UTF-8")]);
    assert_eq!(text(&output.stdout).trim(), signer("01").public_key().to_string(), "{}", text(&output.stderr));
}
