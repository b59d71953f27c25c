-- Remembers the earlier administrators of a tenant until their access is removed from IAM Identity Center.

alter table tenants add column former_admin_emails text[] not null default '{}';

comment on column tenants.former_admin_emails is 'Earlier values of admin_email whose users may still be in the tenant''s group in Identity Center. Personal data; emptied by grant-access, and erased when the tenant is offboarded.';
