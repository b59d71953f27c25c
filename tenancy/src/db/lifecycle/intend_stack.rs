//! Writes the intent of a step that creates or updates a stack, together with the row of the stack. The stack is
//! therefore on record before AWS is called, and every list of stacks contains it, also after a crash of the worker.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::db::fence::Claim;
use crate::db::{DbError, PgPool, Result};
use crate::environment_stack::IntendedStack;
use crate::step::StepName;

/// Writes the intent of a step and the row of its stack, or neither.
pub async fn intend_stack(
    pool: &PgPool,
    claim: &Claim,
    step: StepName,
    intent: &Value,
    stack: &IntendedStack,
    now: DateTime<Utc>,
) -> Result<()> {
    // This is one statement, so that the snapshot that checks the fence also locks the row of the operation.
    let written = sqlx::query_scalar!(
        r#"/* db::lifecycle::intend_stack */
        with held as (select id, environment_id from operations where id = $1 and fence = $2 for no key update),
        entry as (
            update operation_steps s set intent = $4, intent_at = $5 from held
            where s.operation_id = held.id and s.name = $3 returning 1
        ),
        stack as (
            insert into environment_stacks as stack (environment_id, kind, region, slot, stack_name, state,
                operation_id, intended_at)
            select environment_id, $6, $7, $8, $9, 'intended', id, $5 from held
            on conflict (environment_id, kind, region) do update
                set slot = excluded.slot, stack_name = excluded.stack_name, operation_id = excluded.operation_id,
                    intended_at = excluded.intended_at,
                    stack_id = case when stack.state <> 'deleted' then stack.stack_id end,
                    outputs = case when stack.state <> 'deleted' then stack.outputs else '{}' end,
                    changed_at = case when stack.state <> 'deleted' then stack.changed_at end,
                    state = case when stack.state <> 'deleted' then stack.state else excluded.state end
        )
        select exists (select from entry) as "written!""#,
        claim.operation_id.as_uuid(),
        claim.fence,
        step.as_str(),
        intent,
        now,
        stack.kind.as_str(),
        stack.region.as_str(),
        stack.slot.number(),
        stack.name,
    );
    if written.fetch_one(pool).await? { Ok(()) } else { Err(DbError::LeaseLost) }
}

/// Deletes the intent of a step, and the row of its stack if no call for the stack had an effect. The caller must be
/// certain that the last call had none.
pub async fn withdraw_stack(pool: &PgPool, claim: &Claim, step: StepName, stack: &IntendedStack) -> Result<()> {
    let withdrawn = sqlx::query_scalar!(
        r#"/* db::lifecycle::withdraw_stack */
        with held as (select id, environment_id from operations where id = $1 and fence = $2 for no key update),
        entry as (
            update operation_steps s set intent = null, intent_at = null from held
            where s.operation_id = held.id and s.name = $3 returning 1
        ),
        stack as (
            delete from environment_stacks s using held
            where s.environment_id = held.environment_id and s.kind = $4 and s.region = $5 and s.state = 'intended'
                and s.stack_id is null and s.operation_id = held.id
        )
        select exists (select from entry) as "withdrawn!""#,
        claim.operation_id.as_uuid(),
        claim.fence,
        step.as_str(),
        stack.kind.as_str(),
        stack.region.as_str(),
    );
    if withdrawn.fetch_one(pool).await? { Ok(()) } else { Err(DbError::LeaseLost) }
}
