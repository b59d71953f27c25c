//! Text format of PostgreSQL's `COPY`.

use std::borrow::Cow;

/// Decodes one column. Returns `None` for an SQL null.
pub(super) fn decode_column(column: &str) -> Option<Cow<'_, str>> {
    if !column.contains('\\') {
        return Some(Cow::Borrowed(column));
    }
    if column == r"\N" {
        return None;
    }
    let mut text = String::with_capacity(column.len());
    let mut characters = column.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                other => other.unwrap_or('\\'),
            },
            other => other,
        });
    }
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_column_equals_the_original_text() {
        assert_eq!(decode_column(r"\N"), None);
        for (column, decoded) in
            [("Example", "Example"), (r"a\\b\tc\nd", "a\\b\tc\nd"), ("", ""), (r"\\N", r"\N"), (r"a\", r"a\")]
        {
            assert_eq!(decode_column(column).as_deref(), Some(decoded), "{column}");
        }
    }
}
