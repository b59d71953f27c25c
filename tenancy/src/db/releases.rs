//! Stores the releases of the tenant stack. Their content never changes.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DbError, PgPool, Result, events, finish_transaction, parse_json, parse_text};
use crate::environment_stack::StackSlot;
use crate::feed::FeedType;
use crate::operation::Requester;
use crate::release::{Release, ReleaseApproval, ReleaseContent, ReleaseSource, ReleaseState};
use crate::{EnvironmentId, EnvironmentName, Region, ReleaseId, TenantId};

/// Row of a release, as the queries read it.
struct ReleaseRow {
    id: Uuid,
    source: ReleaseSource,
    sha256: String,
    content: Value,
    notes: Option<String>,
    registered_by: Value,
    created_at: DateTime<Utc>,
    state: ReleaseState,
    problems: Value,
    declared_parameters: Value,
    checked_at: Option<DateTime<Utc>>,
    approved_by: Option<Value>,
    approved_at: Option<DateTime<Utc>>,
    is_default: bool,
}

impl ReleaseRow {
    fn release(self) -> Result<Release> {
        let approved_by = self.approved_by.map(|by| parse_json(by, "the approver of a release")).transpose()?;
        Ok(Release {
            id: self.id.into(),
            source: self.source,
            sha256: self.sha256,
            content: parse_json(self.content, "the content of a release")?,
            notes: self.notes,
            registered_by: parse_json(self.registered_by, "the registrant of a release")?,
            created_at: self.created_at,
            state: self.state,
            problems: parse_json(self.problems, "the problems of a release")?,
            declared_parameters: parse_json(self.declared_parameters, "the parameters of a release")?,
            checked_at: self.checked_at,
            approval: approved_by.zip(self.approved_at).map(|(by, at)| ReleaseApproval { by, at }),
            is_default: self.is_default,
        })
    }
}

/// New release.
#[derive(Debug, Clone)]
pub struct NewRelease<'a> {
    pub source: ReleaseSource,
    pub content: &'a ReleaseContent,
    pub notes: Option<&'a str>,
    pub registered_by: &'a Requester,
}

/// Inserts a release that a worker must check, and returns its id.
pub async fn register(pool: &PgPool, new: &NewRelease<'_>, now: DateTime<Utc>) -> Result<ReleaseId> {
    let id = ReleaseId::new(now);
    insert(&mut *pool.acquire().await?, id, new, ReleaseState::Checking, now).await?;
    Ok(id)
}

async fn insert(
    connection: &mut PgConnection,
    id: ReleaseId,
    new: &NewRelease<'_>,
    state: ReleaseState,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        r#"/* db::releases::insert */
        insert into releases (id, source, sha256, content, notes, registered_by, created_at, state, checked_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, case when $8 <> 'checking' then $7::timestamptz end)
        on conflict do nothing"#,
        id.as_uuid(),
        new.source.as_str(),
        new.content.sha256(),
        json!(new.content),
        new.notes,
        json!(new.registered_by),
        now,
        state.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the release of the configuration with this content, and inserts it if there is none. The worker has checked
/// the template when it has read it.
pub async fn of_configuration(
    pool: &PgPool,
    content: &ReleaseContent,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<ReleaseId> {
    let find = || async {
        let id = sqlx::query_scalar!(
            r#"/* db::releases::of_configuration */
            select id from releases where source = 'configuration' and sha256 = $1"#,
            content.sha256(),
        );
        Ok::<_, DbError>(id.fetch_optional(pool).await?.map(ReleaseId::from))
    };
    if let Some(id) = find().await? {
        return Ok(id);
    }
    let new = NewRelease { source: ReleaseSource::Configuration, content, notes: None, registered_by: by };
    insert(&mut *pool.acquire().await?, ReleaseId::new(now), &new, ReleaseState::Ready, now).await?;
    // Another worker may have inserted it at the same time.
    find().await?.ok_or_else(|| DbError::UnexpectedValue("a release of the configuration is missing".to_owned()))
}

/// Returns a release, or `None` if there is none with this id.
pub async fn find(pool: &PgPool, id: ReleaseId) -> Result<Option<Release>> {
    find_in_tx(&mut *pool.acquire().await?, id).await
}

/// Returns a release in the transaction of the caller.
pub(super) async fn find_in_tx(tx: &mut PgConnection, id: ReleaseId) -> Result<Option<Release>> {
    let row = sqlx::query_as!(
        ReleaseRow,
        r#"/* db::releases::find */
        select id, source as "source: ReleaseSource", sha256, content, notes, registered_by, created_at,
            state as "state: ReleaseState", problems, declared_parameters, checked_at, approved_by, approved_at,
            exists (select from default_release d where d.release_id = r.id) as "is_default!"
        from releases r where id = $1"#,
        id.as_uuid(),
    );
    row.fetch_optional(tx).await?.map(ReleaseRow::release).transpose()
}

/// Returns at most `limit` releases, the latest first, below the release `before`.
pub async fn list(pool: &PgPool, before: Option<ReleaseId>, limit: i64) -> Result<Vec<Release>> {
    let rows = sqlx::query_as!(
        ReleaseRow,
        r#"/* db::releases::list */
        select id, source as "source: ReleaseSource", sha256, content, notes, registered_by, created_at,
            state as "state: ReleaseState", problems, declared_parameters, checked_at, approved_by, approved_at,
            exists (select from default_release d where d.release_id = r.id) as "is_default!"
        from releases r where $1::uuid is null or id < $1 order by id desc limit $2"#,
        before.map(ReleaseId::as_uuid),
        limit,
    );
    rows.fetch_all(pool).await?.into_iter().map(ReleaseRow::release).collect()
}

/// Returns the releases that a worker must check, the oldest first.
pub async fn to_check(pool: &PgPool) -> Result<Vec<Release>> {
    let rows = sqlx::query_as!(
        ReleaseRow,
        r#"/* db::releases::to_check */
        select id, source as "source: ReleaseSource", sha256, content, notes, registered_by, created_at,
            state as "state: ReleaseState", problems, declared_parameters, checked_at, approved_by, approved_at,
            false as "is_default!"
        from releases where state = 'checking' order by created_at limit 10"#,
    );
    rows.fetch_all(pool).await?.into_iter().map(ReleaseRow::release).collect()
}

/// Result of the check of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseCheck {
    /// Reasons to refuse the release; empty if it is ready.
    pub problems: Vec<String>,
    pub declared_parameters: std::collections::BTreeMap<Region, Vec<String>>,
}

/// Writes the result of a check with its event, unless another worker has done it. Returns whether it was written.
pub async fn record_check(pool: &PgPool, id: ReleaseId, check: &ReleaseCheck, now: DateTime<Utc>) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let result = record_check_in_tx(&mut tx, id, check, now).await;
    finish_transaction(tx, result, |is_written| *is_written).await
}

async fn record_check_in_tx(
    tx: &mut PgConnection,
    id: ReleaseId,
    check: &ReleaseCheck,
    now: DateTime<Utc>,
) -> Result<bool> {
    let (state, event) = if check.problems.is_empty() {
        (ReleaseState::Ready, FeedType::ReleaseReady)
    } else {
        (ReleaseState::Refused, FeedType::ReleaseRefused)
    };
    let done = sqlx::query!(
        r#"/* db::releases::record_check */
        update releases set state = $2, problems = $3, declared_parameters = $4, checked_at = $5
        where id = $1 and state = 'checking'"#,
        id.as_uuid(),
        state.as_str(),
        json!(check.problems),
        json!(check.declared_parameters),
        now,
    );
    if done.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(false);
    }
    events::append_fleet_event(tx, event, &json!({ "release_id": id }), now).await?;
    Ok(true)
}

/// Result of [`approve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApproveResult {
    Approved,
    /// The release was approved before.
    AlreadyApproved,
    /// The hash in the request is not that of the release.
    HashMismatch,
    /// The registrant cannot approve the release.
    SamePerson,
    NotReady(ReleaseState),
    NotFound,
}

/// Approves a release for every environment. `sha256` is the hash that the approver has reviewed.
pub async fn approve(
    pool: &PgPool,
    id: ReleaseId,
    sha256: &str,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<ApproveResult> {
    let mut tx = pool.begin().await?;
    let result = approve_in_tx(&mut tx, id, sha256, by, now).await;
    finish_transaction(tx, result, |result| *result == ApproveResult::Approved).await
}

async fn approve_in_tx(
    tx: &mut PgConnection,
    id: ReleaseId,
    sha256: &str,
    by: &Requester,
    now: DateTime<Utc>,
) -> Result<ApproveResult> {
    let Some(release) = find_in_tx(tx, id).await? else { return Ok(ApproveResult::NotFound) };
    if release.sha256 != sha256 {
        return Ok(ApproveResult::HashMismatch);
    }
    if release.is_approved() {
        return Ok(ApproveResult::AlreadyApproved);
    }
    if release.state != ReleaseState::Ready {
        return Ok(ApproveResult::NotReady(release.state));
    }
    if release.registered_by == *by {
        return Ok(ApproveResult::SamePerson);
    }
    let done = sqlx::query!(
        r#"/* db::releases::approve */
        update releases set approved_by = $2, approved_at = $3
        where id = $1 and state = 'ready' and approved_at is null"#,
        id.as_uuid(),
        json!(by),
        now,
    );
    if done.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(ApproveResult::AlreadyApproved);
    }
    events::append_fleet_event(tx, FeedType::ReleaseApproved, &json!({ "release_id": id }), now).await?;
    Ok(ApproveResult::Approved)
}

/// Returns the release that new environments get; `None` means the `[stack]` of the configuration.
pub async fn default(pool: &PgPool) -> Result<Option<ReleaseId>> {
    let id = sqlx::query_scalar!("/* db::releases::default */ select release_id from default_release");
    Ok(id.fetch_optional(pool).await?.flatten().map(ReleaseId::from))
}

/// Returns the release with which `id` is compared unless the reader names another one: the default release, otherwise
/// the release of the configuration that was registered last.
pub async fn predecessor(pool: &PgPool, id: ReleaseId) -> Result<Option<Release>> {
    let found = sqlx::query_scalar!(
        r#"/* db::releases::predecessor */
        select coalesce(
            (select release_id from default_release where release_id <> $1),
            (select id from releases where source = 'configuration' and id <> $1 order by id desc limit 1)
        )"#,
        id.as_uuid(),
    );
    match found.fetch_one(pool).await? {
        Some(found) => find(pool, found.into()).await,
        None => Ok(None),
    }
}

/// Environment with the regions that have a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseEnvironment {
    pub tenant: TenantId,
    pub environment: EnvironmentId,
    pub name: EnvironmentName,
    pub regions: Vec<ReleaseRegion>,
}

/// Region that has a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRegion {
    pub region: Region,
    pub slot: StackSlot,
    /// Time of the last completed change of the stack.
    pub since: Option<DateTime<Utc>>,
}

/// Returns at most `limit` environments that have the release in a region, by id, after the environment `after`.
pub async fn environments(
    pool: &PgPool,
    id: ReleaseId,
    after: Option<EnvironmentId>,
    limit: i64,
) -> Result<Vec<ReleaseEnvironment>> {
    let rows = sqlx::query!(
        r#"/* db::releases::environments */
        with page as (
            select distinct environment_id from environment_stacks
            where release_id = $1 and state <> 'deleted' and ($2::uuid is null or environment_id > $2)
            order by environment_id limit $3
        )
        select e.tenant_id, e.id, e.name, s.region, s.slot, s.changed_at
        from page join environments e on e.id = page.environment_id
            join environment_stacks s on s.environment_id = e.id and s.release_id = $1 and s.state <> 'deleted'
        order by e.id, s.slot"#,
        id.as_uuid(),
        after.map(EnvironmentId::as_uuid),
        limit,
    );
    let mut environments: Vec<ReleaseEnvironment> = Vec::new();
    for row in rows.fetch_all(pool).await? {
        let environment = EnvironmentId::from(row.id);
        if environments.last().is_none_or(|last| last.environment != environment) {
            let (tenant, name) = (row.tenant_id.into(), parse_text(row.name)?);
            environments.push(ReleaseEnvironment { tenant, environment, name, regions: Vec::new() });
        }
        let region =
            ReleaseRegion { region: parse_text(row.region)?, slot: parse_slot(row.slot)?, since: row.changed_at };
        if let Some(last) = environments.last_mut() {
            last.regions.push(region);
        }
    }
    Ok(environments)
}

fn parse_slot(number: i16) -> Result<StackSlot> {
    StackSlot::new(number).ok_or_else(|| DbError::UnexpectedValue(format!("the slot {number} of a stack")))
}
