//! Anchors: signed heads of the audit trail, stored outside the database.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::ChainHead;
use crate::InstallationId;
use crate::secrets::decode_key;

/// First line of every signed text. It prevents the reuse of a signature for a different kind of text.
const PURPOSE: &str = "freehold audit head v1";

/// Upper bound of the length of a line in an anchor file.
const MAX_LINE_BYTES: u64 = 4096;

/// Signed head of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub installation: InstallationId,
    pub head: ChainHead,
    /// Time at which the head was signed.
    pub at: DateTime<Utc>,
    /// Public key of the signer, in base64.
    pub public_key: String,
    /// Ed25519 signature, in base64.
    pub signature: String,
}

/// Error while reading or writing anchors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    #[error("audit.signing_key: must be base64 of 32 random bytes (openssl rand -base64 32), or 64 hexadecimal digits")]
    Key,
    #[error("cannot read {0}: {1}")]
    File(PathBuf, String),
}

/// JSON form of an anchor, which is one line of the anchor file.
#[derive(Serialize, Deserialize)]
struct AnchorLine {
    installation: String,
    position: i64,
    hash: String,
    at: String,
    public_key: String,
    signature: String,
}

impl Anchor {
    /// Returns the anchor as one line of JSON.
    pub fn line(&self) -> String {
        let line = AnchorLine {
            installation: self.installation.to_string(),
            position: self.head.position,
            hash: hex::encode(self.head.hash),
            at: format_time(self.at),
            public_key: self.public_key.clone(),
            signature: self.signature.clone(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn parse(line: &str) -> Option<Self> {
        let line: AnchorLine = serde_json::from_str(line).ok()?;
        let mut hash = [0; 32];
        hex::decode_to_slice(&line.hash, &mut hash).ok()?;
        Some(Self {
            installation: line.installation.parse().ok()?,
            head: ChainHead { position: line.position, hash },
            at: line.at.parse().ok()?,
            public_key: line.public_key,
            signature: line.signature,
        })
    }

    /// Returns true if the signature is valid for one of `keys`, which are public keys in base64.
    fn is_signed_with(&self, keys: &[String]) -> bool {
        let Ok(signature) = BASE64_STANDARD.decode(&self.signature) else { return false };
        let message = message(self.installation, self.head, self.at);
        keys.iter()
            .filter_map(|key| BASE64_STANDARD.decode(key).ok())
            .any(|key| UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), &signature).is_ok())
    }
}

fn format_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn message(installation: InstallationId, head: ChainHead, at: DateTime<Utc>) -> String {
    let hash = hex::encode(head.hash);
    format!("{PURPOSE}\n{installation}\n{}\n{hash}\n{}", head.position, format_time(at))
}

/// Private key that signs anchors.
pub struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// Creates a signer from 32 random bytes in base64 or hexadecimal digits.
    pub fn new(key: &SecretString) -> Result<Self, AnchorError> {
        let seed = decode_key(key).ok_or(AnchorError::Key)?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map(Self).map_err(|_| AnchorError::Key)
    }

    /// Returns the public key in base64.
    pub fn public_key(&self) -> String {
        BASE64_STANDARD.encode(self.0.public_key().as_ref())
    }

    pub fn sign(&self, installation: InstallationId, head: ChainHead, at: DateTime<Utc>) -> Anchor {
        let signature = self.0.sign(message(installation, head, at).as_bytes());
        let (public_key, signature) = (self.public_key(), BASE64_STANDARD.encode(signature.as_ref()));
        Anchor { installation, head, at, public_key, signature }
    }
}

/// Append-only file of anchors.
#[derive(Debug, Clone)]
pub struct AnchorFile(PathBuf);

/// Contents of an anchor file. Lines are counted from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnchorFileContents {
    /// Signed anchors with their line numbers.
    pub anchors: Vec<(usize, Anchor)>,
    /// Numbers of the lines with an anchor that was signed with an unknown key, or changed after it was signed.
    pub unsigned_lines: Vec<usize>,
    /// Numbers of the lines that are not an anchor, except the last line.
    pub malformed_lines: Vec<usize>,
    /// Number of the last line if it is incomplete, as after a full disk or a power failure. The next
    /// [`AnchorFile::append`] removes it.
    pub incomplete_last_line: Option<usize>,
}

impl AnchorFile {
    /// Creates an `AnchorFile` without opening the file. The first [`Self::append`] creates the file at `path`.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Appends an anchor. Removes the last line first if it is incomplete.
    pub fn append(&self, anchor: &Anchor) -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().create(true).read(true).append(true).open(&self.0)?;
        let mut bytes = Vec::new();
        let start = file.metadata()?.len().saturating_sub(MAX_LINE_BYTES);
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut bytes)?;
        let mut line_start = "";
        if bytes.last().is_some_and(|last| *last != b'\n') {
            let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
            // A file that can only be appended to keeps the incomplete line.
            if file.set_len(start + complete).is_err() {
                line_start = "\n";
            }
        }
        file.write_all(format!("{line_start}{}\n", anchor.line()).as_bytes())?;
        file.sync_data()
    }

    /// Reads the file and verifies the signatures with `keys`, which are public keys in base64.
    pub fn read(&self, keys: &[String]) -> Result<AnchorFileContents, AnchorError> {
        let bytes = std::fs::read(&self.0).map_err(|error| AnchorError::File(self.0.clone(), error.to_string()))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut contents = AnchorFileContents::default();
        let lines = || (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let last = lines().last().map(|(number, _)| number);
        for (number, line) in lines() {
            match Anchor::parse(line) {
                Some(anchor) if anchor.is_signed_with(keys) => contents.anchors.push((number, anchor)),
                Some(_) => contents.unsigned_lines.push(number),
                None if Some(number) == last && !text.ends_with('\n') => contents.incomplete_last_line = last,
                None => contents.malformed_lines.push(number),
            }
        }
        Ok(contents)
    }
}
