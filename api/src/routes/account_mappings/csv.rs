//! Rows of comma-separated values (RFC 4180) that are safe to open in a spreadsheet.
//!
//! A spreadsheet interprets a cell as a formula if it starts with a formula character, after blanks that it ignores.
//! Depending on the language of the user, it separates the cells of a row at semicolons or tabs in place of commas, and
//! then ignores the quotes around a field. Therefore each part of a field after any separator is treated as a cell.

/// Characters at the start of a formula, with their full-width and small forms and similar signs.
const FORMULA_CHARACTERS: [char; 16] = [
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\u{fe66}', '\u{fe62}', '\u{fe63}', '\u{fe6b}',
    '\u{2212}', '\u{207a}', '\u{207b}', '\u{207c}',
];

/// Appends a row. Names are chosen by customers, so no field is trusted.
pub(crate) fn write_csv_row<'a>(out: &mut Vec<u8>, fields: impl IntoIterator<Item = &'a str>) {
    for (number, field) in fields.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write_field(out, field);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_field(out: &mut Vec<u8>, field: &str) {
    let must_be_quoted = |character| is_separator(character) || is_ignored_at_start(character) && character != ' ';
    let is_quoted = field.contains(must_be_quoted) || field.starts_with(' ') || field.ends_with(' ');
    let mut is_at_start = true;
    if is_quoted {
        out.push(b'"');
    }
    for character in field.chars() {
        if is_at_start && FORMULA_CHARACTERS.contains(&character) {
            // A cell that starts with an apostrophe is a text.
            out.push(b'\'');
        }
        is_at_start = is_separator(character) || is_at_start && is_ignored_at_start(character);
        if character == '"' {
            out.push(b'"');
        }
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    if is_quoted {
        out.push(b'"');
    }
}

/// Returns whether a program may separate cells or rows at the character.
fn is_separator(character: char) -> bool {
    matches!(character, ',' | ';' | '|' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Returns whether a spreadsheet may ignore the character at the start of a cell: blanks, quotes and invisible
/// characters.
fn is_ignored_at_start(character: char) -> bool {
    let is_invisible = matches!(character,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}');
    character.is_whitespace() || character.is_control() || is_invisible || matches!(character, '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(field: &str) -> String {
        let mut out = Vec::new();
        write_csv_row(&mut out, [field, "next"]);
        String::from_utf8(out).unwrap().strip_suffix(",next\r\n").unwrap().to_owned()
    }

    #[test]
    fn a_field_without_special_characters_is_unchanged() {
        for field in ["Example", "", "1=2", "a-b", "Müller & Söhne (Köln) + Co. KG", "2026-10-31T00:00:00Z", "株式会社"]
        {
            assert_eq!(written(field), field);
        }
    }

    #[test]
    fn special_characters_are_quoted() {
        for (field, expected) in [
            ("a,b", "\"a,b\""),
            ("a;b", "\"a;b\""),
            ("a\tb", "\"a\tb\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("a\nb", "\"a\nb\""),
            (" a", "\" a\""),
        ] {
            assert_eq!(written(field), expected);
        }
    }

    #[test]
    fn a_formula_is_a_text_in_every_cell_that_a_spreadsheet_may_read() {
        let mut cases = 0;
        for before in ["", " ", "\u{a0}", "\u{3000}", "\u{200b}", "\u{feff}", "\u{0}", "\"", " \" "] {
            for separated in ["", "x;", "x,", "x\t", "x|", "x\n", "x\r", "x\u{2028}", "x;y;"] {
                for sign in FORMULA_CHARACTERS {
                    let field = format!("{separated}{before}{sign}1+2");
                    let neutral = format!("{separated}{before}'{sign}1+2").replace('"', "\"\"");
                    let written = written(&field);
                    assert!(written == neutral || written == format!("\"{neutral}\""), "{field:?}: {written:?}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 9 * 9 * 16);
    }
}
