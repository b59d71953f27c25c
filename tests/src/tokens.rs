//! Token issuer for tests, with generated signing keys.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// Claim `iss` of all tokens.
pub const ISSUER: &str = "https://issuer.example.com";

/// Claim `aud` of all tokens.
pub const AUDIENCE: &str = "freehold";

/// Token issuer that publishes its keys in a file.
pub struct Issuer {
    algorithm: Algorithm,
    keys: Vec<Key>,
    jwks: NamedTempFile,
}

struct Key {
    id: String,
    private: EncodingKey,
    public: Jwk,
}

impl Issuer {
    /// Returns an issuer with one key, `key-1`.
    pub fn new() -> Self {
        Self::with_algorithm(Algorithm::ES256)
    }

    /// Returns an issuer with one key, `key-1`, for ES256 or RS256.
    pub fn with_algorithm(algorithm: Algorithm) -> Self {
        let jwks = NamedTempFile::new().expect("a file for the keys");
        let mut issuer = Self { algorithm, keys: Vec::new(), jwks };
        issuer.add_key();
        issuer
    }

    /// Adds a signing key (`key-2`, `key-3`, …), with which all further tokens are signed.
    pub fn add_key(&mut self) {
        let private = if self.algorithm == Algorithm::RS256 {
            rsa_key()
        } else {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
            EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("the key in PKCS #8").as_ref())
        };
        let id = format!("key-{}", self.keys.len() + 1);
        let mut public = Jwk::from_encoding_key(&private, self.algorithm).expect("the public key");
        public.common.key_id = Some(id.clone());
        self.keys.push(Key { id, private, public });
        std::fs::write(self.jwks.path(), self.jwks_json()).expect("the keys in their file");
    }

    /// Returns the public keys as a JWKS document.
    pub fn jwks_json(&self) -> String {
        json!({ "keys": self.keys.iter().map(|key| &key.public).collect::<Vec<_>>() }).to_string()
    }

    /// Returns the path of the file with the public keys.
    pub fn jwks(&self) -> &Path {
        self.jwks.path()
    }

    /// Returns a token of the client `tests` with these scopes, valid for one hour.
    pub fn token(&self, scopes: &str) -> String {
        self.token_with(scopes, &json!({}))
    }

    /// Returns a token; `changes` replaces or adds claims, and `null` removes a claim.
    pub fn token_with(&self, scopes: &str, changes: &Value) -> String {
        self.sign(&self.header(), &self.claims(scopes, changes))
    }

    /// Returns the claims of a token; `changes` replaces or adds claims, and `null` removes a claim.
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

    /// Returns the header of a token signed with the latest key.
    pub fn header(&self) -> Header {
        let kid = self.keys.last().map(|key| key.id.clone());
        Header { typ: Some("at+jwt".to_owned()), kid, ..Header::new(self.algorithm) }
    }

    /// Signs a token with the latest key.
    pub fn sign(&self, header: &Header, claims: &Value) -> String {
        self.sign_with(self.keys.len(), header, claims)
    }

    /// Signs header and claims that are given as texts, which need not be JSON.
    pub fn sign_texts(&self, header: &str, claims: &str) -> String {
        let key = self.keys.last().expect("a key");
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.private, self.algorithm);
        format!("{message}.{}", signature.expect("a signature"))
    }

    /// Signs a token with the key `number`; the first key has number 1.
    pub fn sign_with(&self, number: usize, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.keys[number - 1].private).expect("a token")
    }
}

fn rsa_key() -> EncodingKey {
    /// Length of the PKCS #8 header in front of the PKCS #1 key, for a key of 2048 bits.
    const HEADER: usize = 26;
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("the key in PKCS #8");
    EncodingKey::from_rsa_der(&der.as_ref()[HEADER..])
}

impl Default for Issuer {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the system time in seconds since 1970. Token lifetimes are checked against the system time.
#[expect(clippy::disallowed_methods, reason = "token lifetimes do not depend on the installation's clock")]
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    elapsed.as_secs().try_into().expect("a time that fits")
}
