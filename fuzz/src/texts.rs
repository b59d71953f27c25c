//! Texts that mean something.

use std::fmt::Display;
use std::str::FromStr;

use freehold_tenancy::finding::FindingKind;
use freehold_tenancy::{
    ApprovalId, AwsAccountId, CompanyName, EmailAddress, EnvironmentId, EnvironmentName, ExternalId, FindingId,
    InstallationId, MappingId, OperationId, Region, TenantId,
};
use uuid::Uuid;

use crate::text;

/// An id is written in one way alone, and every UUID can be one.
pub fn ids(data: &[u8]) {
    fn one<T: FromStr + Display + From<Uuid>>(data: &[u8], uuid: impl Fn(T) -> Uuid) {
        if let Some(text) = text(data)
            && let Ok(id) = text.parse::<T>()
        {
            assert_eq!(id.to_string(), text);
        }
        if let Some(bytes) = data.first_chunk::<16>() {
            let given = Uuid::from_bytes(*bytes);
            let written = T::from(given).to_string();
            assert_eq!(written.parse().ok().map(&uuid), Some(given), "{written}");
        }
    }
    one(data, TenantId::as_uuid);
    one(data, EnvironmentId::as_uuid);
    one(data, OperationId::as_uuid);
    one(data, MappingId::as_uuid);
    one(data, FindingId::as_uuid);
    one(data, ApprovalId::as_uuid);
    one(data, InstallationId::as_uuid);
}

/// What is accepted is kept to the letter and fits where it goes: into PostgreSQL's checks and AWS's limits.
pub fn texts(data: &[u8]) {
    let Some(given) = text(data) else { return };
    if let Ok(account) = given.parse::<AwsAccountId>() {
        assert!(account.as_str() == given && given.len() == 12 && given.bytes().all(|byte| byte.is_ascii_digit()));
    }
    if let Ok(email) = given.parse::<EmailAddress>() {
        assert_eq!(email.as_str(), given);
        let (mailbox, domain) = given.rsplit_once('@').expect("an @");
        assert!(!mailbox.is_empty() && domain.contains('.') && (3..=254).contains(&given.chars().count()), "{given}");
        assert!(!given.chars().any(|one| one.is_control() || one.is_whitespace()), "{given:?}");
    }
    if let Ok(name) = given.parse::<CompanyName>() {
        assert_eq!(name.as_str(), given);
        assert!((1..=120).contains(&given.chars().count()) && !given.contains('\0') && given.trim() == given);
    }
    if let Ok(name) = given.parse::<EnvironmentName>() {
        assert_eq!(name.as_str(), given);
        // The check of the table.
        let check = regex_lite::Regex::new("^[a-z][a-z0-9-]{0,31}$").expect("a pattern");
        assert!(check.is_match(given), "{given}");
    }
    if let Ok(id) = given.parse::<ExternalId>() {
        assert_eq!(id.as_str(), given);
        let check = regex_lite::Regex::new("^[!-~]{1,128}$").expect("a pattern");
        assert!(check.is_match(given), "{given}");
    }
    if let Ok(region) = given.parse::<Region>() {
        assert_eq!(region.as_str(), given);
    }
    if let Ok(kind) = given.parse::<FindingKind>() {
        assert_eq!(kind.as_str(), given);
    }
}
