//! Names that have never been given before, the same ones for the same seed and order of calls.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Lower-case letters and digits, as most AWS ids use.
pub const ALPHANUMERIC: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Upper-case letters and digits, as access keys and role ids use.
pub const UPPERCASE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Hexadecimal digits.
pub const HEX: &[u8] = b"0123456789abcdef";
/// Decimal digits.
pub const DIGITS: &[u8] = b"0123456789";

/// Where ids come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ids {
    seed: u64,
    given: u64,
}

impl Ids {
    /// Ids that depend on `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, given: 0 }
    }

    /// `length` characters of `alphabet`.
    pub fn next(&mut self, alphabet: &[u8], length: usize) -> String {
        self.given += 1;
        let mut id = String::with_capacity(length);
        for block in 0_u64.. {
            let digest = Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(self.given.to_be_bytes())
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

    /// Lower-case letters and digits after a prefix, as in `ou-ab12-…`.
    pub fn prefixed(&mut self, prefix: &str, length: usize) -> String {
        format!("{prefix}{}", self.next(ALPHANUMERIC, length))
    }

    /// A UUID (its version bits are those of a random one).
    pub fn uuid(&mut self) -> String {
        let hex = self.next(HEX, 32);
        format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}
