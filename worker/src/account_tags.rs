//! Tags of an account with the details of its environment, from which a lost environment is recreated.
//!
//! The value of a tag has a limited set of characters. Other characters, and `=`, are written as `=` and two
//! hexadecimal digits per byte of UTF-8.

use std::fmt::Write;

use freehold_tenancy::aws::constraints::ORGANIZATIONS_TAG_VALUE;
use freehold_tenancy::environment::Environment;
use freehold_tenancy::tenant::Tenant;

use crate::cloud::Tags;

pub(crate) const INSTALLATION: &str = "freehold:installation";
/// Tag with which an administrator of the organisation allows the adoption of an account by the environment of this id.
pub(crate) const ADOPT: &str = "freehold:adopt";
pub(crate) const TENANT: &str = "freehold:tenant";
pub(crate) const ENVIRONMENT: &str = "freehold:environment";
pub(crate) const COMPANY_NAME: &str = "freehold:company-name";
pub(crate) const EXTERNAL_ID: &str = "freehold:external-id";
pub(crate) const TIER: &str = "freehold:tier";
pub(crate) const ENVIRONMENT_NAME: &str = "freehold:environment-name";
pub(crate) const RESIDENCY: &str = "freehold:residency";
pub(crate) const HOME_REGION: &str = "freehold:home-region";
/// Regions of the replicas, separated by spaces; missing if the environment has none.
pub(crate) const REPLICA_REGIONS: &str = "freehold:replica-regions";

/// Returns the tags with the details of an environment. A value that is too long for a tag is left out.
pub(crate) fn detail_tags(tenant: &Tenant, environment: &Environment) -> Tags {
    let replicas = environment.replicas.iter().map(|replica| replica.region.as_str());
    let replicas = replicas.collect::<Vec<_>>().join(" ");
    let replicas = (!replicas.is_empty()).then_some((REPLICA_REGIONS, replicas.as_str()));
    let external_id = tenant.external_id.as_ref().map(|id| (EXTERNAL_ID, id.as_str()));
    let details = [
        (COMPANY_NAME, tenant.company_name.as_str()),
        (TIER, tenant.tier.as_str()),
        (ENVIRONMENT_NAME, environment.name.as_str()),
        (RESIDENCY, environment.residency.as_str()),
        (HOME_REGION, environment.home_region.as_str()),
    ];
    let details = details.into_iter().chain(external_id).chain(replicas);
    let tags = details.map(|(key, value)| (key.to_owned(), encode(value)));
    tags.filter(|(_, value)| ORGANIZATIONS_TAG_VALUE.violation(value).is_none()).collect()
}

/// Returns the decoded value of a tag, or `None` if the tag is missing or was not written by Freehold.
pub(crate) fn detail(tags: &Tags, key: &str) -> Option<String> {
    decode(tags.get(key)?)
}

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for one in text.chars() {
        let mut buffer = [0; 4];
        let utf8: &str = one.encode_utf8(&mut buffer);
        if one != '=' && ORGANIZATIONS_TAG_VALUE.violation(utf8).is_none() {
            encoded.push(one);
        } else {
            for byte in utf8.bytes() {
                // Writing to a string does not fail.
                _ = write!(encoded, "={byte:02X}");
            }
        }
    }
    encoded
}

fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, plain) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(plain.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoded_value_is_valid_and_decodes_to_itself() {
        for text in ["Example Ltd.", "Müller & Söhne", "A=B", "株式会社 (東京)", "👩\u{200d}🚀!", "", "===26"]
        {
            let encoded = encode(text);
            assert_eq!(ORGANIZATIONS_TAG_VALUE.violation(&encoded), None, "{encoded}");
            assert_eq!(decode(&encoded).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_value_that_was_not_encoded_by_freehold_is_rejected() {
        for text in ["=", "A=2", "A=ZZ", "=FF", "=é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
