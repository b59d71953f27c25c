//! Reads the access review: the recorded assignments, and the roles of Freehold in each account. The roles follow from
//! the account mappings and the journal.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::access_grant::{AccessApproval, AccessEntry, AccessKind, AccessOperation, GrantSource, PrincipalKind};
use crate::db::{PgPool, Result, parse_json, parse_text};
use crate::finding::FindingKind;
use crate::operation::{OperationKind, Requester};
use crate::tenant::OWN_GROUP;
use crate::{AccessGrantId, EnvironmentId, TenantId};

/// Filter of the access review; a field that is `None` matches all entries.
#[derive(Debug, Clone, Default)]
pub struct AccessFilter {
    pub tenant: Option<TenantId>,
    pub environment: Option<EnvironmentId>,
    /// Name or ARN of a permission set, or name of a role of Freehold.
    pub permission_set: Option<String>,
    /// Id or name of a group, user, role or account.
    pub principal: Option<String>,
    /// Whether access that has ended is included.
    pub include_ended: bool,
}

/// Names of the roles of Freehold in each account, and of the principals that can assume them.
#[derive(Debug, Clone)]
pub struct FreeholdRoles {
    /// Name of the role that AWS Organizations creates in each account.
    pub organization_role: String,
    /// Name of the role that deploys the stack.
    pub access_role: String,
    /// Name of the role that verifies the stack.
    pub verify_role: String,
    /// ARN of the control role, which can assume the access and verify roles.
    pub control_role_arn: String,
    /// Management account, whose principals can assume the organisation's role.
    pub management_account: String,
}

/// Returns at most `limit` entries that follow the entry `after`, oldest first.
pub async fn list(
    pool: &PgPool,
    roles: &FreeholdRoles,
    filter: &AccessFilter,
    after: Option<AccessGrantId>,
    limit: i64,
) -> Result<Vec<AccessEntry>> {
    // The id of a role is the id of the account mapping with another end, so that ids are unique and sort by creation.
    let rows = sqlx::query_as!(
        Row,
        r#"/* db::access_grants::list */
        with grants as (
            select id, 'permission_set' as kind, tenant_id, environment_id, aws_account_id, permission_set,
                permission_set_arn as arn, principal_kind, principal_id, principal_name, source, granted_at,
                granted_by, observed_at, ended_at, ended_by
            from access_grants
            where ($1::uuid is null or id > $1)
                and ($8::uuid is null or tenant_id = $8)
                and ($9::uuid is null or environment_id = $9)
                and ($10::text is null or permission_set = $10 or permission_set_arn = $10)
                and ($11::text is null or principal_id = $11 or principal_name = $11)
                and ($12::boolean or ended_at is null)
            order by id limit $2
        ), roles as (
            select overlay(m.id::text placing r.suffix from 35 for 2)::uuid as id, 'freehold_role' as kind, m.tenant_id,
                m.environment_id, m.aws_account_id, r.name as permission_set,
                'arn:aws:iam::' || m.aws_account_id || ':role/' || r.name as arn,
                r.principal_kind, r.principal_id, null::text as principal_name, 'freehold' as source,
                case when r.suffix = '01' then m.valid_from else b.at end as granted_at,
                case when r.suffix = '01' then f.id else b.operation_id end as granted_by,
                null::timestamptz as observed_at, coalesce(d.at, m.valid_to) as ended_at,
                case when d.at is null then l.id else d.operation_id end as ended_by
            from account_mappings m
            cross join (values ('01', $3::text, 'account', $7::text), ('02', $4::text, 'role', $6::text),
                ('03', $5::text, 'role', $6::text)) r (suffix, name, principal_kind, principal_id)
            left join lateral (
                select s.finished_at as at, s.operation_id from operations o
                join operation_steps s on s.operation_id = o.id
                where r.suffix <> '01' and o.tenant_id = m.tenant_id and o.environment_id = m.environment_id
                    and s.name = 'install-baseline' and s.state = 'done'
                order by s.finished_at limit 1
            ) b on true
            left join lateral (
                select s.finished_at as at, s.operation_id from operations o
                join operation_steps s on s.operation_id = o.id
                where r.suffix <> '01' and o.tenant_id = m.tenant_id and o.environment_id = m.environment_id
                    and s.name = 'delete-baseline' and s.state = 'done' and s.skip_reason is null
                order by s.finished_at desc limit 1
            ) d on true
            left join lateral (
                select o.id from operations o
                where o.tenant_id = m.tenant_id and o.environment_id = m.environment_id order by o.id limit 1
            ) f on true
            left join lateral (
                select o.id from operations o
                where m.valid_to is not null and o.tenant_id = m.tenant_id and o.environment_id = m.environment_id
                    and o.kind = 'offboard' order by o.id desc limit 1
            ) l on true
            where (r.suffix = '01' or b.at is not null)
                and ($1::uuid is null or (m.id >= overlay($1::uuid::text placing '00' from 35 for 2)::uuid
                    and overlay(m.id::text placing r.suffix from 35 for 2)::uuid > $1))
                and ($8::uuid is null or m.tenant_id = $8)
                and ($9::uuid is null or m.environment_id = $9)
                and ($10::text is null or r.name = $10
                    or 'arn:aws:iam::' || m.aws_account_id || ':role/' || r.name = $10)
                and ($11::text is null or r.principal_id = $11)
                and ($12::boolean or coalesce(d.at, m.valid_to) is null)
            -- The order of the ids, in which an index scan can stop at the limit.
            order by m.id, r.suffix limit $2
        ), page as (
            select * from grants union all select * from roles order by id limit $2
        )
        select g.id as "id!", g.kind as "kind!: AccessKind", g.tenant_id as "tenant_id!", t.company_name,
            g.environment_id as "environment_id!", e.name as environment, g.aws_account_id as "aws_account_id!",
            g.permission_set as "permission_set!", g.arn as "arn!",
            g.principal_kind as "principal_kind!: PrincipalKind", g.principal_id as "principal_id!", g.principal_name,
            case when g.principal_kind = 'tenant_group' and g.ended_at is null
                then (t.admin_email is not null)::int::bigint + cardinality(t.former_admin_emails) end as members,
            g.source as "source!: GrantSource", g.granted_at as "granted_at!", g.observed_at, g.ended_at, g.ended_by,
            o.id as "operation_id?", o.kind as "operation_kind?: OperationKind", o.requested_by as "requested_by?",
            o.created_at as "requested_at?",
            a.id as "approval_id?", a.action as "approval_action?", a.decided_by as "approved_by?",
            a.decided_at as "approved_at?",
            n.id as "finding_id?", n.kind as "finding_kind?: FindingKind"
        from page g
        join tenants t on t.id = g.tenant_id
        join environments e on e.id = g.environment_id
        left join operations o on o.id = g.granted_by
        left join lateral (
            select id, action, decided_by, decided_at from approvals
            where operation_id = g.granted_by and state = 'approved' and decided_at <= g.granted_at
            order by decided_at desc limit 1
        ) a on true
        left join lateral (
            select f.id, f.kind from findings f
            where f.resolved_at is null and (f.kind, f.subject) = (
                case when g.kind = 'freehold_role' then 'access_lost' when g.ended_at is null then 'assignment_extra'
                    else 'assignment_missing' end,
                case when g.kind = 'freehold_role'
                        then case when g.permission_set = $4 and g.ended_at is null then g.aws_account_id end
                    when g.ended_at is null then concat_ws('/', g.aws_account_id, g.permission_set,
                        case g.principal_kind when 'user' then 'USER' else 'GROUP' end, g.principal_id)
                    when g.ended_by is null then concat_ws('/', g.aws_account_id, g.permission_set,
                        case g.principal_kind when 'tenant_group' then $13 else g.principal_name end)
                end)
            limit 1
        ) n on true
        order by g.id"#,
        after.map(AccessGrantId::as_uuid),
        limit,
        roles.organization_role,
        roles.access_role,
        roles.verify_role,
        roles.control_role_arn,
        roles.management_account,
        filter.tenant.map(TenantId::as_uuid),
        filter.environment.map(EnvironmentId::as_uuid),
        filter.permission_set,
        filter.principal,
        filter.include_ended,
        OWN_GROUP,
    );
    rows.fetch_all(pool).await?.into_iter().map(Row::entry).collect()
}

struct Row {
    id: Uuid,
    kind: AccessKind,
    tenant_id: Uuid,
    company_name: String,
    environment_id: Uuid,
    environment: String,
    aws_account_id: String,
    permission_set: String,
    arn: String,
    principal_kind: PrincipalKind,
    principal_id: String,
    principal_name: Option<String>,
    members: Option<i64>,
    source: GrantSource,
    granted_at: DateTime<Utc>,
    observed_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    ended_by: Option<Uuid>,
    operation_id: Option<Uuid>,
    operation_kind: Option<OperationKind>,
    requested_by: Option<Value>,
    requested_at: Option<DateTime<Utc>>,
    approval_id: Option<Uuid>,
    approval_action: Option<String>,
    approved_by: Option<Value>,
    approved_at: Option<DateTime<Utc>>,
    finding_id: Option<Uuid>,
    finding_kind: Option<FindingKind>,
}

impl Row {
    fn entry(self) -> Result<AccessEntry> {
        let operation = match (self.operation_id, self.operation_kind, self.requested_by, self.requested_at) {
            (Some(id), Some(kind), Some(by), Some(requested_at)) => {
                Some(AccessOperation { id: id.into(), kind, requested_by: subject(by)?, requested_at })
            }
            _ => None,
        };
        let approval = match (self.approval_id, self.approval_action, self.approved_by, self.approved_at) {
            (Some(id), Some(action), Some(by), Some(approved_at)) => {
                Some(AccessApproval { id: id.into(), action, approved_by: subject(by)?, approved_at })
            }
            _ => None,
        };
        Ok(AccessEntry {
            id: self.id.into(),
            kind: self.kind,
            tenant_id: self.tenant_id.into(),
            company_name: self.company_name,
            environment_id: self.environment_id.into(),
            environment: parse_text(self.environment)?,
            aws_account_id: parse_text(self.aws_account_id)?,
            permission_set: self.permission_set,
            arn: self.arn,
            principal_kind: self.principal_kind,
            principal_id: self.principal_id,
            principal_name: self.principal_name,
            members: self.members,
            source: self.source,
            granted_at: self.granted_at,
            operation,
            approval,
            observed_at: self.observed_at,
            finding: self.finding_id.map(Into::into).zip(self.finding_kind),
            ended_at: self.ended_at,
            ended_by: self.ended_by.map(Into::into),
        })
    }
}

/// Returns the subject of a stored requester.
fn subject(by: Value) -> Result<String> {
    Ok(parse_json::<Requester>(by, "a requester")?.subject)
}
