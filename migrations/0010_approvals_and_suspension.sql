-- Fixes the approval that an operation needs when it is accepted, records reasons of decisions, suspends tenants without a countdown
-- to deletion, and counts the accounts that each client requests.

alter table operations add column approval_required boolean;
alter table operations add column started_by_tenant boolean not null default false;

comment on column operations.approval_required is
    'onboard: whether a second person must approve the account; decided when the operation was accepted. Null if the previous version accepted the operation.';
comment on column operations.started_by_tenant is
    'offboard: whether a token of the tenant itself asked for it, so that such a token may restore the environment. False: an operator did.';

alter table tenants add column suspended_at timestamptz;
alter table tenants add column suspension_reason text;
alter table tenants add column suspension_note text check (char_length(suspension_note) between 1 and 500);
alter table tenants add column suspended_by jsonb check (jsonb_typeof(suspended_by) = 'object');
alter table tenants add constraint suspension_fields_set_together
    check (num_nulls(suspended_at, suspension_reason, suspended_by) in (0, 3)) not valid;

comment on column tenants.suspended_at is 'Time since which an operator has suspended the tenant; null if it is not suspended.';
comment on column tenants.suspension_reason is 'Code of the reason for the suspension, such as non_payment.';
comment on column tenants.suspension_note is 'Text of the operator about the suspension; null if none was given.';
comment on column tenants.suspended_by is 'Issuer and subject of the token that suspended the tenant.';

-- The state suspended is derived: a row of environments keeps the state offboarding, with which the previous version leaves
-- the account in quarantine.
create view suspended_environments as
select e.id as environment_id, e.tenant_id
from environments e join tenants t on t.id = e.tenant_id
where t.suspended_at is not null and e.state = 'offboarding'
    and not exists (select from operations o where o.environment_id = e.id and o.kind = 'offboard' and o.finished_at is null);

comment on view suspended_environments is 'The environments that are out of service because their tenant is suspended.';
comment on column suspended_environments.environment_id is 'Suspended environment.';
comment on column suspended_environments.tenant_id is 'Tenant of the environment.';

-- An approval of a change of a tenant has no operation. The previous version reads approvals by their operation only.
alter table approvals add column tenant_id uuid references tenants (id);
alter table approvals add column reason text check (char_length(reason) between 1 and 500);
alter table approvals add column expired boolean not null default false;
alter table approvals alter column operation_id drop not null;
alter table approvals alter column step drop not null;
alter table approvals drop constraint approvals_action_check;
alter table approvals add constraint approvals_action_check check (action ~ '^[a-z]+(_[a-z]+)*$') not valid;
alter table approvals add constraint approval_has_operation_or_tenant
    check (num_nulls(operation_id, step) in (0, 2) and (operation_id is null) = (tenant_id is not null)) not valid;
alter table approvals add constraint expired_is_rejected check (not expired or state = 'rejected') not valid;

comment on column approvals.operation_id is 'Operation of the request; null if the request changes a tenant.';
comment on column approvals.step is 'Step that performs the action; null if the request changes a tenant.';
comment on column approvals.tenant_id is 'Tenant that the request changes; null if the request belongs to an operation.';
comment on column approvals.reason is 'Reason that the deciding person gave; null if none was given.';
comment on column approvals.expired is
    'Whether the request ended without a decision, because its operation ended or the tenant changed. Its state is then rejected.';
comment on column approvals.action is
    'Action to approve: vend an account, adopt one, correct a value, close the account, change the tier of a tenant.';

create table accepted_accounts (
    issuer text not null,
    client text not null,
    tenant text not null default '',
    accepted_at timestamptz[] not null,
    primary key (issuer, client, tenant)
);

comment on table accepted_accounts is 'Accounts that were asked for in the last 24 hours, for the daily limits. One row per client, and one per tenant whose own tokens ask.';
comment on column accepted_accounts.issuer is 'Issuer of the caller''s token.';
comment on column accepted_accounts.client is 'Client of the token; empty for the sum of a tenant, whose clients share one limit.';
comment on column accepted_accounts.tenant is 'Tenant whose own tokens asked; empty for the sum of the client.';
comment on column accepted_accounts.accepted_at is 'One time per account: that at which its environment was accepted. Older times are removed by the next request.';

create or replace view degraded_environments as
select e.id as environment_id, e.tenant_id
from environments e
where e.ready_at is not null and e.state in ('ready', 'restoring', 'needs_attention')
    and e.id in (select f.environment_id from findings f where f.resolved_at is null and f.severity = 'critical')
    -- An environment that is being offboarded or suspended is out of service on purpose.
    and not exists (
        select from operations o
        where o.environment_id = e.id and o.kind in ('offboard', 'suspend')
            and o.state in ('pending', 'running', 'needs_attention')
    );

-- Records that a tenant is offboarded, if all its environments are, and ends its suspension and its pending request. A worker
-- may do this only: it can neither lift a suspension nor decide a request by itself. The state of an environment alone is
-- not enough, because a worker can change it: the offboarding has finished and the account is released, or no account was
-- ever assigned.
create function close_tenant(
    tenant uuid, at timestamptz, out is_closed boolean, out expired_approval uuid
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    update tenants t
    set offboarded_at = at, updated_at = at,
        suspended_at = null, suspension_reason = null, suspension_note = null, suspended_by = null
    where t.id = tenant and t.offboarded_at is null
        and exists (select from environments e where e.tenant_id = t.id)
        and not exists (
            select from environments e where e.tenant_id = t.id and (
                e.state <> 'offboarded'
                or exists (select from account_mappings m where m.environment_id = e.id and m.valid_to is null)
                or not exists (
                    select from operations o
                    where o.environment_id = e.id and o.finished_at is not null and (
                        o.kind = 'offboard'
                        or o.kind = 'onboard'
                        and not exists (select from account_mappings m where m.environment_id = e.id)
                    )
                )
            )
        );
    is_closed := found;
    if is_closed then
        update approvals a
        set state = 'rejected', expired = true, decided_by = '{"issuer": "freehold", "subject": "offboard"}',
            decided_at = at
        where a.tenant_id = tenant and a.operation_id is null and a.state = 'pending'
        returning a.id into expired_approval;
    end if;
end
$$;

revoke execute on function close_tenant (uuid, timestamptz) from public;
