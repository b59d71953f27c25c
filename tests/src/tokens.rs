//! An issuer of tokens with a key of its own, made when it is made.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// The `iss` of every token here.
pub const ISSUER: &str = "https://issuer.example.com";

/// The `aud` of every token here.
pub const AUDIENCE: &str = "freehold";

/// An issuer, with its keys in a file.
pub struct Issuer {
    keys: Vec<Key>,
    jwks: NamedTempFile,
}

struct Key {
    id: String,
    signs: EncodingKey,
    public: Jwk,
}

impl Issuer {
    /// An issuer with one key, `key-1`.
    pub fn new() -> Self {
        let mut issuer = Self { keys: Vec::new(), jwks: NamedTempFile::new().expect("a file for the keys") };
        issuer.add_key();
        issuer
    }

    /// Adds `key-2`, `key-3`, …, which signs from now on.
    pub fn add_key(&mut self) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let der = pair.to_pkcs8v1().expect("the key in PKCS #8");
        let signs = EncodingKey::from_ec_der(der.as_ref());
        let id = format!("key-{}", self.keys.len() + 1);
        let mut public = Jwk::from_encoding_key(&signs, Algorithm::ES256).expect("the public key");
        public.common.key_id = Some(id.clone());
        self.keys.push(Key { id, signs, public });
        std::fs::write(self.jwks.path(), self.jwks_json()).expect("the keys in their file");
    }

    /// Its public keys as a JWKS.
    pub fn jwks_json(&self) -> String {
        json!({ "keys": self.keys.iter().map(|key| &key.public).collect::<Vec<_>>() }).to_string()
    }

    /// The file with its public keys.
    pub fn jwks(&self) -> &Path {
        self.jwks.path()
    }

    /// A token of the client `tests` with these scopes, good for an hour.
    pub fn token(&self, scopes: &str) -> String {
        self.token_with(scopes, &json!({}))
    }

    /// The same with other claims; `null` leaves one out.
    pub fn token_with(&self, scopes: &str, changes: &Value) -> String {
        self.sign(&self.header(), &self.claims(scopes, changes))
    }

    /// The claims of a token.
    pub fn claims(&self, scopes: &str, changes: &Value) -> Value {
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "client_id": "tests", "exp": now() + 3600, "scope": scopes,
        });
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        claims
    }

    /// The header of a token under the latest key.
    pub fn header(&self) -> Header {
        let kid = self.keys.last().map(|key| key.id.clone());
        Header { typ: Some("at+jwt".to_owned()), kid, ..Header::new(Algorithm::ES256) }
    }

    /// A token of these parts under the latest key.
    pub fn sign(&self, header: &Header, claims: &Value) -> String {
        self.sign_with(self.keys.len(), header, claims)
    }

    /// A token of these parts under the key of this number; the first is 1.
    pub fn sign_with(&self, number: usize, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.keys[number - 1].signs).expect("a token")
    }
}

impl Default for Issuer {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds since 1970 by the wall clock, which tokens go by.
#[expect(clippy::disallowed_methods, reason = "a token does not go by the installation's clock")]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    since.as_secs().try_into().expect("a time that fits")
}
