//! Fuzz tests of ids, names and other validated texts.

use std::fmt::Display;
use std::str::FromStr;

use freehold_tenancy::finding::FindingKind;
use freehold_tenancy::{
    ApprovalId, AwsAccountId, CompanyName, EmailAddress, EnvironmentId, EnvironmentName, ExternalId, FindingId,
    InstallationId, MappingId, OperationId, Region, TenantId,
};
use uuid::Uuid;

use crate::text;

/// Checks that an id has exactly one text form, and that each UUID is a valid id.
pub fn ids(data: &[u8]) {
    fn check_id<T: FromStr + Display + From<Uuid>>(data: &[u8], uuid: impl Fn(T) -> Uuid) {
        if let Some(text) = text(data)
            && let Ok(id) = text.parse::<T>()
        {
            assert_eq!(id.to_string(), text);
        }
        if let Some(bytes) = data.first_chunk::<16>() {
            let input = Uuid::from_bytes(*bytes);
            let formatted = T::from(input).to_string();
            assert_eq!(formatted.parse().ok().map(&uuid), Some(input), "{formatted}");
        }
    }
    check_id(data, TenantId::as_uuid);
    check_id(data, EnvironmentId::as_uuid);
    check_id(data, OperationId::as_uuid);
    check_id(data, MappingId::as_uuid);
    check_id(data, FindingId::as_uuid);
    check_id(data, ApprovalId::as_uuid);
    check_id(data, InstallationId::as_uuid);
}

/// Checks that an accepted text is not changed, passes the checks of PostgreSQL and is within the limits of AWS.
pub fn texts(data: &[u8]) {
    let Some(input) = text(data) else { return };
    if let Ok(account) = input.parse::<AwsAccountId>() {
        assert!(account.as_str() == input && input.len() == 12 && input.bytes().all(|byte| byte.is_ascii_digit()));
    }
    if let Ok(email) = input.parse::<EmailAddress>() {
        assert_eq!(email.as_str(), input);
        let (mailbox, domain) = input.rsplit_once('@').expect("an @");
        assert!(!mailbox.is_empty() && domain.contains('.') && (3..=254).contains(&input.chars().count()), "{input}");
        assert!(!input.chars().any(|one| one.is_control() || one.is_whitespace()), "{input:?}");
    }
    if let Ok(name) = input.parse::<CompanyName>() {
        assert_eq!(name.as_str(), input);
        assert!((1..=120).contains(&input.chars().count()) && !input.contains('\0') && input.trim() == input);
    }
    if let Ok(name) = input.parse::<EnvironmentName>() {
        assert_eq!(name.as_str(), input);
        // Same pattern as in the check constraint of the database table.
        let check = regex_lite::Regex::new("^[a-z][a-z0-9-]{0,31}$").expect("a pattern");
        assert!(check.is_match(input), "{input}");
    }
    if let Ok(id) = input.parse::<ExternalId>() {
        assert_eq!(id.as_str(), input);
        let check = regex_lite::Regex::new("^[!-~]{1,128}$").expect("a pattern");
        assert!(check.is_match(input), "{input}");
    }
    if let Ok(region) = input.parse::<Region>() {
        assert_eq!(region.as_str(), input);
    }
    if let Ok(kind) = input.parse::<FindingKind>() {
        assert_eq!(kind.as_str(), input);
    }
}
