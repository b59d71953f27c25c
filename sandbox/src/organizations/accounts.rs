//! ListAccounts, ListAccountsForParent, DescribeAccount and MoveAccount.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::tree::check_parent;
use super::{History, Organization, error, page, timestamp};
use crate::world::{AwsError, Ctx, State};

/// An account that belongs to the organisation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    pub email: String,
    pub joined_at: DateTime<Utc>,
    /// Method by which the account joined the organisation, either `CREATED` or `INVITED`.
    pub joined_method: String,
    /// Id of the parent (root or organizational unit). After a move, the policies of the new parent take effect with a
    /// delay.
    pub parent: History<String>,
    pub lifecycle: Lifecycle,
}

/// The lifecycle state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifecycle {
    Active,
    /// CloseAccount was called. Contains the time at which the closure completes.
    Closing(DateTime<Utc>),
    /// Contains the time at which the account was closed. A closed account still counts towards the account quota.
    Closed(DateTime<Utc>),
}

impl Lifecycle {
    /// Returns the values of the API fields `State` and `Status` (deprecated).
    pub fn state_and_status(self) -> (&'static str, &'static str) {
        match self {
            Self::Active => ("ACTIVE", "ACTIVE"),
            Self::Closing(_) => ("PENDING_CLOSURE", "PENDING_CLOSURE"),
            Self::Closed(_) => ("CLOSED", "SUSPENDED"),
        }
    }
}

impl Organization {
    /// Iterates over the accounts directly below the root or an organizational unit, in the order in which they joined.
    pub fn accounts_under(&self, parent: &str) -> impl Iterator<Item = (&String, &Member)> {
        let members = self.joined.iter().filter_map(|id| self.members.get_key_value(id));
        members.filter(move |(_, member)| member.parent.current() == parent)
    }

    /// Returns the path of an account in the format `o-…/r-…/ou-…/{account}/`.
    fn path(&self, account: &str, member: &Member) -> String {
        format!("{}{account}/", self.parent_path(member))
    }

    /// Returns the path of the root or organizational unit that contains an account: `o-…/r-…/ou-…/`.
    pub(crate) fn parent_path(&self, member: &Member) -> String {
        let mut path = String::new();
        let mut parent = member.parent.current();
        while let Some(unit) = self.units.get(parent) {
            path = format!("{parent}/{path}");
            parent = &unit.parent;
        }
        format!("{}/{}/{path}", self.id, self.root)
    }

    fn wire_account(&self, id: &str, member: &Member) -> wire::Account {
        let (state, status) = member.lifecycle.state_and_status();
        wire::Account {
            arn: Some(self.arn_of(id)),
            email: Some(member.email.clone()),
            id: Some(id.to_owned()),
            joined_method: Some(member.joined_method.clone()),
            joined_timestamp: Some(timestamp(member.joined_at)),
            name: Some(member.name.clone()),
            paths: Some(vec![self.path(id, member)]),
            state: Some(state.into()),
            status: Some(status.into()),
        }
    }
}

pub(super) fn list(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_accounts_request(body).map_err(AwsError::serialization)?;
    let organization = &state.organization;
    let accounts =
        organization.joined.iter().filter_map(|id| Some(organization.wire_account(id, organization.members.get(id)?)));
    let (accounts, next_token) = page(ctx, accounts, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_accounts_response(&wire::ListAccountsResponse { accounts: Some(accounts), next_token }))
}

pub(super) fn list_for_parent(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_list_accounts_for_parent_request(body).map_err(AwsError::serialization)?;
    check_parent(state, &input.parent_id)?;
    let organization = &state.organization;
    let accounts =
        organization.accounts_under(&input.parent_id).map(|(id, member)| organization.wire_account(id, member));
    let (accounts, next_token) = page(ctx, accounts, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_accounts_for_parent_response(&wire::ListAccountsForParentResponse {
        accounts: Some(accounts),
        next_token,
    }))
}

pub(super) fn describe(state: &State, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_describe_account_request(body).map_err(AwsError::serialization)?;
    let organization = &state.organization;
    let member = organization.members.get(&input.account_id).ok_or_else(account_not_found)?;
    let account = Some(organization.wire_account(&input.account_id, member));
    Ok(wire::serialize_describe_account_response(&wire::DescribeAccountResponse { account }))
}

pub(super) fn move_account(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_move_account_request(body).map_err(AwsError::serialization)?;
    let organization = &mut state.organization;
    if !organization.members.contains_key(&input.account_id) {
        return Err(account_not_found());
    }
    if !organization.is_valid_parent(&input.source_parent_id) {
        return Err(source_parent_not_found());
    }
    if !organization.is_valid_parent(&input.destination_parent_id) {
        return Err(error(
            "DestinationParentNotFoundException",
            "You specified a destination parent that doesn't exist.",
        ));
    }
    let member = organization.members.get_mut(&input.account_id).ok_or_else(account_not_found)?;
    let parent = member.parent.current();
    if *parent == input.destination_parent_id {
        return Err(error("DuplicateAccountException", "You specified an account that already exists."));
    }
    if *parent != input.source_parent_id {
        return Err(source_parent_not_found());
    }
    let key = format!("move:{}:{}", input.account_id, input.destination_parent_id);
    let delay = ctx.draw_duration(ctx.settings.durations.policy_propagation, &key);
    member.parent.set(ctx.now, delay, input.destination_parent_id);
    Ok(wire::serialize_move_account_response())
}

/// Returns the error for an account that is not in the organisation.
pub(super) fn account_not_found() -> AwsError {
    error("AccountNotFoundException", "You specified an account that doesn't exist.")
}

fn source_parent_not_found() -> AwsError {
    error("SourceParentNotFoundException", "You specified a source parent that doesn't exist.")
}
