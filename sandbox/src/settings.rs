//! Settings of the simulated organisation, and the durations of its background work.

use chrono::TimeDelta;
use freehold_tenancy::clock::seconds;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::policy::Document;

/// Settings of the simulated AWS. They are saved together with the state.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seed of all random values. Two simulations with the same seed use the same durations for the same work.
    pub seed: u64,
    /// Id of the management account.
    pub management_account: String,
    /// Id of the member account in which Freehold itself runs.
    pub freehold_account: String,
    /// Long-lived access key id of an administrator in the management account. Any secret access key is accepted.
    pub management_access_key: String,
    /// Long-lived access key id in Freehold's own account. The key can only be used to assume the
    /// control role and the people role.
    pub freehold_access_key: String,
    /// Name of the role in the management account with which Freehold works in the organisation.
    pub control_role: String,
    /// Name of the role in the management account with which Freehold changes users and groups.
    pub people_role: String,
    /// External id required to assume the two roles; `None` if not required.
    pub control_external_id: Option<String>,
    /// Policy of the control role; `None` means AdministratorAccess.
    pub control_policy: Option<Document>,
    /// Policy of the people role; `None` means AdministratorAccess.
    pub people_policy: Option<Document>,
    /// Home region of Identity Center.
    pub home_region: String,
    /// Names of the initial groups in Identity Center.
    pub groups: Vec<String>,
    /// Maximum number of accounts, including closed accounts. The default of AWS is 10; AWS grants at most 50,000.
    pub account_quota: usize,
    /// True if API calls are rate-limited as in AWS.
    pub throttling: bool,
    /// Fraction of new accounts for which AssumeRole initially fails with an unusual error code instead of
    /// AccessDenied.
    pub odd_refusals: f64,
    pub durations: Durations,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            management_account: "111122223333".into(),
            freehold_account: "444455556666".into(),
            management_access_key: "AKIASANDBOXMANAGEMENT".into(),
            freehold_access_key: "AKIASANDBOXFREEHOLD".into(),
            control_role: "freehold-control".into(),
            people_role: "freehold-people".into(),
            control_external_id: None,
            control_policy: None,
            people_policy: None,
            home_region: "eu-central-1".into(),
            groups: vec!["support".into(), "platform".into()],
            account_quota: 5_000,
            throttling: true,
            odd_refusals: 0.2,
            durations: Durations::default(),
        }
    }
}

impl Settings {
    /// Returns settings with which all work completes immediately and no calls are throttled.
    pub fn instant() -> Self {
        Self { throttling: false, durations: Durations::instant(), ..Self::default() }
    }

    /// Draws a random duration from a log-normal distribution. The result depends only on the seed and on `key`, which
    /// identifies the background work.
    pub fn draw_duration(&self, spread: DurationDistribution, key: &str) -> TimeDelta {
        let sigma = (1.0 + spread.cv * spread.cv).ln().sqrt();
        seconds(spread.median * (sigma * self.standard_normal(key)).exp())
    }

    /// Returns a uniform random number in [0, 1) that depends only on seed and key.
    pub fn random_fraction(&self, key: &str) -> f64 {
        self.uniform_pair(key).0
    }

    /// Returns a standard normal random number that depends only on seed and key (Box–Muller transform).
    fn standard_normal(&self, key: &str) -> f64 {
        let (first, second) = self.uniform_pair(key);
        (-2.0 * (1.0 - first).ln()).sqrt() * (std::f64::consts::TAU * second).cos()
    }

    fn uniform_pair(&self, key: &str) -> (f64, f64) {
        let digest = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(key).finalize();
        let unit = |bytes: &[u8]| {
            let number = bytes.iter().take(4).fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
            f64::from(number) / (f64::from(u32::MAX) + 1.0)
        };
        (unit(&digest[..4]), unit(&digest[4..8]))
    }
}

/// A log-normal distribution of durations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DurationDistribution {
    /// Median in seconds.
    pub median: f64,
    /// Coefficient of variation: standard deviation divided by mean.
    pub cv: f64,
}

impl DurationDistribution {
    /// Returns a distribution with a median in seconds and a coefficient of variation of 0.3.
    pub const fn with_median(median: f64) -> Self {
        Self { median, cv: 0.3 }
    }

    /// Returns a distribution whose value is always `median` seconds.
    pub const fn constant(median: f64) -> Self {
        Self { median, cv: 0.0 }
    }
}

/// Durations of the background work in the simulated AWS.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Durations {
    /// Duration of CreateAccount, from the request to the state SUCCEEDED. According to the AWS documentation, this
    /// takes a few minutes; usually it takes less than one minute.
    pub create_account: DurationDistribution,
    /// Time after the state SUCCEEDED during which a new account rejects AssumeRole.
    pub settle: DurationDistribution,
    /// Time after `settle` until CloudFormation can be used in a new account.
    pub subscribe: DurationDistribution,
    /// Duration of CloseAccount, from the request to the state CLOSED.
    pub close_account: DurationDistribution,
    /// Delay until a changed or newly attached policy, a detached policy, or the move of an account takes effect.
    pub policy_propagation: DurationDistribution,
    /// Duration of EnableRegion, from the request to the status ENABLED. In AWS, this takes minutes to hours.
    pub region_opt_in: DurationDistribution,
    pub assignment: DurationDistribution,
    pub provision_permission_set: DurationDistribution,
    /// Duration of the creation, update or deletion of one resource of a CloudFormation stack.
    pub stack_resource: DurationDistribution,
    /// Time that CloudFormation needs to detect the drift of a stack.
    pub drift_detection: DurationDistribution,
    /// Time until a created change set of CloudFormation is complete or failed.
    pub change_set: DurationDistribution,
    /// Time until a created, changed or disabled distribution of CloudFront is deployed, 3 to 15 minutes in AWS.
    pub distribution: DurationDistribution,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            create_account: DurationDistribution::with_median(45.0),
            settle: DurationDistribution::with_median(30.0),
            subscribe: DurationDistribution::with_median(20.0),
            close_account: DurationDistribution::with_median(60.0),
            policy_propagation: DurationDistribution::with_median(4.0),
            region_opt_in: DurationDistribution::with_median(900.0),
            assignment: DurationDistribution::with_median(12.0),
            provision_permission_set: DurationDistribution::with_median(12.0),
            stack_resource: DurationDistribution::with_median(8.0),
            drift_detection: DurationDistribution::with_median(60.0),
            change_set: DurationDistribution::with_median(3.0),
            distribution: DurationDistribution::with_median(300.0),
        }
    }
}

impl Durations {
    pub const fn instant() -> Self {
        let zero = DurationDistribution::constant(0.0);
        Self {
            create_account: zero,
            settle: zero,
            subscribe: zero,
            close_account: zero,
            policy_propagation: zero,
            region_opt_in: zero,
            assignment: zero,
            provision_permission_set: zero,
            stack_resource: zero,
            drift_detection: zero,
            change_set: zero,
            distribution: zero,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_depend_on_seed_and_key_and_match_the_distribution() {
        let settings = Settings::default();
        let spread = DurationDistribution::with_median(60.0);
        assert_eq!(settings.draw_duration(spread, "a"), Settings::default().draw_duration(spread, "a"));
        assert_ne!(settings.draw_duration(spread, "a"), settings.draw_duration(spread, "b"));

        let mut draws: Vec<f64> =
            (0..2_000).map(|n| settings.draw_duration(spread, &format!("k{n}")).as_seconds_f64()).collect();
        draws.sort_by(f64::total_cmp);
        assert!((57.0..63.0).contains(&draws[1_000]), "median {}", draws[1_000]);
        let mean = draws.iter().sum::<f64>() / 2_000.0;
        let cv = (draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 2_000.0).sqrt() / mean;
        assert!((0.27..0.33).contains(&cv), "coefficient of variation {cv}");
    }
}
