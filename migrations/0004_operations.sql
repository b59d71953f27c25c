-- An operation is one long-running piece of work on one environment, and its own wake-up: a worker claims what is due.
create table operations (
    -- Immutable.
    id uuid primary key,
    tenant_id uuid not null references tenants (id),
    environment_id uuid not null references environments (id),
    kind text not null check (kind in ('onboard')),
    requested_by jsonb not null check (jsonb_typeof(requested_by) = 'object'),
    created_at timestamptz not null,
    -- Mutable.
    state text not null check (state in ('pending', 'running', 'needs_attention', 'succeeded', 'failed', 'canceled')),
    attention_code text,
    attention_sentence text,
    attention_remedies text[],
    wake_at timestamptz,
    lease_until timestamptz,
    leased_by text,
    fence bigint not null default 0,
    last_seq bigint not null default 0,
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz not null,
    constraint attention_says_why check (
        case when state = 'needs_attention'
            then num_nulls(attention_code, attention_sentence, attention_remedies) = 0
            else num_nonnulls(attention_code, attention_sentence, attention_remedies) = 0
        end
    ),
    constraint an_end_has_its_time check ((state in ('succeeded', 'failed', 'canceled')) = (finished_at is not null)),
    constraint what_has_ended_sleeps check (finished_at is null or wake_at is null),
    constraint what_has_not_ended_wakes check (state not in ('pending', 'running') or wake_at is not null)
);

create unique index operations_one_open_per_environment on operations (environment_id)
    where state in ('pending', 'running', 'needs_attention');
create index operations_due on operations (wake_at) where wake_at is not null;
create index operations_by_state on operations (state, id);
create index operations_by_tenant on operations (tenant_id, id);

comment on table operations is 'Work on environments, open and ended.';
comment on column operations.id is 'op_… in the API.';
comment on column operations.tenant_id is 'Whose environment it works on.';
comment on column operations.environment_id is 'What it works on; at most one open operation each.';
comment on column operations.kind is 'Which list of steps it walks.';
comment on column operations.requested_by is 'Issuer and subject of the token that asked for it.';
comment on column operations.created_at is 'When it was accepted.';
comment on column operations.state is 'Where it stands.';
comment on column operations.attention_code is 'needs_attention: the stable code of the reason.';
comment on column operations.attention_sentence is 'needs_attention: the reason in plain words.';
comment on column operations.attention_remedies is 'needs_attention: what a person can do about it through the API.';
comment on column operations.wake_at is 'When a worker shall look at it again; null when it waits for a person or has ended.';
comment on column operations.lease_until is 'Until when the worker that claimed it may be working on it.';
comment on column operations.leased_by is 'Which worker claimed it last; for people.';
comment on column operations.fence is 'Raised by every claim; a write under an older fence is refused.';
comment on column operations.last_seq is 'The seq of its latest event.';
comment on column operations.started_at is 'When it was first claimed.';
comment on column operations.finished_at is 'When it ended.';
comment on column operations.updated_at is 'When a mutable column last changed.';
