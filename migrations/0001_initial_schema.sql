-- The schema of a new database in one file, because no release has used an earlier one. Each table stands together
-- with its constraints, indexes, triggers and comments. No default asks PostgreSQL for the time: a sandbox has its own
-- clock.

-- Which installation the database belongs to. Each process compares this row with its configuration before it starts,
-- so that a sandbox is never mistaken for a real installation.
create table installation (
    id uuid primary key,
    singleton boolean not null default true unique check (singleton),
    kind text not null check (kind in ('sandbox', 'real')),
    management_account_id text not null check (management_account_id ~ '^[0-9]{12}$'),
    clock_anchored_at timestamptz,
    clock_origin timestamptz,
    clock_speed double precision check (clock_speed > 0),
    created_at timestamptz not null,
    constraint clock_fields_match_kind check (
        (kind = 'sandbox' and num_nulls(clock_anchored_at, clock_origin, clock_speed) = 0)
        or (kind = 'real' and num_nonnulls(clock_anchored_at, clock_origin, clock_speed) = 0)
    )
);

comment on table installation is 'The installation that this database belongs to; exactly one row.';
comment on column installation.id is 'Id of the installation. It is a tag of every account that the installation requests.';
comment on column installation.singleton is 'Always true; limits the table to one row.';
comment on column installation.kind is 'sandbox: a simulated organisation; real: AWS. A process of the other kind refuses to start.';
comment on column installation.management_account_id is 'Management account of the organisation. A process that is configured for another refuses to start.';
comment on column installation.clock_anchored_at is 'Sandbox only: real time at which the simulated clock showed clock_origin.';
comment on column installation.clock_origin is 'Sandbox only: simulated time at clock_anchored_at.';
comment on column installation.clock_speed is 'Sandbox only: simulated seconds per real second.';
comment on column installation.created_at is 'Creation time, by the clock of the installation.';

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
    constraint legal_hold_has_reason check ((legal_hold_at is null) = (legal_hold_reason is null))
);

create unique index tenants_unique_external_id on tenants (external_id)
    where offboarded_at is null;
create index tenants_by_tier on tenants (tier, id);

comment on table tenants is 'The customers, one row each, active or offboarded.';
comment on column tenants.id is 'ten_… in the API; sorts by creation.';
comment on column tenants.created_at is 'Time at which the signup was accepted.';
comment on column tenants.company_name is 'Name of the customer.';
comment on column tenants.admin_email is 'E-mail address of the tenant''s administrator; not that of an AWS account. Null once the tenant is offboarded.';
comment on column tenants.tier is 'Commercial plan, from the configuration.';
comment on column tenants.external_id is 'Id of the customer in the SaaS; unique among active tenants.';
comment on column tenants.labels is 'Free key and value pairs of the SaaS.';
comment on column tenants.legal_hold_at is 'Start of the legal hold; null if there is none.';
comment on column tenants.legal_hold_reason is 'Reason of the legal hold.';
comment on column tenants.updated_at is 'Last change of a mutable column.';
comment on column tenants.offboarded_at is 'Time at which the last environment was offboarded; null while the tenant is active.';

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
    constraint ready_has_ready_at check (state <> 'ready' or ready_at is not null),
    constraint offboarded_has_offboarded_at check ((state = 'offboarded') = (offboarded_at is not null))
);

create unique index environments_unique_name on environments (tenant_id, name) where state <> 'offboarded';
create index environments_by_tenant on environments (tenant_id);
create index environments_by_state on environments (state, tenant_id);
create index environments_by_home_region on environments (home_region, tenant_id);

comment on table environments is 'The isolated installations of the tenants.';
comment on column environments.id is 'env_… in the API and in the e-mail address of the account.';
comment on column environments.tenant_id is 'Tenant that owns the environment.';
comment on column environments.name is 'production, staging, …; unique within the tenant.';
comment on column environments.residency is 'Named set of regions that the environment may use.';
comment on column environments.home_region is 'Region in which the stack runs first.';
comment on column environments.created_at is 'Time of the request.';
comment on column environments.state is 'Written only together with the operation that causes the change.';
comment on column environments.ready_at is 'Time of the first successful verification; null before.';
comment on column environments.updated_at is 'Last change of a mutable column.';
comment on column environments.offboarded_at is 'End of the offboarding; null before.';

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
    attention_message text,
    attention_remedies text[],
    wake_at timestamptz,
    lease_until timestamptz,
    leased_by text,
    fence bigint not null default 0,
    last_seq bigint not null default 0,
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz not null,
    constraint attention_fields_match_state check (
        case when state = 'needs_attention'
            then num_nulls(attention_code, attention_message, attention_remedies) = 0
            else num_nonnulls(attention_code, attention_message, attention_remedies) = 0
        end
    ),
    constraint final_state_has_finished_at check ((state in ('succeeded', 'failed', 'canceled')) = (finished_at is not null)),
    constraint finished_has_no_wake_at check (finished_at is null or wake_at is null),
    constraint open_has_wake_at check (state not in ('pending', 'running') or wake_at is not null)
);

create unique index operations_unique_open on operations (environment_id)
    where state in ('pending', 'running', 'needs_attention');
create index operations_due on operations (wake_at) where wake_at is not null;
create index operations_by_state on operations (state, id);
create index operations_by_tenant on operations (tenant_id, id);

comment on table operations is 'Work on environments, open and finished.';
comment on column operations.id is 'op_… in the API.';
comment on column operations.tenant_id is 'Tenant of the environment.';
comment on column operations.environment_id is 'Environment that the operation works on; at most one open operation each.';
comment on column operations.kind is 'Selects the workflow: the list of steps.';
comment on column operations.input is 'Parameters of the request beside the kind, such as whether to close the account.';
comment on column operations.requested_by is 'Issuer and subject of the token that requested the operation.';
comment on column operations.traceparent is 'Span of the request (W3C Trace Context); null where traces are not exported.';
comment on column operations.created_at is 'Time at which the operation was accepted.';
comment on column operations.state is 'State of the operation.';
comment on column operations.attention_code is 'needs_attention: stable code of the reason.';
comment on column operations.attention_message is 'needs_attention: the reason in plain words.';
comment on column operations.attention_remedies is 'needs_attention: the remedies that the API offers.';
comment on column operations.wake_at is 'Time at which a worker runs the operation next; null while it waits for a person and once it has finished.';
comment on column operations.lease_until is 'End of the lease of the worker that claimed the operation.';
comment on column operations.leased_by is 'Name of the worker that claimed the operation last; for people.';
comment on column operations.fence is 'Raised by every claim; a write with an older fence is refused.';
comment on column operations.last_seq is 'Sequence number of the latest event.';
comment on column operations.started_at is 'Time of the first claim.';
comment on column operations.finished_at is 'Time at which the operation finished.';
comment on column operations.updated_at is 'Last change of a mutable column.';

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
    constraint intent_has_intent_at check ((intent is null) = (intent_at is null)),
    constraint waiting_has_reason_and_check_at check (state <> 'waiting' or num_nulls(waits_for, check_at) = 0),
    constraint done_has_finished_at check ((state = 'done') = (finished_at is not null))
);

create index operation_steps_finished on operation_steps (name, finished_at desc) where state = 'done';
create index operation_steps_waiting on operation_steps (name) where state = 'waiting';
-- Account closures of the last 30 days, which AWS limits, are counted by the time of the intent.
create index operation_steps_closures on operation_steps (intent_at)
    where name = 'close-account' and intent_at is not null;

comment on table operation_steps is 'The journal of the operations: one row per step.';
comment on column operation_steps.operation_id is 'Operation of the step.';
comment on column operation_steps.name is 'Name of the step, as in the workflow.';
comment on column operation_steps.position is 'Position in the workflow.';
comment on column operation_steps.after is 'Steps that must be done before this one may start.';
comment on column operation_steps.state is 'pending: not started; running: started, result not yet journaled; waiting; parked: needs a person; done.';
comment on column operation_steps.intent is 'Values of the AWS call that is about to be made; they find its effect again after a crash.';
comment on column operation_steps.intent_at is 'Time at which the intent was written.';
comment on column operation_steps.facts is 'Results of the step: request ids, account id, stack id, …';
comment on column operation_steps.attempts is 'Number of runs.';
comment on column operation_steps.attempts_without_progress is 'Number of consecutive runs that failed.';
comment on column operation_steps.waits_for is 'waiting: the reason, in plain words.';
comment on column operation_steps.check_at is 'waiting: time of the next poll.';
comment on column operation_steps.last_error is 'Latest error, in plain words; null after a run without error.';
comment on column operation_steps.attention is 'Code, message and remedies of a step that needs a person: parked steps, and late ones, which continue to poll.';
comment on column operation_steps.blocked_since is 'Time since which AWS has refused to start or continue the work; null if it has not.';
comment on column operation_steps.started_at is 'Time of the first run.';
comment on column operation_steps.retried_at is 'Time of the last manual retry; deadlines restart there.';
comment on column operation_steps.finished_at is 'Time at which the step was done.';

-- The limits of AWS for the whole organisation, shared by all workers. slots: so many pieces of work at a time.
-- shared_polls: one List call reports progress to all operations under the same quota. aws_call_rates: so many
-- calls per second.
create table slots (
    quota text not null,
    operation_id uuid not null references operations (id),
    step text not null,
    item text not null default '',
    requested_at timestamptz not null,
    queued_at timestamptz not null default '-infinity',
    granted_at timestamptz,
    request_id text,
    polled_at timestamptz,
    individual_polls smallint not null default 0 check (individual_polls >= 0),
    ended_at timestamptz,
    primary key (quota, operation_id, item)
);

create index slots_queued on slots (quota, queued_at, operation_id) where granted_at is null;
create index slots_granted on slots (quota) where granted_at is not null;

comment on table slots is 'Slots of the AWS quotas, granted and queued. A row is deleted when the work has ended.';
comment on column slots.quota is 'Name of the quota, such as account-creations.';
comment on column slots.operation_id is 'Operation that holds the slot or waits for it.';
comment on column slots.step is 'Step that continues when the slot is granted.';
comment on column slots.item is 'Distinguishes several slots of one operation; empty where it needs only one.';
comment on column slots.requested_at is 'Time at which the slot was requested.';
comment on column slots.queued_at is 'Time that orders the queue: the signup of the tenant; for maintenance, requested_at plus the maintenance delay.';
comment on column slots.granted_at is 'Time at which the slot was granted; null while queued.';
comment on column slots.request_id is 'Id that AWS gave the work: car-… of an account creation, the UUID of an assignment. Null until AWS has accepted the work.';
comment on column slots.polled_at is 'Time of the last poll that found the work in progress.';
comment on column slots.individual_polls is 'Number of times that the operation was told to poll by itself.';
comment on column slots.ended_at is 'Time at which the work was found to have ended. The slot is free from then on, before its operation journals the end.';

create table shared_polls (
    quota text primary key,
    next_at timestamptz,
    lease_until timestamptz,
    counted_at timestamptz,
    external_in_progress integer not null default 0 check (external_in_progress >= 0)
);

comment on table shared_polls is 'Polls of the work in progress under a quota; each serves every operation that waits for it.';
comment on column shared_polls.quota is 'Name of the quota, such as account-creations.';
comment on column shared_polls.next_at is 'Time of the next poll; null while nothing is in progress.';
comment on column shared_polls.lease_until is 'End of the lease of the worker that polls.';
comment on column shared_polls.counted_at is 'Time of the last count of the work in progress; null when the count is known to be wrong.';
comment on column shared_polls.external_in_progress is 'Slots used by other actors in the organisation.';

create table aws_call_rates (
    api text primary key,
    next_at timestamptz not null,
    throttled_spacing_seconds double precision check (throttled_spacing_seconds > 0),
    throttled_at timestamptz,
    constraint throttle_has_throttled_at check ((throttled_spacing_seconds is null) = (throttled_at is null))
);

comment on table aws_call_rates is 'Token buckets, one per AWS API, kept by the generic cell rate algorithm.';
comment on column aws_call_rates.api is 'Name of the call, such as organizations:MoveAccount.';
comment on column aws_call_rates.next_at is 'Time at which the bucket is full again (the theoretical arrival time).';
comment on column aws_call_rates.throttled_spacing_seconds is 'Seconds between two calls after the last throttle; null if AWS never throttled.';
comment on column aws_call_rates.throttled_at is 'Time of the last throttle; from then on the spacing shrinks back to that of the rate.';

-- A fleet hold pauses calls that AWS would refuse for every tenant: one alert and one probe instead of the same
-- refusal for each tenant. The row exists while the hold is in force.
create table fleet_holds (
    quota text primary key check (quota in ('account-creations')),
    kind text not null check (kind in ('account_quota_reached', 'organization_finalizing')),
    started_at timestamptz not null,
    probe_at timestamptz not null,
    probes integer not null default 0 check (probes >= 0),
    probing_operation uuid references operations (id),
    probing_until timestamptz,
    constraint probe_has_lease check ((probing_operation is null) = (probing_until is null))
);

comment on table fleet_holds is 'Quotas whose calls are paused for the whole fleet, because AWS would refuse them for every tenant.';
comment on column fleet_holds.quota is 'Quota whose calls are paused; operations keep their place in its queue.';
comment on column fleet_holds.kind is 'Reason: the stable code of the alert.';
comment on column fleet_holds.started_at is 'Start of the hold.';
comment on column fleet_holds.probe_at is 'Time of the next probe, made by the first operation in the queue for its own account.';
comment on column fleet_holds.probes is 'Number of probes that AWS refused; the pause grows with it.';
comment on column fleet_holds.probing_operation is 'Operation that probes now; null if none does.';
comment on column fleet_holds.probing_until is 'Time from which another operation may probe, in case the first never returns.';

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

create unique index account_mappings_unique_current_account on account_mappings (aws_account_id)
    where valid_to is null;
create unique index account_mappings_unique_current_environment on account_mappings (environment_id)
    where valid_to is null;
create index account_mappings_by_tenant on account_mappings (tenant_id, id);
create index account_mappings_by_account on account_mappings (aws_account_id, valid_from);

create trigger account_mappings_are_never_deleted before delete on account_mappings
    for each row execute function refuse_change();

comment on table account_mappings is 'The environment that an AWS account belonged to, and when.';
comment on column account_mappings.id is 'map_…; sorts by creation.';
comment on column account_mappings.tenant_id is 'Tenant that the account belongs to.';
comment on column account_mappings.environment_id is 'Environment that runs in the account.';
comment on column account_mappings.aws_account_id is '12 digits; leading zeros count.';
comment on column account_mappings.account_name is 'Name that Freehold gave the account; null for an adopted account.';
comment on column account_mappings.valid_from is 'Time at which the account was verified to belong to the environment.';
comment on column account_mappings.valid_to is 'End of the mapping; null while it is valid.';
comment on column account_mappings.opened_at_position is 'Feed position of the event that opened the mapping; null until the event has a position.';
comment on column account_mappings.closed_at_position is 'Feed position of the event that closed the mapping; null while it is valid.';

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

comment on table events is 'Events of the operations, append-only.';
comment on column events.operation_id is 'Operation of the event.';
comment on column events.seq is '1, 2, 3, … within the operation, assigned under the lock on its row.';
comment on column events.tenant_id is 'Tenant of the operation.';
comment on column events.environment_id is 'Environment of the operation.';
comment on column events.type is 'Type of the event, such as step.succeeded.';
comment on column events.data is 'Details; no personal data.';
comment on column events.occurred_at is 'Time of the event, by the clock of the installation.';

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
    constraint operation_fields_set_together check (num_nulls(operation_id, seq, environment_id) in (0, 3))
);

comment on table feed is 'All events in one order. Rows are deleted after a year.';
comment on column feed.position is 'One more than the previous position; assigned by the process that locks feed_head.';
comment on column feed.operation_id is 'Operation of the event; null for an event of the tenant itself.';
comment on column feed.seq is 'Sequence number of the event within the operation.';
comment on column feed.tenant_id is 'Tenant of the event.';
comment on column feed.environment_id is 'Environment of the operation.';
comment on column feed.type is 'Public type of the event, such as tenant.onboarding.succeeded.';
comment on column feed.data is 'Details; no personal data.';
comment on column feed.occurred_at is 'Time of the event, by the clock of the installation.';
comment on column feed.recorded_at is 'Time at which the position was assigned.';

create table feed_head (
    singleton boolean primary key default true check (singleton),
    position bigint not null
);

insert into feed_head (position) values (0);

comment on table feed_head is 'The end of the feed. The process that locks the row assigns the next positions.';
comment on column feed_head.singleton is 'Always true; limits the table to one row.';
comment on column feed_head.position is 'The latest position.';

create table feed_pending (
    id bigint generated always as identity primary key,
    operation_id uuid,
    seq bigint,
    tenant_id uuid,
    type text,
    data jsonb,
    occurred_at timestamptz,
    constraint event_of_operation_or_tenant check (
        num_nulls(operation_id, seq) = 0 and num_nonnulls(tenant_id, type, data, occurred_at) = 0
        or num_nonnulls(operation_id, seq) = 0 and num_nulls(tenant_id, type, data, occurred_at) = 0
    )
);

comment on table feed_pending is 'Events that have no position in the feed yet.';
comment on column feed_pending.id is 'Orders the events of one operation.';
comment on column feed_pending.operation_id is 'Operation of the event, whose other columns are in events; null for an event of a tenant.';
comment on column feed_pending.seq is 'Sequence number of the event within the operation.';
comment on column feed_pending.tenant_id is 'Tenant of the event; null for an event of an operation.';
comment on column feed_pending.type is 'Public type of the event of a tenant.';
comment on column feed_pending.data is 'Details of the event of a tenant; no personal data.';
comment on column feed_pending.occurred_at is 'Time of the event of a tenant.';

-- A trigger queues the events, so that no statement that writes one can forget the feed. It runs per row: most
-- statements write one event, and a transition table costs more than the row. Events of steps are not part of the
-- feed.
create function queue_event_for_feed() returns trigger language plpgsql as $$
begin
    insert into feed_pending (operation_id, seq) values (new.operation_id, new.seq);
    return null;
end
$$;

create trigger events_queue_for_feed after insert on events
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
    constraint response_fields_set_together check (num_nulls(status, location, response) in (0, 3))
);

-- When a tenant is offboarded, the stored responses that name it are found by location.
create index idempotency_keys_by_location on idempotency_keys (location);
-- The daily signup limit counts keys per client over 24 hours.
create index idempotency_keys_by_client_and_time on idempotency_keys (issuer, client, route, created_at desc);

comment on table idempotency_keys is 'Responses stored under an Idempotency-Key, for seven days.';
comment on column idempotency_keys.issuer is 'Issuer of the caller''s token.';
comment on column idempotency_keys.client is 'Client of that issuer.';
comment on column idempotency_keys.route is 'Method and path of the route.';
comment on column idempotency_keys.key is 'The key, without quotes.';
comment on column idempotency_keys.request_hash is 'SHA-256 of the request body in canonical form.';
comment on column idempotency_keys.status is 'HTTP status of the response; null while the request is in progress.';
comment on column idempotency_keys.location is 'Location header of the response.';
comment on column idempotency_keys.response is 'Body of the response, byte for byte.';
comment on column idempotency_keys.created_at is 'Time at which the request was accepted, or was last started.';

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
    constraint decision_has_person_and_time check ((state = 'pending') = (num_nulls(decided_by, decided_at) = 2)
        and num_nulls(decided_by, decided_at) in (0, 2)),
    constraint approver_is_not_requester check (state <> 'approved' or decided_by <> requested_by)
);

create unique index approvals_unique_pending on approvals (operation_id) where state = 'pending';
create index approvals_by_operation on approvals (operation_id, id);

comment on table approvals is 'Requests that need a second person, with that person''s decision.';
comment on column approvals.id is 'apr_… in the API; sorts by creation.';
comment on column approvals.operation_id is 'Operation of the request.';
comment on column approvals.action is 'Action to approve: vend an account, adopt one, correct a value, close the account.';
comment on column approvals.step is 'Step that performs the action.';
comment on column approvals.request is 'Requested values, unchanged.';
comment on column approvals.request_hash is 'SHA-256 of operation, action and values; identifies what is approved.';
comment on column approvals.requested_by is 'Issuer and subject of the token that made the request.';
comment on column approvals.requested_at is 'Time of the request.';
comment on column approvals.state is 'pending, approved or rejected.';
comment on column approvals.decided_by is 'Issuer and subject of the token that decided; never that of the requester.';
comment on column approvals.decided_at is 'Time of the decision.';

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
    message text not null,
    remedy text not null check (remedy in ('repair', 'person')),
    operation_id uuid references operations (id),
    last_seen_at timestamptz not null check (last_seen_at >= first_seen_at),
    resolved_at timestamptz check (resolved_at >= last_seen_at),
    constraint environment_has_tenant check ((tenant_id is null) = (environment_id is null))
);

create unique index findings_unique_open on findings (kind, subject) where resolved_at is null;
create index findings_open on findings (id) where resolved_at is null;

create trigger findings_are_never_deleted before delete on findings
    for each row execute function refuse_change();

comment on table findings is 'Differences between AWS and the database, open and resolved.';
comment on column findings.id is 'find_…; sorts by the first observation.';
comment on column findings.kind is 'Kind of the difference, such as wrong_ou.';
comment on column findings.subject is 'Object of the finding; unique with the kind among open findings.';
comment on column findings.aws_account_id is 'Account of the finding; null if it concerns none.';
comment on column findings.tenant_id is 'Tenant of the environment; null if the finding concerns none.';
comment on column findings.environment_id is 'Environment of the finding; null if it concerns none.';
comment on column findings.first_seen_at is 'First observation.';
comment on column findings.severity is 'critical: a tenant''s data, isolation or availability is at risk; error: something promised is missing; warning: something was changed.';
comment on column findings.message is 'Description and advice, in plain words.';
comment on column findings.remedy is 'repair: an operation fixes it; person: a person must act.';
comment on column findings.operation_id is 'Operation that was started to repair it; a finding that outlives the operation needs a person.';
comment on column findings.last_seen_at is 'Latest observation.';
comment on column findings.resolved_at is 'First comparison that no longer showed it; null while it is open.';

-- The schedule of reconciliation. One worker at a time holds the lease: that is enough, and it spares the API rates of
-- AWS.
create table reconciler (
    singleton boolean primary key default true check (singleton),
    due_at timestamptz not null,
    lease_until timestamptz,
    leased_by text,
    fence bigint not null default 0,
    finished_at timestamptz
);

comment on table reconciler is 'The next comparison of AWS with the database; at most one row.';
comment on column reconciler.singleton is 'Always true; limits the table to one row.';
comment on column reconciler.due_at is 'Start of the next comparison.';
comment on column reconciler.lease_until is 'End of the lease of the worker that compares; null if none does.';
comment on column reconciler.leased_by is 'Name of the worker that claimed it last; for people.';
comment on column reconciler.fence is 'Raised by every claim; a write with an older fence is refused.';
comment on column reconciler.finished_at is 'End of the last comparison.';

-- The audit trail: who did what, from where, with which result. An entry is written to audit_pending before the
-- action, and is chained within a second after its end by a process that locks the one row of audit_head, so that
-- signups do not wait for each other. Each record carries the hash of the record before it, so that a changed, missing
-- or moved record shows.
create table audit_pending (
    id bigint generated always as identity primary key,
    started_at timestamptz not null,
    tenant_id uuid,
    entry jsonb not null check (jsonb_typeof(entry) = 'object'),
    outcome jsonb check (jsonb_typeof(outcome) = 'object')
);

comment on table audit_pending is 'Audit entries that are not chained yet: actions in progress or just finished.';
comment on column audit_pending.id is 'Orders the entries of one process.';
comment on column audit_pending.started_at is 'Start of the action, by the clock of the installation.';
comment on column audit_pending.tenant_id is 'Tenant of the action; null if it concerns no single tenant.';
comment on column audit_pending.entry is 'Actor, action and origin.';
comment on column audit_pending.outcome is 'Result of the action; null while it is in progress, and if the process died before the end.';

create table audit_records (
    position bigint primary key check (position > 0),
    recorded_at timestamptz not null,
    -- json and not jsonb: the hash covers the text, which must stay as it was written.
    record json not null,
    hash bytea not null check (octet_length(hash) = 32)
);

create index audit_records_by_tenant on audit_records ((record ->> 'tenant_id'), position);

comment on table audit_records is 'The audit trail, append-only. Rows are deleted when their retention ends.';
comment on column audit_records.position is 'One more than that of the previous record.';
comment on column audit_records.recorded_at is 'Time at which the record was chained.';
comment on column audit_records.record is 'Actor, action, origin, time and result, as text that never changes.';
comment on column audit_records.hash is 'SHA-256 of the previous hash, position, recorded_at and record.';

create table audit_head (
    singleton boolean primary key default true check (singleton),
    position bigint not null,
    hash bytea not null check (octet_length(hash) = 32),
    dropped_position bigint not null,
    dropped_hash bytea not null check (octet_length(dropped_hash) = 32)
);

insert into audit_head (position, hash, dropped_position, dropped_hash)
values (0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'));

comment on table audit_head is 'The two ends of the audit trail. The process that locks the row appends.';
comment on column audit_head.singleton is 'Always true; limits the table to one row.';
comment on column audit_head.position is 'The latest position.';
comment on column audit_head.hash is 'Hash of the record at that position.';
comment on column audit_head.dropped_position is 'The latest position that was deleted because its retention ended.';
comment on column audit_head.dropped_hash is 'Hash of the record that was at that position.';

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
    paused_until timestamptz,
    updated_at timestamptz not null,
    constraint previous_secret_has_expiry check ((previous_secret is null) = (previous_secret_until is null)),
    constraint disabled_has_reason check ((disabled_at is null) = (disabled_reason is null))
);

comment on table webhook_endpoints is 'The URLs that receive events.';
comment on column webhook_endpoints.id is 'whe_…; sorts by creation.';
comment on column webhook_endpoints.created_at is 'Creation time.';
comment on column webhook_endpoints.url is 'URL that receives the events.';
comment on column webhook_endpoints.description is 'Free text of the owner.';
comment on column webhook_endpoints.types is 'Event types to send; null for all.';
comment on column webhook_endpoints.secret is 'Signing secret, encrypted with AES-256-GCM under the key of [secrets] and bound to this endpoint.';
comment on column webhook_endpoints.previous_secret is 'Previous signing secret after a rotation, encrypted in the same way; signs in addition.';
comment on column webhook_endpoints.previous_secret_until is 'End of the validity of the previous secret.';
comment on column webhook_endpoints.after_position is 'Feed position after which events are sent: the end of the feed when the endpoint was created or enabled.';
comment on column webhook_endpoints.disabled_at is 'Time since which nothing is sent; null while enabled.';
comment on column webhook_endpoints.disabled_reason is 'by_request: disabled by a caller; gone: the receiver answered 410; failing: only failures for days.';
comment on column webhook_endpoints.failing_since is 'First failure after the last success; null if the last attempt succeeded or none was made.';
comment on column webhook_endpoints.paused_until is 'Nothing is sent until then, because the receiver answered 429 or 503 with Retry-After.';
comment on column webhook_endpoints.updated_at is 'Last change by a caller, or the time at which the endpoint was disabled.';

create table webhook_cursor (
    singleton boolean primary key default true check (singleton),
    position bigint not null
);

insert into webhook_cursor (position) values (0);

comment on table webhook_cursor is 'The position up to which the feed has been turned into deliveries. The process that locks the row continues.';
comment on column webhook_cursor.singleton is 'Always true; limits the table to one row.';
comment on column webhook_cursor.position is 'Last feed position that was turned into deliveries.';

create table webhook_deliveries (
    -- Immutable.
    id uuid primary key,
    endpoint_id uuid not null references webhook_endpoints (id) on delete cascade,
    position bigint not null,
    created_at timestamptz not null,
    -- Mutable.
    state text not null check (state in ('pending', 'delivered', 'failed')),
    started_at timestamptz not null,
    tries integer not null default 0 check (tries >= 0),
    attempts integer not null default 0 check (attempts >= 0),
    fence bigint not null default 0,
    lease_until timestamptz,
    next_attempt_at timestamptz,
    constraint webhook_deliveries_unique_endpoint_position unique (endpoint_id, position),
    constraint only_pending_has_next_attempt_at check ((state = 'pending') = (next_attempt_at is not null))
);

create index webhook_deliveries_due on webhook_deliveries (endpoint_id, next_attempt_at, position)
    where next_attempt_at is not null;
create index webhook_deliveries_by_age on webhook_deliveries (started_at);

comment on table webhook_deliveries is 'One event for one endpoint. Rows are deleted 30 days after the last start.';
comment on column webhook_deliveries.id is 'whd_…; sent as webhook-id, the same in each attempt.';
comment on column webhook_deliveries.endpoint_id is 'Receiving endpoint.';
comment on column webhook_deliveries.position is 'Feed position of the event.';
comment on column webhook_deliveries.created_at is 'Creation time.';
comment on column webhook_deliveries.state is 'pending: an attempt is due; delivered: the receiver accepted it; failed: all attempts failed.';
comment on column webhook_deliveries.started_at is 'Creation time, or the time of the last replay.';
comment on column webhook_deliveries.tries is 'Number of attempts since started_at; determines the delay of the next one.';
comment on column webhook_deliveries.attempts is 'Number of attempts in total.';
comment on column webhook_deliveries.fence is 'Raised by every claim; a write with an older fence is refused.';
comment on column webhook_deliveries.lease_until is 'End of the lease of the worker that sends it; null if none does.';
comment on column webhook_deliveries.next_attempt_at is 'Time of the next attempt (the end of the lease while it is being sent); null if none follows.';

create table webhook_attempts (
    delivery_id uuid not null references webhook_deliveries (id) on delete cascade,
    number integer not null check (number > 0),
    started_at timestamptz not null,
    duration_ms integer not null check (duration_ms >= 0),
    response_status smallint check (response_status between 100 and 999),
    error text check (error ~ '^[a-z]+(_[a-z]+)*$'),
    message text not null check (char_length(message) between 1 and 500),
    next_attempt_at timestamptz,
    primary key (delivery_id, number)
);

comment on table webhook_attempts is 'The attempts of each delivery.';
comment on column webhook_attempts.delivery_id is 'Delivery of the attempt.';
comment on column webhook_attempts.number is '1, 2, 3, … within the delivery.';
comment on column webhook_attempts.started_at is 'Start, by the clock of the installation.';
comment on column webhook_attempts.duration_ms is 'Duration in real milliseconds.';
comment on column webhook_attempts.response_status is 'HTTP status of the receiver; null without a response.';
comment on column webhook_attempts.error is 'Error code; null after a success.';
comment on column webhook_attempts.message is 'Result in plain words; never text of the receiver.';
comment on column webhook_attempts.next_attempt_at is 'Time of the attempt that was to follow; null if none was.';
