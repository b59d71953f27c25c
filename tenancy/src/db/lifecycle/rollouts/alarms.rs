//! Records an alarm that fires in a bake.

use chrono::{DateTime, Utc};

use super::write_state::{Claimed, write_state};
use crate::db::rollout_members::{self, BakingMember};
use crate::db::{PgPool, Result, finish_transaction, rollouts};

/// Fails an environment in the bake for the reason `reason`, and makes its rollout due. Returns false if its bake is
/// over.
pub async fn record_firing_alarm(
    pool: &PgPool,
    member: &BakingMember,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let result = async {
        let Some(mut rollout) = rollouts::lock(&mut tx, member.rollout_id, None).await? else { return Ok(false) };
        if !rollout_members::fail_by_alarm(&mut tx, member, reason, now).await? {
            return Ok(false);
        }
        let (state, reason) = (rollout.state, rollout.reason.clone());
        write_state(&mut tx, &mut rollout, state, reason.as_deref(), Claimed::Wake, now).await?;
        Ok(true)
    }
    .await;
    finish_transaction(tx, result, |has_failed| *has_failed).await
}
