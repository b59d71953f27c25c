//! Condition keys that the sandbox evaluates as AWS does.

/// Keys, in lower case, that a request contains whenever it does in AWS. A name that ends with `/` stands for all keys
/// with this prefix.
const SIMULATED: [&str; 40] = [
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
    "aws:resourcetag/",
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
    // No request to the sandbox has these keys: it comes from no AWS service, VPC endpoint or identity provider, and
    // without multi-factor authentication.
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:principalservicename",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
];

/// Returns whether a request without this key would also lack it in AWS. The condition on any other missing key is
/// unknown.
pub(super) fn is_simulated(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SIMULATED.iter().any(|known| if known.ends_with('/') { key.starts_with(known) } else { key == *known })
}
