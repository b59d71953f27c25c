-- Shows critical findings in the state of an environment, publishes findings in the feed, and records for a step that
-- had nothing to do why it was skipped.

-- An event of an environment, such as environment.degraded, belongs to no operation. A process of the previous version
-- leaves such an event to a newer one, because it does not know the type.
alter table feed_pending add column environment_id uuid;
alter table feed drop constraint operation_fields_set_together;
alter table feed add constraint operation_event_has_environment check (
    num_nulls(operation_id, seq) in (0, 2) and (operation_id is null or environment_id is not null)
) not valid;

comment on column feed_pending.environment_id is 'Environment of an event without operation; null for other events.';
comment on column feed.operation_id is 'Operation of the event; null for an event of the tenant or of an environment itself.';
comment on column feed.environment_id is 'Environment of the event; null for an event of the tenant itself.';

-- A skipped step stays done, so that the previous version continues its operation.
alter table operation_steps add column skip_reason text;
alter table operation_steps add constraint skipped_step_is_done check (skip_reason is null or state = 'done') not valid;

comment on column operation_steps.skip_reason is 'done: why the step had nothing to do, in plain words; null if it did its work.';

-- The state degraded is derived: a row of environments keeps the state of its latest operation.
create view degraded_environments as
select e.id as environment_id, e.tenant_id
from environments e
where e.ready_at is not null and e.state in ('ready', 'restoring', 'needs_attention')
    and e.id in (select f.environment_id from findings f where f.resolved_at is null and f.severity = 'critical')
    -- An environment that is being offboarded is out of service on purpose.
    and not exists (
        select from operations o
        where o.environment_id = e.id and o.kind = 'offboard' and o.state in ('pending', 'running', 'needs_attention')
    );

comment on view degraded_environments is 'The verified environments with an open critical finding.';
comment on column degraded_environments.environment_id is 'Degraded environment.';
comment on column degraded_environments.tenant_id is 'Tenant of the environment.';
