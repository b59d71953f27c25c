-- What one person asks for and another has to approve: adopting an account, trying again with another value, closing an
-- account. The approval binds the hash of what was asked, so that nothing else is done in its name.
create table approvals (
    -- Immutable.
    id uuid primary key,
    operation_id uuid not null references operations (id),
    action text not null check (action in ('adopt', 'correct', 'close')),
    step text not null check (step ~ '^[a-z][a-z-]{0,62}$'),
    request jsonb not null check (jsonb_typeof(request) = 'object'),
    request_hash text not null check (request_hash ~ '^[0-9a-f]{64}$'),
    requested_by jsonb not null check (jsonb_typeof(requested_by) = 'object'),
    requested_at timestamptz not null,
    -- Mutable, once.
    state text not null check (state in ('pending', 'approved', 'rejected')),
    decided_by jsonb check (jsonb_typeof(decided_by) = 'object'),
    decided_at timestamptz,
    constraint a_decision_says_whose_and_when check ((state = 'pending') = (num_nulls(decided_by, decided_at) = 2)
        and num_nulls(decided_by, decided_at) in (0, 2)),
    constraint nobody_approves_what_they_asked_for check (state <> 'approved' or decided_by <> requested_by)
);

create unique index approvals_one_pending_per_operation on approvals (operation_id) where state = 'pending';
create index approvals_by_operation on approvals (operation_id, id);

comment on table approvals is 'What needs a second person, and what that person said.';
comment on column approvals.id is 'apr_… in the API; sorts by creation.';
comment on column approvals.operation_id is 'The operation that it is about.';
comment on column approvals.action is 'What is to be done: adopt an account, correct a value, close the account.';
comment on column approvals.step is 'The step that does it.';
comment on column approvals.request is 'The values that were asked for, to the letter.';
comment on column approvals.request_hash is 'SHA-256 of operation, action and values: what is approved.';
comment on column approvals.requested_by is 'Issuer and subject of the token that asked.';
comment on column approvals.requested_at is 'When it was asked for.';
comment on column approvals.state is 'pending, approved or rejected.';
comment on column approvals.decided_by is 'Issuer and subject of the token that decided; another than the one that asked.';
comment on column approvals.decided_at is 'When it was decided.';
