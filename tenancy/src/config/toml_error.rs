//! Syntax errors of a configuration file, without the text of the file, because each line may contain a secret.

/// Checks that the text is TOML. The error contains the position and the field, but no value.
pub(super) fn check_syntax(text: &str) -> Result<(), String> {
    let Err(error) = toml::from_str::<toml::Table>(text) else { return Ok(()) };
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let (number, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1);
    let field = field_at(before, line).map(|field| format!(" ({field})")).unwrap_or_default();
    let reason = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
    let value = line.split_once('=').map_or(line, |(_, value)| value);
    let has_value = value.split_whitespace().any(|word| word.chars().count() > 3 && reason.contains(word));
    let reason = if has_value { "invalid syntax" } else { &reason };
    Err(format!("line {number}, column {column}{field}: {reason}"))
}

/// Returns the name of the field in a line, or of its table if the line has no name.
fn field_at(before: &str, line: &str) -> Option<String> {
    let is_name = |name: &&str| {
        let is_allowed = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
        !name.is_empty() && name.len() <= 64 && name.chars().all(is_allowed)
    };
    let table = before.lines().rev().skip(1).find_map(|line| {
        let name = line.trim().strip_prefix('[')?.trim_start_matches('[');
        name.split(']').next().map(str::trim).filter(is_name)
    });
    let key = line.split_once('=').map(|(key, _)| key.trim()).filter(is_name);
    match (table, key) {
        (Some(table), Some(key)) => Some(format!("{table}.{key}")),
        (name, other) => name.or(other).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_names_the_field_and_never_the_value() {
        for (text, position) in [
            ("[database]\nurl = postgres://ann:hunter2@db/freehold", "line 2, column 7 (database.url)"),
            ("[database]\nurl = \"postgres://ann:hunter2@db/freehold", "line 2,"),
            ("[database]\nurl = 'hunter2", "line 2,"),
            ("[database]\nurl = \"\"\"hunter2\nhunter2", "line 3,"),
            ("[secrets]\nkey = \"hunter2\\q\"", "line 2,"),
            ("[secrets]\nkey = \"hunter2\" hunter2", "line 2,"),
            ("[secrets]\nkey = hunter2 | hunter2", "line 2, column 7 (secrets.key)"),
            ("[secrets]\nold_keys = [\"hunter2\" \"hunter2\"]", "line 2,"),
            ("[secrets]\nkey = { hunter2 }", "line 2,"),
            ("[audit]\nsigning_key = \"hunter2\"\nsigning_key = \"hunter2\"", "line 3,"),
            ("[audit]\nsigning_key \"hunter2\"", "line 2,"),
            ("hunter2", "line 1,"),
            ("[hunter2", "line 1,"),
            ("[database]\r\nurl = hunter2\r\n", "line 2, column 7 (database.url)"),
            ("a = \"ä\" hunter2", "line 1,"),
        ] {
            let error = check_syntax(text).unwrap_err();
            assert!(!error.contains("hunter"), "{error}");
            assert!(error.starts_with(position), "{error} does not start with {position}");
        }
        assert_eq!(check_syntax("a = 1\n[b]\nc = \"d\"\n"), Ok(()));
    }
}
