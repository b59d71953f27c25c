//! Fuzz tests of the account mapping export, which reads PostgreSQL's COPY format and writes CSV.

use freehold_api::fuzzing;

use crate::text;

#[path = "../../tenancy/src/db/account_mappings/copy_text.rs"]
#[allow(dead_code, unreachable_pub, reason = "the module is part of another crate")]
mod copy_text;

/// Checks that a text that PostgreSQL has escaped is unescaped to the same text, and that other input does not panic.
pub fn copy_text(data: &[u8]) {
    let Some(value) = text(data) else { return };
    let mut column = String::new();
    for character in value.chars() {
        // Same escapes as `CopyAttributeOutText` in PostgreSQL.
        match character {
            '\u{8}' => column.push_str("\\b"),
            '\u{c}' => column.push_str("\\f"),
            '\n' => column.push_str("\\n"),
            '\r' => column.push_str("\\r"),
            '\t' => column.push_str("\\t"),
            '\u{b}' => column.push_str("\\v"),
            '\\' => column.push_str("\\\\"),
            other => column.push(other),
        }
    }
    assert_eq!(copy_text::unescaped(&column).as_deref(), Some(value), "{column}");
    let unescaped = copy_text::unescaped(value);
    assert_eq!(unescaped.is_none(), value == "\\N");
    assert!(unescaped.is_none_or(|unescaped| unescaped.len() <= value.len()));
}

/// Checks that a CSV line with two fields is parsed to the same two fields (RFC 4180), except for the apostrophes
/// before formulas, and that no cell is a formula, even for a program that separates cells at other characters.
pub fn csv_field(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let (first, second) = text.split_once('\u{1}').unwrap_or((text, ""));
    let mut line = Vec::new();
    fuzzing::write_csv_row(&mut line, &[first, second]);
    let line = String::from_utf8(line).expect("valid UTF-8");
    let parsed = parse_record(&line).unwrap_or_else(|| panic!("{line:?} is not CSV"));
    let without_apostrophes = |text: &str| text.replace('\'', "");
    let expected = [first, second].map(without_apostrophes);
    assert_eq!(parsed.iter().map(|field| without_apostrophes(field)).collect::<Vec<_>>(), expected, "{line:?}");
    for cell in line.split([',', ';', '|', '\t', '\n', '\r']) {
        let shown = cell.trim_start_matches(|character: char| character.is_whitespace() || character == '"');
        assert!(!shown.starts_with(['=', '+', '-', '@', '＝']), "{line:?} has the formula {cell:?}");
    }
}

/// Parses one CSV record. Returns `None` if the record violates RFC 4180.
fn parse_record(line: &str) -> Option<Vec<String>> {
    let mut remaining = line.strip_suffix("\r\n")?;
    let mut fields = Vec::new();
    loop {
        let field;
        if let Some(mut quoted) = remaining.strip_prefix('"') {
            let mut field_text = String::new();
            loop {
                let (before, after) = quoted.split_once('"')?;
                field_text.push_str(before);
                quoted = after;
                let Some(rest) = quoted.strip_prefix('"') else { break };
                field_text.push('"');
                quoted = rest;
            }
            (field, remaining) = (field_text, quoted);
        } else {
            let end = remaining.find([',', '"', '\r', '\n']).unwrap_or(remaining.len());
            (field, remaining) = (remaining[..end].to_owned(), &remaining[end..]);
        }
        fields.push(field);
        match remaining.strip_prefix(',') {
            Some(rest) => remaining = rest,
            None => return remaining.is_empty().then_some(fields),
        }
    }
}
