//! What a simulated organisation is made of, and how long things take in it.

use chrono::TimeDelta;
use freehold_tenancy::clock::seconds;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::policy::Document;

/// How a world is set up. Saved with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Makes every draw repeatable: two worlds with one seed take equally long for equal things.
    pub seed: u64,
    /// The organisation's management account.
    pub management_account: String,
    /// The member account in which Freehold itself runs.
    pub freehold_account: String,
    /// A long-lived access key of an administrator in the management account. Any secret goes with it.
    pub management_access_key: String,
    /// A long-lived access key in Freehold's own account: it may assume the control role and nothing else.
    pub freehold_access_key: String,
    /// The role in the management account that Freehold assumes.
    pub control_role: String,
    /// What an assumption of the control role must bring along, if anything.
    pub control_external_id: Option<String>,
    /// What the control role may do; AdministratorAccess if nothing is said.
    pub control_policy: Option<Document>,
    /// Where Identity Center lives.
    pub home_region: String,
    /// Groups that Identity Center knows from the start.
    pub groups: Vec<String>,
    /// How many accounts the organisation may have, closed ones included. AWS grants 10 by default, 50,000 at most.
    pub account_quota: usize,
    /// Whether the rates of API calls are limited as AWS limits them.
    pub throttling: bool,
    /// Share of refused calls into a fresh account that are refused with a code other than the usual one.
    pub odd_refusals: f64,
    /// How long things take.
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
            control_external_id: None,
            control_policy: None,
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
    /// A world in which everything is done at once and no rate is limited.
    pub fn instant() -> Self {
        Self { throttling: false, durations: Durations::instant(), ..Self::default() }
    }

    /// How long the thing called `key` takes: log-normal, always the same for one seed and key.
    pub fn draw(&self, spread: Spread, key: &str) -> TimeDelta {
        let sigma = (1.0 + spread.cv * spread.cv).ln().sqrt();
        seconds(spread.median * (sigma * self.normal(key)).exp())
    }

    /// A number from 0 (included) to 1 that belongs to `key`.
    pub fn chance(&self, key: &str) -> f64 {
        self.uniform(key).0
    }

    /// A standard normal number that belongs to `key` (Box and Muller).
    fn normal(&self, key: &str) -> f64 {
        let (first, second) = self.uniform(key);
        (-2.0 * (1.0 - first).ln()).sqrt() * (std::f64::consts::TAU * second).cos()
    }

    fn uniform(&self, key: &str) -> (f64, f64) {
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
pub struct Spread {
    /// Half of all draws are shorter, seconds.
    pub median: f64,
    /// Standard deviation over mean.
    pub cv: f64,
}

impl Spread {
    /// Draws around `median` seconds with a coefficient of variation of 0.3.
    pub const fn around(median: f64) -> Self {
        Self { median, cv: 0.3 }
    }

    /// Always exactly `median` seconds.
    pub const fn exactly(median: f64) -> Self {
        Self { median, cv: 0.0 }
    }
}

/// How long AWS takes for what it does in the background.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Durations {
    /// CreateAccount, from the request to SUCCEEDED. "A few minutes" at the worst; usually within one.
    pub create_account: Spread,
    /// A fresh account refuses to have its role assumed for this long after SUCCEEDED.
    pub settle: Spread,
    /// And CloudFormation there needs this much longer.
    pub subscribe: Spread,
    /// CloseAccount, from the request to CLOSED.
    pub close_account: Spread,
    /// A new, changed, attached or detached policy, or a move, takes effect after this.
    pub policy_propagation: Spread,
    /// EnableRegion, from the request to ENABLED: minutes to hours.
    pub region_opt_in: Spread,
    pub assignment: Spread,
    pub provision_permission_set: Spread,
    /// One resource of a CloudFormation stack, created, updated or deleted.
    pub stack_resource: Spread,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            create_account: Spread::around(45.0),
            settle: Spread::around(30.0),
            subscribe: Spread::around(20.0),
            close_account: Spread::around(60.0),
            policy_propagation: Spread::around(4.0),
            region_opt_in: Spread::around(900.0),
            assignment: Spread::around(12.0),
            provision_permission_set: Spread::around(12.0),
            stack_resource: Spread::around(8.0),
        }
    }
}

impl Durations {
    pub const fn instant() -> Self {
        let now = Spread::exactly(0.0);
        Self {
            create_account: now,
            settle: now,
            subscribe: now,
            close_account: now,
            policy_propagation: now,
            region_opt_in: now,
            assignment: now,
            provision_permission_set: now,
            stack_resource: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_and_key_alone_and_keep_their_median_and_spread() {
        let settings = Settings::default();
        let spread = Spread::around(60.0);
        assert_eq!(settings.draw(spread, "a"), Settings::default().draw(spread, "a"));
        assert_ne!(settings.draw(spread, "a"), settings.draw(spread, "b"));

        let mut draws: Vec<f64> =
            (0..2_000).map(|n| settings.draw(spread, &format!("k{n}")).as_seconds_f64()).collect();
        draws.sort_by(f64::total_cmp);
        assert!((57.0..63.0).contains(&draws[1_000]), "median {}", draws[1_000]);
        let mean = draws.iter().sum::<f64>() / 2_000.0;
        let cv = (draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 2_000.0).sqrt() / mean;
        assert!((0.27..0.33).contains(&cv), "coefficient of variation {cv}");
    }
}
