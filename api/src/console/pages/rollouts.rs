//! List of rollouts, and a rollout with its waves and actions.

use askama::Template;
use axum::Form;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::encode;
use crate::console::labels::{self, Instant, State};
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::rollouts::schema::{Rollout, RolloutPage, RolloutWave};
use crate::scope::Scope;

const PAGE: &str = "/console/rollouts";

/// Number of rollouts in the list.
const MAX_ROWS: usize = 50;

/// Actions of the API that the page offers, with their scopes and the field of their forms.
const ACTIONS: [(&str, &str, Scope, Field); 8] = [
    ("pause", "Starts no further update until a person resumes the rollout.", Scope::RolloutsWrite, Field::Reason),
    ("resume", "Starts updates again.", Scope::RolloutsWrite, Field::None),
    ("promote", "Ends the bake of the wave now.", Scope::RolloutsWrite, Field::RequiredReason),
    ("approve", "Starts the current wave.", Scope::RolloutsApprove, Field::Hash),
    ("reject", "Halts the rollout before the current wave.", Scope::RolloutsApprove, Field::Reason),
    ("retry-failed", "Updates the failed environments again, then continues.", Scope::RolloutsWrite, Field::None),
    (
        "roll-back",
        "Gives each updated environment its release before the rollout.",
        Scope::RolloutsWrite,
        Field::Reason,
    ),
    ("abort", "Ends the rollout; updated environments keep the release.", Scope::RolloutsWrite, Field::Reason),
];

/// Field of the form of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    None,
    Reason,
    RequiredReason,
    /// Hash of the wave that the page shows.
    Hash,
}

#[derive(Template)]
#[template(path = "console/rollouts.html")]
struct Rollouts {
    layout: Layout,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    release: String,
    state: State,
    reason: String,
    wave: String,
    created_by: String,
    created_at: Instant,
}

#[derive(Template)]
#[template(path = "console/rollout.html")]
struct RolloutView {
    layout: Layout,
    rollout: Rollout,
    state: State,
    since: Instant,
    waves: Vec<Wave>,
    actions: Vec<Action>,
}

struct Wave {
    name: String,
    is_current: bool,
    environments: String,
    limits: String,
    times: String,
}

struct Action {
    name: &'static str,
    button: String,
    effect: &'static str,
    command: String,
    has_reason: bool,
    is_reason_required: bool,
    /// Hash that the approval sends.
    hash: Option<String>,
}

#[derive(Deserialize)]
pub(in crate::console) struct ActionForm {
    reason: Option<String>,
    sha256: Option<String>,
}

pub(in crate::console) async fn list(visitor: Visitor) -> Result<Response, ApiError> {
    let page: RolloutPage = visitor.api.get(&format!("/v1/rollouts?page_size={MAX_ROWS}")).await?;
    let rows = page.rollouts.into_iter().map(|rollout| Row {
        state: State::of(&rollout.state),
        reason: rollout.reason.unwrap_or_default(),
        created_at: Instant::of(rollout.created_at),
        id: rollout.id,
        release: rollout.release_id,
        wave: rollout.wave,
        created_by: rollout.created_by,
    });
    let rows = rows.collect();
    html(&Rollouts { layout: Layout::of(&visitor, PAGE, "Rollouts").await?, rows })
}

pub(in crate::console) async fn show(visitor: Visitor, Path(id): Path<String>) -> Result<Response, ApiError> {
    let rollout: Rollout = visitor.api.get(&format!("/v1/rollouts/{}", encode(&id))).await?;
    let all_waves = rollout.waves.as_deref().unwrap_or_default();
    let hash = all_waves.iter().find(|wave| wave.name == rollout.wave).and_then(|wave| wave.approval_sha256.clone());
    let offered = ACTIONS
        .iter()
        .filter(|(name, _, scope, _)| rollout.actions.iter().any(|action| action == name) && visitor.has_scope(*scope));
    let actions = offered.map(|&(name, effect, _, field)| Action {
        name,
        button: labels::sentence_case(name),
        effect,
        command: format!("freehold rollouts {name} {}", rollout.id),
        has_reason: matches!(field, Field::Reason | Field::RequiredReason),
        is_reason_required: field == Field::RequiredReason,
        hash: hash.clone().filter(|_| field == Field::Hash),
    });
    let view = RolloutView {
        layout: Layout::of(&visitor, PAGE, "Rollout").await?,
        state: State::of(&rollout.state),
        since: Instant::of(rollout.since),
        waves: all_waves.iter().map(|wave| wave_of(wave, &rollout.wave)).collect(),
        actions: actions.collect(),
        rollout,
    };
    html(&view)
}

fn wave_of(wave: &RolloutWave, current: &str) -> Wave {
    let counts: Vec<_> =
        wave.environments.iter().map(|(state, count)| format!("{count} {}", state.replace('_', " "))).collect();
    let time = |label: &str, at: Option<chrono::DateTime<chrono::Utc>>| {
        at.map(|at| format!("{label} {}", Instant::of(at).text))
    };
    let times =
        [time("started", wave.started_at), time("bakes until", wave.bake_until), time("ended", wave.finished_at)];
    let times: Vec<_> = times.into_iter().flatten().collect();
    Wave {
        name: wave.name.clone(),
        is_current: wave.name == current,
        environments: counts.join(", "),
        limits: format!("{} at a time, {} failures tolerated", wave.effective_concurrency, wave.max_failures),
        times: if times.is_empty() { "not started".to_owned() } else { times.join(", ") },
    }
}

/// Carries out an action of the API on a rollout.
pub(in crate::console) async fn act(
    visitor: Visitor,
    Path((id, action)): Path<(String, String)>,
    Form(form): Form<ActionForm>,
) -> Result<Response, ApiError> {
    let Some((name, _, _, field)) = ACTIONS.iter().find(|(name, ..)| *name == action) else {
        return Err(ApiError::from_status(axum::http::StatusCode::NOT_FOUND));
    };
    let reason = form.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    let body = match field {
        Field::None => None,
        Field::Hash => Some(json!({ "sha256": form.sha256.unwrap_or_default() })),
        Field::RequiredReason => Some(json!({ "reason": reason.unwrap_or_default() })),
        Field::Reason => reason.map(|reason| json!({ "reason": reason })),
    };
    let id = encode(&id);
    visitor.api.post(&format!("/v1/rollouts/{id}/{name}"), body.as_ref()).await?;
    Ok(Redirect::to(&format!("{PAGE}/{id}")).into_response())
}
