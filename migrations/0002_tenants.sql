-- A tenant is one B2B customer. What happens to it happens to its environments; it has no state of its own.
create table tenants (
    -- Immutable.
    id uuid primary key,
    created_at timestamptz not null,
    -- Mutable.
    company_name text not null check (char_length(company_name) between 1 and 120),
    admin_email text not null check (char_length(admin_email) between 3 and 254),
    tier text not null check (tier ~ '^[a-z][a-z0-9-]{0,31}$'),
    external_id text check (external_id ~ '^[!-~]{1,128}$'),
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    updated_at timestamptz not null,
    offboarded_at timestamptz
);

create unique index tenants_external_id_is_unique_among_live_tenants on tenants (external_id)
    where offboarded_at is null;
create index tenants_by_tier on tenants (tier, id);

comment on table tenants is 'The customers: one row each, live or gone.';
comment on column tenants.id is 'ten_… in the API; sorts by creation.';
comment on column tenants.created_at is 'When the signup was accepted.';
comment on column tenants.company_name is 'What the customer calls itself.';
comment on column tenants.admin_email is 'The person who administers the tenant; not the e-mail address of an AWS account.';
comment on column tenants.tier is 'The commercial plan, from configuration.';
comment on column tenants.external_id is 'The id that the SaaS itself gives this customer; unique among live tenants.';
comment on column tenants.labels is 'Free key and value pairs of the SaaS.';
comment on column tenants.updated_at is 'When a mutable column last changed.';
comment on column tenants.offboarded_at is 'When the last environment was gone; null while the tenant lives.';
