//! Pagination of lists with `page_size` and `page_token`.
//!
//! A page token contains the id of the last row of the previous page and a digest of the filters. It is refused if the
//! filters have changed.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::extract::{BoundedInt, Fields};
use crate::problem::{ApiError, Code};

/// Number of rows per page if `page_size` is not given.
pub(crate) const DEFAULT_PAGE_SIZE: i64 = 50;

/// Maximum value of `page_size`.
pub(crate) const MAX_PAGE_SIZE: i64 = 200;

/// Requested page of a list.
pub(crate) struct Page {
    size: i64,
    after: Option<Uuid>,
    /// Feed position at which all pages of the list are read; `None` if the list does not depend on the feed.
    position: Option<i64>,
    list: ListDigest,
}

/// Digest of the list's name and filters.
type ListDigest = [u8; 8];

impl Page {
    /// Parses `page_size` and `page_token` of a query; the remaining fields are the filters of `list`.
    pub(crate) fn from_query(list: &str, query: &mut Fields) -> Result<Self, ApiError> {
        let size = query.optional("page_size").map_or(DEFAULT_PAGE_SIZE, |BoundedInt::<1, MAX_PAGE_SIZE>(size)| size);
        // An empty token means the first page (AIP-158).
        let token = query.optional::<String>("page_token").filter(|token| !token.is_empty());
        let list = digest(list, query.values());
        let (after, position) = match token {
            Some(token) => decode(&token, list).map(|(after, position)| (Some(after), position))?,
            None => (None, None),
        };
        Ok(Self { size, after, position, list })
    }

    /// Returns the feed position of the previous pages, or `None` on the first page.
    pub(crate) fn position(&self) -> Option<i64> {
        self.position
    }

    /// Sets the feed position at which this page and all following pages are read.
    pub(crate) fn with_position(self, position: i64) -> Self {
        Self { position: Some(position), ..self }
    }

    /// Returns the id of the last row of the previous page, or `None` on the first page.
    pub(crate) fn after<I: From<Uuid>>(&self) -> Option<I> {
        self.after.map(I::from)
    }

    /// Returns the number of rows to read: one more than the page size, to see whether another page follows.
    pub(crate) fn limit(&self) -> i64 {
        self.size + 1
    }

    /// Shortens `rows` to the page size. Returns the token of the next page, or `None` on the last page.
    pub(crate) fn truncate_and_next_token<T>(&self, rows: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> Option<String> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if rows.len() <= size {
            return None;
        }
        rows.truncate(size);
        rows.last().map(|row| encode(id(row), self.list, self.position))
    }
}

pub(crate) fn digest(list: &str, filters: &Map<String, Value>) -> ListDigest {
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

pub(crate) fn encode(after: Uuid, list: ListDigest, position: Option<i64>) -> String {
    let position = position.iter().flat_map(|position| position.to_be_bytes());
    hex::encode(after.into_bytes().into_iter().chain(list).chain(position).collect::<Vec<_>>())
}

pub(crate) fn decode(token: &str, list: ListDigest) -> Result<(Uuid, Option<i64>), ApiError> {
    let bytes = hex::decode(token).unwrap_or_default();
    let parse = || {
        let (after, rest) = bytes.split_first_chunk::<16>()?;
        let (filters, position) = rest.split_first_chunk::<8>()?;
        let position = match position {
            [] => None,
            bytes => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        };
        (*filters == list).then_some((Uuid::from_bytes(*after), position))
    };
    parse().ok_or_else(|| {
        ApiError::new(
            Code::InvalidPageToken,
            "This page_token belongs to another list or to other filters; start again without a page_token.",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(filters: Value) -> ListDigest {
        digest("tenants", filters.as_object().unwrap())
    }

    #[test]
    fn a_page_token_is_valid_for_its_own_list() {
        let list = list(json!({ "tier": "standard", "state": "ready" }));
        let id = Uuid::from_u128(7);
        for position in [None, Some(0), Some(i64::MAX)] {
            assert_eq!(decode(&encode(id, list, position), list).unwrap(), (id, position));
        }
    }

    #[test]
    fn a_page_token_is_refused_with_other_filters() {
        let token = encode(Uuid::from_u128(7), list(json!({ "tier": "standard" })), None);
        for other in [json!({}), json!({ "tier": "enterprise" }), json!({ "tie": "rstandard" })] {
            assert!(decode(&token, list(other)).is_err());
        }
        for token in ["", "zz", "00", &token[..40], &format!("{token}00")] {
            assert!(decode(token, list(json!({ "tier": "standard" }))).is_err());
        }
    }
}
