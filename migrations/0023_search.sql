-- Adds the index of the search. Triggers keep it current, so that processes of the previous version do too.

create table search_entries (
    kind text not null check (kind in ('tenant', 'aws_request')),
    id uuid not null,
    part text not null,
    content text not null,
    trigrams text [] not null,
    primary key (kind, id, part)
);

comment on table search_entries is 'Texts by which people search for a tenant or an operation.';
comment on column search_entries.kind is 'tenant; or aws_request, a request to AWS that failed.';
comment on column search_entries.id is 'Tenant, or operation of the request.';
comment on column search_entries.part is 'Empty for the texts of a tenant, or an AWS account of the tenant; step of the request, or attention for that of the operation.';
comment on column search_entries.content is 'Lower case, with a line feed before and after each text. Contains personal data until that of the tenant is erased.';
comment on column search_entries.trigrams is 'All parts of the content with three characters, which the index finds.';

-- Returns the parts of a text with three characters; none of a shorter text.
create function search_trigrams(content text) returns text []
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select coalesce(array_agg(distinct substr(content, n, 3)), '{}') from generate_series(1, char_length(content) - 2) n
$$;

-- Writes an entry.
create function write_search_entry(entry_kind text, entry_id uuid, entry_part text, entry_content text) returns void
language sql set search_path = pg_catalog, public, pg_temp as $$
    insert into search_entries (kind, id, part, content, trigrams)
    values (entry_kind, entry_id, entry_part, entry_content, search_trigrams(entry_content))
    on conflict (kind, id, part) do update set content = excluded.content, trigrams = excluded.trigrams
$$;

-- Returns the texts of a tenant. The bracket expression contains the invisible characters, as in tenancy/src/unicode.rs.
create function tenant_search_content(tenant uuid) returns text
language sql stable set search_path = pg_catalog, public, pg_temp as $$
    select e'\n' || concat_ws(e'\n',
        lower(normalize(regexp_replace(t.company_name,
            '[\u0001-\u001F\u007F-\u009F\U000000AD-\U000000AD\U0000034F-\U0000034F'
            '\U0000061C-\U0000061C\U0000115F-\U00001160\U000017B4-\U000017B5\U0000180B-\U0000180F'
            '\U0000200B-\U0000200F\U00002028-\U0000202E\U00002060-\U0000206F\U00002800-\U00002800'
            '\U00003164-\U00003164\U0000FE00-\U0000FE0F\U0000FEFF-\U0000FEFF\U0000FFA0-\U0000FFA0'
            '\U0000FFF0-\U0000FFFB\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF'
            ']',
            '', 'g'), NFKC)),
        lower(t.external_id), lower(t.admin_email)
    ) || e'\n'
    from tenants t where t.id = tenant
$$;

-- Writes the entry of a tenant.
create function index_tenant_for_search() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    perform write_search_entry('tenant', new.id, '', tenant_search_content(new.id));
    return null;
end
$$;

-- Writes the entry of an AWS account. One entry for all accounts of a tenant would be written again with each of them.
create function index_account_for_search() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    perform write_search_entry('tenant', new.tenant_id, new.aws_account_id, e'\n' || new.aws_account_id || e'\n');
    return null;
end
$$;

create trigger tenants_are_indexed_for_search after insert on tenants
    for each row execute function index_tenant_for_search();
create trigger changed_tenants_are_indexed_for_search
    after update of company_name, external_id, admin_email on tenants
    for each row execute function index_tenant_for_search();
create trigger accounts_are_indexed_for_search after insert on account_mappings
    for each row execute function index_account_for_search();

-- Writes the entry of a request to AWS that failed. The arguments are the columns with the operation, the step and the
-- request.
create function index_aws_request_for_search() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    fields jsonb := to_jsonb(new);
begin
    perform write_search_entry(
        'aws_request', (fields ->> tg_argv[0])::uuid, coalesce(fields ->> tg_argv[1], 'attention'),
        e'\n' || lower(fields ->> tg_argv[2]) || e'\n'
    );
    return null;
end
$$;

create trigger failed_requests_of_steps_are_indexed_for_search
    after update of last_error_aws_request_id on operation_steps
    for each row
    when (new.last_error_aws_request_id is distinct from old.last_error_aws_request_id
        and new.last_error_aws_request_id is not null)
    execute function index_aws_request_for_search('operation_id', 'name', 'last_error_aws_request_id');
create trigger failed_requests_of_operations_are_indexed_for_search
    after update of attention_aws_request_id on operations
    for each row
    when (new.attention_aws_request_id is distinct from old.attention_aws_request_id
        and new.attention_aws_request_id is not null)
    execute function index_aws_request_for_search('id', '', 'attention_aws_request_id');

-- Entries of existing rows.
insert into search_entries (kind, id, part, content, trigrams)
select 'tenant', t.id, '', c.content, search_trigrams(c.content)
from tenants t cross join lateral tenant_search_content(t.id) as c (content);
insert into search_entries (kind, id, part, content, trigrams)
select distinct 'tenant', m.tenant_id, m.aws_account_id, c.content, search_trigrams(c.content)
from account_mappings m cross join lateral concat(e'\n', m.aws_account_id, e'\n') as c (content);
insert into search_entries (kind, id, part, content, trigrams)
select 'aws_request', o.operation_id, o.part, c.content, search_trigrams(c.content)
from (
    select operation_id, name as part, last_error_aws_request_id as request_id from operation_steps
    union all select id, 'attention', attention_aws_request_id from operations
) o cross join lateral lower(e'\n' || o.request_id || e'\n') as c (content)
where o.request_id is not null;

-- The index is built once, which is faster than row by row.
create index search_entries_by_trigram on search_entries using gin (trigrams);
