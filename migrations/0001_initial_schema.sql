-- The schema of a new database in one file, because no release has used an earlier one. Each table stands together
-- with its constraints, indexes, triggers and comments. No default asks PostgreSQL for the time: a sandbox has its own
-- clock.

-- Which installation the database belongs to. Each process compares this row with its configuration before it starts,
-- so that a sandbox is never mistaken for a real installation.
create table installation (
    id uuid primary key,
    only_one boolean not null default true unique check (only_one),
    kind text not null check (kind in ('sandbox', 'real')),
    management_account_id text not null check (management_account_id ~ '^[0-9]{12}$'),
    clock_anchored_at timestamptz,
    clock_origin timestamptz,
    clock_speed double precision check (clock_speed > 0),
    created_at timestamptz not null,
    constraint only_a_sandbox_has_a_clock_of_its_own check (
        (kind = 'sandbox' and num_nulls(clock_anchored_at, clock_origin, clock_speed) = 0)
        or (kind = 'real' and num_nonnulls(clock_anchored_at, clock_origin, clock_speed) = 0)
    )
);

comment on table installation is 'What this database belongs to; exactly one row.';
comment on column installation.id is 'Names this installation in the tags of every account that it asks for.';
comment on column installation.only_one is 'Always true: keeps the table to one row.';
comment on column installation.kind is 'sandbox: a simulated organisation; real: AWS. A process of the other kind refuses to start.';
comment on column installation.management_account_id is 'The organisation, by its management account. A process configured for another refuses to start.';
comment on column installation.clock_anchored_at is 'Sandbox: the real time at which its clock showed clock_origin.';
comment on column installation.clock_origin is 'Sandbox: what its clock showed then.';
comment on column installation.clock_speed is 'Sandbox: simulated seconds a real second.';
comment on column installation.created_at is 'When the installation was made, by its own clock.';

-- A tenant is one B2B customer. It has no state of its own: state belongs to its environments.
create table tenants (
    -- Immutable.
    id uuid primary key,
    created_at timestamptz not null,
    -- Mutable.
    company_name text not null check (char_length(company_name) between 1 and 120),
    -- Personal data; erased when the tenant is offboarded.
    admin_email text check (char_length(admin_email) between 3 and 254),
    tier text not null check (tier ~ '^[a-z][a-z0-9-]{0,31}$'),
    external_id text check (external_id ~ '^[!-~]{1,128}$'),
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    legal_hold_at timestamptz,
    legal_hold_reason text check (char_length(legal_hold_reason) between 1 and 500),
    updated_at timestamptz not null,
    offboarded_at timestamptz,
    constraint a_legal_hold_says_why check ((legal_hold_at is null) = (legal_hold_reason is null))
);

create unique index tenants_external_id_is_unique_among_live_tenants on tenants (external_id)
    where offboarded_at is null;
create index tenants_by_tier on tenants (tier, id);

comment on table tenants is 'The customers: one row each, live or gone.';
comment on column tenants.id is 'ten_… in the API; sorts by creation.';
comment on column tenants.created_at is 'When the signup was accepted.';
comment on column tenants.company_name is 'What the customer calls itself.';
comment on column tenants.admin_email is 'The person who administers the tenant; not the e-mail address of an AWS account. Null once the tenant is gone.';
comment on column tenants.tier is 'The commercial plan, from configuration.';
comment on column tenants.external_id is 'The id that the SaaS itself gives this customer; unique among live tenants.';
comment on column tenants.labels is 'Free key and value pairs of the SaaS.';
comment on column tenants.legal_hold_at is 'Since when nothing of it may be destroyed; null where it may.';
comment on column tenants.legal_hold_reason is 'Why nothing of it may be destroyed.';
comment on column tenants.updated_at is 'When a mutable column last changed.';
comment on column tenants.offboarded_at is 'When the last environment was gone; null while the tenant lives.';

-- An environment is one isolated installation of a tenant: one environment, one AWS account. The row outlives the
-- account, and the name of an offboarded environment is free again.
create table environments (
    -- Immutable.
    id uuid primary key,
    tenant_id uuid not null references tenants (id),
    name text not null check (name ~ '^[a-z][a-z0-9-]{0,31}$'),
    residency text not null check (residency ~ '^[a-z][a-z0-9-]{0,31}$'),
    home_region text not null check (home_region ~ '^[a-z]{2}-[a-z]+-[0-9]$'),
    created_at timestamptz not null,
    -- Mutable.
    state text not null
        check (state in ('onboarding', 'ready', 'needs_attention', 'offboarding', 'restoring', 'offboarded')),
    ready_at timestamptz,
    updated_at timestamptz not null,
    offboarded_at timestamptz,
    constraint ready_says_since_when check (state <> 'ready' or ready_at is not null),
    constraint gone_says_since_when check ((state = 'offboarded') = (offboarded_at is not null))
);

create unique index environments_one_of_a_name_per_tenant on environments (tenant_id, name) where state <> 'offboarded';
create index environments_by_tenant on environments (tenant_id);
create index environments_by_state on environments (state, tenant_id);
create index environments_by_home_region on environments (home_region, tenant_id);

comment on table environments is 'The isolated installations of the tenants.';
comment on column environments.id is 'env_… in the API and in the e-mail address of the account.';
comment on column environments.tenant_id is 'Whose it is.';
comment on column environments.name is 'production, staging, …; unique within the tenant.';
comment on column environments.residency is 'The named set of regions that it may use.';
comment on column environments.home_region is 'Where its stack runs first.';
comment on column environments.created_at is 'When it was asked for.';
comment on column environments.state is 'Written only together with the operation that it follows from.';
comment on column environments.ready_at is 'When it was first verified; null until then.';
comment on column environments.updated_at is 'When a mutable column last changed.';
comment on column environments.offboarded_at is 'When nothing of it was left for anybody to use; null until then.';

-- An operation is a long-running piece of work on one environment. The table is also the work queue: a worker claims
-- an operation whose wake_at has passed, and holds it until lease_until.
create table operations (
    -- Immutable.
    id uuid primary key,
    tenant_id uuid not null references tenants (id),
    environment_id uuid not null references environments (id),
    kind text not null check (kind in ('onboard', 'offboard', 'restore', 'repair')),
    input jsonb not null default '{}' check (jsonb_typeof(input) = 'object'),
    requested_by jsonb not null check (jsonb_typeof(requested_by) = 'object'),
    -- Joins the request's trace with the traces of the workers, which run hours later in other processes.
    traceparent text,
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
comment on column operations.input is 'What was asked for beside the kind: whether to close the account, what found it broken, …';
comment on column operations.requested_by is 'Issuer and subject of the token that asked for it.';
comment on column operations.traceparent is 'the span of the request that was accepted (W3C Trace Context); empty where traces are not sent anywhere';
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

-- The journal: one row per step of an operation. The intent is written before an AWS call that is not safe to repeat,
-- so that the next worker can find the result after a crash.
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
    attention jsonb check (jsonb_typeof(attention) = 'object'),
    blocked_since timestamptz,
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
-- Account closures of the last 30 days, which AWS limits, are counted by the time of the intent.
create index operation_steps_closures on operation_steps (intent_at)
    where name = 'close-account' and intent_at is not null;

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
comment on column operation_steps.attention is 'Why it needs a person: code, sentence, remedies. Parked steps have it, and late ones, which look on.';
comment on column operation_steps.blocked_since is 'Since when AWS has not let it begin or go on; null where it does.';
comment on column operation_steps.started_at is 'When it was first run.';
comment on column operation_steps.retried_at is 'When a person last had it tried again; deadlines count anew from there.';
comment on column operation_steps.finished_at is 'When it was done.';

-- The limits of AWS for the whole organisation, shared by all workers. slots: so many pieces of work at a time. looks:
-- one List call reports progress to all operations under the same quota. rates: so many calls per second.
create table slots (
    quota text not null,
    operation_id uuid not null references operations (id),
    step text not null,
    item text not null default '',
    requested_at timestamptz not null,
    turn_at timestamptz not null default '-infinity',
    granted_at timestamptz,
    request_id text,
    looked_at timestamptz,
    own_looks smallint not null default 0 check (own_looks >= 0),
    ended_at timestamptz,
    primary key (quota, operation_id, item)
);

create index slots_in_line on slots (quota, turn_at, operation_id) where granted_at is null;
create index slots_granted on slots (quota) where granted_at is not null;

comment on table slots is 'Places under a quota: those that are taken, and the line for them. A row goes when the work has ended.';
comment on column slots.quota is 'Which quota, such as account-creations.';
comment on column slots.operation_id is 'Which operation has the place or waits for it.';
comment on column slots.step is 'Which of its steps looks again when the place is free.';
comment on column slots.item is 'Which of several places of one operation; empty where it only ever needs one.';
comment on column slots.requested_at is 'Since when it is in line.';
comment on column slots.turn_at is 'Its turn: when the tenant signed up; for maintenance requested_at, later by what that yields to onboarding. A version that does not know it stands first.';
comment on column slots.granted_at is 'When it got the place; null while it is in line.';
comment on column slots.request_id is 'What AWS calls the work: car-… of a creation, the UUID of an assignment. Null until AWS has accepted it.';
comment on column slots.looked_at is 'When the work was last looked at and found in progress.';
comment on column slots.own_looks is 'How often the operation was told to look by itself.';
comment on column slots.ended_at is 'When the work was found over; the place is free, though its operation has not journaled the end yet.';

create table looks (
    quota text primary key,
    next_at timestamptz,
    looking_until timestamptz,
    counted_at timestamptz,
    strangers integer not null default 0 check (strangers >= 0)
);

comment on table looks is 'Looks at what AWS has in progress under a quota, which serve every operation that waits for it.';
comment on column looks.quota is 'Which quota, such as account-creations.';
comment on column looks.next_at is 'When the next look is due; null while nothing is in progress.';
comment on column looks.looking_until is 'Until when the worker that is looking may be looking.';
comment on column looks.counted_at is 'When everything in progress was last counted; null when the count is known to be wrong.';
comment on column looks.strangers is 'How many of them were not ours; they take places too.';

create table rates (
    api text primary key,
    next_at timestamptz not null,
    spacing_seconds double precision check (spacing_seconds > 0),
    slowed_at timestamptz,
    constraint slowness_has_its_time check ((spacing_seconds is null) = (slowed_at is null))
);

comment on table rates is 'Token buckets, one for each AWS API, as the generic cell rate algorithm keeps them.';
comment on column rates.api is 'The call, such as organizations:MoveAccount.';
comment on column rates.next_at is 'When the bucket will be full again: the theoretical arrival time.';
comment on column rates.spacing_seconds is 'Seconds between two calls when AWS last throttled one; null if it never did.';
comment on column rates.slowed_at is 'When that was: from then on the spacing shrinks back to that of the rate.';

-- A fleet hold pauses calls that AWS would refuse for every tenant: one alert and one probe instead of the same
-- refusal for each tenant. The row exists while the hold is in force.
create table holds (
    work text primary key check (work in ('account-creations')),
    kind text not null check (kind in ('account_quota_reached', 'organization_finalizing')),
    began_at timestamptz not null,
    probe_at timestamptz not null,
    probes integer not null default 0 check (probes >= 0),
    probing_operation uuid references operations (id),
    probing_until timestamptz,
    constraint a_probe_has_its_end check ((probing_operation is null) = (probing_until is null))
);

comment on table holds is 'Work that waits for the whole fleet, because AWS would refuse it whoever asked.';
comment on column holds.work is 'What is not asked for meanwhile; the quota under which it stands in line.';
comment on column holds.kind is 'Why: the stable code of the alert.';
comment on column holds.began_at is 'Since when.';
comment on column holds.probe_at is 'When the first in line asks AWS again, for its own account.';
comment on column holds.probes is 'How often that was in vain; the pause grows with it.';
comment on column holds.probing_operation is 'Which operation is asking; null while none is.';
comment on column holds.probing_until is 'Until when nobody else asks, should that one never come back.';

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'a row of % is not changed or deleted', tg_table_name using errcode = 'integrity_constraint_violation';
end
$$;

-- Which AWS account belonged to which environment, and when. Rows get an end but are never deleted: billing reads them
-- for years.
create table account_mappings (
    id uuid primary key,
    tenant_id uuid not null references tenants (id),
    environment_id uuid not null references environments (id),
    aws_account_id text not null check (aws_account_id ~ '^[0-9]{12}$'),
    account_name text,
    valid_from timestamptz not null,
    valid_to timestamptz check (valid_to > valid_from),
    opened_at_position bigint,
    closed_at_position bigint check (closed_at_position > opened_at_position)
);

create unique index account_mappings_one_per_account_at_a_time on account_mappings (aws_account_id)
    where valid_to is null;
create unique index account_mappings_one_per_environment_at_a_time on account_mappings (environment_id)
    where valid_to is null;
create index account_mappings_by_tenant on account_mappings (tenant_id, id);
create index account_mappings_by_account on account_mappings (aws_account_id, valid_from);

create trigger account_mappings_are_never_deleted before delete on account_mappings
    for each row execute function refuse_change();

comment on table account_mappings is 'Which AWS account belonged to which environment, and when.';
comment on column account_mappings.id is 'map_…; sorts by creation.';
comment on column account_mappings.tenant_id is 'Whose account it is.';
comment on column account_mappings.environment_id is 'What runs in it.';
comment on column account_mappings.aws_account_id is '12 digits; leading zeros count.';
comment on column account_mappings.account_name is 'What Freehold called the account when it asked for it; null where it did not.';
comment on column account_mappings.valid_from is 'When the account was verified to be this environment''s.';
comment on column account_mappings.valid_to is 'When it ceased to be; null while it is.';
comment on column account_mappings.opened_at_position is 'The position in the feed of the event that it began with; null until that has one.';
comment on column account_mappings.closed_at_position is 'The position of the event that it ended with.';

-- The events of each operation, in order and append-only.
create table events (
    operation_id uuid not null references operations (id),
    seq bigint not null check (seq > 0),
    tenant_id uuid not null references tenants (id),
    environment_id uuid not null references environments (id),
    type text not null check (type ~ '^[a-z_]+(\.[a-z_]+)+$'),
    data jsonb not null default '{}' check (jsonb_typeof(data) = 'object'),
    occurred_at timestamptz not null,
    primary key (operation_id, seq)
);

create trigger events_are_append_only before update or delete on events
    for each row execute function refuse_change();

comment on table events is 'What happened to each operation, append-only.';
comment on column events.operation_id is 'The operation that it happened to.';
comment on column events.seq is '1, 2, 3, … within the operation, given under the lock on its row.';
comment on column events.tenant_id is 'Whose operation it is.';
comment on column events.environment_id is 'Which environment it works on.';
comment on column events.type is 'What happened, such as step.succeeded.';
comment on column events.data is 'More of it; no personal data.';
comment on column events.occurred_at is 'When, by the installation''s clock.';

-- The feed: the events of all operations and tenants in one order, read by API, billing and webhooks. Transactions
-- commit in another order than they draw numbers from a sequence, so a reader that continues after a number would miss
-- events. Therefore an event waits in feed_pending until a process that locks the one row of feed_head assigns the
-- next position; positions become visible in their order.
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

create table feed_head (
    only_one boolean primary key default true check (only_one),
    position bigint not null
);

insert into feed_head (position) values (0);

comment on table feed_head is 'Where the feed ends; whoever locks the row gives the next positions.';
comment on column feed_head.only_one is 'Always true: keeps the table to one row.';
comment on column feed_head.position is 'The latest position.';

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

comment on table feed_pending is 'Events that have no position in the feed yet.';
comment on column feed_pending.id is 'Orders the events of one operation, which are written one after the other.';
comment on column feed_pending.operation_id is 'The operation, if it happened to one; the rest is in events.';
comment on column feed_pending.seq is 'Which of its events.';
comment on column feed_pending.tenant_id is 'The tenant, if it happened to the tenant itself.';
comment on column feed_pending.type is 'What happened to the tenant, as callers know it.';
comment on column feed_pending.data is 'More of it; no personal data.';
comment on column feed_pending.occurred_at is 'When it happened to the tenant.';

-- A trigger queues the events, so that no statement that writes one can forget the feed. It runs per row: most
-- statements write one event, and a transition table costs more than the row. Events of steps are not part of the
-- feed.
create function queue_event_for_feed() returns trigger language plpgsql as $$
begin
    insert into feed_pending (operation_id, seq) values (new.operation_id, new.seq);
    return null;
end
$$;

create trigger events_go_into_the_feed after insert on events
    for each row when (new.type not like 'step.%') execute function queue_event_for_feed();

-- The stored response of each POST, so that a repeated request gets the same response. A request that is not handled
-- in one transaction reserves its key first, without a response, so that it is not handled twice at a time.
create table idempotency_keys (
    issuer text not null,
    client text not null,
    route text not null,
    key text not null check (char_length(key) between 1 and 255),
    request_hash bytea not null check (octet_length(request_hash) = 32),
    status smallint,
    location text,
    response json,
    created_at timestamptz not null,
    primary key (issuer, client, route, key),
    constraint answered_or_not check (num_nulls(status, location, response) in (0, 3))
);

-- When a tenant is offboarded, the stored responses that name it are found by location.
create index idempotency_keys_by_location on idempotency_keys (location);
-- The daily signup limit counts keys per client over 24 hours.
create index idempotency_keys_of_a_day on idempotency_keys (issuer, client, route, created_at desc);

comment on table idempotency_keys is 'The answers given under an Idempotency-Key; kept for seven days.';
comment on column idempotency_keys.issuer is 'Who issued the token of the caller.';
comment on column idempotency_keys.client is 'Which client of that issuer asked.';
comment on column idempotency_keys.route is 'Method and path of the route.';
comment on column idempotency_keys.key is 'The key, without quotes.';
comment on column idempotency_keys.request_hash is 'SHA-256 of the request body in canonical form.';
comment on column idempotency_keys.status is 'The HTTP status of the answer; null while the request is being worked on.';
comment on column idempotency_keys.location is 'The Location header of the answer.';
comment on column idempotency_keys.response is 'The body of the answer, to the letter.';
comment on column idempotency_keys.created_at is 'When the request was accepted, or was last begun.';

-- Actions that need the consent of a second person. The approval covers the hash of the request, so that nothing else
-- can be done with it.
create table approvals (
    -- Immutable.
    id uuid primary key,
    operation_id uuid not null references operations (id),
    action text not null check (action in ('vend', 'adopt', 'correct', 'close')),
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
comment on column approvals.action is 'What is to be done: vend an account, adopt one, correct a value, close the account.';
comment on column approvals.step is 'The step that does it.';
comment on column approvals.request is 'The values that were asked for, to the letter.';
comment on column approvals.request_hash is 'SHA-256 of operation, action and values: what is approved.';
comment on column approvals.requested_by is 'Issuer and subject of the token that asked.';
comment on column approvals.requested_at is 'When it was asked for.';
comment on column approvals.state is 'pending, approved or rejected.';
comment on column approvals.decided_by is 'Issuer and subject of the token that decided; another than the one that asked.';
comment on column approvals.decided_at is 'When it was decided.';

-- A finding is a difference between AWS and the database or the configuration. Rows are resolved, never deleted: the
-- record shows what was wrong, and from when until when.
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

-- The schedule of reconciliation. One worker at a time holds the lease: that is enough, and it spares the API rates of
-- AWS.
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

-- The audit trail: who did what, from where, with which result. An entry is written to audit_pending before the
-- action, and is chained within a second after its end by a process that locks the one row of audit_head, so that
-- signups do not wait for each other. Each record carries the hash of the record before it, so that a changed, missing
-- or moved record shows.
create table audit_pending (
    id bigint generated always as identity primary key,
    begun_at timestamptz not null,
    tenant_id uuid,
    deed jsonb not null check (jsonb_typeof(deed) = 'object'),
    outcome jsonb check (jsonb_typeof(outcome) = 'object')
);

comment on table audit_pending is 'What has been done, or is being done, and has no place in the audit trail yet.';
comment on column audit_pending.id is 'Orders what one process has done.';
comment on column audit_pending.begun_at is 'When it was begun, by the installation''s clock.';
comment on column audit_pending.tenant_id is 'Whom it is about, where it is about one tenant.';
comment on column audit_pending.deed is 'Who does what, and from where.';
comment on column audit_pending.outcome is 'What came of it; null while it is under way, and where whoever did it has died.';

create table audit_records (
    position bigint primary key check (position > 0),
    recorded_at timestamptz not null,
    -- json and not jsonb: the hash covers the text, which must stay as it was written.
    record json not null,
    hash bytea not null check (octet_length(hash) = 32)
);

create index audit_records_by_tenant on audit_records ((record ->> 'tenant_id'), position);

comment on table audit_records is 'The audit trail, append-only; the oldest records are dropped when their time is over.';
comment on column audit_records.position is 'One more than the record before.';
comment on column audit_records.recorded_at is 'When it got its place.';
comment on column audit_records.record is 'Who did what, from where, when, with which result: text that is never written anew.';
comment on column audit_records.hash is 'SHA-256 of the hash before, position, recorded_at and record.';

create table audit_head (
    only_one boolean primary key default true check (only_one),
    position bigint not null,
    hash bytea not null check (octet_length(hash) = 32),
    dropped_position bigint not null,
    dropped_hash bytea not null check (octet_length(dropped_hash) = 32)
);

insert into audit_head (position, hash, dropped_position, dropped_hash)
values (0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'));

comment on table audit_head is 'Where the trail ends and begins; whoever locks the row appends.';
comment on column audit_head.only_one is 'Always true: keeps the table to one row.';
comment on column audit_head.position is 'The latest position.';
comment on column audit_head.hash is 'The hash of the record there.';
comment on column audit_head.dropped_position is 'The latest position that was dropped because its time was over.';
comment on column audit_head.dropped_hash is 'The hash of the record that was there.';

-- Webhooks: the feed, sent to the URLs of the SaaS. The feed is the outbox, since each event is written in the
-- transaction of the change that it reports. A worker reads the feed from webhook_cursor and writes one delivery per
-- endpoint that wants the event, in the transaction that moves the cursor: no delivery is lost, and none exists twice.
-- A worker claims a delivery under a lease, sends it without an open transaction, and records the attempt afterwards.
create table webhook_endpoints (
    -- Immutable.
    id uuid primary key,
    created_at timestamptz not null,
    -- Mutable.
    url text not null check (char_length(url) between 1 and 2048),
    description text not null default '' check (char_length(description) <= 500),
    types text[] check (cardinality(types) > 0),
    secret bytea not null check (octet_length(secret) between 32 and 200),
    previous_secret bytea check (octet_length(previous_secret) between 32 and 200),
    previous_secret_until timestamptz,
    after_position bigint not null check (after_position >= 0),
    disabled_at timestamptz,
    disabled_reason text check (disabled_reason in ('by_request', 'gone', 'failing')),
    failing_since timestamptz,
    rests_until timestamptz,
    updated_at timestamptz not null,
    constraint a_previous_secret_ends check ((previous_secret is null) = (previous_secret_until is null)),
    constraint disabled_says_why check ((disabled_at is null) = (disabled_reason is null))
);

comment on table webhook_endpoints is 'Who is sent the feed, and where.';
comment on column webhook_endpoints.id is 'whe_…; sorts by when it was made.';
comment on column webhook_endpoints.created_at is 'When it was made.';
comment on column webhook_endpoints.url is 'Where events are sent.';
comment on column webhook_endpoints.description is 'What it is for, in somebody''s words.';
comment on column webhook_endpoints.types is 'Which types of the feed it wants; null for all.';
comment on column webhook_endpoints.secret is 'What deliveries are signed with: encrypted with AES-256-GCM under the key of [secrets], bound to this endpoint.';
comment on column webhook_endpoints.previous_secret is 'What they are signed with as well, after a rotation; likewise encrypted.';
comment on column webhook_endpoints.previous_secret_until is 'Until when.';
comment on column webhook_endpoints.after_position is 'What comes after this position of the feed is sent: where the feed was when it was made, or enabled again.';
comment on column webhook_endpoints.disabled_at is 'Since when nothing is sent; null while it is enabled.';
comment on column webhook_endpoints.disabled_reason is 'by_request: somebody asked; gone: it answered 410; failing: nothing but failures for days.';
comment on column webhook_endpoints.failing_since is 'The first failure after the last success; null while the last attempt succeeded, or there was none.';
comment on column webhook_endpoints.rests_until is 'Nothing is sent until then, because it answered 429 or 503 with Retry-After.';
comment on column webhook_endpoints.updated_at is 'When somebody last changed it, or it was disabled.';

create table webhook_cursor (
    only_one boolean primary key default true check (only_one),
    position bigint not null
);

insert into webhook_cursor (position) values (0);

comment on table webhook_cursor is 'Up to where the feed has been made deliveries of; whoever locks the row goes on.';
comment on column webhook_cursor.only_one is 'Always true: keeps the table to one row.';
comment on column webhook_cursor.position is 'The last position of the feed that was.';

create table webhook_deliveries (
    -- Immutable.
    id uuid primary key,
    endpoint_id uuid not null references webhook_endpoints (id) on delete cascade,
    position bigint not null,
    created_at timestamptz not null,
    -- Mutable.
    state text not null check (state in ('pending', 'delivered', 'failed')),
    began_at timestamptz not null,
    tries integer not null default 0 check (tries >= 0),
    attempts integer not null default 0 check (attempts >= 0),
    fence bigint not null default 0,
    lease_until timestamptz,
    next_attempt_at timestamptz,
    constraint webhook_deliveries_one_of_an_event unique (endpoint_id, position),
    constraint only_what_is_pending_is_due check ((state = 'pending') = (next_attempt_at is not null))
);

create index webhook_deliveries_due on webhook_deliveries (endpoint_id, next_attempt_at, position)
    where next_attempt_at is not null;
create index webhook_deliveries_by_age on webhook_deliveries (began_at);

comment on table webhook_deliveries is 'One event for one endpoint; dropped 30 days after it was last begun.';
comment on column webhook_deliveries.id is 'whd_…; sent as webhook-id, the same at each attempt.';
comment on column webhook_deliveries.endpoint_id is 'Whom it is for.';
comment on column webhook_deliveries.position is 'Which event of the feed it is.';
comment on column webhook_deliveries.created_at is 'When it was made of the event.';
comment on column webhook_deliveries.state is 'pending: it will be tried, or tried again; delivered: the receiver has taken it; failed: it was tried as often as it is.';
comment on column webhook_deliveries.began_at is 'When it was made, or last replayed.';
comment on column webhook_deliveries.tries is 'Attempts since then; decides how long the next one waits.';
comment on column webhook_deliveries.attempts is 'Attempts ever; numbers them.';
comment on column webhook_deliveries.fence is 'One more with each claim; whoever has an older one writes nothing.';
comment on column webhook_deliveries.lease_until is 'A worker is sending it, and nobody else does until then; null while none is.';
comment on column webhook_deliveries.next_attempt_at is 'When it is sent next, while it is being sent the end of the lease; null where it is not sent any more.';

create table webhook_attempts (
    delivery_id uuid not null references webhook_deliveries (id) on delete cascade,
    number integer not null check (number > 0),
    began_at timestamptz not null,
    duration_ms integer not null check (duration_ms >= 0),
    response_status smallint check (response_status between 100 and 999),
    error text check (error ~ '^[a-z]+(_[a-z]+)*$'),
    sentence text not null check (char_length(sentence) between 1 and 500),
    next_attempt_at timestamptz,
    primary key (delivery_id, number)
);

comment on table webhook_attempts is 'What came of each attempt to send a delivery.';
comment on column webhook_attempts.delivery_id is 'Of which delivery.';
comment on column webhook_attempts.number is '1, 2, 3, … within the delivery.';
comment on column webhook_attempts.began_at is 'When, by the installation''s clock.';
comment on column webhook_attempts.duration_ms is 'How long it took, in real milliseconds.';
comment on column webhook_attempts.response_status is 'What the receiver answered; null where it did not.';
comment on column webhook_attempts.error is 'Why it failed, for programs; null where it succeeded.';
comment on column webhook_attempts.sentence is 'What came of it, in plain words; nothing of what the receiver wrote.';
comment on column webhook_attempts.next_attempt_at is 'When it was to be tried again; null where it was not.';
