-- The feed: what happened, in one order, for billing and for whoever else has to keep up. Transactions commit in another
-- order than they draw numbers from a sequence, so a reader that asks for what comes after a number would miss some. Here
-- an event waits in feed_pending until somebody who holds the one row of feed_head gives it the next position; positions
-- become visible in their order.
create table feed (
    position bigint primary key check (position > 0),
    operation_id uuid references operations (id),
    seq bigint,
    tenant_id uuid not null references tenants (id),
    environment_id uuid references environments (id),
    type text not null check (type ~ '^[a-z_]+(\.[a-z_]+)+$'),
    data jsonb not null check (jsonb_typeof(data) = 'object'),
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    constraint an_operation_has_all_three check (num_nulls(operation_id, seq, environment_id) in (0, 3))
);

create table feed_head (
    only_one boolean primary key default true check (only_one),
    position bigint not null
);
insert into feed_head (position) values (0);

create table feed_pending (
    id bigint generated always as identity primary key,
    operation_id uuid,
    seq bigint,
    tenant_id uuid,
    type text,
    data jsonb,
    occurred_at timestamptz,
    constraint an_event_of_an_operation_or_of_a_tenant check (
        num_nulls(operation_id, seq) = 0 and num_nonnulls(tenant_id, type, data, occurred_at) = 0
        or num_nonnulls(operation_id, seq) = 0 and num_nulls(tenant_id, type, data, occurred_at) = 0
    )
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
    add column account_name text,
    add column opened_at_position bigint,
    add column closed_at_position bigint check (closed_at_position > opened_at_position);
create index account_mappings_by_account on account_mappings (aws_account_id, valid_from);

comment on table feed is 'What happened, in one order; rows are dropped when they are a year old.';
comment on column feed.position is 'One more than the position before; given by whoever holds feed_head.';
comment on column feed.operation_id is 'The operation that it happened to; null where it happened to the tenant itself.';
comment on column feed.seq is 'Which of the operation''s events it is.';
comment on column feed.tenant_id is 'The tenant that it is about.';
comment on column feed.environment_id is 'Which environment the operation works on.';
comment on column feed.type is 'What happened, as callers know it, such as tenant.onboarding.succeeded.';
comment on column feed.data is 'More of it; no personal data.';
comment on column feed.occurred_at is 'When it happened, by the installation''s clock.';
comment on column feed.recorded_at is 'When it got its position.';
comment on table feed_head is 'Where the feed ends; whoever locks the row gives the next positions.';
comment on column feed_head.only_one is 'Always true: keeps the table to one row.';
comment on column feed_head.position is 'The latest position.';
comment on table feed_pending is 'Events that have no position in the feed yet.';
comment on column feed_pending.id is 'Orders the events of one operation, which are written one after the other.';
comment on column feed_pending.operation_id is 'The operation, if it happened to one; the rest is in events.';
comment on column feed_pending.seq is 'Which of its events.';
comment on column feed_pending.tenant_id is 'The tenant, if it happened to the tenant itself.';
comment on column feed_pending.type is 'What happened to the tenant, as callers know it.';
comment on column feed_pending.data is 'More of it; no personal data.';
comment on column feed_pending.occurred_at is 'When it happened to the tenant.';
comment on column account_mappings.account_name is 'What Freehold called the account when it asked for it; null where it did not.';
comment on column account_mappings.opened_at_position is 'The position in the feed of the event that it began with; null until that has one.';
comment on column account_mappings.closed_at_position is 'The position of the event that it ended with.';
