-- What AWS allows one organisation, shared by all workers: places (so many at a time) and rates (so many a second).
create table slots (
    quota text not null,
    operation_id uuid not null references operations (id),
    step text not null,
    item text not null default '',
    requested_at timestamptz not null,
    granted_at timestamptz,
    primary key (quota, operation_id, item)
);

create index slots_in_line on slots (quota, requested_at, operation_id) where granted_at is null;
create index slots_granted on slots (quota) where granted_at is not null;

comment on table slots is 'Places under a quota: those that are taken, and the line for them. A row goes when the work has ended.';
comment on column slots.quota is 'Which quota, such as account-creations.';
comment on column slots.operation_id is 'Which operation has the place or waits for it.';
comment on column slots.step is 'Which of its steps looks again when the place is free.';
comment on column slots.item is 'Which of several places of one operation; empty where it only ever needs one.';
comment on column slots.requested_at is 'Since when it is in line.';
comment on column slots.granted_at is 'When it got the place; null while it is in line.';

create table rates (
    api text primary key,
    next_at timestamptz not null
);

comment on table rates is 'Token buckets, one for each AWS API, as the generic cell rate algorithm keeps them.';
comment on column rates.api is 'The call, such as organizations:MoveAccount.';
comment on column rates.next_at is 'When the bucket will be full again: the theoretical arrival time.';
