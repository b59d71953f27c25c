-- Quotas become a schedule that all workers share: maintenance lets onboarding pass, a look at what is in progress serves
-- everybody and corrects the count, and a call that AWS throttles is slowed down for everybody.
alter table slots
    add column turn_at timestamptz not null default '-infinity',
    add column request_id text,
    add column looked_at timestamptz,
    add column own_looks smallint not null default 0 check (own_looks >= 0),
    add column ended_at timestamptz;

update slots set turn_at = requested_at;

drop index slots_in_line;
create index slots_in_line on slots (quota, turn_at, operation_id) where granted_at is null;

comment on column slots.turn_at is 'Its turn: when the tenant signed up; for maintenance requested_at, later by what that yields to onboarding. A version that does not know it stands first.';
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

alter table rates
    add column spacing_seconds double precision check (spacing_seconds > 0),
    add column slowed_at timestamptz,
    add constraint slowness_has_its_time check ((spacing_seconds is null) = (slowed_at is null));

comment on column rates.spacing_seconds is 'Seconds between two calls when AWS last throttled one; null if it never did.';
comment on column rates.slowed_at is 'When that was: from then on the spacing shrinks back to that of the rate.';
