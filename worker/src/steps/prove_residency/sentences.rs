//! Fixed sentences of a residency proof, for readers who do not know Freehold.

use freehold_tenancy::Config;
use freehold_tenancy::config::Organization;

use crate::guardrail::ACCESS_ROLE;

/// Returns a sentence for each role and service to which the policy does not apply.
pub(super) fn exemptions(organization: &Organization) -> Vec<String> {
    vec![
        format!(
            "The role `{}` of the account, with which the provider installs and upgrades its own roles. Only the \
             provider's central account can use it.",
            organization.access_role_name
        ),
        format!(
            "The role `{ACCESS_ROLE}` of the account, with which the provider deploys and deletes the stacks of this \
             environment. Users of the account can neither use nor change it."
        ),
        "Services of AWS that act for themselves, such as CloudFront: policies of this kind apply to users and roles, \
         not to services."
            .to_owned(),
        "Global services of AWS without a region to choose, such as IAM, Route 53, CloudFront, billing and support: \
         the policy does not deny them, because no account works without them."
            .to_owned(),
    ]
}

/// Returns a sentence for each kind of data that leave the regions anyway.
pub(super) fn leaves_region(config: &Config, has_front_door: bool) -> Vec<String> {
    let identity_center = match config.identity_center.region {
        Some(region) => format!("in the region {region}"),
        None => "in a region that the provider has chosen for all its customers".to_owned(),
    };
    let front_door = if has_front_door {
        "This environment has a front door (Amazon CloudFront): encrypted connections of its users end at locations of \
         CloudFront all over the world, and requests pass through them."
    } else {
        "This environment has no front door. With one (Amazon CloudFront), encrypted connections of its users would \
         end at locations of CloudFront all over the world."
    };
    vec![
        "The name and the e-mail address of the AWS account: AWS Organizations keeps them in the United States \
         (us-east-1), as for every AWS account."
            .to_owned(),
        "Tags of the account: identifiers of customer and environment, the plan, and the requested regions. AWS \
         Organizations and AWS billing keep them."
            .to_owned(),
        format!(
            "The names and e-mail addresses of people with access to the account: AWS IAM Identity Center keeps them \
             {identity_center}."
        ),
        front_door.to_owned(),
        "The provider's own database of Freehold: the customer's company name, the administrator's e-mail address, \
         identifiers, regions and the history of changes. It is outside this account, and the policy does not apply to \
         it."
        .to_owned(),
    ]
}
