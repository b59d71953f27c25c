//! Pagination of lists with opaque tokens.

use super::{AwsError, Ctx};
use crate::faults::Fault;

/// Default page size of AWS Organizations and Identity Center.
const DEFAULT_PAGE_SIZE: usize = 20;

/// Returns one page of `items`, and the token for the next page or `None` on the last page.
///
/// `invalid` creates the error that is returned if `token` is invalid.
pub fn page<T>(
    ctx: &Ctx,
    items: impl IntoIterator<Item = T>,
    token: Option<&str>,
    max: Option<usize>,
    invalid: impl FnOnce() -> AwsError,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let start = match token {
        None => 0,
        Some(token) => decode_token(&ctx.operation, token).ok_or_else(invalid)?,
    };
    if ctx.fault == Some(Fault::EmptyPage) {
        return Ok((Vec::new(), Some(encode_token(&ctx.operation, start))));
    }
    let size = max.unwrap_or(DEFAULT_PAGE_SIZE).clamp(1, 1_000);
    let mut rest = items.into_iter().skip(start);
    let page: Vec<T> = rest.by_ref().take(size).collect();
    let next = rest.next().map(|_| encode_token(&ctx.operation, start + size));
    Ok((page, next))
}

fn encode_token(operation: &str, position: usize) -> String {
    hex::encode(format!("{operation}:{position}"))
}

fn decode_token(operation: &str, token: &str) -> Option<usize> {
    let text = String::from_utf8(hex::decode(token).ok()?).ok()?;
    text.strip_prefix(operation)?.strip_prefix(':')?.parse().ok()
}
