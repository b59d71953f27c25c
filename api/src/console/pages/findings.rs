//! Differences between AWS and the database.

use askama::Template;
use axum::response::Response;

use crate::console::labels::{self, Instant};
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::findings::FindingPage;

/// Maximum number of findings on the page.
const MAX_ROWS: usize = 200;

#[derive(Template)]
#[template(path = "console/findings.html")]
struct Findings {
    layout: Layout,
    rows: Vec<Row>,
}

struct Row {
    title: String,
    severity: String,
    is_critical: bool,
    message: String,
    remedy: String,
    account: String,
    tenant_id: Option<String>,
    since: Instant,
}

pub(in crate::console) async fn show(visitor: Visitor) -> Result<Response, ApiError> {
    let page: FindingPage = visitor.api.get(&format!("/v1/findings?state=open&page_size={MAX_ROWS}")).await?;
    let mut findings = page.findings;
    findings.sort_by_key(|finding| finding.severity != "critical");
    let rows = findings.into_iter().map(|finding| Row {
        title: labels::sentence_case(&finding.kind),
        is_critical: finding.severity == "critical",
        severity: labels::sentence_case(&finding.severity),
        message: finding.message,
        remedy: match finding.remedy.as_str() {
            "repair" => "A repair of the environment resolves it.".to_owned(),
            "person" => "A person resolves it, as the message says.".to_owned(),
            other => labels::sentence_case(other),
        },
        account: finding.aws_account_id.unwrap_or_default(),
        tenant_id: finding.tenant_id,
        since: Instant::of(finding.first_seen_at),
    });
    let rows = rows.collect();
    html(&Findings { layout: Layout::of(&visitor, "/console/findings", "Findings").await?, rows })
}
