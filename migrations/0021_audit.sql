-- The audit trail: who did what, from where, with which result. What is done is written down before it is done, in
-- audit_pending, and gets its place in the chain within a second of its end: from whoever holds the one row of audit_head,
-- so that no signup waits for another. Each record carries the hash of the one before, so that none can be changed, left out
-- or put elsewhere without that being seen.
create table audit_pending (
    id bigint generated always as identity primary key,
    begun_at timestamptz not null,
    tenant_id uuid,
    deed jsonb not null check (jsonb_typeof(deed) = 'object'),
    outcome jsonb check (jsonb_typeof(outcome) = 'object')
);

create table audit_records (
    position bigint primary key check (position > 0),
    recorded_at timestamptz not null,
    record json not null,
    hash bytea not null check (octet_length(hash) = 32)
);
create index audit_records_by_tenant on audit_records ((record ->> 'tenant_id'), position);

create table audit_head (
    only_one boolean primary key default true check (only_one),
    position bigint not null,
    hash bytea not null check (octet_length(hash) = 32),
    dropped_position bigint not null,
    dropped_hash bytea not null check (octet_length(dropped_hash) = 32)
);
insert into audit_head (position, hash, dropped_position, dropped_hash)
values (0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'));

comment on table audit_pending is 'What has been done, or is being done, and has no place in the audit trail yet.';
comment on column audit_pending.id is 'Orders what one process has done.';
comment on column audit_pending.begun_at is 'When it was begun, by the installation''s clock.';
comment on column audit_pending.tenant_id is 'Whom it is about, where it is about one tenant.';
comment on column audit_pending.deed is 'Who does what, and from where.';
comment on column audit_pending.outcome is 'What came of it; null while it is under way, and where whoever did it has died.';
comment on table audit_records is 'The audit trail, append-only; the oldest records are dropped when their time is over.';
comment on column audit_records.position is 'One more than the record before.';
comment on column audit_records.recorded_at is 'When it got its place.';
comment on column audit_records.record is 'Who did what, from where, when, with which result: text that is never written anew.';
comment on column audit_records.hash is 'SHA-256 of the hash before, position, recorded_at and record.';
comment on table audit_head is 'Where the trail ends and begins; whoever locks the row appends.';
comment on column audit_head.only_one is 'Always true: keeps the table to one row.';
comment on column audit_head.position is 'The latest position.';
comment on column audit_head.hash is 'The hash of the record there.';
comment on column audit_head.dropped_position is 'The latest position that was dropped because its time was over.';
comment on column audit_head.dropped_hash is 'The hash of the record that was there.';
