//! Frame of each page: navigation, search and the person who is signed in.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};

use super::session::Visitor;
use crate::problem::ApiError;
use crate::routes::operations::OperationPage;
use crate::scope::Scope;

/// Number of operations that need attention up to which the navigation counts.
const MAX_COUNT: usize = 99;

/// Link of the navigation.
pub(super) struct NavLink {
    pub(super) label: &'static str,
    pub(super) path: &'static str,
    pub(super) icon: &'static str,
    /// Text of the count beside the link; empty without one.
    pub(super) count: String,
    pub(super) is_current: bool,
}

/// Values of the frame of a page.
pub(super) struct Layout {
    pub(super) title: String,
    pub(super) links: Vec<NavLink>,
    pub(super) subject: String,
    pub(super) initials: String,
    /// Path of the page, with its query, if its content stays current.
    pub(super) live_path: Option<String>,
    /// Text in the search field.
    pub(super) search: String,
}

/// Pages of the navigation, with the scope that shows the link.
const PAGES: [(&str, &str, &str, Scope); 12] = [
    ("Overview", "/console", "home", Scope::Fleet),
    ("Needs attention", "/console/attention", "bell", Scope::OperationsRead),
    ("Tenants", "/console/tenants", "tenants", Scope::TenantsRead),
    ("Sign up a customer", "/console/sign-up", "plus", Scope::TenantsWrite),
    ("Approvals", "/console/approvals", "two", Scope::OperationsRead),
    ("Rollouts", "/console/rollouts", "retry", Scope::RolloutsRead),
    ("Findings", "/console/findings", "lens", Scope::OperationsRead),
    ("Quotas", "/console/quotas", "gauge", Scope::OperationsRead),
    ("Accounts", "/console/accounts", "account", Scope::AccountMappingsRead),
    ("Events", "/console/events", "feed", Scope::EventsRead),
    ("Webhooks", "/console/webhooks", "hook", Scope::WebhooksRead),
    ("Audit trail", "/console/audit", "trail", Scope::AuditRead),
];

impl Layout {
    /// Returns the frame of the page `current`.
    pub(super) async fn of(visitor: &Visitor, current: &str, title: impl Into<String>) -> Result<Self, ApiError> {
        let can_read_operations = visitor.has_scope(Scope::OperationsRead);
        let waiting = if can_read_operations { count_attention(visitor).await? } else { String::new() };
        let pages = PAGES.iter().filter(|(.., scope)| visitor.has_scope(*scope));
        let subject = visitor.api.caller().subject.clone();
        let links = pages.map(|&(label, path, icon, _)| NavLink {
            label,
            path,
            icon,
            count: if path == "/console/attention" { waiting.clone() } else { String::new() },
            is_current: path == current,
        });
        Ok(Self {
            title: title.into(),
            links: links.collect(),
            initials: subject.chars().filter(|char| char.is_alphanumeric()).take(2).collect(),
            subject,
            live_path: visitor.page.clone(),
            search: String::new(),
        })
    }
}

impl Layout {
    /// Returns the frame of a page whose content does not change while it is shown, such as a form.
    pub(super) fn without_stream(self) -> Self {
        Self { live_path: None, ..self }
    }
}

/// Returns the number of operations that need attention as text; empty if there are none.
async fn count_attention(visitor: &Visitor) -> Result<String, ApiError> {
    let path = format!("/v1/operations?state=needs_attention&page_size={}", MAX_COUNT + 1);
    let page: OperationPage = visitor.api.get(&path).await?;
    Ok(match page.operations.len() {
        0 => String::new(),
        count if count > MAX_COUNT => format!("{MAX_COUNT}+"),
        count => count.to_string(),
    })
}

/// Returns a page as a response.
pub(super) fn html(page: &impl Template) -> Result<Response, ApiError> {
    let text = page.render().map_err(|error| {
        tracing::error!(%error, "a page of the console cannot be rendered");
        ApiError::internal()
    })?;
    Ok(Html(text).into_response())
}
