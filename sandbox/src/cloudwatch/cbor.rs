//! CBOR (RFC 8949), as far as RPC v2 uses it: conversion from and to JSON.

use serde_json::{Map, Number, Value};

use super::wire::is_time;

/// Maximum depth of nested lists and maps.
const MAX_DEPTH: usize = 32;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// Tag of a time in seconds since 1970.
const EPOCH_TIME: u64 = 1;
const DOUBLE: u8 = 0xfb;
const BREAK: u8 = 0xff;
/// Additional information of a text, list or map whose length is not known at its start.
const INDEFINITE: u8 = 31;

/// Encodes a value. Members that are times get the tag of a time.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(value, &mut bytes);
    bytes
}

fn write(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(0xf6),
        Value::Bool(flag) => bytes.push(if *flag { 0xf5 } else { 0xf4 }),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => write_head(UNSIGNED, number, bytes),
            (None, Some(number)) => write_head(NEGATIVE, number.unsigned_abs() - 1, bytes),
            (None, None) => {
                bytes.push(DOUBLE);
                bytes.extend(number.as_f64().unwrap_or_default().to_be_bytes());
            }
        },
        Value::String(text) => {
            write_head(TEXT, text.len() as u64, bytes);
            bytes.extend(text.as_bytes());
        }
        Value::Array(items) => {
            write_head(LIST, items.len() as u64, bytes);
            for item in items {
                write(item, bytes);
            }
        }
        Value::Object(fields) => {
            write_head(MAP, fields.len() as u64, bytes);
            for (name, value) in fields {
                write_head(TEXT, name.len() as u64, bytes);
                bytes.extend(name.as_bytes());
                if is_time(name) {
                    write_head(TAG, EPOCH_TIME, bytes);
                }
                write(value, bytes);
            }
        }
    }
}

fn write_head(major: u8, number: u64, bytes: &mut Vec<u8>) {
    let start = major << 5;
    if let Ok(number) = u8::try_from(number) {
        if number < 24 {
            bytes.push(start | number);
        } else {
            bytes.extend([start | 0x18, number]);
        }
    } else if let Ok(number) = u16::try_from(number) {
        bytes.push(start | 0x19);
        bytes.extend(number.to_be_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        bytes.push(start | 0x1a);
        bytes.extend(number.to_be_bytes());
    } else {
        bytes.push(start | 0x1b);
        bytes.extend(number.to_be_bytes());
    }
}

/// Decodes a value. Returns `None` if the bytes are not exactly one value.
pub(super) fn decode(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    reader.rest.is_empty().then_some(value)
}

/// Length of a list, map or text.
enum Length {
    Items(u64),
    /// A break follows the items.
    UntilBreak,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        let first = self.byte()?;
        let (major, information) = (first >> 5, first & 31);
        match major {
            UNSIGNED => self.number(information).map(Value::from),
            NEGATIVE => Some(Value::from(-1 - i64::try_from(self.number(information)?).ok()?)),
            BYTES | TEXT => self.text(information).map(Value::from),
            LIST => self.list(information, depth).map(Value::Array),
            MAP => self.map(information, depth).map(Value::Object),
            TAG => {
                self.number(information)?;
                self.value(depth + 1)
            }
            _ => self.simple(information),
        }
    }

    fn list(&mut self, information: u8, depth: usize) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        let mut left = self.length(information)?;
        while self.has_more(&mut left)? {
            items.push(self.value(depth + 1)?);
        }
        Some(items)
    }

    fn map(&mut self, information: u8, depth: usize) -> Option<Map<String, Value>> {
        let mut fields = Map::new();
        let mut left = self.length(information)?;
        while self.has_more(&mut left)? {
            let Value::String(name) = self.value(depth + 1)? else { return None };
            fields.insert(name, self.value(depth + 1)?);
        }
        Some(fields)
    }

    fn text(&mut self, information: u8) -> Option<String> {
        if information != INDEFINITE {
            let length = usize::try_from(self.number(information)?).ok()?;
            return String::from_utf8(self.take(length)?.to_vec()).ok();
        }
        let mut text = String::new();
        while self.has_more(&mut Length::UntilBreak)? {
            let part = self.byte()? & 31;
            if part == INDEFINITE {
                return None;
            }
            text.push_str(&self.text(part)?);
        }
        Some(text)
    }

    fn simple(&mut self, information: u8) -> Option<Value> {
        Some(match information {
            20 => Value::Bool(false),
            21 => Value::Bool(true),
            22 | 23 => Value::Null,
            25 => float(half(u16::from_be_bytes(self.take(2)?.try_into().ok()?))),
            26 => float(f64::from(f32::from_be_bytes(self.take(4)?.try_into().ok()?))),
            27 => float(f64::from_be_bytes(self.take(8)?.try_into().ok()?)),
            _ => return None,
        })
    }

    fn length(&mut self, information: u8) -> Option<Length> {
        if information == INDEFINITE { Some(Length::UntilBreak) } else { self.number(information).map(Length::Items) }
    }

    /// Returns whether another item follows. `left` counts the items that are left.
    fn has_more(&mut self, left: &mut Length) -> Option<bool> {
        if let Length::Items(left) = left {
            let has_more = *left > 0;
            *left = left.saturating_sub(1);
            return Some(has_more);
        }
        if *self.rest.first()? == BREAK {
            self.byte()?;
            return Some(false);
        }
        Some(true)
    }

    fn number(&mut self, information: u8) -> Option<u64> {
        match information {
            small @ 0..=23 => Some(u64::from(small)),
            24..=27 => {
                let bytes = self.take(1 << (information - 24))?;
                Some(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
            }
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

/// Returns a JSON number, or null for infinity and NaN.
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Converts a number of half precision (RFC 8949, appendix D).
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from((bits >> 10) & 0x1f), f64::from(bits & 0x3ff));
    let absolute = match exponent {
        0 => mantissa * 2_f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1_024.0) * 2_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { absolute } else { -absolute }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_the_same_after_encoding_and_decoding() {
        let long = "x".repeat(70_000);
        let value = json!({ "a": [1, 23, 24, 300, 70_000, 5_000_000_000_u64, -1, -500], "b": { "c": null, "d": true },
            "e": 1.5, "f": "ü", "long": long });
        assert_eq!(decode(&encode(&value)), Some(value));
        assert_eq!(encode(&json!({ "XTimestamp": 1.5 }))[12..14], [0xc1, 0xfb]);
    }

    #[test]
    fn lists_of_unknown_length_and_short_floats_are_decoded() {
        let bytes = [0xbf, 0x61, b'a', 0x9f, 0xf9, 0x3e, 0x00, 0xff, 0x61, b'b', 0x7f, 0x61, b'c', 0xff, 0xff];
        assert_eq!(decode(&bytes), Some(json!({ "a": [1.5], "b": "c" })));
        assert_eq!(decode(&[0xfa, 0x3f, 0xc0, 0, 0]), Some(json!(1.5)));
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let nested = [0x81; 100];
        for bytes in [&[][..], &[0x61], &[0x9f], &[0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &nested] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
        for first in 0..=255 {
            for second in 0..=255 {
                decode(&[first, second, 0xff]);
            }
        }
    }
}
