//! Partitions of AWS with their regions. Freehold works in the commercial partition only.

use std::sync::LazyLock;

/// Partitions with their regions. `tenancy/aws/generate.py` generates the file and documents its format.
const DATA: &str = include_str!("partitions.txt");

/// Conditions of a support for another partition, as the end of a sentence.
pub(super) const WHAT_IT_WOULD_TAKE: &str = "it would take an organisation and an installation of their own there, \
    and a Freehold that knows its endpoints and ARNs; accounts, roles and Identity Center do not span partitions";

/// Partition of AWS.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// Name in ARNs, such as `aws-us-gov`.
    pub(super) name: &'static str,
    /// Name in words, such as `AWS GovCloud (US)`.
    pub(super) title: &'static str,
    /// Start of the code of each region; `*` for the commercial partition, whose regions have different ones.
    prefix: &'static str,
    /// Codes and places of the regions, ordered by code.
    regions: Vec<(&'static str, &'static str)>,
}

struct Partitions {
    commercial: Partition,
    others: Vec<Partition>,
}

static PARTITIONS: LazyLock<Partitions> = LazyLock::new(|| {
    let mut all: Vec<Partition> = Vec::new();
    for line in DATA.lines().filter(|line| !line.starts_with('#')) {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        if first == "-" {
            let mut parts = rest.splitn(3, ' ');
            let mut next = || parts.next().unwrap_or_default();
            all.push(Partition { name: next(), prefix: next(), title: next(), regions: Vec::new() });
        } else if let Some(partition) = all.last_mut() {
            partition.regions.push((first, rest));
        }
    }
    let mut all = all.into_iter();
    Partitions { commercial: all.next().unwrap_or_default(), others: all.collect() }
});

impl Partition {
    /// Returns the codes of the regions.
    pub(super) fn codes(&self) -> impl Iterator<Item = &'static str> {
        self.regions.iter().map(|(code, _)| *code)
    }

    /// Returns the place of a region, or `None` if the region is unknown.
    pub(super) fn place(&self, code: &str) -> Option<&'static str> {
        self.regions.iter().find(|(known, _)| *known == code).map(|(_, place)| *place)
    }
}

/// Returns the commercial partition.
pub(super) fn commercial() -> &'static Partition {
    &PARTITIONS.commercial
}

/// Returns the partition of a region outside the commercial partition, or `None` for any other text.
pub(super) fn other_of_region(code: &str) -> Option<&'static Partition> {
    PARTITIONS.others.iter().find(|partition| code.starts_with(partition.prefix))
}

/// Returns the refusal of a partition other than `aws` that an ARN names, as a text that starts with "must". Returns
/// `None` for the partition `aws` and for a text that is not the name of a partition.
pub fn other_partition_refusal(name: &str) -> Option<String> {
    let title = match PARTITIONS.others.iter().find(|partition| partition.name == name) {
        Some(partition) => partition.title,
        None if name.starts_with("aws-") => "a partition of its own",
        None => return None,
    };
    Some(format!("must be in the partition aws; {name} ({title}) is not supported: {WHAT_IT_WOULD_TAKE}"))
}
