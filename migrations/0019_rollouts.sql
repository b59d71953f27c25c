-- Records rollouts: one release to many environments, wave by wave.

create table rollouts (
    -- Immutable.
    id uuid primary key,
    release_id uuid not null references releases (id),
    plan_name text,
    plan jsonb not null check (jsonb_typeof(plan) = 'object'),
    created_by jsonb not null check (jsonb_typeof(created_by) = 'object'),
    created_at timestamptz not null,
    -- Mutable.
    state text not null check (state ~ '^[a-z]+(_[a-z]+)*$'),
    wave smallint not null default 0 check (wave >= 0),
    since timestamptz not null,
    reason text,
    wake_at timestamptz,
    leased_by text,
    lease_until timestamptz,
    fence bigint not null default 0,
    made_default_at timestamptz,
    default_before uuid references releases (id),
    finished_at timestamptz,
    updated_at timestamptz not null,
    constraint lease_is_complete check (num_nulls(leased_by, lease_until) in (0, 2))
);

-- One rollout at a time.
create unique index rollouts_unfinished on rollouts ((true)) where finished_at is null;
create index rollouts_due on rollouts (wake_at) where wake_at is not null;

comment on table rollouts is 'Rollouts of a release to many environments.';
comment on column rollouts.id is 'Id of the rollout.';
comment on column rollouts.release_id is 'Release that the environments get.';
comment on column rollouts.plan_name is 'Name of the configured plan; null if the request had waves of its own.';
comment on column rollouts.plan is 'Waves with their limits, as they were when the rollout was created.';
comment on column rollouts.created_by is 'Issuer and subject of the author.';
comment on column rollouts.created_at is 'Time of the request.';
comment on column rollouts.state is 'State, such as running, baking, halted or succeeded.';
comment on column rollouts.wave is 'Number of the current wave, from 0.';
comment on column rollouts.since is 'Time since which the rollout has this state.';
comment on column rollouts.reason is 'Reason of the state, in plain words; null if there is none.';
comment on column rollouts.wake_at is 'Time at which a worker continues the rollout; null if it waits for a person or has finished.';
comment on column rollouts.leased_by is 'Worker that continues the rollout now; null if none does.';
comment on column rollouts.lease_until is 'End of the lease.';
comment on column rollouts.fence is 'Raised by each claim; a write of an earlier claim is refused.';
comment on column rollouts.made_default_at is 'Time at which the release became the default of new environments; null before, and after a rollback.';
comment on column rollouts.default_before is 'Default release until made_default_at; null if it was the [stack] of the configuration.';
comment on column rollouts.finished_at is 'Time at which the rollout ended; null before.';
comment on column rollouts.updated_at is 'Time of the last change.';

create table rollout_waves (
    rollout_id uuid not null references rollouts (id),
    number smallint not null check (number >= 0),
    name text not null,
    started_at timestamptz,
    updated_at timestamptz,
    bake_until timestamptz,
    finished_at timestamptz,
    approval_sha256 text check (approval_sha256 ~ '^[0-9a-f]{64}$'),
    approved_by jsonb check (jsonb_typeof(approved_by) = 'object'),
    approved_at timestamptz,
    primary key (rollout_id, number),
    constraint wave_approval_is_complete check (num_nulls(approved_by, approved_at) in (0, 2))
);

comment on table rollout_waves is 'Waves of the rollouts: batches that are updated one after the other.';
comment on column rollout_waves.rollout_id is 'Rollout of the wave.';
comment on column rollout_waves.number is 'Number of the wave within its rollout, from 0.';
comment on column rollout_waves.name is 'Name of the wave in the plan.';
comment on column rollout_waves.started_at is 'Time at which the wave began; null before.';
comment on column rollout_waves.updated_at is 'Time at which the last update of the wave ended; null before.';
comment on column rollout_waves.bake_until is 'End of the bake; null before the bake, and without one.';
comment on column rollout_waves.finished_at is 'Time at which the wave ended; null before.';
comment on column rollout_waves.approval_sha256 is 'Hash of release, wave and environments, to which an approval is bound; null without one.';
comment on column rollout_waves.approved_by is 'Issuer and subject of the person or program that has approved the wave; null before.';
comment on column rollout_waves.approved_at is 'Time of the approval; null before.';

create table rollout_members (
    rollout_id uuid not null references rollouts (id),
    environment_id uuid not null references environments (id),
    -- Immutable.
    wave smallint not null check (wave >= 0),
    position integer not null check (position >= 0),
    previous_release_id uuid references releases (id),
    -- Mutable.
    state text not null check (state ~ '^[a-z]+(_[a-z]+)*$'),
    reason text,
    operation_id uuid references operations (id),
    blocked_by uuid references operations (id),
    check_at timestamptz,
    failed_in_bake boolean not null default false,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (rollout_id, environment_id)
);

create unique index rollout_members_in_order on rollout_members (rollout_id, wave, position);
-- A rollout is due as soon as one of these operations has ended.
create index rollout_members_updating on rollout_members (rollout_id, operation_id) where state = 'updating';
create index rollout_members_blocked on rollout_members (rollout_id, blocked_by) where blocked_by is not null;
create index rollout_members_by_environment on rollout_members (environment_id);

comment on table rollout_members is 'Environments of the rollouts, written when a rollout is created.';
comment on column rollout_members.rollout_id is 'Rollout of the environment.';
comment on column rollout_members.environment_id is 'Environment that gets the release.';
comment on column rollout_members.wave is 'Number of the wave that has selected the environment.';
comment on column rollout_members.position is 'Order of the updates within the wave.';
comment on column rollout_members.previous_release_id is 'Release of the environment when the rollout was created; null if it is not known.';
comment on column rollout_members.state is 'waiting, updating, baking, succeeded, failed, skipped or rolled_back.';
comment on column rollout_members.reason is 'Reason why the environment failed, was skipped, or waits; null if there is none.';
comment on column rollout_members.operation_id is 'Latest update of the environment; null before.';
comment on column rollout_members.blocked_by is 'Other operation of the environment that must end before the update starts; null if there is none.';
comment on column rollout_members.check_at is 'Time at which the update can start, such as the start of a maintenance window; null if it need not wait.';
comment on column rollout_members.failed_in_bake is 'Whether the environment failed after its update.';
comment on column rollout_members.started_at is 'Time at which its latest update began; null before.';
comment on column rollout_members.finished_at is 'Time at which its latest update ended; null before.';
