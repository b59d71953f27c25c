//! Shortened texts and lists for messages. A message must not grow with the input that it is about, and must not
//! contain a password.

use std::borrow::Cow;

use url::Url;

/// Maximum number of entries of a list in a response or message.
pub const MAX_LISTED: usize = 50;

/// Maximum length of a problem in characters.
const MAX_PROBLEM_CHARS: usize = 500;

/// Returns the text, or its first `max` characters and an ellipsis.
pub fn shorten(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Returns the first problems, each shortened, and the number of the other problems.
pub fn limit_problems(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(MAX_LISTED);
    problems.truncate(MAX_LISTED);
    for problem in &mut problems {
        if let Cow::Owned(short) = shorten(problem, MAX_PROBLEM_CHARS) {
            *problem = short;
        }
    }
    if more > 0 {
        let plural = if more == 1 { "" } else { "s" };
        problems.push(format!("{more} more problem{plural}; correct the first {MAX_LISTED} and check again"));
    }
    problems
}

/// Returns whether a URL contains a user name or password.
pub fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Returns the URL without user name, password and query, which can contain secrets.
pub fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // These fail for URLs that cannot have credentials.
    _ = url.set_username("");
    _ = url.set_password(None);
    if url.query().is_some() {
        url.set_query(Some("hidden"));
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_says_how_many_problems_it_lacks() {
        let problems =
            |count: usize| limit_problems((0..count).map(|at| format!("{at}: {}", "ä".repeat(1000))).collect());
        assert_eq!(problems(MAX_LISTED).len(), MAX_LISTED);
        assert!(problems(3).iter().all(|problem| problem.chars().count() == MAX_PROBLEM_CHARS + 1));
        assert!(problems(MAX_LISTED + 7)[MAX_LISTED].starts_with("7 more problems"));
        assert!(problems(60_000).iter().map(String::len).sum::<usize>() < 100_000);
    }

    #[test]
    fn credentials_are_removed_from_a_url() {
        for (url, shown) in [
            ("https://ann:hunter2@example.com/a", "https://example.com/a"),
            ("https://hunter2@example.com/a?key=hunter2#f", "https://example.com/a?hidden#f"),
            ("postgres://ann:hunter2@db.example.com/freehold", "postgres://db.example.com/freehold"),
            ("https://example.com/a", "https://example.com/a"),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(without_credentials(&parsed), shown);
            assert_eq!(has_credentials(&parsed), url.contains('@'));
        }
    }
}
