-- What a look at AWS has found that is not as the database, or the configuration, says. Rows are resolved, never deleted:
-- what was wrong, and from when until when, is part of the record.
create table findings (
    -- Immutable.
    id uuid primary key,
    kind text not null check (kind ~ '^[a-z]+(_[a-z]+)*$'),
    subject text not null check (char_length(subject) between 1 and 500),
    aws_account_id text check (aws_account_id ~ '^[0-9]{12}$'),
    tenant_id uuid references tenants (id),
    environment_id uuid references environments (id),
    first_seen_at timestamptz not null,
    -- Mutable.
    severity text not null check (severity in ('critical', 'error', 'warning')),
    sentence text not null,
    remedy text not null check (remedy in ('repair', 'person')),
    operation_id uuid references operations (id),
    last_seen_at timestamptz not null check (last_seen_at >= first_seen_at),
    resolved_at timestamptz check (resolved_at >= last_seen_at),
    constraint an_environment_is_a_tenants check ((tenant_id is null) = (environment_id is null))
);

create unique index findings_one_open_each on findings (kind, subject) where resolved_at is null;
create index findings_open on findings (id) where resolved_at is null;

create trigger findings_are_never_deleted before delete on findings
    for each row execute function refuse_change();

comment on table findings is 'What was found in AWS that is not as it should be, open and resolved.';
comment on column findings.id is 'find_…; sorts by when it was first seen.';
comment on column findings.kind is 'What was found, such as wrong_ou.';
comment on column findings.subject is 'What exactly; with the kind it tells one open finding from another.';
comment on column findings.aws_account_id is 'The account that it is about, if it is about one.';
comment on column findings.tenant_id is 'Whose environment it is about, if it is about one.';
comment on column findings.environment_id is 'The environment that it is about, if it is about one.';
comment on column findings.first_seen_at is 'When it was first seen.';
comment on column findings.severity is 'critical: a tenant''s data, seclusion or service is at stake; error: something promised is not there; warning: something is not as it was left.';
comment on column findings.sentence is 'What is wrong and what to do about it, in plain words.';
comment on column findings.remedy is 'repair: an ordinary operation puts it right; person: somebody has to look.';
comment on column findings.operation_id is 'The operation that was begun to put it right; what is still there when that has ended waits for a person.';
comment on column findings.last_seen_at is 'When it was last seen.';
comment on column findings.resolved_at is 'When it was first not seen any more; null while it is open.';
