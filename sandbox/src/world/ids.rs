//! Generation of unique ids, reproducible for the same seed and order of calls.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Lower-case letters and digits, the alphabet of most AWS ids.
pub const ALPHANUMERIC: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Upper-case letters and digits, the alphabet of access keys and role ids.
pub const UPPERCASE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub const HEX: &[u8] = b"0123456789abcdef";
pub const DIGITS: &[u8] = b"0123456789";

/// A generator of unique ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdGenerator {
    seed: u64,
    generated: u64,
}

impl IdGenerator {
    /// Creates a generator whose ids depend on `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, generated: 0 }
    }

    /// Returns a new id of `length` characters of `alphabet`.
    pub fn next(&mut self, alphabet: &[u8], length: usize) -> String {
        self.generated += 1;
        let mut id = String::with_capacity(length);
        for block in 0_u64.. {
            let digest = Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(self.generated.to_be_bytes())
                .chain_update(block.to_be_bytes())
                .finalize();
            for byte in digest {
                if id.len() == length || alphabet.is_empty() {
                    return id;
                }
                id.push(char::from(alphabet[usize::from(byte) % alphabet.len()]));
            }
        }
        id
    }

    /// Returns a new id of lower-case letters and digits after a prefix, as in `ou-ab12-…`.
    pub fn next_with_prefix(&mut self, prefix: &str, length: usize) -> String {
        format!("{prefix}{}", self.next(ALPHANUMERIC, length))
    }

    /// Returns a new UUID of version 4.
    pub fn uuid(&mut self) -> String {
        let hex = self.next(HEX, 32);
        format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}
