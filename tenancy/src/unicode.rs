//! Invisible characters of names, and names without characters outside ASCII.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_normalization::UnicodeNormalization;

/// Ranges of characters that are invisible or change the direction of text, without the control characters.
const INVISIBLE: [(char, char); 18] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Letters of Latin alphabets that Unicode does not decompose into an ASCII letter, with their usual transliteration.
const TRANSLITERATIONS: [(char, &str); 12] = [
    ('ß', "ss"),
    ('ẞ', "SS"),
    ('æ', "ae"),
    ('Æ', "AE"),
    ('œ', "oe"),
    ('Œ', "OE"),
    ('ø', "o"),
    ('Ø', "O"),
    ('ł', "l"),
    ('Ł', "L"),
    ('đ', "d"),
    ('Đ', "D"),
];

/// Returns whether a character is a control character, is invisible, or changes the direction of text.
pub fn is_invisible(character: char) -> bool {
    character.is_control() || INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// Returns the text with each invisible character as its code, such as `\u{202e}`. `keep` names characters that stay.
pub fn escape_invisible<'a>(text: &'a str, keep: &[char]) -> Cow<'a, str> {
    let is_escaped = |character: char| is_invisible(character) && !keep.contains(&character);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) { escaped.extend(character.escape_default()) } else { escaped.push(character) }
    }
    Cow::Owned(escaped)
}

/// Returns JSON in which each invisible character is escaped. The values are unchanged.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    // Outside of strings, JSON has no invisible characters other than white space, which are control characters.
    let is_escaped = |character: char| is_invisible(character) && !character.is_ascii_control();
    if !json.contains(is_escaped) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_escaped(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Returns the form in which names are compared: without invisible characters, and normalised (NFKC).
pub fn comparable(text: &str) -> String {
    text.chars().filter(|character| !is_invisible(*character)).nfkc().collect()
}

/// Returns a searched text in the form in which names are compared.
pub(crate) fn searchable(text: &str) -> String {
    let comparable = comparable(text);
    // A text of invisible characters only must not match every name.
    if comparable.is_empty() { text.to_owned() } else { comparable }
}

/// Returns the invisible characters as a bracket expression of PostgreSQL, for the same comparison in SQL.
pub(crate) fn invisible_characters_of_postgresql() -> String {
    let mut class = "[\\u0001-\\u001F\\u007F-\\u009F".to_owned();
    for (first, last) in INVISIBLE {
        _ = write!(class, "\\U{:08X}-\\U{:08X}", u32::from(first), u32::from(last));
    }
    class + "]"
}

/// Returns the text in printable ASCII: letters without their marks, and without characters that have no ASCII form.
pub fn to_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        match TRANSLITERATIONS.iter().find(|(letter, _)| *letter == character) {
            Some((_, transliteration)) => ascii.push_str(transliteration),
            None => ascii.extend(character.nfkd().filter(|part| part.is_ascii_graphic() || *part == ' ')),
        }
    }
    ascii.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_invisible_characters() {
        for (one, other) in [
            ("Example\u{200b} GmbH", "Example GmbH"),
            ("Mo\u{308}bel", "Möbel"),
            ("Ｅｘａｍｐｌｅ", "Example"),
            ("می\u{200c}خواهم", "میخواهم"),
            ("e\u{200d}\u{301}", "é"),
            ("\u{202e}Example\u{2069}", "Example"),
        ] {
            assert_eq!(comparable(one), comparable(other), "{one:?} and {other:?}");
        }
        assert_ne!(comparable("Möbel"), comparable("Mobel"));
    }

    #[test]
    fn invisible_characters_are_shown_by_their_code() {
        assert_eq!(escape_invisible("Example \u{202e}GmbH", &[]), "Example \\u{202e}GmbH");
        assert_eq!(escape_invisible("a\nb\u{1b}[31m", &['\n']), "a\nb\\u{1b}[31m");
        assert!(matches!(escape_invisible("株式会社 Möbel 👩🚀 e\u{301}", &[]), Cow::Borrowed(_)));
        let json = "{\"a\": \"x\u{202e}y\", \"b\":\n \"\\n\"}";
        let escaped = escape_json(json);
        assert!(escaped.contains(r"x\u202ey"), "{escaped}");
        let values = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(values(&escaped), values(json));
        assert_eq!(escape_json("\"\u{e0041}\""), r#""\udb40\udc41""#);
    }

    #[test]
    fn a_name_in_ascii_keeps_its_letters() {
        for (text, ascii) in [
            ("Möbel", "Mobel"),
            ("Mo\u{308}bel", "Mobel"),
            ("Groß & Søn", "Gross & Son"),
            ("Łódź – Đà Nẵng", "Lodz Da Nang"),
            ("Ｅｘａｍｐｌｅ™", "ExampleTM"),
            ("株式会社 テスト", ""),
            ("\u{200b}A\u{202e}B", "AB"),
        ] {
            assert_eq!(to_ascii(text), ascii, "{text:?}");
        }
    }
}
