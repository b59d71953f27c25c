//! Tokens with changed parts, signatures or keys.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use freehold_tests::tokens::Issuer;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::Forged;

/// Order of the curve P-256.
const CURVE_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Characters of base64url, by their value.
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encoded(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn parts_of(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// Returns tokens in which the encoding or the number of the parts differs from the valid token.
pub(super) fn with_other_parts(valid: &str) -> Vec<Forged> {
    let parts = parts_of(valid);
    let [head, body, signature] = parts;
    let mut forged = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let half = part.len() / 2;
        // The last character of a part may have unused bits, which must be zero.
        let with_unused_bits = ["B", "C", "D"].map(|last| format!("{part}{last}"));
        let mut changed = vec![
            String::new(),
            "A".to_owned(),
            ".".to_owned(),
            part[..half].to_owned(),
            part[..part.len() - 1].to_owned(),
            format!("{part}="),
            format!("{part}=="),
            format!("{part}%3D"),
            format!("{part}AAAA"),
            format!("AAAA{part}"),
            format!("{part}{part}"),
            format!("{} {}", &part[..half], &part[half..]),
            format!("{}+{}", &part[..half], &part[half + 1..]),
            format!("{}/{}", &part[..half], &part[half + 1..]),
            format!("{}*{}", &part[..half], &part[half + 1..]),
            format!("{}.{}", &part[..half], &part[half..]),
            format!("%{part}"),
            part.to_uppercase(),
            part.to_lowercase(),
            part.chars().rev().collect(),
            STANDARD.encode(part),
            encoded(part),
        ];
        changed.extend(with_unused_bits);
        for (change, part) in changed.into_iter().enumerate() {
            let mut parts = parts.map(str::to_owned);
            parts[number] = part;
            forged.push((format!("with change {change} of part {number}"), parts.join(".")));
        }
    }
    forged.extend(
        [
            ("of one part", head.to_owned()),
            ("of two parts", format!("{head}.{body}")),
            ("of four parts", format!("{valid}.{signature}")),
            ("of four parts, the last empty", format!("{valid}.")),
            ("of four parts, the first empty", format!(".{valid}")),
            ("of five parts, as an encrypted token", format!("{valid}.{body}.{signature}")),
            ("twice", format!("{valid}{valid}")),
            ("twice with a blank", format!("{valid} {valid}")),
            ("with a comma", format!("{valid},{valid}")),
            ("in quotes", format!("\"{valid}\"")),
            ("with reordered parts", format!("{body}.{head}.{signature}")),
            ("with an empty body and the signature", format!("{head}..{signature}")),
            ("as JSON", json!({ "protected": head, "payload": body, "signature": signature }).to_string()),
            ("that is no JWT", "abc".to_owned()),
            ("of dots", "..".to_owned()),
            ("of many dots", ".".repeat(500)),
            ("that is very long", "a".repeat(6000)),
            ("that is null", "null".to_owned()),
            ("that is undefined", "undefined".to_owned()),
        ]
        .map(|(what, token)| (what.to_owned(), token)),
    );
    forged
}

/// Returns tokens whose signature differs from that of the valid token.
pub(super) fn with_other_signatures(valid: &str) -> Vec<Forged> {
    let [head, body, signature] = parts_of(valid);
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = bytes.split_at(32);
    let zero = [0; 32];
    let mut one = zero;
    one[31] = 1;
    let mut changed: Vec<(String, Vec<u8>)> = vec![
        ("of zeros".into(), [zero, zero].concat()),
        ("of ones".into(), [one, one].concat()),
        ("of 0xff".into(), vec![0xff; 64]),
        ("with r of zero".into(), [&zero[..], s].concat()),
        ("with s of zero".into(), [r, &zero[..]].concat()),
        ("with r of the order".into(), [&CURVE_ORDER[..], s].concat()),
        ("with s of the order".into(), [r, &CURVE_ORDER[..]].concat()),
        ("of the order".into(), [CURVE_ORDER, CURVE_ORDER].concat()),
        ("with r and s swapped".into(), [s, r].concat()),
        ("with r twice".into(), [r, r].concat()),
        ("with r only".into(), r.to_vec()),
        ("with a zero before".into(), [&[0][..], r, s].concat()),
        ("with a zero after".into(), [r, s, &[0]].concat()),
        ("with zeros between".into(), [&[0][..], r, &[0], s].concat()),
        ("in DER".into(), [&[0x30, 0x44, 0x02, 0x20][..], r, &[0x02, 0x20], s].concat()),
        ("of one byte".into(), vec![0]),
        ("of 1,000 bytes".into(), vec![7; 1000]),
    ];
    for position in (0..64).step_by(4) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        changed.push((format!("with a changed bit in byte {position}"), flipped));
    }
    // The last character of the signature has four unused bits, which must be zero.
    let (start, last) = signature.split_at(signature.len() - 1);
    let last = ALPHABET.find(last).unwrap();
    let with_unused_bits = ALPHABET[last + 1..last + 16].chars().map(|last| format!("{head}.{body}.{start}{last}"));
    let with_unused_bits: Vec<_> = with_unused_bits.collect();
    let with = |signature: &[u8]| format!("{head}.{body}.{}", encoded(signature));
    let mut forged: Vec<Forged> =
        changed.iter().map(|(what, bytes)| (format!("with a signature {what}"), with(bytes))).collect();
    forged.extend(with_unused_bits.into_iter().map(|token| ("with unused bits in the signature".to_owned(), token)));
    // The claims of the valid token, with more rights.
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
    for (name, value) in [("scope", "fleet tenants:write"), ("sub", "bob"), ("client_id", "x"), ("roles", "admin")] {
        let mut claims = claims.clone();
        claims[name] = value.into();
        forged.push((format!("with another {name}"), format!("{head}.{}.{signature}", encoded(claims.to_string()))));
    }
    for algorithm in ["none", "None", "NONE", "nOnE", "", "HS256", "RS256", "ES384", "EdDSA"] {
        let header = encoded(json!({ "alg": algorithm, "typ": "at+jwt", "kid": "key-1" }).to_string());
        for (what, signature) in [("without a signature", ""), ("with the valid signature", signature)] {
            forged.push((format!("with alg {algorithm:?} {what}"), format!("{header}.{body}.{signature}")));
        }
    }
    forged
}

/// Returns tokens that are signed with another key than that of the issuer.
pub(super) fn with_other_keys(issuer: &Issuer) -> Vec<Forged> {
    let claims = issuer.claims("fleet tenants:read", &json!({}));
    let mut forged = Vec::new();
    let keys: Value = serde_json::from_str(&issuer.jwks_json()).unwrap();
    let public = &keys["keys"][0];
    let [x, y] = ["x", "y"].map(|name| public[name].as_str().unwrap());
    let [x_bytes, y_bytes] = [x, y].map(|text| URL_SAFE_NO_PAD.decode(text).unwrap());
    let point = [&[4][..], &x_bytes, &y_bytes].concat();
    let prefix = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let prefix = (0..prefix.len()).step_by(2).map(|at| u8::from_str_radix(&prefix[at..at + 2], 16).unwrap());
    let der: Vec<u8> = prefix.chain(point.iter().copied()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
    let secrets: [(&str, Vec<u8>); 11] = [
        ("the key set", issuer.jwks_json().into()),
        ("the public key as JSON", public.to_string().into()),
        ("the public key as PEM", pem.clone().into()),
        ("the public key as PEM without the last line break", pem.trim_end().into()),
        ("the public key as DER", der),
        ("the public point", point),
        ("x", x_bytes),
        ("x in base64", x.into()),
        ("the key id", b"key-1".to_vec()),
        ("nothing", Vec::new()),
        ("a common secret", b"secret".to_vec()),
    ];
    for (what, secret) in &secrets {
        for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let token =
                jsonwebtoken::encode(&Header { alg, ..issuer.header() }, &claims, &EncodingKey::from_secret(secret));
            forged.push((format!("signed with {what} as the secret of {alg:?}"), token.unwrap()));
        }
    }
    let other = Issuer::new();
    let other_keys: Value = serde_json::from_str(&other.jwks_json()).unwrap();
    let other_key = &other_keys["keys"][0];
    for more in [
        json!({}),
        json!({ "jwk": other_key }),
        json!({ "jku": "https://evil.example.com/jwks.json" }),
        json!({ "jku": "https://issuer.example.com.evil.example.com/jwks.json" }),
        json!({ "x5u": "https://evil.example.com/certificate.pem" }),
        json!({ "x5c": ["MIIB"] }),
        json!({ "x5t": "AAAA", "x5t#S256": "AAAA" }),
        json!({ "jwk": other_key, "jku": "https://issuer.example.com/jwks.json" }),
    ] {
        for kid in [Some("key-1"), Some("key-9"), None] {
            let mut header = json!({ "alg": "ES256", "typ": "at+jwt" });
            header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            if let Some(kid) = kid {
                header["kid"] = kid.into();
            }
            let token = other.sign_texts(&header.to_string(), &claims.to_string());
            forged.push((format!("of another key with kid {kid:?} and {more:.40}"), token));
        }
    }
    let rsa = Issuer::with_algorithm(Algorithm::RS256);
    for alg in ["RS256", "PS256", "ES256", "RS512"] {
        let header = json!({ "alg": alg, "typ": "at+jwt", "kid": "key-1" }).to_string();
        forged.push((format!("of an RSA key with alg {alg}"), rsa.sign_texts(&header, &claims.to_string())));
    }
    forged
}
