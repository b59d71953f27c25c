//! Pages of a list: `page_size`, `page_token` and what comes after.
//!
//! A token says after which row to go on, and carries a digest of the filters, so that it cannot be used with others.

use std::fmt::Write;
use std::str::FromStr;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::extract::Fields;
use crate::problem::{Code, Refusal};

/// How many rows a page has when nobody says how many.
pub(crate) const USUAL_SIZE: i64 = 50;

/// How many rows a page has at most.
pub(crate) const LARGEST_SIZE: i64 = 200;

/// The page that was asked for.
pub(crate) struct Page {
    size: i64,
    after: Option<Uuid>,
    list: Digested,
}

struct Size(i64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(size @ 1..=LARGEST_SIZE) => Ok(Self(size)),
            _ => Err(format!("a page has 1 to {LARGEST_SIZE} rows")),
        }
    }
}

/// The list and its filters.
type Digested = [u8; 8];

impl Page {
    /// Takes `page_size` and `page_token` out of a query; what is left are the filters of `list`.
    pub(crate) fn read(list: &str, query: &mut Fields) -> Result<Self, Refusal> {
        let Size(size) = query.optional("page_size").unwrap_or(Size(USUAL_SIZE));
        let token: Option<String> = query.optional("page_token");
        let list = digest(list, query.values());
        let after = token.map(|token| decode(&token, list)).transpose()?;
        Ok(Self { size, after, list })
    }

    /// The row after which the page begins.
    pub(crate) fn after<I: From<Uuid>>(&self) -> Option<I> {
        self.after.map(I::from)
    }

    /// How many rows to read: one more than the page has, which tells whether another page follows.
    pub(crate) fn limit(&self) -> i64 {
        self.size + 1
    }

    /// Cuts `rows` to the page and answers the token of the next one, if there is one.
    pub(crate) fn cut<T>(&self, rows: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> Option<String> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if rows.len() <= size {
            return None;
        }
        rows.truncate(size);
        rows.last().map(|row| encode(id(row), self.list))
    }
}

fn digest(list: &str, filters: &Map<String, Value>) -> Digested {
    let mut filters: Vec<_> =
        filters.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect();
    filters.sort_unstable();
    let mut hash = Sha256::new();
    for text in std::iter::once(list).chain(filters.into_iter().flat_map(|(name, value)| [name, value])) {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    let digest = hash.finalize();
    std::array::from_fn(|index| digest[index])
}

fn encode(after: Uuid, list: Digested) -> String {
    after.into_bytes().into_iter().chain(list).fold(String::new(), |mut token, byte| {
        _ = write!(token, "{byte:02x}");
        token
    })
}

fn decode(token: &str, list: Digested) -> Result<Uuid, Refusal> {
    let bytes = hex::decode(token).unwrap_or_default();
    match (bytes.get(..16).and_then(|after| Uuid::from_slice(after).ok()), bytes.get(16..)) {
        (Some(after), Some(filters)) if filters == list => Ok(after),
        _ => Err(Refusal::new(
            Code::InvalidPageToken,
            "This page_token comes from another list or other filters; start again without one.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(filters: Value) -> Digested {
        digest("tenants", filters.as_object().unwrap())
    }

    #[test]
    fn a_token_leads_on_in_its_own_list() {
        let list = list(json!({ "tier": "standard", "state": "ready" }));
        let id = Uuid::from_u128(7);
        assert_eq!(decode(&encode(id, list), list).unwrap(), id);
    }

    #[test]
    fn a_token_of_other_filters_is_refused() {
        let token = encode(Uuid::from_u128(7), list(json!({ "tier": "standard" })));
        for other in [json!({}), json!({ "tier": "enterprise" }), json!({ "tie": "rstandard" })] {
            assert!(decode(&token, list(other)).is_err());
        }
        for token in ["", "zz", "00", &token[..40], &format!("{token}00")] {
            assert!(decode(token, list(json!({ "tier": "standard" }))).is_err());
        }
    }
}
