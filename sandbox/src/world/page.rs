//! Cutting a list into pages with opaque tokens.

use super::{AwsError, Ctx};
use crate::faults::Fault;

/// The most that a page holds: AWS Organizations and Identity Center give 20 where nothing else is asked for.
const PAGE: usize = 20;

/// One page of `items`, and the token for the next, if there is a next.
///
/// `invalid` makes the error for a token that was never given out.
pub fn page<T>(
    ctx: &Ctx,
    items: impl IntoIterator<Item = T>,
    token: Option<&str>,
    max: Option<usize>,
    invalid: impl FnOnce() -> AwsError,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let start = match token {
        None => 0,
        Some(token) => read(&ctx.operation, token).ok_or_else(invalid)?,
    };
    if ctx.fault == Some(Fault::EmptyPage) {
        return Ok((Vec::new(), Some(write(&ctx.operation, start))));
    }
    let size = max.unwrap_or(PAGE).clamp(1, 1_000);
    let mut rest = items.into_iter().skip(start);
    let page: Vec<T> = rest.by_ref().take(size).collect();
    let next = rest.next().map(|_| write(&ctx.operation, start + size));
    Ok((page, next))
}

fn write(operation: &str, position: usize) -> String {
    hex::encode(format!("{operation}:{position}"))
}

fn read(operation: &str, token: &str) -> Option<usize> {
    let text = String::from_utf8(hex::decode(token).ok()?).ok()?;
    text.strip_prefix(operation)?.strip_prefix(':')?.parse().ok()
}
