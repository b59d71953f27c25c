-- Lets a fleet hold pause the deployments of a stack template that AWS or Freehold rejects.

alter table fleet_holds add column rejected_templates text[] not null default '{}';
alter table fleet_holds add column detail text;

comment on column fleet_holds.rejected_templates is 'Fingerprints of the rejected templates, each with / and a region in which it is rejected; empty for other kinds.';
comment on column fleet_holds.detail is 'Fault of the template, with the reason that AWS gave; null for other kinds.';

alter table fleet_holds drop constraint fleet_holds_quota_check;
alter table fleet_holds add constraint fleet_holds_quota_check
    check (quota in ('account-creations', 'stack-deployments')) not valid;
alter table fleet_holds drop constraint fleet_holds_kind_check;
alter table fleet_holds add constraint fleet_holds_kind_check
    check (kind in ('account_quota_reached', 'organization_finalizing', 'template_rejected')) not valid;
