-- Publishes events of the fleet: of releases, rollouts and the change freeze, which belong to no tenant.

-- A process of the previous version cannot read such an entry. Therefore releases, rollouts and change freezes are used
-- only when all processes are upgraded.
alter table feed_pending drop constraint event_of_operation_or_tenant;
alter table feed_pending add constraint event_is_complete check (
    num_nulls(operation_id, seq) = 0 and num_nonnulls(tenant_id, environment_id, type, data, occurred_at) = 0
    or num_nonnulls(operation_id, seq) = 0 and num_nulls(type, data, occurred_at) = 0
        and (tenant_id is not null or environment_id is null)
) not valid;
alter table feed alter column tenant_id drop not null;
alter table feed add constraint fleet_event_has_no_environment check (
    tenant_id is not null or num_nonnulls(operation_id, seq, environment_id) = 0
) not valid;

comment on column feed_pending.operation_id is 'Operation of the event, whose other columns are in events; null for an event without operation.';
comment on column feed_pending.tenant_id is 'Tenant of the event; null for an event of an operation or of the fleet.';
comment on column feed_pending.type is 'Public type of an event without operation.';
comment on column feed_pending.data is 'Details of an event without operation; no personal data.';
comment on column feed_pending.occurred_at is 'Time of an event without operation.';
comment on column feed.operation_id is 'Operation of the event; null for an event of the fleet, of the tenant or of an environment itself.';
comment on column feed.tenant_id is 'Tenant of the event; null for an event of the fleet.';
comment on column feed.environment_id is 'Environment of the event; null for an event of the fleet or of the tenant itself.';
