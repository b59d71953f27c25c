-- Adds the version of the baseline to environments, allows further kinds of operations, and adds the final state of a step whose
-- operation has failed.

alter table environments add column baseline_version text check (baseline_version ~ '^[0-9]+(-[0-9a-f]+)?$');

comment on column environments.baseline_version is
    'Version of the baseline stack, such as 1-3f2a9c01b4d7. Null before the stack is installed, or if the first release installed it.';

-- The constraint checks the form only, so that a new kind needs no migration.
alter table operations drop constraint operations_kind_check;
alter table operations add constraint operations_kind_check check (kind ~ '^[a-z]+(_[a-z]+)*$') not valid;

alter table operation_steps drop constraint operation_steps_state_check;
alter table operation_steps add constraint operation_steps_state_check
    check (state in ('pending', 'running', 'waiting', 'parked', 'failed', 'done')) not valid;

comment on column operation_steps.state is
    'pending: not started; running: started, result not yet journaled; waiting; parked: needs a person; failed: ended the operation; done.';
comment on column operation_steps.attention is
    'Code, message and remedies of a step that needs a person: parked steps, late ones, which continue to poll, and the cause of a failed one.';
