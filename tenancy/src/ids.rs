//! Typed ids. The text form consists of a prefix for the kind and 26 characters of Crockford's base 32 (`ten_01jb…`).
//!
//! An id is a version 7 UUID, so that ids sort by creation time. The database stores them as `uuid`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Crockford's base 32 in lower case, without i, l, o and u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Number of characters of an id after its prefix.
pub const ID_CHARACTERS: usize = 26;

/// Error for a text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` must be an id: {prefix}_ followed by {ID_CHARACTERS} characters")]
pub struct InvalidId {
    text: String,
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Prefix of the id, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Generates an id with the creation time `now`.
            pub fn new(now: DateTime<Utc>) -> Self {
                Self(uuid_at(now))
            }

            /// Returns the UUID, which is the form that the database stores.
            pub fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or_else(|| InvalidId { text: text.chars().take(64).collect(), prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// Id of an installation of Freehold: one database with its organisation.
    InstallationId = "ins";
    /// Id of a tenant, a B2B customer.
    TenantId = "ten";
    /// Id of an environment of a tenant.
    EnvironmentId = "env";
    /// Id of an operation on an environment.
    OperationId = "op";
    /// Id of a release of the tenant stack.
    ReleaseId = "rel";
    /// Id of a rollout.
    RolloutId = "rol";
    /// Id of an account mapping.
    MappingId = "map";
    /// Id of a worker process.
    WorkerId = "wrk";
    /// Id of a finding.
    FindingId = "find";
    /// Id of an approval.
    ApprovalId = "apr";
    /// Id of an entry of the access review.
    AccessGrantId = "grant";
    /// Id of a webhook endpoint.
    WebhookEndpointId = "whe";
    /// Id of a webhook delivery.
    WebhookDeliveryId = "whd";
}

/// Generates a version 7 UUID: 48 bits contain the time in milliseconds, and the rest is random.
fn uuid_at(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos()))
}

fn encode(uuid: Uuid) -> String {
    let bits = uuid.as_u128();
    (0..ID_CHARACTERS).rev().map(|digit| char::from(ALPHABET[(bits >> (digit * 5)) as usize & 31])).collect()
}

fn decode(text: &str) -> Option<Uuid> {
    if text.len() != ID_CHARACTERS {
        return None;
    }
    let mut bits: u128 = 0;
    for (position, character) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|symbol| *symbol == character)?;
        // 26 digits have 130 bits, but a UUID has 128, so that the first digit is at most 7.
        if position == 0 && digit > 7 {
            return None;
        }
        bits = bits << 5 | digit as u128;
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatted_id_parses_to_the_same_id() {
        let id = TenantId::new(DateTime::UNIX_EPOCH);
        let text = id.to_string();
        assert_eq!(text.len(), "ten_".len() + ID_CHARACTERS);
        assert_eq!(text.parse(), Ok(id));
    }

    #[test]
    fn ids_sort_by_creation_time() {
        let earlier = OperationId::new(DateTime::UNIX_EPOCH);
        let later = OperationId::new(DateTime::UNIX_EPOCH + chrono::TimeDelta::milliseconds(1));
        assert!(earlier.to_string() < later.to_string());
    }

    #[test]
    fn other_kinds_and_malformed_ids_are_rejected() {
        let tenant = TenantId::new(DateTime::UNIX_EPOCH).to_string();
        assert!(tenant.parse::<OperationId>().is_err());
        for text in ["", "ten_", "ten_8zzzzzzzzzzzzzzzzzzzzzzzzz", "ten_0000000000000000000000000u", &tenant[..29]] {
            assert!(text.parse::<TenantId>().is_err(), "{text} was accepted as an id");
        }
    }
}
