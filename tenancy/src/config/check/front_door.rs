//! Validation of `[front_door]` and of the tiers with a front door.

use super::Problems;
use crate::config::Config;

/// Maximum number of cache behaviours of a distribution besides the default ("Quotas on distributions": 75).
const MAX_WRITE_PATHS: usize = 75;

/// Maximum length of a path pattern (CacheBehavior, `PathPattern`).
const MAX_PATH_LENGTH: usize = 255;

/// Characters of a path pattern besides letters and digits (CacheBehavior, `PathPattern`).
const PATH_CHARACTERS: &str = "_-.*$/~\"'@:+&?";

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let paths = &config.front_door.write_paths;
    if paths.len() > MAX_WRITE_PATHS {
        problems.add("front_door.write_paths", format_args!("must contain at most {MAX_WRITE_PATHS} path patterns"));
    }
    for path in paths {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || PATH_CHARACTERS.contains(c);
        if !path.starts_with('/') || path.len() > MAX_PATH_LENGTH || !path.chars().all(is_allowed) {
            problems.add(
                "front_door.write_paths",
                format_args!(
                    "must contain path patterns such as /api/*, which start with a slash and have at most \
                     {MAX_PATH_LENGTH} letters, digits and characters of {PATH_CHARACTERS}, not `{path}`"
                ),
            );
        }
    }
    problems.check_unique("front_door.write_paths", paths);
    if config.residencies.iter().any(|residency| residency.edge) {
        return;
    }
    for tier in config.tiers.iter().filter(|tier| tier.front_door) {
        problems.add(
            format_args!("tiers.{}.front_door", tier.name),
            "needs a residency with edge = true, because CloudFront decrypts requests all over the world",
        );
    }
}
