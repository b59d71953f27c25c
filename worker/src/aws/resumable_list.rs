//! Long lists, read page by page. One that ran out of its rate half-way goes on there when it is asked again: an
//! organisation may have 50,000 accounts, and 20 come with a page.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::cloud::{CloudError, CloudErrorKind};

/// Walks that are broken off at a time; one that had to go begins anew.
const MOST_WALKS: usize = 256;

/// How far a list has been read.
#[derive(Debug)]
pub(super) struct ListCursor<T> {
    /// The next page; at first none.
    pub(super) token: Option<String>,
    /// What was found on the way.
    pub(super) found: Vec<T>,
}

/// The walks that are broken off, by what they look for.
#[derive(Debug)]
pub(super) struct ListCursors<T>(Mutex<HashMap<String, ListCursor<T>>>);

impl<T> Default for ListCursors<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> ListCursors<T> {
    /// The walk in search of `what`, from where it was broken off.
    pub(super) fn resume(&self, what: &str) -> ListCursor<T> {
        let walk = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
        walk.unwrap_or(ListCursor { token: None, found: Vec::new() })
    }

    /// Breaks `resumable_list` off because of `error`, which is given back. A page that AWS refuses for good ends the walk: tokens
    /// do not hold for ever.
    pub(super) fn pause(&self, what: &str, walk: ListCursor<T>, error: CloudError) -> CloudError {
        if matches!(error.kind, CloudErrorKind::Throttled { .. } | CloudErrorKind::NotYet | CloudErrorKind::Unknown) {
            let mut list_cursors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if list_cursors.len() >= MOST_WALKS {
                list_cursors.clear();
            }
            list_cursors.insert(what.to_owned(), walk);
        }
        error
    }
}
