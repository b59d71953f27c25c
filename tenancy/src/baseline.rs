//! Version of the baseline stack, which contains the roles of Freehold in a tenant's account.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::config::AccessRole;

/// Revision of `stacks/baseline.yaml`. Each change of the template raises it; a test compares the two.
pub const BASELINE_REVISION: u32 = 5;

/// Name of the baseline stack in every tenant account.
pub const BASELINE_STACK: &str = "freehold-baseline";

/// Name of the role in a tenant's account that deploys the tenant's stack. The baseline creates it.
pub const ACCESS_ROLE: &str = "freehold-access";

/// Name of the role in a tenant's account that verifies the tenant's stack. The baseline creates it.
pub const VERIFY_ROLE: &str = "freehold-verify";

/// Tag of the baseline stack that contains its version. The first release set no tag.
pub const BASELINE_TAG: &str = "freehold:baseline";

/// Fact of a step that has installed or read the baseline stack. It updates the version of the environment.
pub const BASELINE_VERSION_FACT: &str = "baseline_version";

/// Number of characters of a hash.
const HASH_CHARACTERS: usize = 12;

/// Version of a baseline stack: the revision of its template and, if statements are configured, a hyphen and their
/// hash. Examples: `1` and `1-3f2a9c01b4d7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineVersion {
    revision: u32,
    statements: Option<String>,
}

impl BaselineVersion {
    /// Returns the version that this version of Freehold installs with the configured statements.
    pub fn current(role: &AccessRole) -> Self {
        let statements = (!role.statements.is_empty()).then(|| {
            let canonical = serde_json::to_vec(&role.statements).unwrap_or_default();
            hash(&canonical)
        });
        Self { revision: BASELINE_REVISION, statements }
    }

    /// Returns the version of a baseline without a recorded version, which the first release installed.
    pub fn first() -> Self {
        Self { revision: 1, statements: None }
    }

    /// Returns the version in the tag of a baseline stack. An unreadable tag counts as older than every version.
    pub fn from_tag(tag: Option<&str>) -> Self {
        tag.map_or_else(Self::first, |tag| tag.parse().unwrap_or(Self { revision: 0, statements: None }))
    }

    /// Returns whether a baseline of this version needs an upgrade to `current`. A newer revision needs none: another
    /// version of Freehold has installed it.
    pub fn is_older_than(&self, current: &Self) -> bool {
        self.revision < current.revision || (self.revision == current.revision && self.statements != current.statements)
    }
}

/// Returns the first characters of a SHA-256 hash.
pub fn hash(bytes: &[u8]) -> String {
    let mut hash = hex::encode(Sha256::digest(bytes));
    hash.truncate(HASH_CHARACTERS);
    hash
}

impl fmt::Display for BaselineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.revision)?;
        self.statements.iter().try_for_each(|hash| write!(f, "-{hash}"))
    }
}

impl FromStr for BaselineVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (revision, statements) =
            text.split_once('-').map_or((text, None), |(revision, hash)| (revision, Some(hash)));
        let is_hash = |hash: &str| hash.len() == HASH_CHARACTERS && hash.bytes().all(|one| one.is_ascii_hexdigit());
        match revision.parse() {
            Ok(revision) if statements.is_none_or(is_hash) => {
                Ok(Self { revision, statements: statements.map(str::to_owned) })
            }
            _ => Err("must be a baseline version, such as 1 or 1-3f2a9c01b4d7".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(text: &str) -> AccessRole {
        let minimal = include_str!("config/minimal.toml");
        crate::Config::parse(&format!("{minimal}\n{text}")).unwrap().access_role
    }

    const QUEUE: &str = "[[access_role.statements]]\nEffect = \"Allow\"\nAction = \"sqs:*\"\nResource = \"*\"";

    #[test]
    fn a_version_changes_with_the_configured_statements_only() {
        let plain = BaselineVersion::current(&role(""));
        assert_eq!(plain.to_string(), BASELINE_REVISION.to_string());
        let queue = BaselineVersion::current(&role(QUEUE));
        assert!(plain.is_older_than(&queue) && queue.is_older_than(&plain));
        // The spelling of the file does not matter.
        let respelled = QUEUE.replace("\"sqs:*\"", "[\"sqs:*\"]").replace("Effect", "Sid = \"A\"\nEffect");
        let other = BaselineVersion::current(&role(&respelled));
        assert_eq!(BaselineVersion::current(&role(&respelled.replace("Sid = \"A\"\n", ""))), queue);
        assert!(queue.is_older_than(&other));
        assert_eq!(queue.to_string().parse(), Ok(queue));
    }

    #[test]
    fn a_baseline_without_a_readable_tag_is_old() {
        let newer = BaselineVersion { revision: BASELINE_REVISION + 1, statements: None };
        assert!(!newer.is_older_than(&BaselineVersion::current(&role(QUEUE))));
        assert!(BaselineVersion::from_tag(None).is_older_than(&newer));
        for tag in ["", "x", "1-", "1-zzzzzzzzzzzz", "-1", "99999999999"] {
            assert!(BaselineVersion::from_tag(Some(tag)).is_older_than(&BaselineVersion::first()), "{tag}");
        }
    }
}
