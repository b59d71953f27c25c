//! AWS Organizations calls for accounts, OUs and policies.

mod creations;
mod ous;

use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::{Account, Tag};
use freehold_tenancy::AwsAccountId;

use super::call::{missing_field, none_if, ok_if_conflict};
use super::sts::Session;
use super::{Aws, to_chrono};
use crate::cloud::{ListedAccount, Result, Tags, Target};

/// Region of the single endpoint of AWS Organizations.
pub(super) const REGION: &str = "us-east-1";

pub(super) fn client(session: &Session) -> Client {
    session.client(REGION, Client::new)
}

impl Aws {
    /// Returns the account with this e-mail address, or `None` if the organisation has none.
    pub async fn find_account(&self, email: &str) -> Result<Option<ListedAccount>> {
        const CALL: &str = "organizations:ListAccounts";
        let session = self.control_session().await?;
        let mut cursor = self.caches.account_searches.resume(email);
        loop {
            let request = client(&session).list_accounts().set_next_token(cursor.token.clone());
            let page = match self.send(&session, CALL, request.send()).await {
                Ok(page) => page,
                Err(error) => return Err(self.caches.account_searches.pause(email, cursor, error)),
            };
            let mut accounts = page.accounts.unwrap_or_default().into_iter().filter_map(to_listed_account);
            if let Some(account) = accounts.find(|account| account.email.eq_ignore_ascii_case(email)) {
                return Ok(Some(account));
            }
            cursor.token = page.next_token;
            if cursor.token.is_none() {
                return Ok(None);
            }
        }
    }

    /// Returns an account of the organisation, or `None` if it has no such account.
    pub async fn account(&self, account: &AwsAccountId) -> Result<Option<ListedAccount>> {
        const CALL: &str = "organizations:DescribeAccount";
        let session = self.control_session().await?;
        let request = client(&session).describe_account().account_id(account.as_str());
        let response = none_if(self.send(&session, CALL, request.send()).await, "AccountNotFoundException")?;
        Ok(response.and_then(|response| response.account).and_then(to_listed_account))
    }

    /// Adds tags to an account.
    pub async fn tag_account(&self, account: &Target, new_tags: &Tags) -> Result<()> {
        let session = self.control_session().await?;
        self.caches.own_accounts.invalidate(&(account.id().clone(), account.environment()));
        let request = client(&session).tag_resource().resource_id(account.id().as_str()).set_tags(Some(tags(new_tags)));
        self.send(&session, "organizations:TagResource", request.send()).await.map(drop)
    }

    /// Requests the closure of an account. Succeeds if it is closed already. Only AWS support can reopen it.
    pub async fn close_account(&self, account: &Target) -> Result<()> {
        const CALL: &str = "organizations:CloseAccount";
        self.check_own_account(account, CALL).await?;
        let session = self.control_session().await?;
        let request = client(&session).close_account().account_id(account.id().as_str());
        ok_if_conflict(self.send(&session, CALL, request.send()).await)
    }

    pub async fn account_tags(&self, account: &AwsAccountId) -> Result<Tags> {
        const CALL: &str = "organizations:ListTagsForResource";
        let session = self.control_session().await?;
        let mut tags = Tags::new();
        let mut token = None;
        loop {
            let request = client(&session).list_tags_for_resource().resource_id(account.as_str()).set_next_token(token);
            let page = self.send(&session, CALL, request.send()).await?;
            tags.extend(page.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)));
            token = page.next_token;
            if token.is_none() {
                return Ok(tags);
            }
        }
    }

    /// Returns the id of the OU or root that contains the account.
    pub async fn parent_of(&self, account: &Target) -> Result<String> {
        self.parent_of_child(account.id().as_str()).await
    }

    /// Returns the id of the OU or root that contains the account or OU with the id `child`.
    pub(crate) async fn parent_of_child(&self, child: &str) -> Result<String> {
        const CALL: &str = "organizations:ListParents";
        let session = self.control_session().await?;
        let mut token = None;
        loop {
            let request = client(&session).list_parents().child_id(child).set_next_token(token);
            let page = self.send(&session, CALL, request.send()).await?;
            // An account or OU has exactly one parent.
            if let Some(parent) = page.parents.unwrap_or_default().into_iter().next().and_then(|parent| parent.id) {
                return Ok(parent);
            }
            token = Some(page.next_token.ok_or_else(|| missing_field(CALL, "parent"))?);
        }
    }

    /// Moves an account from one OU or root to another. Succeeds if the account is already in `to`.
    pub async fn move_account(&self, account: &Target, from: &str, to: &str) -> Result<()> {
        const CALL: &str = "organizations:MoveAccount";
        self.check_own_account(account, CALL).await?;
        self.check_own_parent(account, from).await?;
        let session = self.control_session().await?;
        let request = client(&session)
            .move_account()
            .account_id(account.id().as_str())
            .source_parent_id(from)
            .destination_parent_id(to);
        match ok_if_conflict(self.send(&session, CALL, request.send()).await) {
            Err(error) => Err(self.explain_denial(account, error).await),
            moved => moved,
        }
    }
}

fn tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect()
}

/// Returns the state of an account. AWS named this field `Status` before 2026-09, and some simulators have only the old
/// field.
fn state_of(account: &Account) -> String {
    match (&account.state, &account.status) {
        (Some(state), _) => state.as_str().to_owned(),
        (None, Some(status)) => status.as_str().to_owned(),
        (None, None) => String::new(),
    }
}

pub(super) fn to_listed_account(account: Account) -> Option<ListedAccount> {
    let state = state_of(&account);
    // The format is `o-…/r-…/ou-…/{account}/`. Some simulators do not have this recent field.
    let path = account.paths.as_deref().and_then(<[String]>::first);
    let parent = path.and_then(|path| path.trim_end_matches('/').rsplit('/').nth(1)).map(str::to_owned);
    Some(ListedAccount {
        joined_at: account.joined_timestamp.as_ref().and_then(to_chrono),
        parent,
        id: account.id?.parse().ok()?,
        email: account.email.unwrap_or_default(),
        name: account.name.unwrap_or_default(),
        state,
    })
}
