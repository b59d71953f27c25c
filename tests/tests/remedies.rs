//! Tests that the remedies of every attention code work: each case provokes its code in the simulated organisation,
//! and applies each remedy that the API offers.

mod access;
mod account_creation;
mod accounts;
mod admin;
mod adoption;
mod cases;
mod organization;
mod releases;
mod retries;
mod scene;
mod services;
mod stacks;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use freehold_tenancy::attention::{AttentionCode, Remedy};
use tokio::sync::Semaphore;

use cases::{case_of, name_of_case};
use scene::Probe;

/// Number of cases that run at the same time.
const CONCURRENT_CASES: usize = 4;

/// Runs the case of `code` once for each remedy that the API offers. Returns these remedies.
async fn run_case(code: AttentionCode) -> Vec<Remedy> {
    let first = case_of(code)(Probe { code, remedy: None }).await;
    for remedy in first.offered.iter().filter(|remedy| **remedy != first.applied) {
        let proof = case_of(code)(Probe { code, remedy: Some(*remedy) }).await;
        assert_eq!((&proof.offered, proof.applied), (&first.offered, *remedy), "{code}");
    }
    first.offered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attention_code_has_remedies_that_work() {
    let permits = Arc::new(Semaphore::new(CONCURRENT_CASES));
    let only = std::env::var("FREEHOLD_ATTENTION_CODE").ok();
    let codes = AttentionCode::ALL.iter().copied().filter(|code| only.as_deref().is_none_or(|it| it == code.as_str()));
    let cases = codes.map(|code| {
        let permits = Arc::clone(&permits);
        let case = tokio::spawn(async move {
            let _permit = permits.acquire_owned().await.expect("a permit");
            run_case(code).await
        });
        (code, case)
    });
    let mut failed = BTreeSet::new();
    for (code, case) in cases.collect::<Vec<_>>() {
        match case.await {
            // The codes of `freehold bootstrap` have no operation that could be cancelled.
            Ok(offered) => {
                assert!(code.remedies().iter().all(|remedy| offered.contains(remedy)), "{code}: {offered:?}");
            }
            Err(_) => _ = failed.insert(code.as_str()),
        }
    }
    assert!(failed.is_empty(), "codes whose cases failed: {failed:?}");
}

fn document() -> String {
    let mut text = String::from(
        "# Attention codes\n\n\
         Generated from tenancy/src/attention_code.rs, tenancy/src/customer_sentence/attention_codes.rs and\n\
         tests/tests/remedies/cases.rs. Regenerate with\n\
         `UPDATE_DOCS=1 cargo test --workspace --test main -- remedies::attention_codes`. [support.md](support.md) says\n\
         what to do. An onboarding can also be cancelled.\n\n\
         | code | title | tell the customer | remedies | case |\n|-|-|-|-|-|\n",
    );
    for code in AttentionCode::ALL {
        let remedies: Vec<_> = code.remedies().iter().map(ToString::to_string).collect();
        let (title, sentence, case) = (code.title(), code.customer_sentence(), name_of_case(*code));
        _ = writeln!(text, "| `{code}` | {title} | {sentence} | {} | `{case}` |", remedies.join(", "));
    }
    text
}

#[test]
fn attention_codes_md_matches_the_attention_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("docs/attention-codes.md");
    let expected = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the document");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, expected,
        "regenerate it: UPDATE_DOCS=1 cargo test --workspace --test main -- remedies::attention_codes"
    );
}
