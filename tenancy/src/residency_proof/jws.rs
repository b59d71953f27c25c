//! Signature of residency proofs: a compact JWS with Ed25519 (RFC 7515, RFC 8037).

use std::fmt;
use std::path::PathBuf;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{PROOF_VERSION, ProofDocument, SignedProof};
use crate::InstallationId;
use crate::secrets::decode_key;

/// Type of the JWS. It prevents the reuse of a signature for a different kind of document.
const TYPE: &str = "freehold-residency-proof+jws";

const ALGORITHM: &str = "EdDSA";

/// Length of an Ed25519 public key in bytes.
const PUBLIC_KEY_BYTES: usize = 32;

/// Error in a key of `[proof]`, or in a public key that was given for a verification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofKeyError {
    #[error("proof.signing_key: must be base64 of 32 random bytes (openssl rand -base64 32), or 64 hexadecimal digits")]
    SigningKey,
    #[error(
        "the public key must be base64 of 32 bytes, as `freehold proof public-key` prints it, or a JWK or JWK set with \
         a key of the type OKP and the curve Ed25519; it may also be the path of a file that contains one of them"
    )]
    PublicKey,
    #[error("cannot read {0}: {1}")]
    File(PathBuf, String),
}

/// Reason why a residency proof is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("it is not a residency proof: a compact JWS of the type {TYPE} is expected")]
    Malformed,
    #[error("it was signed with the key {signed_with}, which is none of the given keys ({})", .given.join(", "))]
    OtherKey { signed_with: String, given: Vec<String> },
    #[error("its signature does not match its content: it was changed after it was signed")]
    Changed,
    #[error("its document has the version {0}, which this version of Freehold does not know")]
    OtherVersion(u64),
    #[error("it belongs to the installation {found}, not to {expected}")]
    OtherInstallation { found: InstallationId, expected: InstallationId },
}

/// Header of the JWS.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// Private key that signs residency proofs.
pub struct ProofSigner(Ed25519KeyPair);

impl fmt::Debug for ProofSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofSigner(…)")
    }
}

impl ProofSigner {
    /// Creates a signer from 32 random bytes in base64 or hexadecimal digits.
    pub fn new(key: &SecretString) -> Result<Self, ProofKeyError> {
        let seed = decode_key(key).ok_or(ProofKeyError::SigningKey)?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map(Self).map_err(|_| ProofKeyError::SigningKey)
    }

    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; PUBLIC_KEY_BYTES];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    pub fn sign(&self, document: &ProofDocument) -> SignedProof {
        let key_id = self.public_key().id();
        let header = json!(Header { alg: ALGORITHM.to_owned(), kid: key_id.clone(), typ: TYPE.to_owned() });
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let content = format!("{}.{}", encode(&header), encode(&json!(document)));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.0.sign(content.as_bytes()).as_ref());
        let (observed_at, conforms) = (document.observed_at, document.conforms);
        SignedProof { observed_at, conforms, key_id, jws: format!("{content}.{signature}") }
    }
}

/// Public key that verifies residency proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl PublicKey {
    /// Parses a public key in base64.
    pub fn parse(text: &str) -> Result<Self, ProofKeyError> {
        let text = text.trim();
        let bytes = BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(text));
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(ProofKeyError::PublicKey)
    }

    /// Parses a public key in base64, a JWK, or all Ed25519 keys of a JWK set. Returns at least one key.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, ProofKeyError> {
        let Ok(value @ Value::Object(_)) = serde_json::from_str::<Value>(text) else {
            return Self::parse(text).map(|key| vec![key]);
        };
        let is_ed25519 = |jwk: &&Value| jwk["kty"] == "OKP" && jwk["crv"] == "Ed25519";
        let listed = value["keys"].as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let keys = listed.iter().filter(is_ed25519).map(|jwk| Self::parse(jwk["x"].as_str().unwrap_or_default()));
        let keys: Vec<Self> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(ProofKeyError::PublicKey) } else { Ok(keys) }
    }

    /// Returns the id of the key: the SHA-256 thumbprint of its JWK (RFC 7638) in base64url.
    pub fn id(&self) -> String {
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.coordinate());
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(jwk))
    }

    /// Returns the key as a JWK (RFC 8037).
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "x": self.coordinate(), "kid": self.id(), "alg": ALGORITHM, "use": "sig",
        })
    }

    fn coordinate(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// Verifies a proof with the keys of which one must have signed it. Returns its document.
pub fn verify(jws: &str, keys: &[PublicKey]) -> Result<ProofDocument, VerifyError> {
    let (content, signature) = jws.rsplit_once('.').ok_or(VerifyError::Malformed)?;
    let (header, body) = content.split_once('.').ok_or(VerifyError::Malformed)?;
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| VerifyError::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| VerifyError::Malformed)?;
    if header.alg != ALGORITHM || header.typ != TYPE {
        return Err(VerifyError::Malformed);
    }
    let Some(key) = keys.iter().find(|key| key.id() == header.kid) else {
        let given = keys.iter().map(PublicKey::id).collect();
        return Err(VerifyError::OtherKey { signed_with: header.kid, given });
    };
    let key = UnparsedPublicKey::new(&ED25519, key.0);
    key.verify(content.as_bytes(), &decode(signature)?).map_err(|_| VerifyError::Changed)?;
    let document: Value = serde_json::from_slice(&decode(body)?).map_err(|_| VerifyError::Malformed)?;
    let version = document["version"].as_u64().ok_or(VerifyError::Malformed)?;
    if version != u64::from(PROOF_VERSION) {
        return Err(VerifyError::OtherVersion(version));
    }
    serde_json::from_value(document).map_err(|_| VerifyError::Malformed)
}

/// Returns the document of a proof without a verification of the signature, or `None` if it is not a JWS.
pub fn payload(jws: &str) -> Option<Value> {
    let body = jws.split('.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(body).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::residency_proof::{ProbeResult, RegionProbe};

    fn signer(byte: u8) -> ProofSigner {
        ProofSigner::new(&BASE64_STANDARD.encode([byte; 32]).into()).unwrap()
    }

    fn document() -> ProofDocument {
        ProofDocument {
            version: PROOF_VERSION,
            installation_id: "ins_01k2m8v3x9e7rt4s5q6w7y8z9a".parse().unwrap(),
            tenant_id: "ten_01k2m8v3x9e7rt4s5q6w7y8z9b".parse().unwrap(),
            environment_id: "env_01k2m8v3x9e7rt4s5q6w7y8z9a".parse().unwrap(),
            environment: "production".parse().unwrap(),
            operation_id: "op_01k2m8v3x9e7rt4s5q6w7y8z9c".parse().unwrap(),
            observed_at: DateTime::UNIX_EPOCH,
            aws_account_id: "111122223333".parse().unwrap(),
            residency: "eu".parse().unwrap(),
            conforms: true,
            reasons: Vec::new(),
            requested_regions: vec!["eu-central-1".parse().unwrap()],
            allowed_regions: vec!["eu-central-1".parse().unwrap()],
            guardrail: "freehold-region-eu".to_owned(),
            attachments: Vec::new(),
            policies: Vec::new(),
            denied_region: RegionProbe {
                region: Some("us-east-1".parse().unwrap()),
                role: "freehold-verify".to_owned(),
                call: "cloudformation:ListStacks".to_owned(),
                result: ProbeResult::Denied,
                at: DateTime::UNIX_EPOCH,
            },
            stacks: Vec::new(),
            replicas: Vec::new(),
            front_door: None,
            front_door_allowed: false,
            exemptions: Vec::new(),
            drift: Vec::new(),
            leaves_region: Vec::new(),
        }
    }

    #[test]
    fn a_proof_is_valid_only_with_its_own_key() {
        let (own, other) = (signer(1), signer(2));
        let proof = own.sign(&document());
        assert_eq!(verify(&proof.jws, &[other.public_key(), own.public_key()]), Ok(document()));
        assert_eq!(payload(&proof.jws), Some(json!(document())));
        let expected =
            VerifyError::OtherKey { signed_with: own.public_key().id(), given: vec![other.public_key().id()] };
        assert_eq!(verify(&proof.jws, &[other.public_key()]), Err(expected));
    }

    #[test]
    fn a_proof_with_any_changed_byte_is_not_valid() {
        let signer = signer(1);
        let (keys, jws) = ([signer.public_key()], signer.sign(&document()).jws.into_bytes());
        for index in 0..jws.len() {
            for bit in 0..7 {
                let mut changed = jws.clone();
                changed[index] ^= 1 << bit;
                let changed = String::from_utf8(changed).unwrap();
                assert!(verify(&changed, &keys).is_err(), "bit {bit} of byte {index}: {changed}");
            }
        }
    }

    #[test]
    fn a_signature_of_another_kind_of_document_is_not_valid() {
        let signer = signer(1);
        let header = json!({ "alg": ALGORITHM, "kid": signer.public_key().id(), "typ": "JWT" }).to_string();
        let [header, body] = [header, json!(document()).to_string()].map(|one| BASE64_URL_SAFE_NO_PAD.encode(one));
        let content = format!("{header}.{body}");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signer.0.sign(content.as_bytes()).as_ref());
        let jws = format!("{content}.{signature}");
        assert_eq!(verify(&jws, &[signer.public_key()]), Err(VerifyError::Malformed));
        for text in ["", ".", "..", "a.b.c", "a.b.c.d", "€"] {
            assert!(verify(text, &[signer.public_key()]).is_err(), "{text}");
        }
    }

    #[test]
    fn the_thumbprint_of_a_key_is_that_of_the_standard() {
        // RFC 8037, appendix A.3.
        let key = PublicKey::parse("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_public_key_is_accepted_as_base64_jwk_or_jwk_set() {
        let key = signer(1).public_key();
        let set = json!({ "keys": [{ "kty": "RSA", "n": "x" }, key.jwk()] });
        for text in [key.to_string(), format!("{key}\n"), key.jwk().to_string(), set.to_string()] {
            assert_eq!(PublicKey::parse_all(&text), Ok(vec![key]), "{text}");
        }
        for text in ["", "AAAA", "{}", "{\"keys\": []}", "[]"] {
            assert_eq!(PublicKey::parse_all(text), Err(ProofKeyError::PublicKey), "{text}");
        }
    }
}
