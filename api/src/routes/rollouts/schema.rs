//! Schemas of rollouts and of requests for them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Conditions on the environments of a wave, all of which must be met. A missing condition is met by each environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WaveSelection {
    /// Names of environments, such as `staging`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["staging"]), max_items = 1000)]
    pub environments: Vec<String>,
    /// Commercial plans of tenants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["standard"]), max_items = 1000)]
    pub tiers: Vec<String>,
    /// Labels that the tenant must have, each with its value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({ "ring": "early" }))]
    pub labels: BTreeMap<String, String>,
    /// Ids of single tenants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["ten_01k2m8v3x9e7rt4s5q6w7y8z9b"]), max_items = 1000)]
    pub tenants: Vec<String>,
    /// Home regions of the environments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["eu-central-1"]), max_items = 1000)]
    pub home_regions: Vec<String>,
    /// Share of the environments that meet the other conditions, rounded up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 5, minimum = 1, maximum = 100)]
    pub percent: Option<u32>,
}

/// Wave of a new rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWave {
    /// Name of the wave, unique in the rollout.
    #[schema(example = "canary")]
    pub name: String,
    /// Environments of the wave, except those that an earlier wave has; all others by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<WaveSelection>,
    /// Maximum number of updates that run at the same time; 10 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub max_concurrent: Option<u32>,
    /// Number of failures that do not halt the rollout; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10_000)]
    pub max_failures: Option<u32>,
    /// `strict` (default): at most `max_failures + 1` updates less the failures run, so that at most
    /// `max_failures + 1` fail. `soft`: `max_concurrent` updates run, so that at most `max_failures + max_concurrent`
    /// fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "strict")]
    pub concurrency_mode: Option<String>,
    /// Time between the last update of the wave and the next wave; 0 by default. The last wave has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 604_800)]
    pub bake_seconds: Option<u64>,
    /// Whether another person than the author must approve the wave before it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<bool>,
    /// Time after the start of the wave at which environments that still wait are skipped; never by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 2_592_000)]
    pub window_deadline_seconds: Option<u64>,
}

/// New rollout of a release, with either `plan` or `waves`. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRollout {
    /// Id of the release, which must be `ready`, and approved unless all its environments are non-production.
    #[schema(example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub release: String,
    /// Name of a plan in the section `rollout_plans` of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "standard")]
    pub plan: Option<String>,
    /// Waves of the rollout, in their order, instead of a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20)]
    pub waves: Option<Vec<NewWave>>,
    /// Whether updates start only in the maintenance windows of the tenants; by default as in the plan, or `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respect_windows: Option<bool>,
    /// Whether new environments get the release after the last wave; by default as in the plan, or `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub makes_default: Option<bool>,
}

/// Expected course of a rollout, without creating it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutPreview {
    /// Waves in their order.
    pub waves: Vec<WavePreview>,
    /// Expected duration of all waves with their bakes, without the time until approvals.
    #[schema(example = 23575)]
    pub seconds: u64,
    /// Environments that a wave selects, but that the rollout leaves out.
    pub left_out: Vec<LeftOutEnvironment>,
}

/// Expected course of one wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WavePreview {
    /// Name of the wave.
    #[schema(example = "canary")]
    pub name: String,
    /// Number of environments in the wave.
    #[schema(example = 50)]
    pub environments: usize,
    /// Number of updates that run at the same time while none has failed.
    #[schema(example = 3)]
    pub effective_concurrency: u32,
    /// Setting that limits the concurrency: `max_concurrent`, or `max_failures` in the mode `strict`.
    #[schema(example = "max_failures")]
    pub concurrency_limit: String,
    /// Expected duration with the bake, without the time until an approval.
    #[schema(example = 1705)]
    pub seconds: u64,
}

/// Environment that a rollout leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOutEnvironment {
    /// Id of the environment.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub environment_id: String,
    /// Reason in plain words.
    #[schema(example = "has the release already")]
    pub reason: String,
}

/// Rollout: one release for many environments, wave by wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    /// Id of the rollout.
    #[schema(example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g")]
    pub id: String,
    /// Release that the environments get.
    #[schema(example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub release_id: String,
    /// Name of the configured plan; `null` if the request had waves of its own.
    #[schema(required = true, example = "standard")]
    pub plan: Option<String>,
    /// `pending`, `running`, `awaiting_approval`, `baking`, `paused`, `halted`, `rolling_back`, `rolled_back`,
    /// `succeeded` or `aborted`.
    #[schema(example = "halted")]
    pub state: String,
    /// Reason of the state in plain words; `null` if there is none.
    #[schema(required = true, example = "1 update has failed in the wave canary, which tolerates 0")]
    pub reason: Option<String>,
    /// Next event of the rollout, and what it waits for, in plain words.
    #[schema(example = "Nothing starts until a person acts: retry the failed environments, roll back, or abort.")]
    pub next: String,
    /// Requests that this state allows, as the last part of their paths.
    #[schema(example = json!(["abort", "roll-back", "retry-failed"]))]
    pub actions: Vec<String>,
    /// Time since which the rollout has this state.
    pub since: DateTime<Utc>,
    /// Name of the current wave.
    #[schema(example = "canary")]
    pub wave: String,
    /// Whether updates start only in the maintenance windows of the tenants.
    pub respect_windows: bool,
    /// Whether new environments get the release after the last wave.
    pub makes_default: bool,
    /// Subject of the token that created the rollout.
    pub created_by: String,
    /// Time of the request.
    pub created_at: DateTime<Utc>,
    /// Time of the last change.
    pub updated_at: DateTime<Utc>,
    /// Time at which the rollout ended; `null` before.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
    /// Waves in their order; only in the answer for one rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waves: Option<Vec<RolloutWave>>,
    /// Failed environments by reason, the most frequent first; only in the answer for one rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Vec<RolloutFailure>>,
    /// Numbers of environments of the rollout by region and present release; only in the answer for one rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<Vec<ReleaseCount>>,
}

/// Wave of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutWave {
    /// Name of the wave.
    #[schema(example = "canary")]
    pub name: String,
    /// Number of environments by state: `waiting`, `updating`, `baking`, `succeeded`, `failed`, `skipped` and
    /// `rolled_back`. States without environments are absent.
    #[schema(example = json!({ "updating": 3, "succeeded": 12 }))]
    pub environments: BTreeMap<String, i64>,
    /// Maximum number of updates that run at the same time.
    pub max_concurrent: u32,
    /// Number of failures that do not halt the rollout.
    pub max_failures: u32,
    /// `strict` or `soft`, as in the request.
    #[schema(example = "strict")]
    pub concurrency_mode: String,
    /// Number of updates that run at the same time while none has failed.
    pub effective_concurrency: u32,
    /// Setting that limits the concurrency: `max_concurrent`, or `max_failures` in the mode `strict`.
    #[schema(example = "max_failures")]
    pub concurrency_limit: String,
    /// Time between the last update of the wave and the next wave.
    pub bake_seconds: u64,
    /// Hash of the release, the wave and its environments, to which an approval is bound; `null` if none is needed.
    #[schema(required = true)]
    pub approval_sha256: Option<String>,
    /// Subject of the token that approved the wave; `null` before.
    #[schema(required = true)]
    pub approved_by: Option<String>,
    /// Time of the approval; `null` before.
    #[schema(required = true)]
    pub approved_at: Option<DateTime<Utc>>,
    /// Start of the wave; `null` before.
    #[schema(required = true)]
    pub started_at: Option<DateTime<Utc>>,
    /// Time at which the last update of the wave ended; `null` before.
    #[schema(required = true)]
    pub updated_at: Option<DateTime<Utc>>,
    /// End of the bake; `null` before the bake, and without one.
    #[schema(required = true)]
    pub bake_until: Option<DateTime<Utc>>,
    /// Reason of the promotion that ended the bake early; `null` without one.
    #[schema(required = true)]
    pub promotion_reason: Option<String>,
    /// End of the wave with its bake; `null` before.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
}

/// Failed environments of a rollout with the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutFailure {
    /// Reason in plain words, with the first resource that has failed.
    pub reason: String,
    /// Number of environments with this reason.
    #[schema(example = 1)]
    pub environments: i64,
}

/// Number of environments that have a release in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseCount {
    /// AWS region of the stacks.
    #[schema(example = "eu-central-1")]
    pub region: String,
    /// Release of the region; `null` if it is not known.
    #[schema(required = true, example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    pub release_id: Option<String>,
    /// Number of environments with the release in the region.
    #[schema(example = 12)]
    pub environments: i64,
}

/// Page of rollouts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutPage {
    /// Rollouts of this page.
    pub rollouts: Vec<Rollout>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Environment of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutEnvironment {
    /// Id of the environment.
    #[schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9c")]
    pub environment_id: String,
    /// Name of the environment.
    #[schema(example = "production")]
    pub environment: String,
    /// Id of the tenant.
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    pub tenant_id: String,
    /// Name of the wave.
    #[schema(example = "canary")]
    pub wave: String,
    /// `waiting`, `updating`, `baking`, `succeeded`, `failed`, `skipped` or `rolled_back`.
    #[schema(example = "failed")]
    pub state: String,
    /// Reason why the environment failed, was skipped, or waits; `null` if there is none.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// Latest update of the environment in the rollout; `null` before.
    #[schema(required = true, example = "op_01k2m8v3x9e7rt4s5q6w7y8z9d")]
    pub operation_id: Option<String>,
    /// Release before the rollout; `null` if it is not known.
    #[schema(required = true)]
    pub previous_release_id: Option<String>,
    /// Start of the latest update; `null` before.
    #[schema(required = true)]
    pub started_at: Option<DateTime<Utc>>,
    /// Time at which the state became final; `null` before.
    #[schema(required = true)]
    pub finished_at: Option<DateTime<Utc>>,
}

/// Page of environments of a rollout, in the order of their updates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutEnvironmentPage {
    /// Environments of this page.
    pub environments: Vec<RolloutEnvironment>,
    /// Token of the next page; `null` on the last page.
    #[schema(required = true)]
    pub next_page_token: Option<String>,
}

/// Request to change a rollout, with an optional reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutChange {
    /// Reason, which the rollout then shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Errors in the shop.", min_length = 1, max_length = 500)]
    pub reason: Option<String>,
}

/// Request to end a bake early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutPromotion {
    /// Reason, which the rollout then shows.
    #[schema(example = "All metrics are fine.", min_length = 1, max_length = 500)]
    pub reason: String,
}

/// Approval of the current wave of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaveApproval {
    /// Field `approval_sha256` of the wave that the approver has reviewed.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub sha256: String,
}
