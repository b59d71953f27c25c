-- Records the releases of the tenant stack, the release of each stack, and what keeps an environment on its release.

create table releases (
    -- Immutable.
    id uuid primary key,
    source text not null check (source ~ '^[a-z]+(_[a-z]+)*$'),
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    content jsonb not null check (jsonb_typeof(content) = 'object'),
    notes text,
    registered_by jsonb not null check (jsonb_typeof(registered_by) = 'object'),
    created_at timestamptz not null,
    -- Mutable.
    state text not null check (state ~ '^[a-z]+(_[a-z]+)*$'),
    problems jsonb not null default '[]' check (jsonb_typeof(problems) = 'array'),
    declared_parameters jsonb not null default '{}' check (jsonb_typeof(declared_parameters) = 'object'),
    checked_at timestamptz,
    approved_by jsonb check (jsonb_typeof(approved_by) = 'object'),
    approved_at timestamptz,
    constraint approval_is_complete check (num_nulls(approved_by, approved_at) in (0, 2))
);

create unique index releases_of_the_configuration on releases (sha256) where source = 'configuration';
create index releases_to_check on releases (created_at) where state = 'checking';

comment on table releases is 'Releases of the tenant stack: immutable versions of its template and parameters.';
comment on column releases.id is 'Id of the release.';
comment on column releases.source is 'api: registered over the API; configuration: the [stack] of the configuration, as a worker has read it.';
comment on column releases.sha256 is 'Hash of content, to which an approval is bound.';
comment on column releases.content is 'Templates or URLs of templates by region, parameters, and parameters by region.';
comment on column releases.notes is 'Description by the registrant; null without one.';
comment on column releases.registered_by is 'Issuer and subject of the registrant.';
comment on column releases.created_at is 'Time of the registration.';
comment on column releases.state is 'checking, ready or refused.';
comment on column releases.problems is 'Reasons why the release was refused, each starting with the name of a field.';
comment on column releases.declared_parameters is 'Names of the parameters that the template of each region declares; written by the check.';
comment on column releases.checked_at is 'Time at which the check ended; null before.';
comment on column releases.approved_by is 'Issuer and subject of the person who has approved the release; null before.';
comment on column releases.approved_at is 'Time of the approval; null before.';

create table default_release (
    singleton boolean primary key default true check (singleton),
    release_id uuid references releases (id),
    since timestamptz
);

insert into default_release (release_id) values (null);

comment on table default_release is 'The release that new environments get.';
comment on column default_release.singleton is 'Always true; limits the table to one row.';
comment on column default_release.release_id is 'Default release; null: the [stack] of the configuration.';
comment on column default_release.since is 'Time since which it is the default; null for the first one.';

alter table environment_stacks add column release_id uuid references releases (id);
alter table environment_stacks add column parameters jsonb check (jsonb_typeof(parameters) = 'object');

comment on column environment_stacks.release_id is 'Release of a tenant stack after its last completed change; null for other stacks, and before releases existed.';
comment on column environment_stacks.parameters is 'Parameters of release and environment after the last completed change; null before releases existed.';

alter table environments add column parameters jsonb not null default '{}' check (jsonb_typeof(parameters) = 'object');

comment on column environments.parameters is 'Parameters of the tenant stack for this environment, which override those of the release.';

create table environment_pins (
    environment_id uuid primary key references environments (id),
    reason text not null,
    until timestamptz,
    pinned_by jsonb not null check (jsonb_typeof(pinned_by) = 'object'),
    pinned_at timestamptz not null
);

comment on table environment_pins is 'Environments that keep their release.';
comment on column environment_pins.environment_id is 'Environment that is pinned.';
comment on column environment_pins.reason is 'Reason, shown to support staff.';
comment on column environment_pins.until is 'End of the pin; null if it has no end.';
comment on column environment_pins.pinned_by is 'Issuer and subject of the person who has pinned it.';
comment on column environment_pins.pinned_at is 'Time at which it was pinned.';

alter table tenants add column maintenance_windows jsonb not null default '[]'
    check (jsonb_typeof(maintenance_windows) = 'array');

comment on column tenants.maintenance_windows is 'Weekly times in which updates may start; an empty list allows any time.';

create table change_freeze (
    singleton boolean primary key default true check (singleton),
    reason text,
    until timestamptz,
    set_by jsonb check (jsonb_typeof(set_by) = 'object'),
    set_at timestamptz,
    constraint freeze_is_complete check (num_nulls(reason, set_by, set_at) in (0, 3))
);

insert into change_freeze (reason) values (null);

comment on table change_freeze is 'Time in which no update starts in any environment.';
comment on column change_freeze.singleton is 'Always true; limits the table to one row.';
comment on column change_freeze.reason is 'Reason; null if no freeze is in force.';
comment on column change_freeze.until is 'End of the freeze; null if it ends by hand.';
comment on column change_freeze.set_by is 'Issuer and subject of the person who has set it.';
comment on column change_freeze.set_at is 'Time at which it was set.';
