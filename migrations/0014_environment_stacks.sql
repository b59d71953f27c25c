-- Records each CloudFormation stack of an environment, from the intent to create it on, and allows digits in the names of steps.

create table environment_stacks (
    -- Immutable.
    environment_id uuid not null references environments (id),
    kind text not null check (kind ~ '^[a-z]+(-[a-z]+)*$'),
    region text not null check (region ~ '^[a-z]{2}-[a-z]+-[0-9]$'),
    -- Mutable.
    slot smallint not null check (slot between 0 and 3),
    stack_name text not null,
    stack_id text,
    state text not null check (state ~ '^[a-z]+(_[a-z]+)*$'),
    outputs jsonb not null default '{}' check (jsonb_typeof(outputs) = 'object'),
    operation_id uuid not null references operations (id),
    intended_at timestamptz not null,
    changed_at timestamptz,
    primary key (environment_id, kind, region),
    constraint present_has_stack_id check (state <> 'present' or num_nulls(stack_id, changed_at) = 0)
);

comment on table environment_stacks is 'CloudFormation stacks of the environments. A row is written together with the intent to create the stack.';
comment on column environment_stacks.environment_id is 'Environment of the stack.';
comment on column environment_stacks.kind is 'baseline: roles of Freehold; tenant: software of the SaaS.';
comment on column environment_stacks.region is 'Region of the stack. An environment has at most one stack of a kind in a region.';
comment on column environment_stacks.slot is 'Region of the environment that the stack serves: 0 for home, otherwise the slot of a replica.';
comment on column environment_stacks.stack_name is 'Name of the stack in CloudFormation.';
comment on column environment_stacks.stack_id is 'ARN of the stack; null until AWS has returned it.';
comment on column environment_stacks.state is 'intended: may exist, not completed yet; present: created or updated completely; deleted.';
comment on column environment_stacks.outputs is 'Outputs of the stack after its last completed change.';
comment on column environment_stacks.operation_id is 'Operation that changed the stack last.';
comment on column environment_stacks.intended_at is 'Time of the latest intent to create or update the stack.';
comment on column environment_stacks.changed_at is 'Time at which the last change by Freehold was complete; null before. A later change was made outside Freehold.';

-- Stacks in the journal. An ARN contains region and name. Without an ARN the region is that of the environment, except
-- for a baseline in a region that requires an opt-in: a worker takes such an intent from the journal.
insert into environment_stacks (environment_id, kind, region, slot, stack_name, stack_id, state, outputs, operation_id,
    intended_at, changed_at)
select e.id, k.kind, place.region, 0, place.stack_name, known.stack_id,
    case
        when deleted.at >= latest.started_at then 'deleted'
        when completed.at is not null and known.stack_id is not null then 'present'
        else 'intended'
    end,
    coalesce(completed.outputs, '{}'), latest.operation_id,
    coalesce(latest.intent_at, latest.started_at, latest.created_at), completed.at
from environments e
cross join (values
    ('baseline', array['install-baseline', 'upgrade-baseline'], 'delete-baseline'),
    ('tenant', array['deploy-stack'], 'delete-stack')
) k (kind, creators, deleter)
join lateral (
    select o.id as operation_id, o.created_at, s.intent, s.intent_at, s.started_at
    from operations o join operation_steps s on s.operation_id = o.id
    where o.tenant_id = e.tenant_id and o.environment_id = e.id and s.name = any(k.creators)
        and (s.intent is not null or s.facts <> '{}')
    order by o.created_at desc, o.id desc limit 1
) latest on true
left join lateral (
    select s.facts ->> 'stack_id' as stack_id
    from operations o join operation_steps s on s.operation_id = o.id
    where o.tenant_id = e.tenant_id and o.environment_id = e.id and s.name = any(k.creators)
        and s.facts ->> 'stack_id' is not null
    order by o.created_at desc, o.id desc limit 1
) known on true
left join lateral (
    -- A failed upgrade has changed the stack too, and CloudFormation has undone the change.
    select greatest(s.finished_at, case when k.kind = 'baseline' then (
            select max(u.finished_at) from operations u
            where u.tenant_id = e.tenant_id and u.environment_id = e.id and u.kind = 'upgrade_baseline'
        ) end) as at,
        (
            select jsonb_object_agg(substr(f.key, length('output_') + 1), f.value) from jsonb_each(s.facts) f
            where starts_with(f.key, 'output_')
        ) as outputs
    from operations o join operation_steps s on s.operation_id = o.id
    where o.tenant_id = e.tenant_id and o.environment_id = e.id and s.name = any(k.creators) and s.state = 'done'
    order by s.finished_at desc limit 1
) completed on true
left join lateral (
    select max(s.finished_at) as at
    from operations o join operation_steps s on s.operation_id = o.id
    where o.tenant_id = e.tenant_id and o.environment_id = e.id and s.name = k.deleter and s.state = 'done'
) deleted on true
cross join lateral (
    select
        coalesce(split_part(known.stack_id, ':', 4), case
            when k.kind = 'tenant' or e.home_region = any(array[
                'ap-northeast-1', 'ap-northeast-2', 'ap-northeast-3', 'ap-south-1', 'ap-southeast-1', 'ap-southeast-2',
                'ca-central-1', 'eu-central-1', 'eu-north-1', 'eu-west-1', 'eu-west-2', 'eu-west-3', 'sa-east-1',
                'us-east-1', 'us-east-2', 'us-west-1', 'us-west-2'
            ]) then e.home_region
        end) as region,
        coalesce(split_part(known.stack_id, '/', 2), latest.intent ->> 'name') as stack_name
) place
where place.region is not null and place.stack_name is not null;

alter table operation_steps drop constraint operation_steps_name_check;
alter table operation_steps add constraint operation_steps_name_check
    check (name ~ '^[a-z]+(-[a-z0-9]+)*$' and char_length(name) <= 63) not valid;
