//! CreateAccount and the asynchronous completion of its requests.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::tags::{check_tags, tag_map};
use super::{History, Lifecycle, Member, constraint_violation, error, page, timestamp};
use crate::faults::Fault;
use crate::settings::Settings;
use crate::world::{AccountState, AwsError, BackgroundWorkSpan, Ctx, State};

/// Maximum number of account creations in progress (AWS Organizations quotas).
const MAX_CREATIONS_IN_PROGRESS: usize = 5;
/// Duration of a failing CreateAccount request as a fraction of the duration of a successful one.
const FAILURE_DURATION_FACTOR: f64 = 0.2;

/// A CreateAccount request and its state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateRequest {
    /// Id of the request in the format `car-…`.
    pub id: String,
    pub account_name: String,
    pub email: String,
    /// Name of the access role that is created in the new account.
    pub role_name: String,
    pub tags: std::collections::BTreeMap<String, String>,
    pub requested_at: DateTime<Utc>,
    pub state: RequestState,
}

/// The state of a CreateAccount request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestState {
    InProgress {
        /// Time at which the request completes; `None` if the request is stuck.
        ready_at: Option<DateTime<Utc>>,
        /// Id of the new account if the request will succeed, otherwise the failure reason.
        outcome: Result<String, String>,
    },
    Succeeded {
        account: String,
        at: DateTime<Utc>,
    },
    Failed {
        /// Value of `FailureReason` in the status response.
        reason: String,
        at: DateTime<Utc>,
    },
}

pub(super) fn create(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_create_account_request(body).map_err(AwsError::serialization)?;
    let tags = tag_map(input.tags.as_deref().unwrap_or_default());
    check_tags(input.tags.as_deref().unwrap_or_default(), tags.len())?;
    let open = state.organization.requests.iter().filter(|request| request.is_in_progress()).count();
    if open >= MAX_CREATIONS_IN_PROGRESS {
        return Err(constraint_violation(
            "ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED",
            "You have exceeded the number of accounts that you can create at one time.",
        ));
    }
    let quota = state.organization.account_quota.unwrap_or(ctx.settings.account_quota);
    if state.organization.members.len() + open >= quota {
        return Err(constraint_violation(
            "ACCOUNT_NUMBER_LIMIT_EXCEEDED",
            "You have exceeded the allowed number of AWS accounts.",
        ));
    }

    let email = input.email;
    let outcome = match &ctx.fault {
        Some(Fault::FailedState { reason }) => Err(reason.clone()),
        _ => determine_outcome(state, &ctx.settings, &email, &input.account_name),
    };
    let full_duration = ctx.draw_duration(ctx.settings.durations.create_account, &format!("create-account:{email}"));
    let duration = if outcome.is_ok() { full_duration } else { scale_duration(full_duration, FAILURE_DURATION_FACTOR) };
    let ready_at = (ctx.fault != Some(Fault::Stuck)).then_some(ctx.now + duration);
    if let (Ok(account), Some(ready_at)) = (&outcome, ready_at) {
        record_background_work(state, &ctx.settings, account, &email, ctx.now, ready_at);
    }
    let request = CreateRequest {
        id: state.ids.next_with_prefix("car-", 32),
        account_name: input.account_name,
        email,
        role_name: input.role_name.unwrap_or_else(|| "OrganizationAccountAccessRole".into()),
        tags,
        requested_at: ctx.now,
        state: RequestState::InProgress { ready_at, outcome },
    };
    let status = request.to_wire();
    if let Some(ready_at) = ready_at {
        state.organization.schedule(ready_at);
    }
    state.organization.requests.push(request);
    Ok(wire::serialize_create_account_response(&wire::CreateAccountResponse { create_account_status: Some(status) }))
}

pub(super) fn describe_status(state: &State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_create_account_status_request(body).map_err(AwsError::serialization)?;
    let request = state.organization.requests.iter().find(|request| request.id == input.create_account_request_id);
    let request = request.ok_or_else(|| {
        error("CreateAccountStatusNotFoundException", "You specified a create account request that doesn't exist.")
    })?;
    Ok(wire::serialize_describe_create_account_status_response(&wire::DescribeCreateAccountStatusResponse {
        create_account_status: Some(request.to_wire()),
    }))
}

pub(super) fn list_status(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_create_account_status_request(body).map_err(AwsError::serialization)?;
    let states = input.states.unwrap_or_default();
    let matches_filter =
        |request: &&CreateRequest| states.is_empty() || states.iter().any(|state| state == request.state.name());
    let requests = state.organization.requests.iter().filter(matches_filter).map(CreateRequest::to_wire);
    let (statuses, next_token) = page(ctx, requests, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_create_account_status_response(&wire::ListCreateAccountStatusResponse {
        create_account_statuses: Some(statuses),
        next_token,
    }))
}

/// Completes the CreateAccount requests that are due at `now`.
pub(super) fn advance(state: &mut State, settings: &Settings, now: DateTime<Utc>) {
    let (mut completed, mut pending) = (Vec::new(), Vec::new());
    for request in &mut state.organization.requests {
        let RequestState::InProgress { ready_at: Some(at), outcome } = &request.state else { continue };
        let (at, outcome) = (*at, outcome.clone());
        if at > now {
            pending.push(at);
            continue;
        }
        request.state = match outcome {
            Ok(account) => RequestState::Succeeded { account, at },
            Err(reason) => RequestState::Failed { reason, at },
        };
        completed.push(request.clone());
    }
    for at in pending {
        state.organization.schedule(at);
    }
    for request in completed {
        if let RequestState::Succeeded { account, at } = &request.state {
            add_account(state, settings, &request, account, *at);
        }
    }
}

/// Adds the new account to the root and creates its access role. The account rejects calls until `settled_at`.
fn add_account(state: &mut State, settings: &Settings, request: &CreateRequest, id: &str, at: DateTime<Utc>) {
    let (settled_at, subscribed_at) = ready_times(settings, &request.email, at);
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

/// Returns the id of the new account if the request will succeed, otherwise the failure reason.
fn determine_outcome(state: &State, settings: &Settings, email: &str, name: &str) -> Result<String, String> {
    let organization = &state.organization;
    let has_same_email = |other: &str| other.eq_ignore_ascii_case(email);
    let mut open = organization.requests.iter().filter(|request| request.is_in_progress());
    if open.any(|request| has_same_email(&request.email) && request.account_name == name) {
        return Err("CONCURRENT_ACCOUNT_MODIFICATION".into());
    }
    let mut open = organization.requests.iter().filter(|request| request.is_in_progress());
    let is_taken = organization.members.values().any(|member| has_same_email(&member.email))
        || organization.foreign_emails.iter().any(|email| has_same_email(email))
        || open.any(|request| has_same_email(&request.email));
    if is_taken {
        return Err("EMAIL_ALREADY_EXISTS".into());
    }
    Ok(account_id(state, settings.seed, email))
}

/// Derives an unused account id from the e-mail address, so that ids do not depend on the order of requests.
fn account_id(state: &State, seed: u64, email: &str) -> String {
    let mut salt = 0_u32;
    loop {
        let digest =
            Sha256::new().chain_update(seed.to_be_bytes()).chain_update(email).chain_update(salt.to_be_bytes());
        let number = digest.finalize().iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let id = format!("{:012}", number % 1_000_000_000_000);
        let is_reserved = |request: &CreateRequest| match &request.state {
            RequestState::InProgress { outcome: Ok(account), .. } => *account == id,
            _ => false,
        };
        if !state.accounts.contains_key(&id) && !state.organization.requests.iter().any(is_reserved) {
            return id;
        }
        salt += 1;
    }
}

/// Returns the time from which the roles of a new account can be assumed, and the time from which CloudFormation can be
/// used in the account.
fn ready_times(settings: &Settings, email: &str, created_at: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    let settled_at = created_at + settings.draw_duration(settings.durations.settle, &format!("settle:{email}"));
    (settled_at, settled_at + settings.draw_duration(settings.durations.subscribe, &format!("subscribe:{email}")))
}

fn record_background_work(
    state: &mut State,
    settings: &Settings,
    account: &str,
    email: &str,
    now: DateTime<Utc>,
    ready_at: DateTime<Utc>,
) {
    let (settled_at, subscribed_at) = ready_times(settings, email, ready_at);
    for (activity, from, until) in
        [("create-account", now, ready_at), ("settle", ready_at, settled_at), ("subscribe", settled_at, subscribed_at)]
    {
        state.record_background_work(BackgroundWorkSpan {
            email: Some(email.to_owned()),
            ..BackgroundWorkSpan::account(account, activity, from, until)
        });
    }
}

fn scale_duration(span: TimeDelta, factor: f64) -> TimeDelta {
    freehold_tenancy::clock::seconds(span.as_seconds_f64() * factor)
}

impl CreateRequest {
    fn is_in_progress(&self) -> bool {
        matches!(self.state, RequestState::InProgress { .. })
    }

    fn to_wire(&self) -> wire::CreateAccountStatus {
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
