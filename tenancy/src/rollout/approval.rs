//! Hash to which the approval of a wave is bound.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{EnvironmentId, ReleaseId};

/// Returns the SHA-256 of a release, the number of a wave and the environments of the wave. Environments that are
/// skipped later still count, so that an approval stays valid.
pub fn approval_sha256(release: ReleaseId, wave: usize, environments: &[EnvironmentId]) -> String {
    let mut sorted = environments.to_vec();
    sorted.sort_unstable();
    let content = json!({ "release": release, "wave": wave, "environments": sorted });
    hex::encode(Sha256::digest(content.to_string()))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_hash_is_bound_to_release_wave_and_environments() {
        let environments = [1, 2, 3].map(|number| EnvironmentId::from(Uuid::from_u128(number)));
        let release = |number| ReleaseId::from(Uuid::from_u128(number));
        let hash = approval_sha256(release(1), 0, &environments);
        let reversed: Vec<_> = environments.iter().rev().copied().collect();
        assert_eq!(hash, approval_sha256(release(1), 0, &reversed));
        assert_ne!(hash, approval_sha256(release(2), 0, &environments));
        assert_ne!(hash, approval_sha256(release(1), 1, &environments));
        assert_ne!(hash, approval_sha256(release(1), 0, &environments[..2]));
    }
}
