-- Whoever is gone is forgotten: the only person whom a tenant names is erased with its last environment.
alter table tenants alter column admin_email drop not null;
create index idempotency_keys_by_location on idempotency_keys (location);

comment on column tenants.admin_email is 'The person who administers the tenant; not the e-mail address of an AWS account. Null once the tenant is gone.';
