//! The committed table of what is expected of whom.

use std::collections::BTreeMap;

use serde::Deserialize;

const TABLE: &str = include_str!("../../conformance/expected.toml");

/// One line of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    /// What AWS does.
    aws: String,
    /// Where that is written, or how it is known.
    #[serde(rename = "source")]
    _source: String,
    simulator: Option<String>,
    moto: Option<String>,
    ministack: Option<String>,
}

/// The table: a line for each case, by module and function.
pub(super) struct Expected(BTreeMap<String, Expectation>);

impl Expected {
    pub(super) fn load() -> Self {
        let groups: BTreeMap<String, BTreeMap<String, Expectation>> =
            toml::from_str(TABLE).expect("tests/conformance/expected.toml");
        let lines = groups
            .into_iter()
            .flat_map(|(group, lines)| lines.into_iter().map(move |(case, line)| (format!("{group}.{case}"), line)));
        Self(lines.collect())
    }

    /// What `target` is expected to answer: what AWS does, unless a deviation is recorded.
    pub(super) fn of(&self, case: &str, target: &str) -> &str {
        let Some(line) = self.0.get(case) else { return "a line in the table" };
        let deviation = match target {
            "simulator" => &line.simulator,
            "moto" => &line.moto,
            _ => &line.ministack,
        };
        deviation.as_ref().unwrap_or(&line.aws)
    }

    /// The names of all cases, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}
