-- Records the front doors of environments with their states. An environment with a failed front door is degraded.

create table environment_front_doors (
    environment_id uuid primary key references environments (id),
    created_at timestamptz not null,
    state text not null check (state ~ '^[a-z]+(_[a-z]+)*$'),
    since timestamptz not null,
    message text,
    domain text,
    url text,
    failover_region text check (failover_region ~ '^[a-z]{2}-[a-z]+-[0-9]$'),
    deployed_at timestamptz,
    constraint deployed_has_url check (state <> 'deployed' or num_nulls(domain, url, deployed_at) = 0)
);

comment on table environment_front_doors is 'Front doors of the environments: CloudFront distributions in front of their regions.';
comment on column environment_front_doors.environment_id is 'Environment of the front door, which has at most one.';
comment on column environment_front_doors.created_at is 'Time at which the front door was requested.';
comment on column environment_front_doors.state is 'creating, deployed, updating, disabled, deleting or failed.';
comment on column environment_front_doors.since is 'Time since which the front door has this state.';
comment on column environment_front_doors.message is 'Reason of the state, in plain words; null if there is none.';
comment on column environment_front_doors.domain is 'Domain name of the distribution; null until it is created.';
comment on column environment_front_doors.url is 'URL of the distribution; null until it is created.';
comment on column environment_front_doors.failover_region is 'Replica region that answers reads if the home region fails; null without a replica.';
comment on column environment_front_doors.deployed_at is 'Time of the first successful verification; null before.';

comment on column environment_stacks.kind is 'baseline: roles of Freehold; tenant: software of the SaaS; front-door: CloudFront distribution.';

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
        or e.id in (select d.environment_id from environment_front_doors d where d.state = 'failed')
        or e.id in (
            -- Reconcile has found the stack of the front door missing or broken.
            select d.environment_id from environment_front_doors d join findings f on f.environment_id = d.environment_id
            where f.resolved_at is null and f.kind in ('stack_missing', 'stack_failed')
                and f.subject like '%/front-door/%'
        )
    )
    -- An environment that is being offboarded or suspended is out of service on purpose.
    and not exists (
        select from operations o
        where o.environment_id = e.id and o.kind in ('offboard', 'suspend')
            and o.state in ('pending', 'running', 'needs_attention')
    );
