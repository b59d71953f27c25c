-- Records the access to accounts, with its start, its end and its operations.

create table access_grants (
    -- Immutable, except that a grant that was only observed gets its operation when Freehold grants it.
    id uuid primary key,
    tenant_id uuid not null references tenants (id),
    environment_id uuid not null references environments (id),
    aws_account_id text not null check (aws_account_id ~ '^[0-9]{12}$'),
    permission_set text not null,
    permission_set_arn text not null,
    principal_kind text not null check (principal_kind in ('configured_group', 'tenant_group', 'other_group', 'user')),
    principal_id text not null,
    principal_name text,
    source text not null check (source in ('freehold', 'observed')),
    granted_at timestamptz not null,
    granted_by uuid references operations (id),
    -- Mutable.
    observed_at timestamptz,
    ended_at timestamptz check (ended_at >= granted_at),
    ended_by uuid references operations (id),
    constraint freehold_grant_has_operation check ((source = 'freehold') = (granted_by is not null)),
    constraint only_ended_grant_has_ended_by check (ended_by is null or ended_at is not null)
);

create unique index access_grants_unique_open on access_grants (aws_account_id, permission_set_arn, principal_id)
    where ended_at is null;
create index access_grants_by_environment on access_grants (environment_id);
create index access_grants_by_tenant on access_grants (tenant_id, id);

create trigger access_grants_are_never_deleted before delete on access_grants
    for each row execute function refuse_change();

comment on table access_grants is 'Assignments of permission sets in the accounts, current and ended, for the access review.';
comment on column access_grants.id is 'grant_… in the API; sorts by creation.';
comment on column access_grants.tenant_id is 'Tenant of the environment.';
comment on column access_grants.environment_id is 'Environment that the account belongs to.';
comment on column access_grants.aws_account_id is 'Account in which the permission set is assigned.';
comment on column access_grants.permission_set is 'Name of the permission set.';
comment on column access_grants.permission_set_arn is 'ARN of the permission set.';
comment on column access_grants.principal_kind is 'configured_group: declared in [[access]]; tenant_group: group that Freehold created for the tenant; other_group, user: not assigned by Freehold.';
comment on column access_grants.principal_id is 'Id of the group or user in the Identity Store.';
comment on column access_grants.principal_name is 'Name of the group; null if it is not known. Null for a user, whose name is personal data.';
comment on column access_grants.source is 'freehold: assigned by an operation; observed: found in AWS by reconcile only.';
comment on column access_grants.granted_at is 'Time at which AWS had assigned it, or the first observation.';
comment on column access_grants.granted_by is 'Operation that assigned it; null if it was only observed.';
comment on column access_grants.observed_at is 'Start of the latest comparison that found the assignment in AWS; null before the first one.';
comment on column access_grants.ended_at is 'Time at which it was revoked, or first found missing in AWS; null while it is in force.';
comment on column access_grants.ended_by is 'Operation that revoked it; null if it was removed outside Freehold.';

-- Assignments in the journal. The time of the request is used as the time of the assignment. A key of the fact `grants`
-- is the name of the permission set, ` to ` and the group.
insert into access_grants (id, tenant_id, environment_id, aws_account_id, permission_set, permission_set_arn,
    principal_kind, principal_id, principal_name, source, granted_at, granted_by, ended_at, ended_by)
select
    -- A version 7 UUID, which sorts by its time.
    (lpad(to_hex(floor(extract(epoch from g.granted_at) * 1000)::bigint), 12, '0') || '7'
        || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid,
    g.tenant_id, g.environment_id, m.aws_account_id, split_part(g.name, ' to ', 1), g.permission_set_arn,
    case when g.group_name = 'the tenant''s own group' then 'tenant_group' else 'configured_group' end,
    g.group_id,
    case when g.group_name <> 'the tenant''s own group' then g.group_name end,
    'freehold', g.granted_at, g.operation_id,
    coalesce(g.ended_at, case when m.valid_to is not null then greatest(m.valid_to, g.granted_at) end), g.ended_by
from (
    select distinct on (o.environment_id, one.value ->> 'permission_set_arn', one.value ->> 'group_id', r.ended_by)
        o.tenant_id, o.environment_id, o.id as operation_id, one.key as name,
        substr(one.key, length(split_part(one.key, ' to ', 1)) + 5) as group_name,
        one.value ->> 'permission_set_arn' as permission_set_arn, one.value ->> 'group_id' as group_id,
        t.granted_at, r.ended_at, r.ended_by
    from operation_steps s
    join operations o on o.id = s.operation_id
    cross join lateral jsonb_each(s.facts -> 'grants') one
    cross join lateral (
        select coalesce((one.value ->> 'asked_at')::timestamptz, s.finished_at, s.started_at, o.created_at) as granted_at
    ) t
    left join lateral (
        select v.finished_at as ended_at, v.operation_id as ended_by
        from operations p join operation_steps v on v.operation_id = p.id
        where p.environment_id = o.environment_id and v.name = 'revoke-access' and v.state = 'done'
            and v.skip_reason is null and v.finished_at >= t.granted_at
        order by v.finished_at limit 1
    ) r on true
    where s.name = 'grant-access' and jsonb_typeof(s.facts -> 'grants') = 'object' and one.value -> 'done' = 'true'
    order by o.environment_id, one.value ->> 'permission_set_arn', one.value ->> 'group_id', r.ended_by, t.granted_at
) g
join lateral (
    select aws_account_id, valid_to from account_mappings where environment_id = g.environment_id
    order by valid_from desc limit 1
) m on true
where g.permission_set_arn is not null and g.group_id is not null
on conflict do nothing;
