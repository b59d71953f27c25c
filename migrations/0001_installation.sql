-- One row that says what this database belongs to, so that no process can mistake a sandbox for the real thing.
create table installation (
    id uuid primary key,
    only_one boolean not null default true unique check (only_one),
    kind text not null check (kind in ('sandbox', 'real')),
    management_account_id text not null check (management_account_id ~ '^[0-9]{12}$'),
    clock_anchored_at timestamptz,
    clock_origin timestamptz,
    clock_speed double precision check (clock_speed > 0),
    created_at timestamptz not null,
    constraint only_a_sandbox_has_a_clock_of_its_own check (
        (kind = 'sandbox' and num_nulls(clock_anchored_at, clock_origin, clock_speed) = 0)
        or (kind = 'real' and num_nonnulls(clock_anchored_at, clock_origin, clock_speed) = 0)
    )
);

comment on table installation is 'What this database belongs to; exactly one row.';
comment on column installation.id is 'Names this installation in the tags of every account that it asks for.';
comment on column installation.only_one is 'Always true: keeps the table to one row.';
comment on column installation.kind is 'sandbox: a simulated organisation; real: AWS. A process of the other kind refuses to start.';
comment on column installation.management_account_id is 'The organisation, by its management account. A process configured for another refuses to start.';
comment on column installation.clock_anchored_at is 'Sandbox: the real time at which its clock showed clock_origin.';
comment on column installation.clock_origin is 'Sandbox: what its clock showed then.';
comment on column installation.clock_speed is 'Sandbox: simulated seconds a real second.';
comment on column installation.created_at is 'When the installation was made, by its own clock.';
