//! Tenants to which AWS accounts belonged at an instant, and the same as CSV.

use askama::Template;
use axum::extract::Query;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use freehold_tenancy::account_mapping::AccountState;
use serde::Deserialize;

use super::{encode, more_query};
use crate::console::inputs::{Refusal, api_time, refusal_of};
use crate::console::labels::Instant;
use crate::console::layout::{Layout, html};
use crate::console::session::Visitor;
use crate::problem::{ApiError, Code};
use crate::routes::account_mappings::{AccountHistory, AccountMapping, AccountMappingPage};

const PAGE: &str = "/console/accounts";

/// Number of accounts on a page.
const PAGE_SIZE: usize = 50;

/// Fields of the form.
const FIELDS: [&str; 4] = ["at", "account", "tenant", "account_state"];

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::console) struct Filter {
    at: String,
    account: String,
    tenant: String,
    account_state: String,
    page: String,
}

#[derive(Template)]
#[template(path = "console/accounts.html")]
struct Accounts {
    layout: Layout,
    filter: Filter,
    states: Vec<StateOption>,
    refusal: Refusal,
    /// Sentence about the account that was asked for; empty without one.
    owner: String,
    rows: Vec<Row>,
    /// Path of the CSV with the same instant and tenant; the filter by account does not apply.
    csv: String,
    /// Path of the next page; `None` on the last one.
    next: Option<String>,
}

/// Choice of an account state.
struct StateOption {
    value: &'static str,
    label: &'static str,
    is_selected: bool,
}

struct Row {
    account: String,
    tenant_id: String,
    tenant: String,
    external_id: String,
    environment: String,
    regions: String,
    from: Instant,
    /// End of the mapping; `None` while the account belongs to the environment.
    to: Option<Instant>,
    /// State of the account after the end of the mapping; `None` before.
    released: Option<Released>,
}

/// State in AWS of an account that no longer belongs to an environment.
struct Released {
    label: &'static str,
    /// True if the account can cause costs.
    is_active: bool,
    /// Time at which Freehold last saw the account; `None` if it has not since the end of the mapping.
    seen_at: Option<Instant>,
}

/// Mappings that the page shows.
#[derive(Default)]
struct Mappings {
    list: Vec<AccountMapping>,
    owner: String,
    next_page_token: Option<String>,
}

impl Filter {
    fn at(&self) -> String {
        api_time(&self.at)
    }

    /// Returns the filters that the list of the API has.
    fn to_query(&self) -> String {
        more_query(&[("at", &self.at()), ("tenant", &self.tenant), ("account_state", &self.account_state)])
    }
}

pub(in crate::console) async fn show(visitor: Visitor, Query(filter): Query<Filter>) -> Result<Response, ApiError> {
    let (found, refusal) = match refusal_of(read(&visitor, &filter).await, &FIELDS)? {
        Ok(found) => (found, Refusal::default()),
        Err(refusal) => (Mappings::default(), refusal),
    };
    let query = filter.to_query();
    let next = found.next_page_token.map(|token| format!("{PAGE}?page={}{query}", encode(&token)));
    let page = Accounts {
        layout: Layout::of(&visitor, PAGE, "Accounts").await?,
        rows: found.list.into_iter().map(row).collect(),
        owner: found.owner,
        states: AccountState::ALL.iter().map(|state| option(*state, &filter.account_state)).collect(),
        filter,
        refusal,
        csv: format!("{PAGE}.csv?{}", query.trim_start_matches('&')),
        next,
    };
    html(&page)
}

async fn read(visitor: &Visitor, filter: &Filter) -> Result<Mappings, ApiError> {
    let pages = more_query(&[("page_token", &filter.page)]);
    let path = format!("/v1/account-mappings?page_size={PAGE_SIZE}{}{pages}", filter.to_query());
    // The list also checks the instant, which the history of an account does not know.
    let page: AccountMappingPage = visitor.api.get(&path).await?;
    let account = filter.account.trim();
    if account.is_empty() {
        let AccountMappingPage { account_mappings: list, next_page_token, .. } = page;
        return Ok(Mappings { list, owner: String::new(), next_page_token });
    }
    let history = visitor.api.get::<AccountHistory>(&format!("/v1/account-mappings/{}", encode(account))).await;
    let history = history.map_err(|error| match error.code() {
        Code::AccountNotFound => {
            let message = "must be an account of a tenant: 12 digits. No account with this id was ever one.";
            ApiError::invalid_field("account", "not_found", message.to_owned())
        }
        _ => error,
    })?;
    let mut mappings = history.account_mappings;
    let owner = describe_owner(account, &mappings, &filter.at());
    mappings.reverse();
    Ok(Mappings { list: mappings, owner, next_page_token: None })
}

/// Returns a sentence about the owner of an account at an instant; an empty one is now.
fn describe_owner(account: &str, mappings: &[AccountMapping], at: &str) -> String {
    let instant = at.parse::<DateTime<Utc>>().ok();
    let is_valid = |mapping: &&AccountMapping| match instant {
        Some(at) => mapping.valid_from <= at && mapping.valid_to.is_none_or(|to| at < to),
        None => mapping.valid_to.is_none(),
    };
    let owner = mappings.iter().find(is_valid);
    match (instant.map(|at| Instant::of(at).text), owner) {
        (Some(at), Some(mapping)) => {
            format!("At {at}, account {account} belonged to {} ({}).", mapping.company_name, mapping.environment)
        }
        (Some(at), None) => format!("At {at}, account {account} belonged to no tenant."),
        (None, Some(mapping)) => {
            format!("Account {account} belongs to {} ({}).", mapping.company_name, mapping.environment)
        }
        (None, None) => format!("Account {account} belongs to no tenant any more."),
    }
}

fn option(state: AccountState, selected: &str) -> StateOption {
    StateOption { value: state.as_str(), label: state_label(state), is_selected: state.as_str() == selected }
}

/// Returns the state of an account as words.
fn state_label(state: AccountState) -> &'static str {
    match state {
        AccountState::InUse => "in use",
        AccountState::ReleasedActive => "released, still active in AWS",
        AccountState::Closing => "AWS is closing it",
        AccountState::Closed => "closed",
        AccountState::Suspended => "suspended by AWS",
        AccountState::LeftOrganization => "left the organisation",
        AccountState::Unknown => "released, not seen since",
    }
}

fn row(mapping: AccountMapping) -> Row {
    let released = mapping.valid_to.is_some().then(|| Released {
        label: state_label(mapping.account_state),
        is_active: mapping.account_state == AccountState::ReleasedActive,
        seen_at: mapping.account_seen_at.map(Instant::of),
    });
    Row {
        account: mapping.aws_account_id,
        tenant_id: mapping.tenant_id,
        tenant: mapping.company_name,
        external_id: mapping.external_id.unwrap_or_default(),
        environment: mapping.environment,
        regions: std::iter::once(mapping.home_region).chain(mapping.replica_regions).collect::<Vec<_>>().join(", "),
        from: Instant::of(mapping.valid_from),
        to: mapping.valid_to.map(Instant::of),
        released,
    }
}

/// Sends all accounts at an instant as CSV.
pub(in crate::console) async fn csv(visitor: Visitor, Query(filter): Query<Filter>) -> Result<Response, ApiError> {
    let query = filter.to_query();
    let path = format!("/v1/account-mappings?{}", query.trim_start_matches('&'));
    let mut response = visitor.api.download(&path, "text/csv").await?;
    let attachment = HeaderValue::from_static("attachment; filename=\"accounts.csv\"");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, attachment);
    Ok(response)
}
