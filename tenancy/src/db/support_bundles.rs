//! Reads the data of a support bundle. Each statement selects only the values that the bundle contains.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{PgPool, Result, finish_transaction};
use crate::OperationId;
use crate::operation::{OperationKind, OperationState};
use crate::step::StepState;
use crate::support_bundle::{
    ActorKind, BundleAttention, BundleAuditEntry, BundleEvent, BundleOperation, BundleSlot, BundleStep, BundleVersions,
    Identifier, SupportBundle,
};

/// Maximum number of events, and of entries of the audit trail, in a bundle.
const MAX_LINES: i64 = 10_000;

/// Returns the data about an operation, or `None` if it does not exist.
///
/// The caller must not drop the future, which would leave a connection in a transaction.
pub async fn read(pool: &PgPool, id: OperationId) -> Result<Option<SupportBundle>> {
    // All files of a bundle show the same moment.
    let mut tx = pool.begin_with("begin isolation level repeatable read read only").await?;
    let bundle = read_in(&mut tx, id).await;
    finish_transaction(tx, bundle, |_| false).await
}

async fn read_in(tx: &mut PgConnection, id: OperationId) -> Result<Option<SupportBundle>> {
    let Some(mut operation) = read_operation(&mut *tx, id).await? else { return Ok(None) };
    let steps = read_steps(&mut *tx, id).await?;
    let failed = steps.iter().find(|step| step.state == StepState::Failed);
    operation.failure = failed
        .filter(|_| operation.state == OperationState::Failed)
        .map(|step| BundleAttention::new(step.attention_code, Vec::new(), step.attention_aws_request_id.clone()));
    operation.slots = read_slots(&mut *tx, id).await?;
    let events = read_events(&mut *tx, id).await?;
    let audit_entries = read_audit_entries(&mut *tx, id).await?;
    let versions = read_versions(&mut *tx).await?;
    Ok(Some(SupportBundle { operation, steps, events, audit_entries, versions }))
}

async fn read_operation(tx: &mut PgConnection, id: OperationId) -> Result<Option<BundleOperation>> {
    let row = sqlx::query!(
        r#"/* db::support_bundles::read_operation */
        select o.tenant_id, o.environment_id, o.kind as "kind: OperationKind", o.state as "state: OperationState",
            o.attention_code, o.attention_remedies, o.attention_aws_request_id, o.approval_required, o.wake_at,
            o.created_at, o.started_at, o.finished_at, o.updated_at, e.home_region,
            (select m.aws_account_id from account_mappings m where m.environment_id = o.environment_id
                order by m.valid_from desc limit 1) as aws_account_id,
            (select i.id from installation i) as installation_id
        from operations o join environments e on e.id = o.environment_id
        where o.id = $1"#,
        id.as_uuid(),
    );
    let Some(row) = row.fetch_optional(tx).await? else { return Ok(None) };
    let attention = row.attention_code.map(|code| {
        let remedies = row.attention_remedies.unwrap_or_default();
        let remedies = remedies.iter().filter_map(|remedy| remedy.parse().ok()).collect();
        BundleAttention::new(code.parse().ok(), remedies, identifier(row.attention_aws_request_id))
    });
    Ok(Some(BundleOperation {
        id,
        tenant_id: row.tenant_id.into(),
        environment_id: row.environment_id.into(),
        installation_id: row.installation_id.map(Into::into),
        aws_account_id: parsed(row.aws_account_id),
        home_region: row.home_region.parse().ok(),
        kind: row.kind,
        state: row.state,
        attention,
        failure: None,
        approval_required: row.approval_required,
        slots: Vec::new(),
        wake_at: row.wake_at,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        updated_at: row.updated_at,
    }))
}

async fn read_steps(tx: &mut PgConnection, id: OperationId) -> Result<Vec<BundleStep>> {
    let rows = sqlx::query!(
        r#"/* db::support_bundles::read_steps */
        select name, state as "state: StepState", skip_reason is not null as "is_skipped!", attempts,
            attempts_without_progress, attention ->> 'code' as attention_code,
            attention ->> 'aws_request_id' as attention_aws_request_id, last_error is not null as "has_error!",
            last_error_aws_request_id, facts ->> 'creation_request_id' as account_creation_id,
            facts ->> 'account_id' as aws_account_id, intent_at, check_at, blocked_since, started_at, retried_at,
            finished_at
        from operation_steps where operation_id = $1 order by position"#,
        id.as_uuid(),
    );
    let rows = rows.fetch_all(tx).await?.into_iter();
    Ok(rows
        .map(|row| BundleStep {
            name: row.name.parse().ok(),
            state: if row.is_skipped { StepState::Skipped } else { row.state },
            attempts: row.attempts,
            attempts_without_progress: row.attempts_without_progress,
            attention_code: parsed(row.attention_code),
            attention_aws_request_id: identifier(row.attention_aws_request_id),
            has_error: row.has_error,
            last_error_aws_request_id: identifier(row.last_error_aws_request_id),
            account_creation_id: identifier(row.account_creation_id),
            aws_account_id: parsed(row.aws_account_id),
            intent_at: row.intent_at,
            check_at: row.check_at,
            blocked_since: row.blocked_since,
            started_at: row.started_at,
            retried_at: row.retried_at,
            finished_at: row.finished_at,
        })
        .collect())
}

async fn read_slots(tx: &mut PgConnection, id: OperationId) -> Result<Vec<BundleSlot>> {
    let rows = sqlx::query!(
        r#"/* db::support_bundles::read_slots */
        select quota, requested_at, granted_at, request_id from slots where operation_id = $1
        order by requested_at, quota, item"#,
        id.as_uuid(),
    );
    let rows = rows.fetch_all(tx).await?.into_iter();
    Ok(rows
        .map(|row| BundleSlot {
            quota: row.quota.parse().ok(),
            requested_at: row.requested_at,
            granted_at: row.granted_at,
            aws_work_id: identifier(row.request_id),
        })
        .collect())
}

async fn read_events(tx: &mut PgConnection, id: OperationId) -> Result<Vec<BundleEvent>> {
    let rows = sqlx::query!(
        r#"/* db::support_bundles::read_events */
        select seq, case when type = 'step.succeeded' and data ? 'reason' then 'step.skipped' else type end
                as "event_type!", occurred_at, data ->> 'step' as step, data ->> 'code' as code,
            data ->> 'aws_account_id' as aws_account_id, data ->> 'region' as region
        from events where operation_id = $1 order by seq desc limit $2"#,
        id.as_uuid(),
        MAX_LINES,
    );
    // The latest ones were selected.
    let rows = rows.fetch_all(tx).await?.into_iter().rev();
    Ok(rows
        .map(|row| BundleEvent {
            seq: row.seq,
            r#type: row.event_type.parse().ok(),
            occurred_at: row.occurred_at,
            step: parsed(row.step),
            code: parsed(row.code),
            aws_account_id: parsed(row.aws_account_id),
            region: parsed(row.region),
        })
        .collect())
}

async fn read_audit_entries(tx: &mut PgConnection, id: OperationId) -> Result<Vec<BundleAuditEntry>> {
    // The index contains the first 256 characters of the id.
    let rows = sqlx::query!(
        r#"/* db::support_bundles::read_audit_entries */
        select r.position, r.recorded_at, r.record ->> 'at' as at, r.record ->> 'kind' as kind,
            r.record ->> 'action' as action, r.record -> 'actor' ->> 'process' is not null as "is_process!",
            r.record ->> 'step' as step, r.record ->> 'request_id' as request_id,
            split_part(r.record ->> 'aws_role', ':', 5) as aws_account_id,
            r.record -> 'outcome' ->> 'result' as result, r.record -> 'outcome' ->> 'status' as status,
            r.record -> 'outcome' ->> 'code' as code, r.record -> 'outcome' ->> 'aws_request_id' as aws_request_id
        from audit_records r
        where r.position <= (select position from audit_head) and r.position = any(array(
            select o.position from audit_records o
            where left(o.record ->> 'operation_id', 256) = left($1, 256) and o.record ->> 'operation_id' = $1
            union all
            select o.position from audit_records o where (o.record -> 'outcome' -> 'ids')::jsonb ? $1))
        order by r.position desc limit $2"#,
        id.to_string(),
        MAX_LINES,
    );
    let rows = rows.fetch_all(tx).await?.into_iter().rev();
    Ok(rows
        .map(|row| BundleAuditEntry {
            position: row.position,
            at: parsed::<DateTime<Utc>>(row.at),
            recorded_at: row.recorded_at,
            kind: parsed(row.kind),
            action: identifier(row.action),
            actor: if row.is_process { ActorKind::Process } else { ActorKind::Caller },
            step: parsed(row.step),
            // An id that Freehold has generated is a UUID.
            request_id: parsed::<Uuid>(row.request_id).map(|id| id.simple().to_string()),
            aws_account_id: parsed(row.aws_account_id),
            result: parsed(row.result),
            status: parsed(row.status),
            code: identifier(row.code),
            aws_request_id: identifier(row.aws_request_id),
        })
        .collect())
}

async fn read_versions(tx: &mut PgConnection) -> Result<BundleVersions> {
    // This statement is not checked at compile time, because sqlx creates the table only when it runs migrations.
    let schema = sqlx::query_scalar(
        "/* db::support_bundles::read_versions */ select max(version) from _sqlx_migrations where success",
    );
    let schema: Option<i64> = schema.fetch_one(&mut *tx).await?;
    let number = sqlx::query_scalar!(
        r#"/* db::support_bundles::read_versions */ select current_setting('server_version_num')::integer as "number!""#
    );
    let number = number.fetch_one(tx).await?;
    Ok(BundleVersions {
        freehold: env!("CARGO_PKG_VERSION"),
        schema: schema.unwrap_or_default(),
        postgresql: format!("{}.{}", number / 10_000, number % 10_000),
    })
}

/// Returns the parsed value, or `None` if the text is missing or is not such a value.
fn parsed<T: std::str::FromStr>(text: Option<String>) -> Option<T> {
    text?.parse().ok()
}

fn identifier(text: Option<String>) -> Option<Identifier> {
    Identifier::parse(&text?)
}
