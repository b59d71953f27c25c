//! Condition keys that the sandbox evaluates as AWS does.

/// Keys, in lower case, that a request contains whenever it does in AWS. A name that ends with `/` stands for all keys
/// with this prefix.
const SIMULATED: [&str; 39] = [
    "account:accountresourceorgpaths",
    "account:accountresourceorgtags/",
    "account:targetregion",
    "aws:calledvia",
    "aws:currenttime",
    "aws:epochtime",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principaltag/",
    "aws:principaltype",
    "aws:requestedregion",
    "aws:requesttag/",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:securetransport",
    "aws:sourceip",
    "aws:tagkeys",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "iam:passedtoservice",
    "iam:policyarn",
    "lambda:functionurlauthtype",
    "lambda:invokedviafunctionurl",
    "organizations:policytype",
    "organizations:serviceprincipal",
    "sts:externalid",
    // Only requests of CloudFront to a function have these keys.
    "aws:principalservicename",
    "aws:sourceaccount",
    "aws:sourcearn",
    // No request to the sandbox has these keys: it comes from no VPC endpoint or identity provider, and without
    // multi-factor authentication.
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:sourcevpc",
    "aws:sourcevpce",
];

/// Prefix of the keys for the tags of a resource, and the services whose resources have tags in the sandbox.
const RESOURCE_TAG: &str = "aws:resourcetag/";
const SERVICES_WITH_TAGS: [&str; 2] = ["organizations", "sso"];

/// Keys with several values, in lower case. AWS compares them with set operators only.
const MULTI_VALUED: [&str; 6] = [
    "account:accountresourceorgpaths",
    "account:accountresourceorgtags/",
    "aws:calledvia",
    "aws:principalorgpaths",
    "aws:resourceorgpaths",
    "aws:tagkeys",
];

/// Returns whether a request for `action` without this key would also lack it in AWS. The condition on any other
/// missing key is unknown.
pub(super) fn is_simulated(key: &str, action: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if key.starts_with(RESOURCE_TAG) {
        let service = action.split(':').next().unwrap_or_default();
        return SERVICES_WITH_TAGS.iter().any(|known| service.eq_ignore_ascii_case(known));
    }
    is_in(&SIMULATED, &key)
}

/// Returns whether a request can have several values for this key.
pub(super) fn is_multi_valued(key: &str) -> bool {
    is_in(&MULTI_VALUED, &key.to_ascii_lowercase())
}

fn is_in(names: &[&str], key: &str) -> bool {
    names.iter().any(|known| if known.ends_with('/') { key.starts_with(known) } else { key == *known })
}
