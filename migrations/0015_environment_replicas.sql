-- Records the replica regions of environments with their states. An environment with a failed replica is degraded.

create table environment_replicas (
    environment_id uuid not null references environments (id),
    slot smallint not null check (slot between 1 and 3),
    region text not null check (region ~ '^[a-z]{2}-[a-z]+-[0-9]$'),
    created_at timestamptz not null,
    state text not null check (state ~ '^[a-z]+(_[a-z]+)*$'),
    since timestamptz not null,
    message text,
    url text,
    ready_at timestamptz,
    leaving_at timestamptz,
    primary key (environment_id, slot),
    constraint ready_replica_has_ready_at check (state <> 'ready' or ready_at is not null)
);

create unique index environment_replicas_unique_region on environment_replicas (environment_id, region);
create index environment_replicas_leaving on environment_replicas (leaving_at) where leaving_at is not null;

comment on table environment_replicas is 'Replica regions of the environments: at most three each, besides the home region.';
comment on column environment_replicas.environment_id is 'Environment of the replica.';
comment on column environment_replicas.slot is 'Number of the replica within its environment; names its steps, such as deploy-replica-1.';
comment on column environment_replicas.region is 'Region of the replica, within the residency of the environment.';
comment on column environment_replicas.created_at is 'Time at which the replica was requested.';
comment on column environment_replicas.state is 'pending, deploying, ready, updating, failed or unreachable. The state leaving is derived from leaving_at.';
comment on column environment_replicas.since is 'Time since which the replica has this state.';
comment on column environment_replicas.message is 'Reason of the state, in plain words; null if there is none.';
comment on column environment_replicas.url is 'URL of the replica''s stack; null before its first verification, or if the stack has no URL.';
comment on column environment_replicas.ready_at is 'Time of the first successful verification; null before.';
comment on column environment_replicas.leaving_at is 'Time from which the stack of a removed replica is deleted; null unless it was removed.';

create or replace view degraded_environments as
select e.id as environment_id, e.tenant_id
from environments e
where e.ready_at is not null and e.state in ('ready', 'restoring', 'needs_attention')
    and (
        e.id in (select f.environment_id from findings f where f.resolved_at is null and f.severity = 'critical')
        or e.id in (
            select r.environment_id from environment_replicas r
            where r.state in ('failed', 'unreachable') and r.leaving_at is null
        )
        or e.id in (
            -- Reconcile has found the stack of a replica missing or broken.
            select r.environment_id from environment_replicas r join findings f on f.environment_id = r.environment_id
            where r.leaving_at is null and f.resolved_at is null and f.kind in ('stack_missing', 'stack_failed')
                and f.subject like '%/' || r.region || '/%'
        )
    )
    -- An environment that is being offboarded or suspended is out of service on purpose.
    and not exists (
        select from operations o
        where o.environment_id = e.id and o.kind in ('offboard', 'suspend')
            and o.state in ('pending', 'running', 'needs_attention')
    );

comment on view degraded_environments is 'The verified environments with an open critical finding or with a replica that failed or is unreachable.';
