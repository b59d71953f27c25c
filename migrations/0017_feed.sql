-- The feed: what happened, in one order, for billing and for whoever else has to keep up. Transactions commit in another
-- order than they draw numbers from a sequence, so a reader that asks for what comes after a number would miss some. Here
-- an event waits in feed_pending until somebody who holds the one row of feed_head gives it the next position; positions
-- become visible in their order.
create table feed (
    position bigint primary key check (position > 0),
    operation_id uuid not null references operations (id),
    seq bigint not null,
    tenant_id uuid not null references tenants (id),
    environment_id uuid not null references environments (id),
    type text not null check (type ~ '^[a-z_]+(\.[a-z_]+)+$'),
    data jsonb not null check (jsonb_typeof(data) = 'object'),
    occurred_at timestamptz not null,
    recorded_at timestamptz not null
);

create table feed_head (
    only_one boolean primary key default true check (only_one),
    position bigint not null
);
insert into feed_head (position) values (0);

create table feed_pending (
    id bigint generated always as identity primary key,
    operation_id uuid not null,
    seq bigint not null
);

create function queue_for_feed() returns trigger language plpgsql as $$
begin
    insert into feed_pending (operation_id, seq)
    select operation_id, seq from news where type not like 'step.%' order by operation_id, seq;
    return null;
end
$$;

-- Whoever writes an event cannot forget the feed.
create trigger events_go_into_the_feed after insert on events
    referencing new table as news for each statement execute function queue_for_feed();

insert into feed_pending (operation_id, seq)
select operation_id, seq from events where type not like 'step.%' order by occurred_at, operation_id, seq;

alter table account_mappings
    add column opened_at_position bigint,
    add column closed_at_position bigint check (closed_at_position > opened_at_position);
create index account_mappings_by_account on account_mappings (aws_account_id, valid_from);

comment on table feed is 'What happened, in one order; rows are dropped when they are a year old.';
comment on column feed.position is 'One more than the position before; given by whoever holds feed_head.';
comment on column feed.operation_id is 'The operation that it happened to.';
comment on column feed.seq is 'Which of the operation''s events it is.';
comment on column feed.tenant_id is 'Whose operation it is.';
comment on column feed.environment_id is 'Which environment it works on.';
comment on column feed.type is 'What happened, as callers know it, such as tenant.onboarding.succeeded.';
comment on column feed.data is 'More of it; no personal data.';
comment on column feed.occurred_at is 'When it happened, by the installation''s clock.';
comment on column feed.recorded_at is 'When it got its position.';
comment on table feed_head is 'Where the feed ends; whoever locks the row gives the next positions.';
comment on column feed_head.only_one is 'Always true: keeps the table to one row.';
comment on column feed_head.position is 'The latest position.';
comment on table feed_pending is 'Events that have no position in the feed yet.';
comment on column feed_pending.id is 'Orders the events of one operation, which are written one after the other.';
comment on column feed_pending.operation_id is 'The operation.';
comment on column feed_pending.seq is 'Which of its events.';
comment on column account_mappings.opened_at_position is 'The position in the feed of the event that it began with; null until that has one.';
comment on column account_mappings.closed_at_position is 'The position of the event that it ended with.';
