//! Proves that the environment is what it is said to be. Nothing is ready before this has passed.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::Region;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::shared::account_request;
use super::{StepResult, grant_access};
use crate::cloud::{CloudErrorKind, Grant};
use crate::context::StepContext;
use crate::step_outcome::{StepError, StepOutcome};

/// What has to be proved, in this order.
const PROOFS: [Check; 4] =
    [Check::HomeRegionAllowed, Check::OtherRegionsDenied, Check::StackResponds, Check::AccessAssigned];

/// For so long a proof stands while the others are waited for.
const STANDS: TimeDelta = TimeDelta::minutes(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Check {
    // The keys of the fact `proofs` stay as they are: running operations have them in their journal.
    #[serde(rename = "home_is_open")]
    HomeRegionAllowed,
    #[serde(rename = "elsewhere_is_shut")]
    OtherRegionsDenied,
    #[serde(rename = "it_answers")]
    StackResponds,
    #[serde(rename = "access_is_granted")]
    AccessAssigned,
}

/// What takes longer than this to take effect may be in an account that somebody has closed.
const UNUSUAL: TimeDelta = TimeDelta::minutes(5);

pub(crate) async fn run(context: &StepContext) -> StepResult {
    // What was proved a moment ago is not asked again because a call after it came to nothing.
    let mut proofs: BTreeMap<Check, DateTime<Utc>> = context.step_fact("proofs").unwrap_or_default();
    proofs.retain(|_, at| context.now() - *at < STANDS);
    let mut shown: BTreeMap<String, DateTime<Utc>> = context.step_fact("shown").unwrap_or_default();
    shown.retain(|_, at| context.now() - *at < STANDS);
    for proof in PROOFS {
        if proofs.contains_key(&proof) {
            continue;
        }
        let missing = match proof {
            Check::HomeRegionAllowed => home_is_open(context).await,
            Check::OtherRegionsDenied => elsewhere_is_shut(context).await,
            Check::StackResponds => it_answers(context).await,
            Check::AccessAssigned => access_is_granted(context, &mut shown).await,
        };
        let outcome = match missing {
            Ok(None) => {
                proofs.insert(proof, context.now());
                continue;
            }
            Ok(Some(why)) => {
                if context.now() - context.entry_started_at() > UNUSUAL {
                    account_request::check_active(context).await?;
                }
                let (usual, waits) = (&context.config().expected_durations, &context.config().timeouts);
                let (usually, at_most) = (usual.propagation_seconds, waits.propagation_seconds);
                context.poll_later(&why, context.entry_started_at(), usually, at_most).await
            }
            Err(error) => Err(error),
        };
        let outcome = outcome.unwrap_or_else(StepOutcome::failed);
        return Ok(outcome.with("proofs", json!(proofs)).with("shown", json!(shown)));
    }
    Ok(proved(context))
}

/// What was proved, for whoever asks later.
fn proved(context: &StepContext) -> StepOutcome {
    StepOutcome::done()
        .with("denied_in", outside(context).map(Region::as_str))
        .with("answered_at", context.fact::<String>(&format!("output_{}", context.config().stack.url_output)))
}

/// One regional read at home must be allowed.
async fn home_is_open(context: &StepContext) -> Result<Option<String>, StepError> {
    let home = context.environment().home_region;
    match context.cloud().read_in_region(&context.account()?, home).await {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.kind, CloudErrorKind::Denied { .. } | CloudErrorKind::NotYet) => {
            Ok(Some(format!("a read in the home region {home} to be allowed")))
        }
        Err(error) => Err(error.into()),
    }
}

/// The same read outside the residency must meet the guardrail itself, not merely a missing permission.
async fn elsewhere_is_shut(context: &StepContext) -> Result<Option<String>, StepError> {
    let Some(elsewhere) = outside(context) else { return Ok(None) };
    let missing = Some(format!("the region guardrail to deny a read in {elsewhere}"));
    match context.cloud().read_in_region(&context.account()?, elsewhere).await {
        Err(error) if error.kind == (CloudErrorKind::Denied { explicit: true }) => Ok(None),
        Ok(()) => Ok(missing),
        Err(error) if matches!(error.kind, CloudErrorKind::Denied { explicit: false } | CloudErrorKind::NotYet) => {
            Ok(missing)
        }
        Err(error) => Err(error.into()),
    }
}

/// A region that every account has and that this residency does not include.
fn outside(context: &StepContext) -> Option<Region> {
    let inside = context.config().residency(&context.environment().residency)?;
    Region::all().find(|region| !region.is_opt_in() && !inside.regions.contains(region))
}

/// The stack's Function URL must answer with this tenant, environment and region.
async fn it_answers(context: &StepContext) -> Result<Option<String>, StepError> {
    let output = &context.config().stack.url_output;
    let url: String = context.fact(&format!("output_{output}")).ok_or_else(|| {
        StepError::needs_attention(
            "stack_url_output_missing",
            format!(
                "The stack has no output `{output}`, which names the URL to verify. Mend the template, then retry."
            ),
        )
    })?;
    let home = context.environment().home_region;
    let answer = match context.cloud().call_function_url(&context.account()?, home, &url).await {
        Ok(answer) => answer,
        Err(error)
            if matches!(
                error.kind,
                CloudErrorKind::Denied { .. } | CloudErrorKind::NotYet | CloudErrorKind::Unknown
            ) =>
        {
            return Ok(Some(format!("the stack to answer at its URL ({error})")));
        }
        Err(error) => return Err(error.into()),
    };
    let expected = [
        ("tenant_id", context.tenant().id.to_string()),
        ("environment_id", context.environment().id.to_string()),
        ("region", home.to_string()),
    ];
    for (field, expected) in expected {
        let found = answer.get(field).and_then(Value::as_str).unwrap_or("nothing");
        if found != expected {
            return Err(StepError::needs_attention(
                "stack_identity_mismatch",
                format!(
                    "The stack at {url} says that its {field} is {found}, not {expected}. Look at what is deployed."
                ),
            ));
        }
    }
    Ok(None)
}

/// Every declared assignment must be there.
///
/// Which have shown is kept: each takes a call, and where the rate allows one at a time, the next look goes on after them.
async fn access_is_granted(
    context: &StepContext,
    shown: &mut BTreeMap<String, DateTime<Utc>>,
) -> Result<Option<String>, StepError> {
    let grants: BTreeMap<String, Grant> = context.fact("grants").ok_or_else(|| {
        StepError::needs_attention(
            "grants_unknown",
            "The journal does not say what access was granted, so it cannot be verified.",
        )
    })?;
    let account = context.account()?;
    for (name, grant) in &grants {
        if shown.contains_key(name) {
            continue;
        }
        if !grant_access::holds(context, &account, grant).await? {
            return Ok(Some(format!("the assignment of {name} to show")));
        }
        shown.insert(name.clone(), context.now());
    }
    Ok(None)
}
