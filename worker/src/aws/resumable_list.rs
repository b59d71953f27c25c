//! Lists that are read page by page. After an interruption by a rate limit, the next attempt continues at the same
//! page, because an organisation may have 50,000 accounts, with 20 per page.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::cloud::{CloudError, CloudErrorKind};

/// Maximum number of stored cursors. An interrupted list without a stored cursor starts again at its first page.
const MAX_CURSORS: usize = 256;

/// Position within a list that is read page by page.
#[derive(Debug)]
pub(super) struct ListCursor<T> {
    /// Token of the next page; `None` for the first page.
    pub(super) token: Option<String>,
    /// Matching items on the pages read so far.
    pub(super) found: Vec<T>,
}

/// Cursors of interrupted lists, by search text.
#[derive(Debug)]
pub(super) struct ListCursors<T>(Mutex<HashMap<String, ListCursor<T>>>);

impl<T> Default for ListCursors<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> ListCursors<T> {
    /// Removes and returns the cursor of an interrupted search, or returns a cursor at the first page.
    pub(super) fn resume(&self, search: &str) -> ListCursor<T> {
        let cursor = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(search);
        cursor.unwrap_or(ListCursor { token: None, found: Vec::new() })
    }

    /// Stores the cursor of a search that `error` interrupted, and returns the error. After a permanent error the
    /// search starts again at the first page, because page tokens expire.
    pub(super) fn pause(&self, search: &str, cursor: ListCursor<T>, error: CloudError) -> CloudError {
        if matches!(error.kind, CloudErrorKind::Throttled { .. } | CloudErrorKind::NotYet | CloudErrorKind::Unknown) {
            let mut cursors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if cursors.len() >= MAX_CURSORS {
                cursors.clear();
            }
            cursors.insert(search.to_owned(), cursor);
        }
        error
    }
}
