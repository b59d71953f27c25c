//! Reads `renames.toml` and applies the renames to names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

type RenameMap = BTreeMap<String, String>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Renames {
    pub(super) api_fields: RenameMap,
    pub(super) api_codes: RenameMap,
    pub(super) schemas: RenameMap,
    pub(super) routes: RenameMap,
    pub(super) parameters: RenameMap,
    pub(super) operation_ids: RenameMap,
    pub(super) tags: RenameMap,
    pub(super) config: RenameMap,
    pub(super) cli: RenameMap,
    pub(super) tables: RenameMap,
    pub(super) columns: RenameMap,
    pub(super) database_names: RenameMap,
    pub(super) stored_fields: RenameMap,
    pub(super) metrics: RenameMap,
    pub(super) alerts: RenameMap,
    pub(super) accepted: Vec<Accepted>,
}

/// Accepted difference from a frozen file that is not a rename.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accepted {
    pub(super) file: String,
    pub(super) at: String,
    pub(super) reason: String,
}

/// Returns the path of the folder `tests/tests/freeze`.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/freeze")
}

impl Renames {
    pub(super) fn read() -> Self {
        let text = std::fs::read_to_string(folder().join("renames.toml")).expect("renames.toml");
        let renames: Self = toml::from_str(&text).expect("renames.toml has an unknown section or a syntax error");
        assert!(renames.accepted.iter().all(|one| one.reason.len() > 15), "an accepted difference without a reason");
        renames
    }

    /// Returns the new name of `name`, or `name` itself if it was not renamed. An entry for `place.name` takes
    /// precedence over an entry for `name`.
    pub(super) fn new_name(section: &RenameMap, place: &str, name: &str) -> String {
        let placed = section.get(&format!("{place}.{name}"));
        placed.or_else(|| section.get(name)).map_or(name, String::as_str).to_owned()
    }

    /// Returns the new value of an API code. In a problem URN, only the code at the end is replaced.
    pub(super) fn code(&self, place: &str, word: &str) -> String {
        match word.strip_prefix("urn:freehold:problem:") {
            Some(code) => format!("urn:freehold:problem:{}", Self::new_name(&self.api_codes, place, code)),
            None => Self::new_name(&self.operation_ids, place, &Self::new_name(&self.api_codes, place, word)),
        }
    }

    pub(super) fn route(&self, path: &str) -> String {
        let suffix_of = |old: &str| path.strip_prefix(old).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let longest = self.routes.iter().filter(|(old, _)| suffix_of(old).is_some()).max_by_key(|(old, _)| old.len());
        longest.map_or_else(|| path.to_owned(), |(old, new)| format!("{new}{}", &path[old.len()..]))
    }

    pub(super) fn table(&self, table: &str) -> String {
        Self::new_name(&self.tables, "", table)
    }

    pub(super) fn column(&self, table: &str, column: &str) -> String {
        self.columns.get(&format!("{table}.{column}")).map_or(column, String::as_str).to_owned()
    }
}

/// Replaces each word of `text` for which `new` returns a replacement. An underscore is part of a word.
pub(super) fn replace_words(text: &str, mut new: impl FnMut(&str) -> Option<String>) -> String {
    let mut replaced = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
        } else {
            replaced.push_str(&new(&word).unwrap_or_else(|| word.clone()));
            word.clear();
            replaced.push(c);
        }
    }
    replaced.pop();
    replaced
}

#[test]
fn renames_apply_to_whole_words_and_specific_renames_win() {
    let renames: Renames = toml::from_str(
        "[api_fields]\nlog = \"lines\"\n\"WebhookDelivery.log\" = \"attempts\"\n[routes]\n\"/v1/holds\" = \"/v1/fleet-holds\"",
    )
    .expect("renames");
    assert_eq!(Renames::new_name(&renames.api_fields, "WebhookDelivery", "log"), "attempts");
    assert_eq!(Renames::new_name(&renames.api_fields, "Other", "log"), "lines");
    assert_eq!(Renames::new_name(&renames.api_fields, "Other", "logs"), "logs");
    assert_eq!(renames.route("/v1/holds/{id}"), "/v1/fleet-holds/{id}");
    assert_eq!(renames.route("/v1/holdsx"), "/v1/holdsx");
    let new = |word: &str| (word == "at").then(|| "time".to_owned());
    assert_eq!(replace_words("CHECK (at > created_at)", new), "CHECK (time > created_at)");
}
