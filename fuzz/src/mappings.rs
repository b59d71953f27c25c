//! How account mappings come out of PostgreSQL, and how they go on.

use freehold_api::fuzzing;

use crate::text;

#[path = "../../tenancy/src/db/mappings/copied.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a part of another crate")]
mod copied;

/// A column of `COPY`: what PostgreSQL would write for a text reads back as that text, and anything at all reads as
/// something.
pub fn copy_text(data: &[u8]) {
    let Some(says) = text(data) else { return };
    let mut column = String::new();
    for character in says.chars() {
        // As `CopyAttributeOutText` has it.
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
    assert_eq!(copied::unescaped(&column).as_deref(), Some(says), "{column}");
    let read = copied::unescaped(says);
    assert_eq!(read.is_none(), says == "\\N");
    assert!(read.is_none_or(|read| read.len() <= says.len()));
}

/// A field of a CSV: a line of two fields reads back as these two (RFC 4180).
pub fn csv_field(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let (one, other) = text.split_once('\u{1}').unwrap_or((text, ""));
    let mut line = Vec::new();
    fuzzing::csv_field(&mut line, one);
    line.push(b',');
    fuzzing::csv_field(&mut line, other);
    line.extend(b"\r\n");
    let line = String::from_utf8(line).expect("text stays text");
    assert_eq!(fields(&line), Some(vec![marked(one), marked(other)]), "{line:?}");
}

/// What a spreadsheet could take for a formula is marked as text.
fn marked(field: &str) -> String {
    if field.starts_with(['=', '+', '-', '@']) { format!("'{field}") } else { field.to_owned() }
}

/// A strict reader of one record.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut left = line.strip_suffix("\r\n")?;
    let mut fields = Vec::new();
    loop {
        let field;
        if let Some(mut quoted) = left.strip_prefix('"') {
            let mut said = String::new();
            loop {
                let (before, after) = quoted.split_once('"')?;
                said.push_str(before);
                quoted = after;
                let Some(more) = quoted.strip_prefix('"') else { break };
                said.push('"');
                quoted = more;
            }
            (field, left) = (said, quoted);
        } else {
            let end = left.find([',', '"', '\r', '\n']).unwrap_or(left.len());
            (field, left) = (left[..end].to_owned(), &left[end..]);
        }
        fields.push(field);
        match left.strip_prefix(',') {
            Some(more) => left = more,
            None => return left.is_empty().then_some(fields),
        }
    }
}
