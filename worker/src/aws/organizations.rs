//! AWS Organizations: accounts, OUs and the policies on them.

use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::{Account, CreateAccountState, CreateAccountStatus, PolicyType, Tag};
use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::AwsAccountId;
use freehold_tenancy::config::Residency;

use super::call::{done_already, found, incomplete};
use super::memory::{MOMENT, SHORT};
use super::sts::Session;
use super::{Aws, moment};
use crate::cloud::{
    CloudError, Creation, CreationState, Kind, ListedAccount, NewAccount, ResidencyOu, Result, Tags, Target,
};
use crate::guardrail;

/// Organizations has one endpoint.
pub(super) const REGION: &str = "us-east-1";

/// How far AWS's clock may be behind ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

/// The root never changes; asking once an hour is plenty.
const ROOT_HOLDS: TimeDelta = TimeDelta::hours(1);

pub(super) fn client(session: &Session) -> Client {
    session.client(REGION, Client::new)
}

pub(super) async fn create_account(aws: &Aws, account: &NewAccount) -> Result<Creation> {
    const CALL: &str = "organizations:CreateAccount";
    let control = aws.control().await?;
    let request = client(&control)
        .create_account()
        .account_name(&account.name)
        .email(&account.email)
        .role_name(&aws.config.organization.access_role_name)
        .set_tags(Some(tags(&account.tags)));
    let answer = aws.ask(&control, CALL, request.send()).await?;
    answer.create_account_status.and_then(creation_of).ok_or_else(|| incomplete(CALL, "status"))
}

pub(super) async fn creation(aws: &Aws, request_id: &str) -> Result<Creation> {
    const CALL: &str = "organizations:DescribeCreateAccountStatus";
    let control = aws.control().await?;
    let request = client(&control).describe_create_account_status().create_account_request_id(request_id);
    let answer = aws.ask(&control, CALL, request.send()).await?;
    answer.create_account_status.and_then(creation_of).ok_or_else(|| incomplete(CALL, "status"))
}

pub(super) async fn creations_in_progress(aws: &Aws) -> Result<Vec<String>> {
    const CALL: &str = "organizations:ListCreateAccountStatus";
    let control = aws.control().await?;
    let (mut found, mut token) = (Vec::new(), None);
    loop {
        let request =
            client(&control).list_create_account_status().states(CreateAccountState::InProgress).set_next_token(token);
        let page = aws.ask(&control, CALL, request.send()).await?;
        found.extend(page.create_account_statuses.unwrap_or_default().into_iter().filter_map(|status| status.id));
        token = page.next_token;
        // AWS allows five at a time: this is one page, unless pages come empty.
        if token.is_none() {
            return Ok(found);
        }
    }
}

pub(super) async fn find_creation(aws: &Aws, name: &str, since: DateTime<Utc>) -> Result<Option<Creation>> {
    const CALL: &str = "organizations:ListCreateAccountStatus";
    let control = aws.control().await?;
    let mut walk = aws.known.searches_of_creations.resume(name);
    loop {
        let request = client(&control).list_create_account_status().set_next_token(walk.token.clone());
        let page = match aws.ask(&control, CALL, request.send()).await {
            Ok(page) => page,
            Err(error) => return Err(aws.known.searches_of_creations.pause(name, walk, error)),
        };
        let creations = page.create_account_statuses.unwrap_or_default().into_iter().filter_map(creation_of);
        walk.found.extend(creations.filter(|creation| creation.account_name == name));
        walk.token = page.next_token;
        if walk.token.is_none() {
            return Ok(latest(walk.found, since));
        }
    }
}

/// The latest of those that AWS accepted at or after `since`.
fn latest(creations: Vec<Creation>, since: DateTime<Utc>) -> Option<Creation> {
    let recent = creations.into_iter().filter(|creation| creation.requested_at >= since - CLOCK_SKEW);
    recent.max_by_key(|creation| creation.requested_at)
}

pub(super) async fn find_account(aws: &Aws, email: &str) -> Result<Option<ListedAccount>> {
    const CALL: &str = "organizations:ListAccounts";
    let control = aws.control().await?;
    let mut walk = aws.known.searches_of_accounts.resume(email);
    loop {
        let request = client(&control).list_accounts().set_next_token(walk.token.clone());
        let page = match aws.ask(&control, CALL, request.send()).await {
            Ok(page) => page,
            Err(error) => return Err(aws.known.searches_of_accounts.pause(email, walk, error)),
        };
        let mut accounts = page.accounts.unwrap_or_default().into_iter().filter_map(listed);
        if let Some(account) = accounts.find(|account| account.email.eq_ignore_ascii_case(email)) {
            return Ok(Some(account));
        }
        walk.token = page.next_token;
        if walk.token.is_none() {
            return Ok(None);
        }
    }
}

pub(super) async fn account(aws: &Aws, account: &AwsAccountId) -> Result<Option<ListedAccount>> {
    const CALL: &str = "organizations:DescribeAccount";
    let control = aws.control().await?;
    let request = client(&control).describe_account().account_id(account.as_str());
    let answer = found(aws.ask(&control, CALL, request.send()).await, "AccountNotFoundException")?;
    Ok(answer.and_then(|answer| answer.account).and_then(listed))
}

pub(super) async fn tag_account(aws: &Aws, account: &Target, marks: &Tags) -> Result<()> {
    let control = aws.control().await?;
    let request = client(&control).tag_resource().resource_id(account.id().as_str()).set_tags(Some(tags(marks)));
    aws.ask(&control, "organizations:TagResource", request.send()).await.map(drop)
}

pub(super) async fn close_account(aws: &Aws, account: &Target) -> Result<()> {
    let control = aws.control().await?;
    let request = client(&control).close_account().account_id(account.id().as_str());
    done_already(aws.ask(&control, "organizations:CloseAccount", request.send()).await)
}

pub(super) async fn account_tags(aws: &Aws, account: &AwsAccountId) -> Result<Tags> {
    const CALL: &str = "organizations:ListTagsForResource";
    let control = aws.control().await?;
    let mut tags = Tags::new();
    let mut token = None;
    loop {
        let request = client(&control).list_tags_for_resource().resource_id(account.as_str()).set_next_token(token);
        let page = aws.ask(&control, CALL, request.send()).await?;
        tags.extend(page.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)));
        token = page.next_token;
        if token.is_none() {
            return Ok(tags);
        }
    }
}

pub(super) async fn parent_of(aws: &Aws, account: &Target) -> Result<String> {
    const CALL: &str = "organizations:ListParents";
    let control = aws.control().await?;
    let mut token = None;
    loop {
        let request = client(&control).list_parents().child_id(account.id().as_str()).set_next_token(token);
        let page = aws.ask(&control, CALL, request.send()).await?;
        // An account has exactly one.
        if let Some(parent) = page.parents.unwrap_or_default().into_iter().next().and_then(|parent| parent.id) {
            return Ok(parent);
        }
        token = Some(page.next_token.ok_or_else(|| incomplete(CALL, "parent"))?);
    }
}

pub(super) async fn move_account(aws: &Aws, account: &Target, from: &str, to: &str) -> Result<()> {
    let control = aws.control().await?;
    let request = client(&control)
        .move_account()
        .account_id(account.id().as_str())
        .source_parent_id(from)
        .destination_parent_id(to);
    done_already(aws.ask(&control, "organizations:MoveAccount", request.send()).await)
}

pub(super) async fn residency_ou(aws: &Aws, residency: &Residency) -> Result<Option<ResidencyOu>> {
    let Some(ou_id) = ou(aws, &residency.ou_name()).await? else { return Ok(None) };
    let guarded = aws.known.guarded.recall(&ou_id, &aws.clock, async {
        let carried = policy_on(aws, &ou_id, &residency.guardrail_name()).await?;
        let wanted = guardrail::of_residency(residency, &aws.config.organization).map_err(|too_long| CloudError {
            kind: Kind::Terminal,
            call: "organizations:DescribePolicy",
            code: "GuardrailTooLong".to_owned(),
            message: too_long.to_string(),
            request_id: None,
        })?;
        let same = carried.is_some_and(|carried| guardrail::same(&carried, &wanted));
        Ok(same.then(|| ((), aws.clock.now() + SHORT)))
    });
    let guarded = guarded.await?.is_some();
    Ok(Some(ResidencyOu { ou_id, guarded }))
}

pub(super) async fn quarantine_ou(aws: &Aws) -> Result<Option<String>> {
    ou(aws, &aws.config.organization.quarantine_ou).await
}

/// The id of one of Freehold's OUs.
async fn ou(aws: &Aws, name: &str) -> Result<Option<String>> {
    let look = async {
        let parent = parent_of_ous(aws).await?;
        let found = ous_in(aws, &parent).await?.into_iter().find(|(known, _)| known == name);
        Ok(found.map(|(_, id)| (id, aws.clock.now() + SHORT)))
    };
    aws.known.ous.recall(&name.to_owned(), &aws.clock, look).await
}

/// The OU, or the root, that Freehold's OUs are in.
pub(super) async fn parent_of_ous(aws: &Aws) -> Result<String> {
    match &aws.config.organization.parent_ou {
        Some(parent) => Ok(parent.clone()),
        None => root(aws).await,
    }
}

/// The id of the organisation's root.
pub(super) async fn root(aws: &Aws) -> Result<String> {
    const CALL: &str = "organizations:ListRoots";
    let look = async {
        let control = aws.control().await?;
        let mut token = None;
        loop {
            let page = aws.ask(&control, CALL, client(&control).list_roots().set_next_token(token).send()).await?;
            let root = page.roots.unwrap_or_default().into_iter().next().and_then(|root| root.id);
            token = page.next_token;
            if root.is_some() || token.is_none() {
                return Ok(root.map(|id| (id, aws.clock.now() + ROOT_HOLDS)));
            }
        }
    };
    aws.known.root.recall(&(), &aws.clock, look).await?.ok_or_else(|| incomplete(CALL, "root"))
}

/// Names and ids of the OUs directly in `parent`.
pub(super) async fn ous_in(aws: &Aws, parent: &str) -> Result<Vec<(String, String)>> {
    const CALL: &str = "organizations:ListOrganizationalUnitsForParent";
    let control = aws.control().await?;
    let mut ous = Vec::new();
    let mut token = None;
    loop {
        let request = client(&control).list_organizational_units_for_parent().parent_id(parent).set_next_token(token);
        let page = aws.ask(&control, CALL, request.send()).await?;
        let units = page.organizational_units.unwrap_or_default().into_iter();
        ous.extend(units.filter_map(|unit| unit.name.zip(unit.id)));
        token = page.next_token;
        if token.is_none() {
            return Ok(ous);
        }
    }
}

/// The content of the service control policy called `name` on `target`, if that carries it.
async fn policy_on(aws: &Aws, target: &str, name: &str) -> Result<Option<String>> {
    let look = async { Ok(Some((policies_on(aws, target).await?, aws.clock.now() + MOMENT))) };
    let carried = aws.known.carried_policies.recall(&target.to_owned(), &aws.clock, look).await?;
    let content = match carried.unwrap_or_default().into_iter().find(|(known, _)| known == name) {
        Some((_, id)) => policy_content(aws, &id).await.map(Some),
        None => Ok(None),
    };
    // A guardrail that is taken away is to be seen soon: only a look that was broken off goes on with what it has found.
    if !content.as_ref().is_err_and(|error| matches!(error.kind, Kind::Quota { .. })) {
        aws.known.carried_policies.forget(&target.to_owned());
    }
    content
}

/// Names and ids of the service control policies directly on `target`.
pub(super) async fn policies_on(aws: &Aws, target: &str) -> Result<Vec<(String, String)>> {
    const CALL: &str = "organizations:ListPoliciesForTarget";
    let control = aws.control().await?;
    let mut policies = Vec::new();
    let mut token = None;
    loop {
        let request = client(&control)
            .list_policies_for_target()
            .target_id(target)
            .filter(PolicyType::ServiceControlPolicy)
            .set_next_token(token);
        let page = aws.ask(&control, CALL, request.send()).await?;
        let summaries = page.policies.unwrap_or_default().into_iter();
        policies.extend(summaries.filter_map(|summary| summary.name.zip(summary.id)));
        token = page.next_token;
        if token.is_none() {
            return Ok(policies);
        }
    }
}

/// The text of a policy.
pub(super) async fn policy_content(aws: &Aws, policy_id: &str) -> Result<String> {
    const CALL: &str = "organizations:DescribePolicy";
    let control = aws.control().await?;
    let request = client(&control).describe_policy().policy_id(policy_id);
    let policy = aws.ask(&control, CALL, request.send()).await?.policy;
    policy.and_then(|policy| policy.content).ok_or_else(|| incomplete(CALL, "content"))
}

fn tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect()
}

fn creation_of(status: CreateAccountStatus) -> Option<Creation> {
    let state = match status.state {
        Some(CreateAccountState::Succeeded) => CreationState::Succeeded(status.account_id?.parse().ok()?),
        Some(CreateAccountState::Failed) => CreationState::Failed(
            status.failure_reason.map_or_else(|| "UNKNOWN".to_owned(), |reason| reason.as_str().to_owned()),
        ),
        // A state that AWS invents later is, at the worst, looked at until the step's deadline.
        _ => CreationState::InProgress,
    };
    Some(Creation {
        request_id: status.id?,
        account_name: status.account_name.unwrap_or_default(),
        requested_at: status.requested_timestamp.as_ref().and_then(moment)?,
        completed_at: status.completed_timestamp.as_ref().and_then(moment),
        state,
    })
}

/// `Status` is what `State` was called before 2026-09; some stand-ins only know that.
fn state_of(account: &Account) -> String {
    match (&account.state, &account.status) {
        (Some(state), _) => state.as_str().to_owned(),
        (None, Some(status)) => status.as_str().to_owned(),
        (None, None) => String::new(),
    }
}

pub(super) fn listed(account: Account) -> Option<ListedAccount> {
    let state = state_of(&account);
    // `o-…/r-…/ou-…/{account}/`, younger than most of the API; some stand-ins do not know it.
    let path = account.paths.as_deref().and_then(<[String]>::first);
    let parent = path.and_then(|path| path.trim_end_matches('/').rsplit('/').nth(1)).map(str::to_owned);
    Some(ListedAccount {
        parent,
        id: account.id?.parse().ok()?,
        email: account.email.unwrap_or_default(),
        name: account.name.unwrap_or_default(),
        state,
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_organizations::types::CreateAccountFailureReason;
    use aws_smithy_types::DateTime as AwsTime;

    use super::*;

    fn status(name: &str, requested_at: i64, state: &str) -> CreateAccountStatus {
        CreateAccountStatus::builder()
            .id(format!("car-{name}-{requested_at}"))
            .account_name(name)
            .requested_timestamp(AwsTime::from_secs(requested_at))
            .state(CreateAccountState::from(state))
            .build()
    }

    fn found(statuses: Vec<CreateAccountStatus>, since: i64) -> Option<String> {
        let creations = statuses.into_iter().filter_map(creation_of).collect();
        latest(creations, DateTime::from_timestamp(since, 0).unwrap()).map(|creation| creation.request_id)
    }

    #[test]
    fn a_creation_counts_only_if_it_is_not_from_before_and_the_latest_counts() {
        let statuses = || vec![status("env_1", 5_000, "IN_PROGRESS"), status("env_1", 1_000, "FAILED")];
        assert_eq!(found(statuses(), 4_000).as_deref(), Some("car-env_1-5000"));
        assert_eq!(found(statuses(), 0).as_deref(), Some("car-env_1-5000"));
        assert_eq!(found(statuses(), 6_000), None);
    }

    #[test]
    fn aws_may_be_a_minute_behind() {
        let one = || vec![status("env_1", 5_000, "IN_PROGRESS")];
        assert!(found(one(), 5_060).is_some());
        assert!(found(one(), 5_061).is_none());
    }

    #[test]
    fn a_state_that_nobody_knows_is_taken_for_work_in_progress() {
        let creation = creation_of(status("env_1", 1, "PAUSED_FOR_A_CHAT")).unwrap();
        assert_eq!(creation.state, CreationState::InProgress);
    }

    #[test]
    fn a_failure_keeps_its_reason_even_one_that_nobody_knows() {
        for reason in ["EMAIL_ALREADY_EXISTS", "A_REASON_OF_NEXT_YEAR"] {
            let mut failed = status("env_1", 1, "FAILED");
            failed.failure_reason = Some(CreateAccountFailureReason::from(reason));
            assert_eq!(creation_of(failed).unwrap().state, CreationState::Failed(reason.to_owned()));
        }
    }

    #[test]
    fn success_without_an_account_id_is_not_a_success() {
        assert_eq!(creation_of(status("env_1", 1, "SUCCEEDED")), None);
    }
}
