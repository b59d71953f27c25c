//! Parser of YAML templates with the short forms of CloudFormation's functions.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use serde_json::{Map, Value, json};

/// Maximum depth of nested values. Deeper templates would exhaust the stack.
const MAX_DEPTH: usize = 100;

/// Maximum number of values, counted after aliases are replaced by their values.
const MAX_VALUES: usize = 100_000;

/// Parses YAML text. The error message contains the position of a syntax error.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), values: 0 };
    loop {
        match reader.next_event()? {
            Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(Value::Null),
            event => {
                let value = reader.value(event, 0)?;
                return match (reader.next_event()?, reader.next_event()?) {
                    (Event::DocumentEnd, Event::StreamEnd) => Ok(value),
                    _ => Err("a template is one document".to_owned()),
                };
            }
        }
    }
}

/// Returns whether a text repeats values by aliases. A text that is not YAML has none.
pub(crate) fn has_alias(text: &str) -> bool {
    let events = Parser::new_from_str(text).map_while(Result::ok);
    events.into_iter().any(|(event, _)| matches!(event, Event::Alias(_)))
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Value>,
    values: usize,
}

impl<'a> Reader<'a> {
    fn next_event(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => {
                let at = error.marker();
                Err(format!("line {}, column {}: {}", at.line(), at.col() + 1, error.info()))
            }
            None => Ok(Event::StreamEnd),
        }
    }

    /// Reads the value that starts with `event`.
    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value, String> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(format!("must have at most {MAX_DEPTH} levels and {MAX_VALUES} values"));
        }
        let (value, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null && tag.is_none() { Value::Null } else { Value::String(text.into_owned()) };
                (value, anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next_event()? {
                        Event::SequenceEnd => break,
                        event => items.push(self.value(event, depth + 1)?),
                    }
                }
                (Value::Array(items), anchor, tag)
            }
            Event::MappingStart(anchor, tag) => {
                let mut entries = Map::new();
                loop {
                    let key = match self.next_event()? {
                        Event::MappingEnd => break,
                        event => self.value(event, depth + 1)?,
                    };
                    let Value::String(key) = key else { return Err("a key must be a text".to_owned()) };
                    let event = self.next_event()?;
                    let value = self.value(event, depth + 1)?;
                    entries.insert(key, value);
                }
                (Value::Object(entries), anchor, tag)
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().unwrap_or_default();
                self.values += count(&value);
                (value, 0, None)
            }
            _ => return Err("the text ends too early".to_owned()),
        };
        let value = match tag {
            Some(tag) => long_form(&tag, value),
            None => value,
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(entries) => 1 + entries.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// Returns the long form of a function: `!Sub x` is `{"Fn::Sub": "x"}`. Tags of YAML itself, such as `!!str`, are
/// ignored.
fn long_form(tag: &Tag, value: Value) -> Value {
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", name @ ("Ref" | "Condition")) => json!({ name: value }),
        ("!", name) => json!({ format!("Fn::{name}"): value }),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_become_long_forms() {
        let text = "a: !Ref b\nc: !If [d, !Sub '${e}', f]\ng: !Condition h\ni: !GetAtt j.k\n";
        let expected = json!({
            "a": { "Ref": "b" },
            "c": { "Fn::If": ["d", { "Fn::Sub": "${e}" }, "f"] },
            "g": { "Condition": "h" },
            "i": { "Fn::GetAtt": "j.k" },
        });
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn scalars_are_texts_and_an_alias_has_the_value_of_its_anchor() {
        assert_eq!(
            parse("a: &x 012\nb: *x\nc: ~\nd: '~'\ne: |\n  f\n"),
            Ok(json!({
                "a": "012", "b": "012", "c": null, "d": "~", "e": "f\n"
            }))
        );
    }

    #[test]
    fn an_error_names_line_and_column() {
        let error = parse("a: b\n  c: d\n").unwrap_err();
        assert!(error.starts_with("line 2, column"), "{error}");
        for text in ["a: [b", "a: b\n---\nc: d", "[a]: b", "\"a"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_and_multiplied_values_are_refused() {
        assert!(parse(&"[".repeat(200)).is_err());
        assert!(parse(&format!("{}{}", "[".repeat(200), "]".repeat(200))).is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.extend([format!("a{level}: &a{level} [{aliases}]\n")]);
        }
        assert!(parse(&bomb).unwrap_err().contains("at most"));
    }
}
