//! Asking for an account so that it is never asked for twice, and taking one back that was asked for before.

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::attention::Remedy;
use freehold_tenancy::db::quotas::QuotaSlot;
use freehold_tenancy::fleet_hold::HoldKind;
use freehold_tenancy::quota::Quota;
use freehold_tenancy::step::StepName;
use freehold_tenancy::{AwsAccountId, CompanyName, EnvironmentId};

use super::approval;
use crate::cloud::{Creation, CreationState, ListedAccount, NewAccount, Target};
use crate::context::{CreationPermit, StepContext, hold_kind};
use crate::step_outcome::{StepError, StepOutcome, attention};
use crate::steps::StepResult;

/// How long both look-ups must have stayed empty before an account is asked for again.
pub(in crate::steps) const RECREATE_AFTER: TimeDelta = TimeDelta::minutes(5);

/// Asks for the environment's account, unless that was done before: then finds what came of it.
///
/// Done means that the journal knows the creation's id, or the account's.
pub(in crate::steps) async fn find_or_request(context: &StepContext) -> StepResult {
    if let Some(id) = context.step_fact::<AwsAccountId>("adopt_account_id") {
        return adopt_approved(context, id).await;
    }
    // Where nothing was ever intended, nothing was asked, and there is nothing to look for.
    if let Some((asked, at)) = context.pending_intent::<NewAccount>() {
        if let Some(creation) = context.cloud().find_creation(&asked.name, at).await? {
            return requested(context, &creation).await;
        }
        if let Some(found) = context.cloud().find_account(&asked.email).await? {
            return adopt(context, found).await;
        }
        if context.now() < at + RECREATE_AFTER {
            return Ok(StepOutcome::wait(
                "certainty that the request made before left nothing behind",
                (context.now() + TimeDelta::minutes(1)).min(at + RECREATE_AFTER),
            ));
        }
    }
    request(context).await
}

async fn request(context: &StepContext) -> StepResult {
    approval::to_vend(context).await?;
    let environment = context.environment();
    let account = NewAccount {
        name: account_name(&context.tenant().company_name, environment.id),
        email: email(context),
        tags: context.tags(),
    };
    let place = place(context);
    if context.admit_account_request(&place).await? == CreationPermit::Free {
        context.acquire_slot(&place, context.config().quotas.account_creations).await?;
    }
    let _turn = context.lock_account_requests().await;
    // Who asked before may have been refused what everybody would be refused.
    context.admit_account_request(&place).await?;
    context.intend(&account).await?;
    match context.cloud().create_account(&account).await {
        Ok(creation) => {
            context.lift_fleet_hold(&place, Some(HoldKind::OrganizationFinalizing)).await?;
            Ok(requested(context, &creation).await?.with("account_email", account.email))
        }
        Err(error) => {
            if error.had_no_effect() {
                context.withdraw().await?;
            }
            match hold_kind(&error) {
                Some(kind) => Err(context.start_fleet_hold(&place, kind).await?),
                None if error.has_reason("ACCOUNT_CREATION_RATE_LIMIT_EXCEEDED") => {
                    // Somebody else was faster. Nobody asks again before it is known how many places there are.
                    context.step_back(&place).await?;
                    Err(error.into())
                }
                None => Err(error.into()),
            }
        }
    }
}

/// The e-mail address of the environment's account: what it was when it was first asked for, whatever the configuration
/// says by now.
pub(in crate::steps) fn email(context: &StepContext) -> String {
    let pending_intent = || context.pending_intent::<NewAccount>().map(|(account, _)| account.email);
    let first = || context.pending_intent_of::<NewAccount>(StepName::RequestAccount).map(|account| account.email);
    let configured = || context.config().organization.account_email.address(context.environment().id);
    context.fact("account_email").or_else(pending_intent).or_else(first).unwrap_or_else(configured)
}

/// The environment's place among the creations in progress; the same for every step that asks.
pub(in crate::steps) fn place(context: &StepContext) -> QuotaSlot {
    context.slot(Quota::AccountCreations, "")
}

async fn requested(context: &StepContext, creation: &Creation) -> StepResult {
    if let CreationState::Succeeded(account) = &creation.state {
        return mapped(context, account.clone()).await;
    }
    context.record_request_id(&place(context), &creation.request_id, StepName::AwaitAccount).await?;
    Ok(StepOutcome::done()
        .with("creation_request_id", creation.request_id.clone())
        .with("creation_requested_at", creation.requested_at.to_rfc3339()))
}

/// The account is the environment's: keeps its id, maps it, and frees the place.
pub(in crate::steps) async fn mapped(context: &StepContext, account: AwsAccountId) -> StepResult {
    // Refuses the management account and Freehold's own before anything is written.
    Target::new(account.clone(), context.environment().id, &context.config().organization)?;
    context.lift_fleet_hold(&place(context), None).await?;
    Ok(StepOutcome { mapped: Some(account.clone()), ..StepOutcome::done() }
        .with("account_id", account.as_str())
        .releasing(place(context)))
}

/// Takes an account that already has this environment's e-mail address, if it is provably this environment's.
pub(in crate::steps) async fn adopt(context: &StepContext, found: ListedAccount) -> StepResult {
    let tags = context.cloud().account_tags(&found.id).await?;
    let another = context.is_mapped_to_other(&found.id).await?;
    let reason = if !context.is_ours(&tags) {
        "it does not carry this environment's tags"
    } else if found.state != "ACTIVE" {
        "it is not active"
    } else if another {
        "it belongs to another environment"
    } else {
        return mapped(context, found.id).await;
    };
    Err(email_taken(&found.email, &format!("account {} has it, and {reason}", found.id)))
}

/// Takes the account that two people have named. It need not carry the environment's tags: they have vouched for it.
async fn adopt_approved(context: &StepContext, id: AwsAccountId) -> StepResult {
    let environment = context.environment().id;
    let target = Target::new(id.clone(), environment, &context.config().organization)?;
    let found = context.cloud().account(&id).await?;
    let reason = match found {
        None => "it is not in this organisation",
        Some(found) if found.state != "ACTIVE" => "it is not active",
        Some(_) if context.is_mapped_to_other(&id).await? => "it belongs, or has belonged, to another environment",
        Some(_) => {
            context.cloud().tag_account(&target, &context.tags()).await?;
            return mapped(context, id).await;
        }
    };
    Err(StepError::NeedsAttention(
        attention(
            "account_not_adoptable",
            format!("Account {id} cannot be adopted: {reason}. Name another, or cancel."),
        )
        .with_remedy(Remedy::Adopt)
        .with_remedy(Remedy::Correct),
    ))
}

/// Parks the operation where somebody has closed or suspended its account, or taken it out of the organisation.
pub(in crate::steps) async fn check_active(context: &StepContext) -> Result<(), StepError> {
    let account = context.account()?;
    let found = context.cloud().account(account.id()).await?;
    let message = match found.as_ref().map(|found| found.state.as_str()) {
        Some(state @ ("SUSPENDED" | "PENDING_CLOSURE" | "CLOSED")) => {
            format!(
                "Account {account} is {state} in AWS: somebody has closed or suspended it. Have it reopened, then retry."
            )
        }
        Some(_) => return Ok(()),
        None => format!("Account {account} is not in the organisation any more. Bring it back, then retry."),
    };
    Err(StepError::needs_attention("account_not_active", message))
}

/// The e-mail address belongs to an account that is not this environment's.
pub(in crate::steps) fn email_taken(email: &str, detail: &str) -> StepError {
    let message = format!(
        "The e-mail address {email} is in use by an account that is not this environment's: {detail}. Adopt that account, or \
         correct the address."
    );
    StepError::NeedsAttention(
        attention("account_email_taken", message).with_remedy(Remedy::Correct).with_remedy(Remedy::Adopt),
    )
}

/// When AWS accepted the request for the account.
pub(in crate::steps) fn requested_at(context: &StepContext) -> DateTime<Utc> {
    context.fact("creation_requested_at").unwrap_or_else(|| context.now())
}

/// What the account is called: the company, as far as ASCII and 50 characters go, and the environment's id, by which a
/// creation is found again (its status carries neither e-mail address nor tags).
fn account_name(company: &CompanyName, environment: EnvironmentId) -> String {
    const LONGEST: usize = 50;
    let id = environment.to_string();
    let printable: String = company.as_str().chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    let room = LONGEST - id.len() - 1;
    let company: String = printable.trim().chars().take(room).collect();
    format!("{} {id}", company.trim_end()).trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_name_fits_aws_and_holds_the_environment() {
        let environment = EnvironmentId::new(DateTime::UNIX_EPOCH);
        for company in ["Example", "Müller & Söhne Gesellschaft mit beschränkter Haftung", "株式会社"] {
            let name = account_name(&company.parse().unwrap(), environment);
            assert!((1..=50).contains(&name.len()), "{name} has {} characters", name.len());
            assert!(name.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name} is not ASCII");
            assert!(name.ends_with(&environment.to_string()), "{name} does not name its environment");
        }
    }
}
