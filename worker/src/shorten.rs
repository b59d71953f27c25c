//! Shortening of AWS's messages. AWS puts the reason at the end, and often echoes the refused value before it.

/// Text in place of a part that was cut.
const GAP: &str = " … ";

/// Beginning and end of an echoed value: `Value '…' at 'templateBody' failed to satisfy constraint: …`.
const ECHO_START: &str = "alue '";
const ECHO_END: &str = "' at '";

/// Maximum number of characters of an echoed value in a message that is too long.
const MAX_ECHO_CHARS: usize = 40;

/// Shortens a message to at most `limit` characters. Echoed values are cut first, then the middle of the message; its
/// beginning and a longer part of its end remain.
pub(crate) fn shorten(message: &str, limit: usize) -> String {
    if message.chars().count() <= limit {
        return message.to_owned();
    }
    cut_middle(&cut_echoes(message), limit)
}

/// Shortens each echoed value.
fn cut_echoes(message: &str) -> String {
    let mut text = String::new();
    let mut rest = message;
    while let Some(start) = rest.find(ECHO_START).map(|at| at + ECHO_START.len()) {
        let (before, echo) = rest.split_at(start);
        text.push_str(before);
        // The echoed value may contain quotes, so it ends where the next one begins at the latest.
        let next = echo.find(ECHO_START).unwrap_or(echo.len());
        let end = echo[..next].rfind(ECHO_END).unwrap_or(0);
        text.push_str(&cut_middle(&echo[..end], MAX_ECHO_CHARS));
        rest = &echo[end..];
    }
    text + rest
}

/// Replaces the middle of a text, so that at most `limit` characters remain: a third of them from the beginning.
fn cut_middle(text: &str, limit: usize) -> String {
    let count = text.chars().count();
    if count <= limit {
        return text.to_owned();
    }
    let kept = limit.saturating_sub(GAP.chars().count());
    let (head, tail) = (kept / 3, kept - kept / 3);
    let head: String = text.chars().take(head).collect();
    let tail: String = text.chars().skip(count - tail).collect();
    format!("{}{GAP}{}", head.trim_end(), tail.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_message_is_unchanged() {
        for message in ["", "Rate exceeded", "Value 'ä' at 'name' failed to satisfy constraint"] {
            assert_eq!(shorten(message, 100), message);
        }
    }

    #[test]
    fn the_end_of_a_message_with_the_reason_remains() {
        let message = format!("Template format error: {} [/Resources/Queue] is not supported", "é".repeat(5_000));
        let short = shorten(&message, 100);
        assert!(short.starts_with("Template format error: é") && short.ends_with("] is not supported"), "{short}");
        assert!(short.contains(GAP) && short.chars().count() <= 100, "{short}");
    }

    #[test]
    fn an_echoed_template_is_cut_first() {
        let template = format!("Description: it's at 'home'\n{}", "Resources: {}\n".repeat(4_000));
        let message = format!(
            "2 validation errors detected: Value '{template}' at 'templateBody' failed to satisfy constraint: Member \
             must have length less than or equal to 51200; Value '1' at 'stackName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        );
        let short = shorten(&message, 600);
        assert!(short.starts_with("2 validation errors detected: Value 'Description:"), "{short}");
        for words in ["' at 'templateBody' failed", "less than or equal to 51200; Value '1' at 'stackName'"] {
            assert!(short.contains(words), "{short}");
        }
        assert!(short.ends_with("[-a-zA-Z0-9]*") && short.chars().count() <= 600, "{short}");
    }

    #[test]
    fn every_limit_is_kept() {
        let message = format!("Value '{}' at 'name' is 👩‍🚀 wrong", "日本".repeat(300));
        for limit in 0..700 {
            assert!(shorten(&message, limit).chars().count() <= limit.max(GAP.chars().count()), "{limit}");
        }
    }
}
