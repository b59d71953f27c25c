-- Lets an operator pause the creation of AWS accounts.

create table vending_pause (
    singleton boolean primary key default true check (singleton),
    reason text not null check (length(reason) between 1 and 500),
    paused_by jsonb not null,
    paused_at timestamptz not null
);

comment on table vending_pause is 'Pause of account creations. The row exists while the pause is in force.';
comment on column vending_pause.singleton is 'Always true, so that there is at most one row.';
comment on column vending_pause.reason is 'Reason, as the operator gave it.';
comment on column vending_pause.paused_by is 'Person or client that paused: issuer and subject of the token.';
comment on column vending_pause.paused_at is 'Start of the pause.';
