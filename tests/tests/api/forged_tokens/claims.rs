//! Signed tokens with claims that a recipient must refuse.

use freehold_tests::tokens::{Issuer, now};
use serde_json::{Value, json};

use super::Forged;

const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"key-1"}"#;

/// Returns tokens in which one claim has a wrong value.
pub(super) fn with_other_values(issuer: &Issuer) -> Vec<Forged> {
    let exp = now() + 3600;
    let values: [(&str, Value); 10] = [
        (
            "iss",
            json!([
                null, "", " ", "https://elsewhere.example.com", "https://issuer.example.com.evil.example.com",
                "https://issuer.example.com/", "https://issuer.example.com:443", "http://issuer.example.com",
                "https://ISSUER.example.com", "HTTPS://issuer.example.com", "https://issuer.example.com#",
                "https://issuer.example.com?", "https://issuer.example.com\u{0}", " https://issuer.example.com",
                "https://issuer.example.com ", "https://user@issuer.example.com", "https://issuer.example.com.",
                "issuer.example.com", "https://issuer%2eexample.com", "https://ıssuer.example.com", 7, true, {},
                ["https://issuer.example.com"], { "iss": "https://issuer.example.com" },
            ]),
        ),
        (
            "aud",
            json!([
                null, "", " ", "elsewhere", "freehold-console", "freehold ", " freehold", "Freehold", "FREEHOLD",
                "freehold\u{0}", "freehold,elsewhere", "freehold elsewhere", "free*", "*", 7, true, false, {}, [],
                ["elsewhere"], ["elsewhere", "freehold "], [["freehold"]], ["freehold", 7], ["freehold", null],
                [7, "freehold"], ["freehold", ["freehold"]], { "0": "freehold" }, { "freehold": true },
            ]),
        ),
        (
            "exp",
            json!([
                null, "", exp.to_string(), "never", true, false, [], [exp], {}, { "exp": exp }, 0, 1, -1, -exp, 0.5,
                1e300, -1e300, 1.844_674_407_370_955_2e19, "2999-01-01T00:00:00Z", now() - 31,
                now() - 60, now() - 86_400,
                i64::MIN,
            ]),
        ),
        (
            "nbf",
            json!([
                "",
                "0",
                "tomorrow",
                true,
                false,
                [],
                [0],
                {},
                -1,
                -0.6,
                1e300,
                1.844_674_407_370_955_2e19,
                now() + 120,
                now() + 31_536_000,
                u64::MAX,
                i64::MIN,
                "2026-01-01T00:00:00Z",
            ]),
        ),
        (
            "iat",
            json!([
                "",
                "0",
                "yesterday",
                true,
                [],
                [0],
                {},
                -1,
                -1e300,
                1e300,
                now() + 120,
                now() + 31_536_000,
                u64::MAX,
                i64::MIN,
                "2026-01-01T00:00:00Z",
            ]),
        ),
        (
            "sub",
            json!([
                null, "", 7, 0, true, [], ["ann"], {}, { "sub": "ann" }, "a\u{0}b", "a\nb", "ann\r", "\u{1b}[2J",
                "a".repeat(257),
            ]),
        ),
        ("client_id", json!(["", 7, true, [], ["tests"], {}, "a\u{0}b", "tests\n", "\u{7f}", "é".repeat(129)])),
        ("scope", json!([7, 0, true, false, {}, { "fleet": true }, [7], [null], ["fleet", 7], [["fleet"]], [{}]])),
        ("scp", json!([7, true, {}, ["fleet", 7], [["fleet"]]])),
        ("azp", json!([""])),
    ];
    let mut forged = Vec::new();
    for (name, values) in values {
        for value in values.as_array().unwrap() {
            let mut claims = issuer.claims("fleet tenants:read", &json!({}));
            if name == "azp" {
                claims.as_object_mut().unwrap().shift_remove("client_id");
            }
            claims[name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().shift_remove(name);
            }
            forged.push((format!("with {name} {value}"), issuer.sign_texts(HEADER, &claims.to_string())));
        }
    }
    forged
}

/// Returns tokens whose claims are no JSON object, or one that two parsers could read differently.
pub(super) fn with_other_texts(issuer: &Issuer) -> Vec<Forged> {
    let claims = issuer.claims("fleet tenants:read", &json!({})).to_string();
    let rest = claims.strip_prefix('{').unwrap();
    let mut texts: Vec<String> = [
        "",
        " ",
        "fleet",
        "7",
        "null",
        "true",
        "[]",
        "{",
        "{}",
        "\"\"",
        "\u{0}",
        "NaN",
        "{\"exp\":NaN}",
        "{\"exp\":1e999}",
    ]
    .map(str::to_owned)
    .into();
    for member in [
        "\"iss\":\"https://elsewhere.example.com\"",
        "\"iss\":\"https://issuer.example.com\"",
        "\"aud\":\"elsewhere\"",
        "\"exp\":1",
        "\"exp\":99999999999",
        "\"sub\":\"bob\"",
        "\"client_id\":\"other\"",
        "\"scope\":\"fleet tenants:read tenants:write\"",
        "\"\\u0073cope\":\"fleet\"",
        "\"tenant_id\":null,\"tenant_id\":\"ten_01k2m8v3x9e7rt4s5q6w7y8z9b\"",
        "\"nbf\":0,\"nbf\":1",
        "\"iat\":0,\"iat\":1",
        "\"x\":{\"a\":1,\"a\":1}",
        "\"x\":[{\"a\":1,\"a\":1}]",
        "\"\":1,\"\":2",
    ] {
        texts.push(format!("{{{member},{rest}"));
        texts.push(format!("{},{member}}}", claims.strip_suffix('}').unwrap()));
    }
    texts.extend([
        format!("[{claims}]"),
        format!("{claims}{claims}"),
        format!("{claims},"),
        format!("{claims} x"),
        format!("{claims}\u{0}"),
        format!("\u{feff}{claims}"),
        format!("//\n{claims}"),
        claims.replace('"', "'"),
        claims.replace("\"sub\"", "sub"),
        claims.replace("\"exp\":", "\"exp\":+"),
        claims.replace("\"exp\":", "\"exp\":0"),
        claims.replace("\"exp\":", "\"exp\":0x"),
        claims.replace("\"ann\"", "\"\\ud800\""),
        claims.replace("\"ann\"", "\"\\x61nn\""),
        format!("{{\"x\":{}7{},{rest}", "[".repeat(2000), "]".repeat(2000)),
        format!("{{\"claims\":{claims}}}"),
        json!(claims).to_string(),
    ]);
    texts.into_iter().map(|text| (format!("with the claims {text:.80}"), issuer.sign_texts(HEADER, &text))).collect()
}
