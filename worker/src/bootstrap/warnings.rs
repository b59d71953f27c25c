//! Recommendations for the operator that bootstrap cannot carry out.

use freehold_tenancy::Config;

use super::{BootstrapError, Plan, retry_while_busy};
use crate::aws::{Aws, Contact};

/// Default account quota of a new organisation (AWS Organizations quotas, "Default maximum number of accounts").
const DEFAULT_ACCOUNTS: usize = 10;

pub(super) async fn collect(aws: &Aws, config: &Config, plan: &mut Plan) -> Result<(), BootstrapError> {
    let accounts = retry_while_busy(aws.clock(), || aws.count_accounts()).await?;
    plan.warnings.push(account_quota(accounts));
    for contact in Contact::ALL {
        // A failed read must not stop bootstrap.
        match retry_while_busy(aws.clock(), || aws.has_contact(contact)).await {
            Ok(true) => {}
            Ok(false) => plan.warnings.push(format!(
                "account {} has no {} contact: set one (AWS Account Management, alternate contacts), otherwise AWS \
                 writes only to the e-mail address of the root user",
                config.organization.management_account_id,
                contact.as_str()
            )),
            Err(error) => {
                plan.warnings.push(format!("cannot read whether there is a {} contact: {error}", contact.as_str()));
            }
        }
    }
    Ok(())
}

/// Returns the message about the account quota, which Freehold has no permission to read.
fn account_quota(accounts: usize) -> String {
    let raise =
        "request a quota of at least the expected number of tenants (Service Quotas, AWS Organizations, L-29A0C5DF)";
    if accounts < DEFAULT_ACCOUNTS {
        let left = DEFAULT_ACCOUNTS - accounts;
        format!(
            "accounts in the organisation: {accounts}; AWS allows {DEFAULT_ACCOUNTS} by default, so possibly only \
             {left} more: {raise}"
        )
    } else {
        format!(
            "accounts in the organisation: {accounts}; the quota cannot be read here: make sure that it is high \
             enough, or {raise}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_quota_warning_contains_numbers() {
        assert!(account_quota(3).contains("7 more"));
        assert!(account_quota(250).contains("organisation: 250"));
    }
}
