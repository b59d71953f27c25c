-- An environment is one isolated installation of a tenant: one environment, one AWS account.
create table environments (
    -- Immutable.
    id uuid primary key,
    tenant_id uuid not null references tenants (id),
    name text not null check (name ~ '^[a-z][a-z0-9-]{0,31}$'),
    residency text not null check (residency ~ '^[a-z][a-z0-9-]{0,31}$'),
    home_region text not null check (home_region ~ '^[a-z]{2}-[a-z]+-[0-9]$'),
    created_at timestamptz not null,
    -- Mutable.
    state text not null check (state in ('onboarding', 'ready', 'needs_attention')),
    ready_at timestamptz,
    updated_at timestamptz not null,
    unique (tenant_id, name),
    constraint ready_says_since_when check (state <> 'ready' or ready_at is not null)
);

create index environments_by_state on environments (state, tenant_id);
create index environments_by_home_region on environments (home_region, tenant_id);

comment on table environments is 'The isolated installations of the tenants.';
comment on column environments.id is 'env_… in the API and in the e-mail address of the account.';
comment on column environments.tenant_id is 'Whose it is.';
comment on column environments.name is 'production, staging, …; unique within the tenant.';
comment on column environments.residency is 'The named set of regions that it may use.';
comment on column environments.home_region is 'Where its stack runs first.';
comment on column environments.created_at is 'When it was asked for.';
comment on column environments.state is 'Written only together with the operation that it follows from.';
comment on column environments.ready_at is 'When it was first verified; null until then.';
comment on column environments.updated_at is 'When a mutable column last changed.';
