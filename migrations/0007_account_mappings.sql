-- Which AWS account belonged to which environment, and when. Rows are ended, never deleted: billing reads them for years.
create table account_mappings (
    id uuid primary key,
    tenant_id uuid not null references tenants (id),
    environment_id uuid not null references environments (id),
    aws_account_id text not null check (aws_account_id ~ '^[0-9]{12}$'),
    valid_from timestamptz not null,
    valid_to timestamptz check (valid_to > valid_from)
);

create unique index account_mappings_one_per_account_at_a_time on account_mappings (aws_account_id)
    where valid_to is null;
create unique index account_mappings_one_per_environment_at_a_time on account_mappings (environment_id)
    where valid_to is null;
create index account_mappings_by_tenant on account_mappings (tenant_id, id);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'a row of % is not changed or deleted', tg_table_name using errcode = 'integrity_constraint_violation';
end
$$;

create trigger account_mappings_are_never_deleted before delete on account_mappings
    for each row execute function refuse_change();

comment on table account_mappings is 'Which AWS account belonged to which environment, and when.';
comment on column account_mappings.id is 'map_…; sorts by creation.';
comment on column account_mappings.tenant_id is 'Whose account it is.';
comment on column account_mappings.environment_id is 'What runs in it.';
comment on column account_mappings.aws_account_id is '12 digits; leading zeros count.';
comment on column account_mappings.valid_from is 'When the account was verified to be this environment''s.';
comment on column account_mappings.valid_to is 'When it ceased to be; null while it is.';
