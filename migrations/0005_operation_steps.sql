-- The journal: what each step of an operation set out to do and what came of it.
create table operation_steps (
    operation_id uuid not null references operations (id),
    name text not null check (name ~ '^[a-z][a-z-]{0,62}$'),
    position smallint not null check (position >= 0),
    after text[] not null,
    state text not null check (state in ('pending', 'running', 'waiting', 'parked', 'done')),
    intent jsonb,
    intent_at timestamptz,
    facts jsonb not null default '{}' check (jsonb_typeof(facts) = 'object'),
    attempts integer not null default 0 check (attempts >= 0),
    attempts_without_progress integer not null default 0 check (attempts_without_progress >= 0),
    waits_for text,
    check_at timestamptz,
    last_error text,
    started_at timestamptz,
    retried_at timestamptz,
    finished_at timestamptz,
    primary key (operation_id, name),
    constraint intent_has_its_time check ((intent is null) = (intent_at is null)),
    constraint waiting_says_for_what_and_until_when check (state <> 'waiting' or num_nulls(waits_for, check_at) = 0),
    constraint done_has_its_time check ((state = 'done') = (finished_at is not null))
);

create index operation_steps_finished on operation_steps (name, finished_at desc) where state = 'done';

create index operation_steps_waiting on operation_steps (name) where state = 'waiting';

comment on table operation_steps is 'The journal of the operations: one row a step.';
comment on column operation_steps.operation_id is 'Whose step it is.';
comment on column operation_steps.name is 'The step, as in the list.';
comment on column operation_steps.position is 'Its place in the list.';
comment on column operation_steps.after is 'The steps that must be done before it may start.';
comment on column operation_steps.state is 'pending: not begun; running: begun, outcome not journaled; waiting; parked: for a person; done.';
comment on column operation_steps.intent is 'What it was about to ask, written before the call; what finds the effect again after a crash.';
comment on column operation_steps.intent_at is 'When the intent was written.';
comment on column operation_steps.facts is 'What it has learnt: request ids, account id, stack id, …';
comment on column operation_steps.attempts is 'How often it was run.';
comment on column operation_steps.attempts_without_progress is 'How often in a row it was run and failed.';
comment on column operation_steps.waits_for is 'waiting: for what, in plain words.';
comment on column operation_steps.check_at is 'waiting: when it looks again.';
comment on column operation_steps.last_error is 'The latest error, in plain words; null once it has got over it.';
comment on column operation_steps.started_at is 'When it was first run.';
comment on column operation_steps.retried_at is 'When a person last had it tried again; deadlines count anew from there.';
comment on column operation_steps.finished_at is 'When it was done.';
