-- What AWS refuses one tenant and would refuse every other is held for the whole fleet: one hold, one alert and one probe
-- that lifts it, in place of the same refusal for each tenant. A row is there while the hold is in force.
create table holds (
    work text primary key check (work in ('account-creations')),
    kind text not null check (kind in ('account_quota_reached', 'organization_finalizing')),
    began_at timestamptz not null,
    probe_at timestamptz not null,
    probes integer not null default 0 check (probes >= 0),
    probing_operation uuid references operations (id),
    probing_until timestamptz,
    constraint a_probe_has_its_end check ((probing_operation is null) = (probing_until is null))
);

comment on table holds is 'Work that waits for the whole fleet, because AWS would refuse it whoever asked.';
comment on column holds.work is 'What is not asked for meanwhile; the quota under which it stands in line.';
comment on column holds.kind is 'Why: the stable code of the alert.';
comment on column holds.began_at is 'Since when.';
comment on column holds.probe_at is 'When the first in line asks AWS again, for its own account.';
comment on column holds.probes is 'How often that was in vain; the pause grows with it.';
comment on column holds.probing_operation is 'Which operation is asking; null while none is.';
comment on column holds.probing_until is 'Until when nobody else asks, should that one never come back.';
