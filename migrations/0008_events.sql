-- What happened, in order, for each operation. Append-only.
create table events (
    operation_id uuid not null references operations (id),
    seq bigint not null check (seq > 0),
    tenant_id uuid not null references tenants (id),
    environment_id uuid not null references environments (id),
    type text not null check (type ~ '^[a-z_]+(\.[a-z_]+)+$'),
    data jsonb not null default '{}' check (jsonb_typeof(data) = 'object'),
    occurred_at timestamptz not null,
    primary key (operation_id, seq)
);

create trigger events_are_append_only before update or delete on events
    for each row execute function refuse_change();

comment on table events is 'What happened to each operation, append-only.';
comment on column events.operation_id is 'The operation that it happened to.';
comment on column events.seq is '1, 2, 3, … within the operation, given under the lock on its row.';
comment on column events.tenant_id is 'Whose operation it is.';
comment on column events.environment_id is 'Which environment it works on.';
comment on column events.type is 'What happened, such as step.succeeded.';
comment on column events.data is 'More of it; no personal data.';
comment on column events.occurred_at is 'When, by the installation''s clock.';
