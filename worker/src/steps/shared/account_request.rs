//! Requests the account of an environment without ever creating a second one, and adopts existing accounts.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use freehold_tenancy::unicode::to_ascii;
use freehold_tenancy::wait_reason::{RequestedWork, WaitReason};
use freehold_tenancy::{AwsAccountId, CompanyName, EnvironmentId};
use serde_json::Value;

use super::approval;
use crate::account_tags;
use crate::cloud::{Creation, CreationState, ListedAccount, NewAccount, Target};
use crate::context::{CreationPermit, StepContext, hold_kind};
use crate::step_outcome::{StepError, StepOutcome};
use crate::steps::StepResult;

/// Time between a lost response and the next account request, if neither the lost request nor its account is found.
pub(in crate::steps) const RETRY_REQUEST_AFTER: TimeDelta = TimeDelta::minutes(5);

/// Requests the environment's account, or finds the outcome of an earlier request.
///
/// When the step is done, its facts contain the id of the account or of the creation request.
pub(in crate::steps) async fn find_or_request(context: &StepContext) -> StepResult {
    if let Some(id) = approved_adoption(context) {
        return adopt_approved(context, id).await;
    }
    // Without an intent no account was requested, so there is nothing to search for.
    if let Some((account, at)) = context.pending_intent::<NewAccount>() {
        if let Some(creation) = context.aws().find_creation(&account.name, at).await? {
            return requested(context, &creation).await;
        }
        if let Some(found) = context.aws().find_account(&account.email).await? {
            return adopt(context, found).await;
        }
        if context.now() < at + RETRY_REQUEST_AFTER {
            return Ok(StepOutcome::wait(
                WaitReason::LostResponse(RequestedWork::Account),
                (context.now() + TimeDelta::minutes(1)).min(at + RETRY_REQUEST_AFTER),
            ));
        }
    }
    request(context).await
}

async fn request(context: &StepContext) -> StepResult {
    approval::check_account_creation(context).await?;
    let environment = context.environment();
    let account = NewAccount {
        name: account_name(&context.tenant().company_name, environment.id),
        email: email(context),
        tags: context.account_tags(),
    };
    let slot = slot(context);
    if context.admit_account_request(&slot).await? == CreationPermit::Free {
        context.acquire_slot(&slot, context.config().quotas.account_creations).await?;
    }
    let _guard = context.lock_account_requests().await;
    // Check again under the lock: the previous caller may have started a fleet hold.
    context.admit_account_request(&slot).await?;
    context.record_intent(&account).await?;
    match context.aws().create_account(&account).await {
        Ok(creation) => {
            context.lift_fleet_hold(&slot, Some(HoldKind::OrganizationFinalizing)).await?;
            Ok(requested(context, &creation).await?.with(EMAIL_FACT, account.email))
        }
        Err(error) => {
            if error.had_no_effect() {
                context.withdraw_intent().await?;
            }
            match hold_kind(&error) {
                Some(kind) => Err(context.start_fleet_hold(&slot, kind).await?),
                None if error.has_reason("ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED") => {
                    // Another program uses the slot. Queue again, until the work in progress has been counted.
                    context.requeue(&slot).await?;
                    Err(error.into())
                }
                None => Err(error.into()),
            }
        }
    }
}

/// Fact with the e-mail address of the account request. Null after AWS has rejected the address.
pub(in crate::steps) const EMAIL_FACT: &str = "account_email";

/// Returns the e-mail address of the environment's account. After the first request, a change of the configuration no
/// longer changes the address, unless AWS has rejected it.
pub(in crate::steps) fn email(context: &StepContext) -> String {
    let is_rejected = context.step_fact::<Value>(EMAIL_FACT) == Some(Value::Null);
    let pending_intent = || context.pending_intent::<NewAccount>().map(|(account, _)| account.email);
    let first_intent =
        || context.pending_intent_of::<NewAccount>(StepName::RequestAccount).map(|account| account.email);
    let configured = || context.config().organization.account_email.address(context.environment().id);
    if is_rejected {
        return pending_intent().unwrap_or_else(configured);
    }
    context.fact(EMAIL_FACT).or_else(pending_intent).or_else(first_intent).unwrap_or_else(configured)
}

/// Returns the environment's slot of the quota for account creations.
pub(in crate::steps) fn slot(context: &StepContext) -> QuotaSlot {
    context.slot(Quota::AccountCreations, "")
}

async fn requested(context: &StepContext, creation: &Creation) -> StepResult {
    if let CreationState::Succeeded(account) = &creation.state {
        return map_account(context, account.clone()).await;
    }
    context.record_request_id(&slot(context), &creation.request_id, StepName::AwaitAccount).await?;
    Ok(StepOutcome::done()
        .with("creation_request_id", creation.request_id.clone())
        .with("creation_requested_at", creation.requested_at.to_rfc3339()))
}

/// Maps the account to the environment, stores its id and releases the slot.
pub(in crate::steps) async fn map_account(context: &StepContext, account: AwsAccountId) -> StepResult {
    // Rejects the management account and Freehold's own account before anything is written.
    Target::new(account.clone(), context.environment().id, &context.config().organization)?;
    context.lift_fleet_hold(&slot(context), None).await?;
    Ok(StepOutcome { mapped: Some(account.clone()), ..StepOutcome::done() }
        .with("account_id", account.as_str())
        .with_released_slot(slot(context)))
}

/// Skips a step that determines the account of the environment, because an earlier step has mapped it.
pub(in crate::steps) async fn use_known_account(context: &StepContext, account: AwsAccountId) -> StepResult {
    let reason = format!("account {account} is the environment's already");
    Ok(StepOutcome { skip_reason: Some(reason), ..map_account(context, account).await? })
}

/// Adopts an account with this environment's e-mail address, if its tags prove that it belongs to this environment.
pub(in crate::steps) async fn adopt(context: &StepContext, found: ListedAccount) -> StepResult {
    let tags = context.aws().account_tags(&found.id).await?;
    let is_mapped_to_other = context.is_mapped_to_other(&found.id).await?;
    let reason = if !context.belongs_to_environment(&tags) {
        "the account does not have the tags of this environment"
    } else if found.state != "ACTIVE" {
        "the account is not active"
    } else if is_mapped_to_other {
        "the account belongs to another environment"
    } else {
        return map_account(context, found.id).await;
    };
    let command = adopt_command(&found.id, context.environment().id);
    let detail = format!("{reason} (account {}). Before an adoption, an administrator tags it: {command}", found.id);
    Err(email_taken(&found.email, &detail))
}

/// Returns the account whose adoption a second person has approved.
pub(in crate::steps) fn approved_adoption(context: &StepContext) -> Option<AwsAccountId> {
    context.step_fact("adopt_account_id")
}

/// Adopts the account whose adoption a second person has approved. Adds the environment's tags if the account lacks
/// them.
pub(in crate::steps) async fn adopt_approved(context: &StepContext, id: AwsAccountId) -> StepResult {
    let environment = context.environment().id;
    let target = Target::new(id.clone(), environment, &context.config().organization)?;
    let found = context.aws().account(&id).await?;
    let reason = match found {
        None => "the account is not in this organisation".to_owned(),
        Some(found) if found.state != "ACTIVE" => "the account is not active".to_owned(),
        Some(_) if context.is_mapped_to_other(&id).await? => {
            "the account is or was mapped to another environment".to_owned()
        }
        Some(_) => {
            let Some(obstacle) = adoption_obstacle(context, &target).await? else {
                context.aws().tag_account(&target, &context.account_tags()).await?;
                return map_account(context, id).await;
            };
            obstacle
        }
    };
    Err(StepError::needs_attention(
        AttentionCode::AccountNotAdoptable,
        format!(
            "Account {id} cannot be adopted: {reason}. Fix the cause and retry, adopt another account, retry with \
             another e-mail address to create an account, or cancel."
        ),
    ))
}

/// Returns the reason why an administrator of the organisation must act before the account can be adopted, with the
/// command, or `None`.
async fn adoption_obstacle(context: &StepContext, account: &Target) -> Result<Option<String>, StepError> {
    let aws = context.aws();
    let tags = aws.account_tags(account.id()).await?;
    let environment = context.environment().id;
    let is_offered = tags.get(account_tags::ADOPT) == Some(&environment.to_string());
    if !is_offered && !context.belongs_to_environment(&tags) {
        let command = adopt_command(account.id(), environment);
        return Ok(Some(format!("an administrator of the organisation must first tag it: {command}")));
    }
    let parent = aws.parent_of(account).await?;
    let command = aws.command_for_foreign_parent(account.id(), &parent).await?;
    Ok(command.map(|command| format!("an administrator of the organisation must first move it to the root: {command}")))
}

/// Returns the command with which an administrator of the organisation allows the adoption of an account.
fn adopt_command(account: &AwsAccountId, environment: EnvironmentId) -> String {
    let tag = account_tags::ADOPT;
    format!("aws organizations tag-resource --resource-id {account} --tags Key={tag},Value={environment}")
}

/// Checks that the account is active. A closed, suspended or removed account needs attention.
pub(in crate::steps) async fn check_active(context: &StepContext) -> Result<(), StepError> {
    let account = context.account()?;
    let found = context.aws().account(account.id()).await?;
    let message = match found.as_ref().map(|found| found.state.as_str()) {
        Some(state @ ("SUSPENDED" | "PENDING_CLOSURE" | "CLOSED")) => {
            format!("Account {account} has the state {state} in AWS. Have it reopened by AWS, then retry.")
        }
        Some(_) => return Ok(()),
        None => format!("Account {account} is no longer in the organisation. Invite it back, then retry."),
    };
    Err(StepError::needs_attention(AttentionCode::AccountNotActive, message))
}

/// Returns the error for an e-mail address that belongs to an account other than this environment's.
pub(in crate::steps) fn email_taken(email: &str, detail: &str) -> StepError {
    let message = format!(
        "The e-mail address {email} is in use by an account that does not belong to this environment: {detail}. Adopt \
         that account, or retry with another e-mail address."
    );
    StepError::needs_attention(AttentionCode::AccountEmailTaken, message)
}

/// Returns the time at which AWS accepted the account request.
pub(in crate::steps) fn requested_at(context: &StepContext) -> DateTime<Utc> {
    context.fact("creation_requested_at").unwrap_or_else(|| context.now())
}

/// Returns the account name, which has at most 50 characters: the company name in ASCII and the environment's id. The
/// id identifies the creation, because AWS reports neither the e-mail address nor the tags of a creation. After a crash
/// the name of the intent is used, because another version may make another name.
fn account_name(company: &CompanyName, environment: EnvironmentId) -> String {
    const MAX_LENGTH: usize = 50;
    let id = environment.to_string();
    let available = MAX_LENGTH - id.len() - 1;
    let company: String = to_ascii(company.as_str()).chars().take(available).collect();
    format!("{} {id}", company.trim_end()).trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_name_is_valid_and_contains_the_environment_id() {
        let environment = EnvironmentId::new(DateTime::UNIX_EPOCH);
        for company in ["Example", "Müller & Söhne Gesellschaft mit beschränkter Haftung", "株式会社"] {
            let name = account_name(&company.parse().unwrap(), environment);
            assert!((1..=50).contains(&name.len()), "{name} has {} characters", name.len());
            assert!(name.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name} is not ASCII");
            assert!(name.ends_with(&environment.to_string()), "{name} does not name its environment");
        }
        for (company, name) in
            [("Möbel & Söhne", format!("Mobel & Sohne {environment}")), ("株式会社", environment.to_string())]
        {
            assert_eq!(account_name(&company.parse().unwrap(), environment), name);
        }
    }
}
