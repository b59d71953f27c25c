-- When AWS is compared with the database next, and which worker is at it: one at a time is enough, and spares AWS's rates.
create table reconciler (
    only_one boolean primary key default true check (only_one),
    due_at timestamptz not null,
    lease_until timestamptz,
    leased_by text,
    fence bigint not null default 0,
    finished_at timestamptz
);

comment on table reconciler is 'The next comparison of AWS with the database; at most one row.';
comment on column reconciler.only_one is 'Always true: keeps the table to one row.';
comment on column reconciler.due_at is 'When the next comparison begins.';
comment on column reconciler.lease_until is 'Until when the worker that claimed it may be at it; null when nobody is.';
comment on column reconciler.leased_by is 'Which worker claimed it last; for people.';
comment on column reconciler.fence is 'Raised by every claim; a write under an older fence is refused.';
comment on column reconciler.finished_at is 'When the last comparison came to its end.';
