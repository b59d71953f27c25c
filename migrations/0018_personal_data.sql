-- Whoever is gone is forgotten: the only person whom a tenant names is erased with its last environment.
alter table tenants alter column admin_email drop not null;

update tenants set admin_email = null where offboarded_at is not null;

comment on column tenants.admin_email is 'The person who administers the tenant; not the e-mail address of an AWS account. Null once the tenant is gone.';
