//! Search for tenants, operations and rollouts by any text or id that a person may know.

use sqlx::PgPool;
use uuid::Uuid;

use super::Result;
use crate::string_enum::string_enum;
use crate::unicode::searchable;
use crate::{ApprovalId, EnvironmentId, FindingId, OperationId, ReleaseId, RolloutId, TenantId};

/// Maximum number of entries that are compared for each kind of match; a more precise text finds the others.
const MAX_COMPARED: i64 = 500;

string_enum! {
    /// Kind of the object that a search finds.
    HitKind {
        /// Tenant, found by its id, name, e-mail address, external id or AWS account.
        Tenant = "tenant",
        /// Environment, found by its id.
        Environment = "environment",
        /// Operation, found by its id, or by the id of its approval or of its failed request to AWS.
        Operation = "operation",
        /// Release, found by its id.
        Release = "release",
        /// Rollout, found by its id.
        Rollout = "rollout",
        /// Finding, found by its id.
        Finding = "finding",
    }
}

string_enum! {
    /// Agreement of a found text with the searched one, best first.
    MatchKind {
        /// The texts are equal, except for upper and lower case.
        Exact = "exact",
        /// A text begins with the searched one.
        Prefix = "prefix",
        /// A text contains the searched one.
        Part = "part",
    }
}

/// Object that a search has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub kind: HitKind,
    /// Id in its text form.
    pub id: String,
    pub tenant_id: Option<TenantId>,
    pub company_name: Option<String>,
    /// Name of the environment, or kind of the operation or finding; empty for others.
    pub detail: String,
    pub match_kind: MatchKind,
}

/// Returns at most `limit` objects, the best first.
pub async fn find(pool: &PgPool, text: &str, limit: i64) -> Result<Vec<Hit>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if let Some((kind, id)) = typed_id(text) {
        return by_id(pool, kind, id).await;
    }
    let mut hits = of_aws_request(pool, text, limit).await?;
    hits.extend(tenants(pool, text, limit).await?);
    hits.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(hits)
}

/// Returns the kind of an id in its text form, and the id. An approval is found as its operation.
fn typed_id(text: &str) -> Option<(&'static str, Uuid)> {
    let parse = |text: &str| -> Option<(&'static str, Uuid)> {
        match text.split_once('_')?.0 {
            TenantId::PREFIX => Some(("tenant", text.parse::<TenantId>().ok()?.as_uuid())),
            EnvironmentId::PREFIX => Some(("environment", text.parse::<EnvironmentId>().ok()?.as_uuid())),
            OperationId::PREFIX => Some(("operation", text.parse::<OperationId>().ok()?.as_uuid())),
            ApprovalId::PREFIX => Some(("approval", text.parse::<ApprovalId>().ok()?.as_uuid())),
            ReleaseId::PREFIX => Some(("release", text.parse::<ReleaseId>().ok()?.as_uuid())),
            RolloutId::PREFIX => Some(("rollout", text.parse::<RolloutId>().ok()?.as_uuid())),
            FindingId::PREFIX => Some(("finding", text.parse::<FindingId>().ok()?.as_uuid())),
            _ => None,
        }
    };
    parse(text).or_else(|| parse(&text.to_lowercase()))
}

async fn by_id(pool: &PgPool, kind: &str, id: Uuid) -> Result<Vec<Hit>> {
    let rows = sqlx::query!(
        r#"/* db::search::by_id */
        select f.kind as "kind!: HitKind", f.id as "id!", f.tenant_id, t.company_name as "company_name?",
            f.detail as "detail!"
        from (
            select 'tenant' as kind, id, id as tenant_id, '' as detail from tenants where $1 = 'tenant' and id = $2
            union all select 'environment', id, tenant_id, name from environments where $1 = 'environment' and id = $2
            union all select 'operation', id, tenant_id, kind from operations where $1 = 'operation' and id = $2
            union all select 'operation', o.id, o.tenant_id, o.kind from approvals a
                join operations o on o.id = a.operation_id where $1 = 'approval' and a.id = $2
            union all select 'release', id, null, '' from releases where $1 = 'release' and id = $2
            union all select 'rollout', id, null, '' from rollouts where $1 = 'rollout' and id = $2
            union all select 'finding', id, tenant_id, kind from findings where $1 = 'finding' and id = $2
        ) f
        left join tenants t on t.id = f.tenant_id"#,
        kind,
        id,
    )
    .fetch_all(pool)
    .await?;
    let hits = rows.into_iter().map(|row| Hit {
        id: id_text(row.kind, row.id),
        kind: row.kind,
        tenant_id: row.tenant_id.map(TenantId::from),
        company_name: row.company_name,
        detail: row.detail,
        match_kind: MatchKind::Exact,
    });
    Ok(hits.collect())
}

fn id_text(kind: HitKind, id: Uuid) -> String {
    match kind {
        HitKind::Tenant => TenantId::from(id).to_string(),
        HitKind::Environment => EnvironmentId::from(id).to_string(),
        HitKind::Operation => OperationId::from(id).to_string(),
        HitKind::Release => ReleaseId::from(id).to_string(),
        HitKind::Rollout => RolloutId::from(id).to_string(),
        HitKind::Finding => FindingId::from(id).to_string(),
    }
}

/// Returns the operations whose failed request to AWS has exactly this id, newest first.
async fn of_aws_request(pool: &PgPool, request_id: &str, limit: i64) -> Result<Vec<Hit>> {
    let rows = sqlx::query!(
        r#"/* db::search::of_aws_request */
        select distinct o.id, o.tenant_id, o.kind, t.company_name
        from search_entries s
        join operations o on o.id = s.id
        join tenants t on t.id = o.tenant_id
        where s.kind = 'aws_request' and s.content = e'\n' || lower($1) || e'\n'
            and s.trigrams @> search_trigrams(e'\n' || lower($1) || e'\n')
        order by o.id desc limit $2"#,
        searchable(request_id),
        limit,
    )
    .fetch_all(pool)
    .await?;
    let hits = rows.into_iter().map(|row| Hit {
        kind: HitKind::Operation,
        id: OperationId::from(row.id).to_string(),
        tenant_id: Some(row.tenant_id.into()),
        company_name: Some(row.company_name),
        detail: row.kind,
        match_kind: MatchKind::Exact,
    });
    Ok(hits.collect())
}

/// Returns the tenants with a text that contains the searched one: the best match first, then the newest.
async fn tenants(pool: &PgPool, text: &str, limit: i64) -> Result<Vec<Hit>> {
    let rows = sqlx::query!(
        r#"/* db::search::tenants */
        -- A limit for each kind of match, because a common text must not hide the exact match.
        with found as (
            (select id, 0 as rank from search_entries where kind = 'tenant'
                and trigrams @> search_trigrams(e'\n' || lower($1) || e'\n')
                and strpos(content, e'\n' || lower($1) || e'\n') > 0 limit $2)
            union all (select id, 1 from search_entries where kind = 'tenant'
                and trigrams @> search_trigrams(e'\n' || lower($1)) and strpos(content, e'\n' || lower($1)) > 0 limit $2)
            union all (select id, 2 from search_entries where kind = 'tenant'
                and trigrams @> search_trigrams(lower($1)) and strpos(content, lower($1)) > 0 limit $2)
        )
        select t.id, t.company_name, min(f.rank) as "rank!"
        from found f join tenants t on t.id = f.id
        group by t.id order by min(f.rank), t.id desc limit $3"#,
        searchable(text),
        MAX_COMPARED,
        limit,
    )
    .fetch_all(pool)
    .await?;
    let hits = rows.into_iter().map(|row| Hit {
        kind: HitKind::Tenant,
        id: TenantId::from(row.id).to_string(),
        tenant_id: Some(row.id.into()),
        company_name: Some(row.company_name),
        detail: String::new(),
        match_kind: match row.rank {
            0 => MatchKind::Exact,
            1 => MatchKind::Prefix,
            _ => MatchKind::Part,
        },
    });
    Ok(hits.collect())
}
