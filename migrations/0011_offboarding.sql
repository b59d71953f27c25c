-- Customers leave as safely as they come: offboarding is an operation like onboarding, and so is bringing back or mending
-- what is there. An environment that is gone keeps its row, and its name is free again.
alter table operations drop constraint operations_kind_check;
alter table operations
    add constraint operations_kind_check check (kind in ('onboard', 'offboard', 'restore', 'repair')),
    add column input jsonb not null default '{}' check (jsonb_typeof(input) = 'object');

alter table environments drop constraint environments_state_check;
alter table environments
    add constraint environments_state_check
        check (state in ('onboarding', 'ready', 'needs_attention', 'offboarding', 'restoring', 'offboarded')),
    add column offboarded_at timestamptz,
    add constraint gone_says_since_when check ((state = 'offboarded') = (offboarded_at is not null));

alter table environments drop constraint environments_tenant_id_name_key;
create unique index environments_one_of_a_name_per_tenant on environments (tenant_id, name) where state <> 'offboarded';
create index environments_by_tenant on environments (tenant_id);

alter table tenants
    add column legal_hold_at timestamptz,
    add column legal_hold_reason text check (char_length(legal_hold_reason) between 1 and 500),
    add constraint a_legal_hold_says_why check ((legal_hold_at is null) = (legal_hold_reason is null));

-- Closures of the last thirty days are counted by when they were asked for.
create index operation_steps_closures on operation_steps (intent_at) where name = 'close-account' and intent_at is not null;

comment on column operations.input is 'What was asked for beside the kind: whether to close the account, what found it broken, …';
comment on column environments.offboarded_at is 'When nothing of it was left for anybody to use; null until then.';
comment on column tenants.legal_hold_at is 'Since when nothing of it may be destroyed; null where it may.';
comment on column tenants.legal_hold_reason is 'Why nothing of it may be destroyed.';
