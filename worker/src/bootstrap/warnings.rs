//! What bootstrap cannot do, but a person should.

use freehold_tenancy::Config;

use super::{Plan, Problem, retry_while_busy};
use crate::aws::{Aws, Contact};

/// Accounts that a new organisation may have (AWS Organizations quotas, "Default maximum number of accounts").
const DEFAULT_ACCOUNTS: usize = 10;

pub(super) async fn collect(aws: &Aws, config: &Config, plan: &mut Plan) -> Result<(), Problem> {
    let accounts = retry_while_busy(aws.clock(), || aws.count_accounts()).await?;
    plan.warnings.push(account_quota(accounts));
    for contact in Contact::ALL {
        // What cannot be read is no reason to stop.
        match retry_while_busy(aws.clock(), || aws.has_contact(contact)).await {
            Ok(true) => {}
            Ok(false) => plan.warnings.push(format!(
                "account {} has no {} contact: name one (AWS Account Management, alternate contacts), or AWS writes to \
                 the root user's mailbox only",
                config.organization.management_account_id,
                contact.as_str()
            )),
            Err(error) => {
                plan.warnings
                    .push(format!("whether there is a {} contact could not be read: {error}", contact.as_str()));
            }
        }
    }
    Ok(())
}

/// The quota itself is not readable with the permissions that Freehold has.
fn account_quota(accounts: usize) -> String {
    let raise = "ask for as many as you expect tenants (Service Quotas, AWS Organizations, L-29A0C5DF)";
    if accounts < DEFAULT_ACCOUNTS {
        let left = DEFAULT_ACCOUNTS - accounts;
        format!(
            "accounts in the organisation: {accounts}; AWS allows {DEFAULT_ACCOUNTS} unless you had that raised, so {left} \
             more may be all: {raise}"
        )
    } else {
        format!(
            "accounts in the organisation: {accounts}; how many AWS allows cannot be read here: make sure that it is \
             enough, or {raise}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_quota_is_told_in_numbers() {
        assert!(account_quota(3).contains("7 more"));
        assert!(account_quota(250).contains("organisation: 250"));
    }
}
