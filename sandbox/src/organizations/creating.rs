//! CreateAccount, and what becomes of a request for an account.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::tags::{check_tags, tag_map};
use super::{History, Lifecycle, Member, constraint, error, page, timestamp};
use crate::faults::Fault;
use crate::settings::Settings;
use crate::world::{AccountState, AwsError, BusySpan, Ctx, State};

/// How many accounts may be in creation at a time (AWS Organizations, quotas).
const AT_A_TIME: usize = 5;
/// A failing request fails in this share of the time that a succeeding one takes.
const FAILS_AFTER: f64 = 0.2;

/// A request for an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateRequest {
    /// `car-…`
    pub id: String,
    /// The name asked for.
    pub account_name: String,
    /// The e-mail asked for.
    pub email: String,
    /// The role that the account will have.
    pub role_name: String,
    /// The tags that it will have.
    pub tags: std::collections::BTreeMap<String, String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    pub state: RequestState,
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestState {
    InProgress {
        /// When it will be done; never, if it is stuck.
        ready_at: Option<DateTime<Utc>>,
        /// The id that the account will have, or why there will be none.
        outcome: Result<String, String>,
    },
    Succeeded {
        account: String,
        at: DateTime<Utc>,
    },
    /// There will be no account.
    Failed {
        /// `FailureReason`.
        reason: String,
        at: DateTime<Utc>,
    },
}

pub(super) fn create(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_account_request(body).map_err(AwsError::serialization)?;
    let tags = tag_map(input.tags.as_deref().unwrap_or_default());
    check_tags(input.tags.as_deref().unwrap_or_default(), tags.len())?;
    let open = state.organization.requests.iter().filter(|request| request.is_open()).count();
    if open >= AT_A_TIME {
        return Err(constraint(
            "ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED",
            "You have exceeded the number of accounts that you can create at one time.",
        ));
    }
    let quota = state.organization.account_quota.unwrap_or(ctx.settings.account_quota);
    if state.organization.members.len() + open >= quota {
        return Err(constraint(
            "ACCOUNT_NUMBER_LIMIT_EXCEEDED",
            "You have exceeded the allowed number of AWS accounts.",
        ));
    }

    let email = input.email;
    let outcome = match &ctx.fault {
        Some(Fault::FailedState { reason }) => Err(reason.clone()),
        _ => outcome(state, &ctx.settings, &email, &input.account_name),
    };
    let full = ctx.draw(ctx.settings.durations.create_account, &format!("create-account:{email}"));
    let takes = if outcome.is_ok() { full } else { scaled(full, FAILS_AFTER) };
    let ready_at = (ctx.fault != Some(Fault::Stuck)).then_some(ctx.now + takes);
    if let (Ok(account), Some(ready_at)) = (&outcome, ready_at) {
        record_busy(state, &ctx.settings, account, &email, ctx.now, ready_at);
    }
    let request = CreateRequest {
        id: state.ids.prefixed("car-", 32),
        account_name: input.account_name,
        email,
        role_name: input.role_name.unwrap_or_else(|| "OrganizationAccountAccessRole".into()),
        tags,
        requested_at: ctx.now,
        state: RequestState::InProgress { ready_at, outcome },
    };
    let shown = request.show();
    if let Some(ready_at) = ready_at {
        state.organization.expect(ready_at);
    }
    state.organization.requests.push(request);
    Ok(wire::serialize_create_account_response(&wire::CreateAccountResponse { create_account_status: Some(shown) }))
}

pub(super) fn describe_status(state: &State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_create_account_status_request(body).map_err(AwsError::serialization)?;
    let request = state.organization.requests.iter().find(|request| request.id == input.create_account_request_id);
    let request = request.ok_or_else(|| {
        error("CreateAccountStatusNotFoundException", "You specified a create account request that doesn't exist.")
    })?;
    Ok(wire::serialize_describe_create_account_status_response(&wire::DescribeCreateAccountStatusResponse {
        create_account_status: Some(request.show()),
    }))
}

pub(super) fn list_status(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_create_account_status_request(body).map_err(AwsError::serialization)?;
    let states = input.states.unwrap_or_default();
    let wanted =
        |request: &&CreateRequest| states.is_empty() || states.iter().any(|state| state == request.state.name());
    let requests = state.organization.requests.iter().filter(wanted).map(CreateRequest::show);
    let (statuses, next_token) = page(ctx, requests, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_create_account_status_response(&wire::ListCreateAccountStatusResponse {
        create_account_statuses: Some(statuses),
        next_token,
    }))
}

/// Brings the accounts that are ready into being.
pub(super) fn advance(state: &mut State, settings: &Settings, now: DateTime<Utc>) {
    let (mut done, mut later) = (Vec::new(), Vec::new());
    for request in &mut state.organization.requests {
        let RequestState::InProgress { ready_at: Some(at), outcome } = &request.state else { continue };
        let (at, outcome) = (*at, outcome.clone());
        if at > now {
            later.push(at);
            continue;
        }
        request.state = match outcome {
            Ok(account) => RequestState::Succeeded { account, at },
            Err(reason) => RequestState::Failed { reason, at },
        };
        done.push(request.clone());
    }
    for at in later {
        state.organization.expect(at);
    }
    for request in done {
        if let RequestState::Succeeded { account, at } = &request.state {
            join(state, settings, &request, account, *at);
        }
    }
}

/// The new account joins the root, settles, and gets its access role.
fn join(state: &mut State, settings: &Settings, request: &CreateRequest, id: &str, at: DateTime<Utc>) {
    let (settled_at, subscribed_at) = usable(settings, &request.email, at);
    let account = AccountState { settled_at, subscribed_at, ..AccountState::new(id, at) };
    state.accounts.insert(id.to_owned(), account);
    let management = state.organization.management_account.clone();
    state.add_access_role(id, &request.role_name, &management, None, at);

    let organization = &mut state.organization;
    let member = Member {
        name: request.account_name.clone(),
        email: request.email.clone(),
        joined_at: at,
        joined_method: "CREATED".into(),
        parent: History::new(at, organization.root.clone()),
        lifecycle: Lifecycle::Active,
    };
    organization.members.insert(id.to_owned(), member);
    organization.joined.push(id.to_owned());
    organization.tags.insert(id.to_owned(), request.tags.clone());
    organization.attach_full_access(id, at);
}

/// The id of the account, or why there will be none.
fn outcome(state: &State, settings: &Settings, email: &str, name: &str) -> Result<String, String> {
    let organization = &state.organization;
    let same = |other: &str| other.eq_ignore_ascii_case(email);
    let mut open = organization.requests.iter().filter(|request| request.is_open());
    if open.any(|request| same(&request.email) && request.account_name == name) {
        return Err("CONCURRENT_ACCOUNT_MODIFICATION".into());
    }
    let mut wanted = organization.requests.iter().filter(|request| request.is_open());
    let taken = organization.members.values().any(|member| same(&member.email))
        || organization.foreign_emails.iter().any(|email| same(email))
        || wanted.any(|request| same(&request.email));
    if taken {
        return Err("EMAIL_ALREADY_EXISTS".into());
    }
    Ok(account_id(state, settings.seed, email))
}

/// An id that belongs to the e-mail, so that the order of requests does not matter.
fn account_id(state: &State, seed: u64, email: &str) -> String {
    let mut salt = 0_u32;
    loop {
        let digest =
            Sha256::new().chain_update(seed.to_be_bytes()).chain_update(email).chain_update(salt.to_be_bytes());
        let number = digest.finalize().iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let id = format!("{:012}", number % 1_000_000_000_000);
        let pending = |request: &CreateRequest| matches!(&request.state, RequestState::InProgress { outcome: Ok(account), .. } if *account == id);
        if !state.accounts.contains_key(&id) && !state.organization.requests.iter().any(pending) {
            return id;
        }
        salt += 1;
    }
}

/// When a fresh account can be used, and when its regional services answer.
fn usable(settings: &Settings, email: &str, created_at: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    let settled_at = created_at + settings.draw(settings.durations.settle, &format!("settle:{email}"));
    (settled_at, settled_at + settings.draw(settings.durations.subscribe, &format!("subscribe:{email}")))
}

fn record_busy(
    state: &mut State,
    settings: &Settings,
    account: &str,
    email: &str,
    now: DateTime<Utc>,
    ready_at: DateTime<Utc>,
) {
    let (settled_at, subscribed_at) = usable(settings, email, ready_at);
    for (what, from, until) in
        [("create-account", now, ready_at), ("settle", ready_at, settled_at), ("subscribe", settled_at, subscribed_at)]
    {
        state.record_busy(BusySpan { email: Some(email.to_owned()), ..BusySpan::account(account, what, from, until) });
    }
}

fn scaled(span: TimeDelta, factor: f64) -> TimeDelta {
    freehold_tenancy::clock::seconds(span.as_seconds_f64() * factor)
}

impl CreateRequest {
    fn is_open(&self) -> bool {
        matches!(self.state, RequestState::InProgress { .. })
    }

    fn show(&self) -> wire::CreateAccountStatus {
        let (account_id, failure_reason, completed) = match &self.state {
            RequestState::InProgress { .. } => (None, None, None),
            RequestState::Succeeded { account, at } => (Some(account.clone()), None, Some(*at)),
            RequestState::Failed { reason, at } => (None, Some(reason.clone()), Some(*at)),
        };
        wire::CreateAccountStatus {
            account_id,
            account_name: Some(self.account_name.clone()),
            completed_timestamp: completed.map(timestamp),
            failure_reason,
            gov_cloud_account_id: None,
            id: Some(self.id.clone()),
            requested_timestamp: Some(timestamp(self.requested_at)),
            state: Some(self.state.name().into()),
        }
    }
}

impl RequestState {
    fn name(&self) -> &'static str {
        match self {
            Self::InProgress { .. } => "IN_PROGRESS",
            Self::Succeeded { .. } => "SUCCEEDED",
            Self::Failed { .. } => "FAILED",
        }
    }
}
