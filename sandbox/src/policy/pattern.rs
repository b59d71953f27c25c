//! Wildcard patterns and policy variables of policy statements.

use super::ConditionKeys;

/// A pattern of a policy statement. `*` stands for any text, `?` for one character and `${key}` for the value of a
/// condition key.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
    /// True if the pattern contains a variable whose value is unknown. The variable then stands for any text.
    has_unknown_variable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    AnyText,
    AnyCharacter,
    /// A character of the pattern itself.
    Character(char),
    /// A character of the value of a variable. It separates no parts of an ARN.
    ValueCharacter(char),
}

impl Pattern {
    /// Parses a pattern without variables.
    pub(super) fn plain(text: &str) -> Self {
        Self { tokens: text.chars().map(Token::of_pattern).collect(), has_unknown_variable: false }
    }

    /// Parses a pattern and replaces its variables with the values of `keys`.
    pub(super) fn resolve(text: &str, keys: &ConditionKeys) -> Self {
        let (mut pattern, mut rest) = (Self::plain(""), text);
        while let Some((before, after)) = rest.split_once("${") {
            let Some((variable, after)) = after.split_once('}') else { break };
            pattern.tokens.extend(before.chars().map(Token::of_pattern));
            if let Some(value) = variable_value(variable, keys) {
                pattern.tokens.extend(value.chars().map(Token::ValueCharacter));
            } else {
                pattern.tokens.push(Token::AnyText);
                pattern.has_unknown_variable = true;
            }
            rest = after;
        }
        pattern.tokens.extend(rest.chars().map(Token::of_pattern));
        pattern
    }

    pub(super) fn has_unknown_variable(&self) -> bool {
        self.has_unknown_variable
    }

    /// Returns the pattern as text in which wildcards have no meaning.
    pub(super) fn literal_text(&self) -> String {
        let character = |token: &Token| match token {
            Token::AnyText => '*',
            Token::AnyCharacter => '?',
            Token::Character(character) | Token::ValueCharacter(character) => *character,
        };
        self.tokens.iter().map(character).collect()
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        tokens_match(&self.tokens, text)
    }

    /// Returns whether `arn` matches the pattern. The six parts of an ARN are matched separately, so a `*` in one part
    /// does not match text in the next part.
    pub(super) fn matches_arn(&self, arn: &str) -> bool {
        if self.tokens == [Token::AnyText] {
            return true;
        }
        let patterns: Vec<&[Token]> = self.tokens.splitn(6, |token| *token == Token::Character(':')).collect();
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        patterns.len() == 6
            && parts.len() == 6
            && patterns.iter().zip(parts).all(|(pattern, part)| tokens_match(pattern, part))
    }
}

impl Token {
    fn of_pattern(character: char) -> Self {
        match character {
            '*' => Self::AnyText,
            '?' => Self::AnyCharacter,
            other => Self::Character(other),
        }
    }

    fn accepts(self, character: char) -> bool {
        match self {
            Self::AnyText => false,
            Self::AnyCharacter => true,
            Self::Character(expected) | Self::ValueCharacter(expected) => expected == character,
        }
    }
}

/// Returns the value of a variable: a special character, the only value of a condition key, or the default value in
/// `key, 'default'`. Returns `None` if the request has no such value.
fn variable_value(variable: &str, keys: &ConditionKeys) -> Option<String> {
    if ["*", "?", "$"].contains(&variable) {
        return Some(variable.to_owned());
    }
    let (key, default) = match variable.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
        None => (variable.trim(), None),
    };
    match keys.get(key) {
        Some([value]) => Some(value.clone()),
        Some([_, _, ..]) => None,
        Some([]) | None => default.map(str::to_owned),
    }
}

fn tokens_match(pattern: &[Token], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::AnyText) => {
                star = Some((p, t));
                p += 1;
            }
            Some(token) if token.accepts(text[t]) => {
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
    pattern[p..].iter().all(|rest| *rest == Token::AnyText)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_matches(pattern: &str, text: &str) -> bool {
        Pattern::plain(pattern).matches(text)
    }

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
        let arn_matches = |pattern, arn| Pattern::plain(pattern).matches_arn(arn);
        assert!(arn_matches("arn:aws:iam::*:role/x", "arn:aws:iam::111122223333:role/x"));
        assert!(!arn_matches("arn:aws:*:role/x", "arn:aws:iam::111122223333:role/x"));
        assert!(arn_matches("*", "anything"));
    }

    #[test]
    fn a_variable_stands_for_its_value_and_not_for_a_pattern() {
        let keys = ConditionKeys::default().with("aws:PrincipalTag/team", "a*").with("aws:userid", "AROA1:one");
        let resolve = |text| Pattern::resolve(text, &keys);
        assert!(resolve("b/${aws:principaltag/TEAM}/*").matches("b/a*/c"));
        assert!(!resolve("b/${aws:PrincipalTag/team}/*").matches("b/abc/c"));
        assert!(resolve("arn:aws:s3:::b/${aws:userid}").matches_arn("arn:aws:s3:::b/AROA1:one"));
        assert!(resolve("${aws:username, 'none'}").matches("none"));
        assert!(resolve("a${*}${$}{${?}").matches("a*${?"));
        assert!(resolve("a${b").matches("a${b"), "an open brace starts no variable");
        let unknown = resolve("b/${aws:username}/c");
        assert!(unknown.has_unknown_variable() && unknown.matches("b/x/c"));
    }
}
