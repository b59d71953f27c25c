//! Overview: numbers of tenants by state, fleet holds, and the operations that wait longest.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::attention::{Waiting, waiting};
use crate::app::App;
use crate::console::labels::Instant;
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::ApiError;
use crate::routes::fleet_holds::FleetHoldList;
use crate::routes::tenants::TenantPage;
use crate::scope::Scope;

/// Maximum number of tenants that the page counts in each state.
const MAX_COUNT: usize = 200;

/// Number of operations that the page shows.
const SHOWN: usize = 3;

#[derive(Template)]
#[template(path = "console/overview.html")]
struct Overview {
    layout: Layout,
    numbers: Vec<Number>,
    holds: Vec<Hold>,
    /// Operations that wait longest; `None` if the person may not read operations.
    oldest: Option<Vec<Waiting>>,
}

/// Number with the list that it counts.
struct Number {
    label: &'static str,
    value: String,
    path: String,
}

/// Fleet hold with its start.
struct Hold {
    message: String,
    since: Instant,
}

pub(in crate::console) async fn show(State(app): State<App>, visitor: Visitor) -> Result<Response, ApiError> {
    let mut numbers = Vec::new();
    let states = [
        ("need attention", "needs_attention"),
        ("onboarding", "onboarding"),
        ("degraded", "degraded"),
        ("offboarding", "offboarding"),
    ];
    let can_read_tenants = visitor.has_scope(Scope::TenantsRead);
    for (label, state) in states.into_iter().filter(|_| can_read_tenants) {
        let page: TenantPage = visitor.api.get(&format!("/v1/tenants?state={state}&page_size={MAX_COUNT}")).await?;
        let count = page.tenants.len();
        let more = if page.next_page_token.is_some() { "+" } else { "" };
        numbers.push(Number {
            label,
            value: format!("{count}{more}"),
            path: format!("/console/tenants?state={state}"),
        });
    }
    let (mut holds, mut oldest) = (Vec::new(), None);
    if visitor.has_scope(Scope::OperationsRead) {
        let list: FleetHoldList = visitor.api.get("/v1/fleet-holds").await?;
        let to_hold = |hold: crate::routes::fleet_holds::FleetHold| Hold {
            message: hold.message,
            since: Instant::of(hold.since),
        };
        holds = list.holds.into_iter().map(to_hold).collect();
        oldest = Some(waiting(&visitor, app.clock.now(), None, SHOWN).await?.0);
    }
    let layout = Layout::of(&visitor, "/console", "Overview").await?;
    html(&Overview { layout, numbers, holds, oldest })
}
