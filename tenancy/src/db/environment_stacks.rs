//! Stores the CloudFormation stacks of environments. A row is written together with the intent of the step that creates
//! the stack, see [`super::lifecycle::intend_stack`].

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DbError, PgPool, Result, parse_json, parse_text};
use crate::environment_stack::DeployedRelease;
use crate::environment_stack::{
    EnvironmentStack, EnvironmentStackState, StackChange, StackKind, StackProgress, StackSlot,
};
use crate::{EnvironmentId, OperationId};

/// Row of a stack, as the queries read it.
pub(super) struct StackRow {
    pub(super) kind: StackKind,
    pub(super) slot: i16,
    pub(super) region: String,
    pub(super) stack_name: String,
    pub(super) stack_id: Option<String>,
    pub(super) state: EnvironmentStackState,
    pub(super) outputs: Value,
    pub(super) changed_at: Option<DateTime<Utc>>,
    pub(super) release_id: Option<Uuid>,
    pub(super) parameters: Option<Value>,
}

impl StackRow {
    pub(super) fn stack(self) -> Result<EnvironmentStack> {
        let parameters = self.parameters.map(|value| parse_json(value, "the parameters of a stack")).transpose()?;
        let release =
            self.release_id.map(|id| DeployedRelease { id: id.into(), parameters: parameters.unwrap_or_default() });
        Ok(EnvironmentStack {
            kind: self.kind,
            slot: parse_slot(self.slot)?,
            region: parse_text(self.region)?,
            name: self.stack_name,
            id: self.stack_id,
            state: self.state,
            outputs: parse_json(self.outputs, "the outputs of a stack")?,
            changed_at: self.changed_at,
            release,
        })
    }
}

pub(super) fn parse_slot(number: i16) -> Result<StackSlot> {
    StackSlot::new(number).ok_or_else(|| DbError::UnexpectedValue(format!("the slot {number} of a stack")))
}

/// Returns the stacks of an environment, except deleted ones: the baseline first, then by slot.
pub async fn list(pool: &PgPool, environment: EnvironmentId) -> Result<Vec<EnvironmentStack>> {
    list_in_tx(&mut *pool.acquire().await?, environment).await
}

/// Returns the stacks of an environment in the transaction of the caller.
pub(super) async fn list_in_tx(tx: &mut PgConnection, environment: EnvironmentId) -> Result<Vec<EnvironmentStack>> {
    let rows = sqlx::query_as!(
        StackRow,
        r#"/* db::environment_stacks::list */
        select kind as "kind: StackKind", slot, region, stack_name, stack_id,
            state as "state: EnvironmentStackState", outputs, changed_at, release_id, parameters
        from environment_stacks where environment_id = $1 and state <> 'deleted' order by kind, slot, region"#,
        environment.as_uuid(),
    );
    rows.fetch_all(tx).await?.into_iter().map(StackRow::stack).collect()
}

/// Records what a run of a step of an operation has done with a stack.
pub(super) async fn record(
    tx: &mut PgConnection,
    operation: OperationId,
    change: &StackChange,
    now: DateTime<Utc>,
) -> Result<()> {
    let (id, state, outputs) = match &change.progress {
        StackProgress::Accepted { id } => (Some(id), None, None),
        StackProgress::Completed { id, outputs } => (Some(id), Some(EnvironmentStackState::Present), Some(outputs)),
        StackProgress::Undone => (None, None, None),
        StackProgress::Deleted => (None, Some(EnvironmentStackState::Deleted), None),
    };
    let is_unchanged_by_others = !matches!(change.progress, StackProgress::Accepted { .. });
    // A stack that another program or the previous version of Freehold has created has no row yet.
    sqlx::query!(
        r#"/* db::environment_stacks::record */
        insert into environment_stacks as stack (environment_id, kind, region, slot, stack_name, stack_id, state,
            outputs, operation_id, intended_at, changed_at, release_id, parameters)
        select environment_id, $2, $3, $4, $5, $6, coalesce($7, 'intended'), coalesce($8::jsonb, '{}'), id, $9,
            case when $10 then $9::timestamptz end, $11, $12
        from operations where id = $1
        on conflict (environment_id, kind, region) do update
            set slot = excluded.slot, stack_id = coalesce(excluded.stack_id, stack.stack_id),
                state = coalesce($7, stack.state), outputs = coalesce($8, stack.outputs),
                operation_id = excluded.operation_id,
                release_id = coalesce(excluded.release_id, stack.release_id),
                parameters = coalesce(excluded.parameters, stack.parameters),
                changed_at = case when $10 then excluded.changed_at else stack.changed_at end"#,
        operation.as_uuid(),
        change.kind.as_str(),
        change.region.as_str(),
        change.slot.number(),
        change.name,
        id,
        state.map(EnvironmentStackState::as_str),
        outputs.map(|outputs| json!(outputs)),
        now,
        is_unchanged_by_others,
        change.release.as_ref().map(|release| release.id.as_uuid()),
        change.release.as_ref().map(|release| json!(release.parameters)),
    )
    .execute(tx)
    .await?;
    Ok(())
}
