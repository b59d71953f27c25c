//! Anchors: the head of the trail, signed, and kept where whoever can write to the database cannot.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::ChainHead;
use crate::InstallationId;

/// What is signed opens with this, so that the signature is good for nothing else.
const PURPOSE: &str = "freehold audit head v1";

/// The head of the trail at some time, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Whose trail.
    pub installation: InstallationId,
    /// Its head.
    pub head: ChainHead,
    /// When.
    pub at: DateTime<Utc>,
    /// The key that has signed, in base64.
    pub public_key: String,
    /// The signature, in base64.
    pub signature: String,
}

/// Why an anchor is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The key.
    #[error("audit.signing_key: this is the base64 of 32 random bytes (openssl rand -base64 32)")]
    Key,
    /// The file.
    #[error("{0} cannot be read: {1}")]
    File(PathBuf, String),
    /// Somebody else's, or changed.
    #[error("the anchor at {0} was not signed with the key that is configured, or was changed since")]
    Signature(i64),
}

/// As it stands in a file: one JSON object a line.
#[derive(Serialize, Deserialize)]
struct Line {
    installation: String,
    position: i64,
    hash: String,
    at: String,
    public_key: String,
    signature: String,
}

impl Anchor {
    /// One line of JSON.
    pub fn line(&self) -> String {
        let line = Line {
            installation: self.installation.to_string(),
            position: self.head.position,
            hash: hex::encode(self.head.hash),
            at: instant(self.at),
            public_key: self.public_key.clone(),
            signature: self.signature.clone(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// Reads a line.
    fn read(line: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(line).ok()?;
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

    /// Whether one of these keys, in base64, has signed it.
    fn is_signed_with(&self, keys: &[String]) -> bool {
        let Ok(signature) = BASE64_STANDARD.decode(&self.signature) else { return false };
        let message = message(self.installation, self.head, self.at);
        keys.iter()
            .filter_map(|key| BASE64_STANDARD.decode(key).ok())
            .any(|key| UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), &signature).is_ok())
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn message(installation: InstallationId, head: ChainHead, at: DateTime<Utc>) -> String {
    let hash = hex::encode(head.hash);
    format!("{PURPOSE}\n{installation}\n{}\n{hash}\n{}", head.position, instant(at))
}

/// Signs heads.
pub struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// With a key as the configuration has it: the base64 of 32 random bytes.
    pub fn new(key: &SecretString) -> Result<Self, AnchorError> {
        let seed = BASE64_STANDARD.decode(key.expose_secret().trim()).map_err(|_| AnchorError::Key)?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map(Self).map_err(|_| AnchorError::Key)
    }

    /// What verifies its signatures, in base64.
    pub fn public_key(&self) -> String {
        BASE64_STANDARD.encode(self.0.public_key().as_ref())
    }

    /// Signs a head.
    pub fn sign(&self, installation: InstallationId, head: ChainHead, at: DateTime<Utc>) -> Anchor {
        let signature = self.0.sign(message(installation, head, at).as_bytes());
        let (public_key, signature) = (self.public_key(), BASE64_STANDARD.encode(signature.as_ref()));
        Anchor { installation, head, at, public_key, signature }
    }
}

/// A file of anchors.
#[derive(Debug, Clone)]
pub struct AnchorFile(PathBuf);

/// What is in such a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnchorFileContents {
    /// The anchors of an installation.
    pub anchors: Vec<Anchor>,
    /// The numbers of lines that are none: on a disk that was full, or in a power cut, writing breaks off.
    pub torn: Vec<usize>,
}

impl AnchorFile {
    /// The file at `path`, which is made when something is to be kept in it.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Appends an anchor, on a line of its own whatever the file ends with.
    pub fn append(&self, anchor: &Anchor) -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().create(true).read(true).append(true).open(&self.0)?;
        let mut last = [b'\n'];
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        let begin = if last == [b'\n'] { "" } else { "\n" };
        file.write_all(format!("{begin}{}\n", anchor.line()).as_bytes())?;
        file.sync_data()
    }

    /// The anchors of `installation`, each signed with one of `keys`; fails where one is not.
    pub fn read(&self, installation: InstallationId, keys: &[String]) -> Result<AnchorFileContents, AnchorError> {
        let bytes = std::fs::read(&self.0).map_err(|error| AnchorError::File(self.0.clone(), error.to_string()))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut kept = AnchorFileContents::default();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let Some(anchor) = Anchor::read(line) else {
                kept.torn.push(number);
                continue;
            };
            if !anchor.is_signed_with(keys) {
                return Err(AnchorError::Signature(anchor.head.position));
            }
            if anchor.installation == installation {
                kept.anchors.push(anchor);
            }
        }
        Ok(kept)
    }
}
