//! Expected results of the conformance tests, read from `expected.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

const EXPECTED_TOML: &str = include_str!("../../conformance/expected.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    /// Documented behaviour of AWS.
    aws: String,
    /// Source of the information in `aws`: documentation or observation.
    #[serde(rename = "source")]
    _source: String,
    simulator: Option<String>,
    moto: Option<String>,
    ministack: Option<String>,
}

/// Expected results by case name (module and function).
pub(super) struct Expected(BTreeMap<String, Expectation>);

impl Expected {
    pub(super) fn load() -> Self {
        let groups: BTreeMap<String, BTreeMap<String, Expectation>> =
            toml::from_str(EXPECTED_TOML).expect("tests/conformance/expected.toml");
        let lines = groups
            .into_iter()
            .flat_map(|(group, lines)| lines.into_iter().map(move |(case, line)| (format!("{group}.{case}"), line)));
        Self(lines.collect())
    }

    /// Returns the expected result of a case on a target: the recorded deviation of the target if there is one,
    /// otherwise the behaviour of AWS.
    pub(super) fn of(&self, case: &str, target: &str) -> &str {
        let Some(line) = self.0.get(case) else { return "a line in the table" };
        let deviation = match target {
            "simulator" => &line.simulator,
            "moto" => &line.moto,
            _ => &line.ministack,
        };
        deviation.as_ref().unwrap_or(&line.aws)
    }

    /// Returns the names of all cases, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}
