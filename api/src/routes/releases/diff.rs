//! Difference between two releases, for the review before an approval.

use std::collections::{BTreeMap, BTreeSet};

use freehold_tenancy::release::{Release, StackParameters};
use similar::TextDiff;

use super::schema::ReleaseDiff;

/// Name of the common template in a difference.
const COMMON: &str = "template";

/// Returns what `release` changes compared with `against`.
pub(super) fn diff(against: &Release, release: &Release) -> ReleaseDiff {
    let (old, new) = (&against.content, &release.content);
    let mut templates = BTreeMap::new();
    let regions: BTreeSet<_> = old.region_templates.keys().chain(new.region_templates.keys()).copied().collect();
    let texts = regions.into_iter().map(|region| {
        (region.to_string(), old.text_in(region).unwrap_or_default(), new.text_in(region).unwrap_or_default())
    });
    let common =
        (COMMON.to_owned(), old.template.as_deref().unwrap_or_default(), new.template.as_deref().unwrap_or_default());
    for (name, before, after) in std::iter::once(common).chain(texts) {
        if before != after {
            let text = TextDiff::from_lines(before, after);
            let (from, to) = (against.id.to_string(), release.id.to_string());
            templates.insert(name, text.unified_diff().context_radius(3).header(&from, &to).to_string());
        }
    }
    let mut parameters = BTreeMap::new();
    compare("", &old.parameters, &new.parameters, &mut parameters);
    let none = StackParameters::new();
    let regions: BTreeSet<_> = old.region_parameters.keys().chain(new.region_parameters.keys()).collect();
    for region in regions {
        let of = |all: &BTreeMap<_, StackParameters>| all.get(region).cloned().unwrap_or_else(|| none.clone());
        let (before, after) = (of(&old.region_parameters), of(&new.region_parameters));
        compare(&format!("{region}."), &before, &after, &mut parameters);
    }
    let regions: BTreeSet<_> = old.urls.keys().chain(new.urls.keys()).collect();
    let urls = regions.into_iter().filter(|region| old.urls.get(region) != new.urls.get(region));
    ReleaseDiff {
        against: against.id.to_string(),
        release: release.id.to_string(),
        templates,
        parameters,
        urls: urls.map(ToString::to_string).collect(),
    }
}

/// Adds the parameters that differ, with the old and the new value.
fn compare(
    prefix: &str,
    old: &StackParameters,
    new: &StackParameters,
    changed: &mut BTreeMap<String, [Option<String>; 2]>,
) {
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let values = [old.get(name).cloned(), new.get(name).cloned()];
        if values[0] != values[1] {
            changed.insert(format!("{prefix}{name}"), values);
        }
    }
}
