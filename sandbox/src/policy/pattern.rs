//! Wildcard patterns of policy statements.

/// Returns whether `text` matches `pattern`. `*` matches any number of characters, and `?` matches one character.
pub fn text_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&expected) if expected == '?' || expected == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_at, from)) => {
                    star = Some((star_at, from + 1));
                    p = star_at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&rest| rest == '*')
}

/// Returns whether `arn` matches `pattern`. The six parts of an ARN are matched separately, so a `*` in one part does
/// not match text in the next part.
pub fn arn_matches(pattern: &str, arn: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let patterns: Vec<&str> = pattern.splitn(6, ':').collect();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    patterns.len() == 6
        && parts.len() == 6
        && patterns.iter().zip(parts).all(|(pattern, part)| text_matches(pattern, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_any_text() {
        assert!(text_matches("*", ""));
        assert!(text_matches("a*b*c", "a-b-b-c"));
        assert!(text_matches("a?c", "abc"));
        assert!(!text_matches("a?c", "ac"));
        assert!(text_matches("a?c", "a\u{fc}c"), "`?` matches a character of several bytes");
        assert!(!text_matches("a*b", "abc"));
        assert!(text_matches("*:role/x", "arn:aws:iam::1:role/x"));
    }

    #[test]
    fn a_wildcard_matches_only_within_one_part_of_an_arn() {
        assert!(arn_matches("arn:aws:iam::*:role/x", "arn:aws:iam::111122223333:role/x"));
        assert!(!arn_matches("arn:aws:*:role/x", "arn:aws:iam::111122223333:role/x"));
        assert!(arn_matches("*", "anything"));
    }
}
