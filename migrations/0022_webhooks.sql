-- Webhooks: the feed, sent to whoever has named a URL for it. The feed is the outbox, since its events are written in the
-- transaction of what they tell of. A fan-out reads it from a position of its own and writes a delivery for each endpoint
-- that wants the event, in one transaction with moving that position: nothing is lost and nothing is there twice. A worker
-- claims deliveries under a lease, sends them with no transaction open, and writes afterwards what came of it.
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

create table webhook_cursor (
    only_one boolean primary key default true check (only_one),
    position bigint not null
);
insert into webhook_cursor (position) select position from feed_head;

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
comment on table webhook_cursor is 'Up to where the feed has been made deliveries of; whoever locks the row goes on.';
comment on column webhook_cursor.only_one is 'Always true: keeps the table to one row.';
comment on column webhook_cursor.position is 'The last position of the feed that was.';
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
comment on table webhook_attempts is 'What came of each attempt to send a delivery.';
comment on column webhook_attempts.delivery_id is 'Of which delivery.';
comment on column webhook_attempts.number is '1, 2, 3, … within the delivery.';
comment on column webhook_attempts.began_at is 'When, by the installation''s clock.';
comment on column webhook_attempts.duration_ms is 'How long it took, in real milliseconds.';
comment on column webhook_attempts.response_status is 'What the receiver answered; null where it did not.';
comment on column webhook_attempts.error is 'Why it failed, for programs; null where it succeeded.';
comment on column webhook_attempts.sentence is 'What came of it, in plain words; nothing of what the receiver wrote.';
comment on column webhook_attempts.next_attempt_at is 'When it was to be tried again; null where it was not.';
