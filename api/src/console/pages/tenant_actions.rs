//! Actions on a tenant: each has a page with its consequences, and one POST.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State as AppState};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use freehold_tenancy::config::CloseAccounts;
use freehold_tenancy::tenant::SuspensionReason;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{encode, is_same_text};
use crate::app::App;
use crate::auth::insufficient_scope;
use crate::console::inputs::{Refusal, refusal_of};
use crate::console::labels::{self, Instant};
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::schema::tenant::{Environment, Tenant};
use crate::scope::Scope;

/// Fields of the form.
const FIELDS: [&str; 4] = ["name", "reason", "note", "close_account"];

/// Action on a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TenantAction {
    Restore,
    Resume,
    Suspend,
    Offboard,
}

impl TenantAction {
    const ALL: [Self; 4] = [Self::Restore, Self::Resume, Self::Suspend, Self::Offboard];

    /// Returns the last part of the paths of the page and of the API.
    fn name(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Resume => "resume",
            Self::Suspend => "suspend",
            Self::Offboard => "offboard",
        }
    }

    fn scope(self) -> Scope {
        match self {
            Self::Restore | Self::Offboard => Scope::TenantsDelete,
            Self::Resume | Self::Suspend => Scope::TenantsSuspend,
        }
    }

    /// Returns whether the action is destructive, so that the name of the tenant must be typed.
    fn is_destructive(self) -> bool {
        matches!(self, Self::Suspend | Self::Offboard)
    }

    /// Returns the environments that the action concerns; none if the state of the tenant does not allow the action.
    fn environments(self, tenant: &Tenant) -> Vec<&Environment> {
        let is_suspended = tenant.suspension.is_some();
        let applies = |environment: &&Environment| {
            let is_leaving = matches!(environment.state.as_str(), "offboarding" | "offboarded");
            match self {
                Self::Restore => !is_suspended && environment.state == "offboarding",
                Self::Resume => is_suspended,
                Self::Suspend => !is_suspended && !is_leaving,
                Self::Offboard => !is_leaving,
            }
        };
        tenant.environments.iter().filter(applies).collect()
    }

    /// Returns the consequences as label and sentence, in their order.
    fn consequences(self, app: &App) -> Vec<(&'static str, String)> {
        let seconds = i64::try_from(app.config.offboarding.cooling_off_seconds).unwrap_or_default();
        let cooling_off = TimeDelta::seconds(seconds);
        match self {
            Self::Restore => vec![(
                "At once",
                "The accounts are moved back, people get their access again, and each environment is verified before \
                 it is ready."
                    .to_owned(),
            )],
            Self::Resume => vec![
                (
                    "At once",
                    "The accounts are moved back, people get their access again, and each environment is verified \
                     before it is ready. An onboarding that the suspension stopped continues."
                        .to_owned(),
                ),
                ("Not resumed", "Environments that are being offboarded; they can be restored afterwards.".to_owned()),
            ],
            Self::Suspend => vec![
                (
                    "At once",
                    "All access to the environments is blocked, and their accounts are moved to quarantine. Open \
                     operations are replaced, except offboardings."
                        .to_owned(),
                ),
                ("Kept", "All data, accounts and stacks. AWS keeps billing them.".to_owned()),
                ("Until", "A person resumes the tenant. There is no time limit.".to_owned()),
            ],
            Self::Offboard => vec![
                (
                    "At once",
                    "All access to the environments is blocked, and their accounts are moved to quarantine.".to_owned(),
                ),
                (
                    "Undo until",
                    format!(
                        "About {}: for {}, the tenant can be restored with all its data.",
                        Instant::of(app.clock.now() + cooling_off).text,
                        labels::duration(cooling_off)
                    ),
                ),
                ("Then", "The stacks are deleted with their data. That cannot be undone.".to_owned()),
                ("Accounts", "They stay open in quarantine, unless you request below that they are closed.".to_owned()),
            ],
        }
    }
}

/// Link to the page of an action.
pub(super) struct ActionLink {
    pub(super) path: String,
    pub(super) label: String,
}

/// Returns links to the actions that the state of the tenant and the scopes of the person allow.
pub(super) fn links(visitor: &Visitor, tenant: &Tenant) -> Vec<ActionLink> {
    let is_allowed =
        |action: &TenantAction| visitor.has_scope(action.scope()) && !action.environments(tenant).is_empty();
    let link = |action: TenantAction| ActionLink {
        path: format!("/console/tenants/{}/{}", tenant.id, action.name()),
        label: labels::sentence_case(action.name()),
    };
    TenantAction::ALL.into_iter().filter(is_allowed).map(link).collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::console) struct ActionForm {
    name: String,
    reason: String,
    note: String,
    close_account: Option<bool>,
    etag: String,
}

impl ActionForm {
    fn requests_closure(&self) -> bool {
        self.close_account == Some(true)
    }
}

#[derive(Template)]
#[template(path = "console/tenant_action.html")]
struct ActionPage {
    layout: Layout,
    tenant: Tenant,
    action: &'static str,
    label: String,
    is_destructive: bool,
    /// Legal hold, which prevents the offboarding.
    hold: Option<String>,
    environments: Vec<Environment>,
    consequences: Vec<(&'static str, String)>,
    /// Whether the action can request that accounts are closed.
    may_close: bool,
    /// Reasons to choose from; none if the action has no such field.
    reasons: Vec<ReasonOption>,
    form: ActionForm,
    refusal: Refusal,
    command: String,
}

struct ReasonOption {
    value: &'static str,
    label: String,
    is_selected: bool,
}

pub(in crate::console) async fn show(
    AppState(app): AppState<App>,
    visitor: Visitor,
    Path((id, action)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    show_with(&app, &visitor, &id, find(&action)?, ActionForm::default(), Refusal::default()).await
}

fn find(name: &str) -> Result<TenantAction, ApiError> {
    let found = TenantAction::ALL.into_iter().find(|action| action.name() == name);
    found.ok_or_else(|| ApiError::from_status(axum::http::StatusCode::NOT_FOUND))
}

async fn show_with(
    app: &App,
    visitor: &Visitor,
    id: &str,
    action: TenantAction,
    form: ActionForm,
    refusal: Refusal,
) -> Result<Response, ApiError> {
    if !visitor.has_scope(action.scope()) {
        return Err(insufficient_scope(action.scope()));
    }
    let (tenant, etag): (Tenant, String) = visitor.api.get_with_etag(&format!("/v1/tenants/{}", encode(id))).await?;
    let label = labels::sentence_case(action.name());
    let option = |reason: &SuspensionReason| ReasonOption {
        value: reason.as_str(),
        label: labels::sentence_case(reason.as_str()),
        is_selected: form.reason == reason.as_str(),
    };
    let is_suspension = action == TenantAction::Suspend;
    let page = ActionPage {
        layout: Layout::of(visitor, "/console/tenants", format!("{label} {}", tenant.company_name))
            .await?
            .without_stream(),
        action: action.name(),
        is_destructive: action.is_destructive(),
        hold: tenant.legal_hold.clone().filter(|_| action == TenantAction::Offboard),
        environments: action.environments(&tenant).into_iter().cloned().collect(),
        consequences: action.consequences(app),
        may_close: action == TenantAction::Offboard
            && app.config.offboarding.close_accounts == CloseAccounts::OnRequest,
        reasons: SuspensionReason::ALL.iter().filter(|_| is_suspension).map(option).collect(),
        form: ActionForm { etag, ..form },
        refusal,
        command: command(action, &tenant.id),
        label,
        tenant,
    };
    html(&page)
}

fn command(action: TenantAction, tenant: &str) -> String {
    let more = match action {
        TenantAction::Restore | TenantAction::Offboard => "",
        TenantAction::Resume => " --reason TEXT",
        TenantAction::Suspend => " --reason REASON",
    };
    format!("freehold tenants {} {tenant}{more}", action.name())
}

/// Performs an action. All actions except restore fail if the tenant has changed since the page was shown.
pub(in crate::console) async fn act(
    AppState(app): AppState<App>,
    visitor: Visitor,
    Path((id, action)): Path<(String, String)>,
    Form(form): Form<ActionForm>,
) -> Result<Response, ApiError> {
    let action = find(&action)?;
    let path = format!("/v1/tenants/{}", encode(&id));
    if action.is_destructive() && visitor.has_scope(action.scope()) {
        let tenant: Tenant = visitor.api.get(&path).await?;
        if !is_same_text(&form.name, &tenant.company_name) {
            let message = format!("must be the name of the tenant: {}; nothing was changed", tenant.company_name);
            let refusal = Refusal::of_field("name", message);
            return show_with(&app, &visitor, &id, action, form, refusal).await;
        }
    }
    let done = send(&visitor, &path, action, &form).await;
    match refusal_of(done, &FIELDS)? {
        Ok(()) => Ok(Redirect::to(&format!("/console/tenants/{}", encode(&id))).into_response()),
        Err(refusal) => show_with(&app, &visitor, &id, action, form, refusal).await,
    }
}

async fn send(visitor: &Visitor, tenant: &str, action: TenantAction, form: &ActionForm) -> Result<(), ApiError> {
    let path = format!("{tenant}/{}", action.name());
    let if_match = [(header::IF_MATCH, form.etag.as_str())];
    let body = match action {
        TenantAction::Restore => return visitor.api.post(&path, None).await,
        TenantAction::Offboard => {
            let close = if form.requests_closure() { "?close_account=true" } else { "" };
            return visitor.api.delete(&format!("{tenant}{close}"), Some(&form.etag)).await;
        }
        TenantAction::Resume => json!({ "reason": form.reason.trim() }),
        TenantAction::Suspend if form.note.trim().is_empty() => json!({ "reason": form.reason }),
        TenantAction::Suspend => json!({ "reason": form.reason, "note": form.note.trim() }),
    };
    visitor.api.post_with::<Value>(&path, &if_match, Some(&body)).await.map(drop)
}
