-- Chains the audit trail and deletes expired records in functions of the owner of the database, so that API and worker can
-- neither change nor delete a record: they insert entries, complete them, and read the trail.

create table audit_settings (
    singleton boolean primary key default true check (singleton),
    retention_days integer not null check (retention_days > 0)
);

comment on table audit_settings is 'Retention of the audit trail. `freehold migrate` writes the row; without it, nothing is deleted.';
comment on column audit_settings.singleton is 'Always true; limits the table to one row.';
comment on column audit_settings.retention_days is 'audit.retention_days of the configuration.';

create table audit_refusals (
    id bytea primary key,
    ends_at timestamptz not null,
    count bigint not null default 0,
    first_at timestamptz,
    last_at timestamptz,
    resources text[] not null default '{}',
    record text
);

comment on table audit_refusals is 'Refused requests of the current hour. The first of a caller, action and code becomes a record at once; the others are counted here and become one record at the end of the hour.';
comment on column audit_refusals.id is 'SHA-256 of actor, action and problem code.';
comment on column audit_refusals.ends_at is 'End of the hour.';
comment on column audit_refusals.count is 'Number of requests without a record of their own.';
comment on column audit_refusals.first_at is 'Time of the first counted request; null if there is none.';
comment on column audit_refusals.last_at is 'Time of the last counted request; null if there is none.';
comment on column audit_refusals.resources is 'At most 20 different paths of the counted requests.';
comment on column audit_refusals.record is 'Text of the last counted request; null if there is none.';

create table audit_strays (
    id bigint generated always as identity primary key,
    found_at timestamptz not null,
    position bigint,
    recorded_at timestamptz not null,
    record json not null,
    hash bytea
);

comment on table audit_strays is 'Rows that were found in the audit tables but were not written by Freehold. They are evidence, and not part of the trail.';
comment on column audit_strays.id is 'Order in which the rows were found.';
comment on column audit_strays.found_at is 'Time at which the row was found and moved here.';
comment on column audit_strays.position is 'Position in audit_records, beyond the head; null for an entry of audit_pending.';
comment on column audit_strays.recorded_at is 'recorded_at or started_at of the row.';
comment on column audit_strays.record is 'Text of the record; for an entry, the entry with its outcome.';
comment on column audit_strays.hash is 'Hash of the record; null for an entry.';

-- Freehold writes no larger entry, because its requests are limited to 64 KiB. Rows of the previous version are not
-- checked.
alter table audit_pending add constraint entry_can_be_chained check (
    pg_column_size(entry) + coalesce(pg_column_size(outcome), 0) <= 150000 and isfinite(started_at)
) not valid;

-- Only the last three functions call the others. They run with the rights of the owner and set the search path, which
-- ends with pg_temp, so that a temporary table of the caller never replaces a table of the trail.

-- Returns the text form of a tenant id, as tenancy/src/ids.rs does.
create function tenant_id_text(id uuid) returns text
language plpgsql immutable strict as $$
declare
    bits bit(130) := B'00' || ('x' || replace(id::text, '-', ''))::bit(128);
    result text := 'ten_';
begin
    for digit in 0..25 loop
        result := result
            || substr('0123456789abcdefghjkmnpqrstvwxyz', substring(bits from digit * 5 + 1 for 5)::integer + 1, 1);
    end loop;
    return result;
end
$$;

-- Returns the text of a record, or null for an entry that Freehold cannot have written: a kind that only these functions
-- write, another shape, an id of another length, or a size far above that of any request.
create function audit_text(entry jsonb, started_at timestamptz, tenant_id uuid, outcome jsonb) returns text
language plpgsql immutable as $$
declare
    fields text := (entry - array['at', 'tenant_id', 'outcome', 'aggregated'])::text;
    result text := coalesce(outcome, '{"result": "unknown"}')::text;
begin
    if coalesce(entry ->> 'kind', '') not in ('api.call', 'aws.call', 'command')
        or coalesce(jsonb_typeof(entry -> 'action'), '') <> 'string' or length(entry ->> 'action') not between 1 and 200
        or coalesce(jsonb_typeof(entry -> 'actor'), '') <> 'object'
        or greatest(octet_length(entry ->> 'request_id'), octet_length(entry ->> 'operation_id'),
            octet_length(outcome ->> 'aws_request_id')) > 256
        or not isfinite(started_at) or octet_length(fields) + octet_length(result) > 1000000
    then
        return null;
    end if;
    return '{"at": "' || to_char(started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '", '
        || substr(fields, 2, length(fields) - 2)
        || coalesce(', "tenant_id": "' || tenant_id_text(tenant_id) || '"', '') || ', "outcome": ' || result || '}';
end
$$;

-- Returns the text of a record that the functions themselves write.
create function audit_own_text(kind text, action text, fields jsonb, at timestamptz) returns text
language sql immutable as $$
    select '{"at": "' || to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '", "kind": "' || kind
        || '", "action": "' || action || '", "actor": {"process": "freehold"}, ' || substr(fields::text, 2, length(fields::text) - 2)
        || ', "outcome": {"result": "succeeded"}}'
$$;

-- Counts a refused request of the API. Returns false if the request needs a record of its own, because it is the first of
-- its caller, action and code in an hour.
create function audit_count_refusal(entry jsonb, outcome jsonb, text text, at timestamptz, now_at timestamptz)
returns boolean language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    key bytea := sha256(convert_to(
        jsonb_build_array(entry -> 'actor', entry -> 'action', outcome -> 'code')::text, 'UTF8'
    ));
    path text := left(entry ->> 'resource', 300);
begin
    insert into audit_refusals (id, ends_at) values (key, now_at + interval '1 hour') on conflict (id) do nothing;
    if found then
        return false;
    end if;
    update audit_refusals r
    set count = r.count + 1, first_at = coalesce(r.first_at, at), last_at = at, record = text,
        resources = case when path is null or cardinality(r.resources) >= 20 or path = any(r.resources)
            then r.resources else r.resources || path end
    where r.id = key;
    return true;
end
$$;

-- Returns the texts of at most 100 counted refusals whose hour has ended, and starts a new hour for those that continue.
create function audit_end_refusals(now_at timestamptz) returns text[]
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    hour record;
    texts text[] := '{}';
begin
    delete from audit_refusals r where r.ends_at <= now_at and r.count = 0;
    for hour in select * from audit_refusals where ends_at <= now_at order by ends_at, id limit 100 loop
        texts := texts || (left(hour.record, -1) || ', "aggregated": ' || jsonb_build_object(
            'count', hour.count,
            'first_at', to_char(hour.first_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'last_at', to_char(hour.last_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'resources', hour.resources
        ) || '}');
        update audit_refusals r
        set ends_at = now_at + interval '1 hour', count = 0, first_at = null, last_at = null, resources = '{}',
            record = null
        where r.id = hour.id;
    end loop;
    return texts;
end
$$;

-- Deletes the records whose retention has ended, a day's worth at a time. Returns the text of the record about it, or null.
create function audit_delete_expired(head_position bigint, now_at timestamptz) returns text
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    expired_at timestamptz;
    through bigint;
    last_hash bytea;
    days integer;
begin
    select retention_days into days from audit_settings;
    -- The time of a record can be an hour early, and that of the caller an hour late.
    expired_at := case when exists (select from installation where kind = 'sandbox') then now_at
        else least(now_at, clock_timestamp()) - interval '1 hour' end - make_interval(days => days);
    if (select recorded_at from audit_records order by position limit 1) < expired_at - interval '1 day' then
        select min(position) - 1 into through from audit_records
        where position <= head_position and recorded_at >= expired_at;
        through := coalesce(through, head_position);
        select hash into last_hash from audit_records where position = through;
        if found then
            delete from audit_records where position <= through;
            update audit_head set dropped_position = through, dropped_hash = last_hash;
            return audit_own_text('audit.dropped', 'dropAuditRecords',
                jsonb_build_object('through', through, 'hash', encode(last_hash, 'hex'), 'retention_days', days), now_at);
        end if;
    end if;
    return null;
end
$$;

-- Moves records beyond the head to audit_strays and chains at most max_entries entries, after poison entries that the
-- caller has moved there. The caller has locked audit_head.
create function audit_append(
    now_at timestamptz, max_entries integer, poison integer, out chained integer, out strays integer
)
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    head audit_head;
    entry record;
    texts text[];
    text text;
    chained_at timestamptz;
begin
    select * into head from audit_head;
    with beyond as (delete from audit_records where position > head.position returning *)
    insert into audit_strays (found_at, position, recorded_at, record, hash)
    select now_at, position, recorded_at, record, hash from beyond order by position;
    get diagnostics strays = row_count;
    strays := strays + poison;
    -- Times never decrease along the chain, so that the oldest records are also the first to expire.
    select greatest(now_at, (select recorded_at from audit_records where position = head.position)) into chained_at;
    if not exists (select from installation where kind = 'sandbox') then
        chained_at := least(chained_at, now_at + interval '2 hours');
    end if;

    texts := audit_end_refusals(now_at);
    chained := poison + cardinality(texts);
    for entry in
        with taken as (
            select id from audit_pending
            where outcome is not null or started_at not between now_at - interval '1 minute' and now_at + interval '1 hour'
            order by id limit max_entries
        ),
        gone as (
            delete from audit_pending p using taken where p.id = taken.id
            returning p.id, p.started_at, p.tenant_id, p.entry, p.outcome
        )
        select * from gone order by id
    loop
        chained := chained + 1;
        text := audit_text(entry.entry, entry.started_at, entry.tenant_id, entry.outcome);
        if text is null then
            strays := strays + 1;
            insert into audit_strays (found_at, recorded_at, record)
            values (now_at, entry.started_at, jsonb_build_object(
                'entry', entry.entry, 'outcome', entry.outcome, 'tenant_id', entry.tenant_id
            )::json);
        elsif entry.entry ->> 'kind' <> 'api.call' or coalesce(entry.outcome ->> 'result', '') <> 'refused'
            or not audit_count_refusal(entry.entry, entry.outcome, text, entry.started_at, now_at)
        then
            texts := array_append(texts, text);
        end if;
    end loop;
    if strays > 0 then
        texts := array_append(texts, audit_own_text('audit.strays', 'quarantineAuditRows',
            jsonb_build_object('count', strays), chained_at));
    end if;
    texts := array_append(texts, audit_delete_expired(head.position, now_at));

    foreach text in array texts loop
        continue when text is null;
        head.position := head.position + 1;
        head.hash := sha256(head.hash || int8send(head.position)
            || int8send((extract(epoch from chained_at) * 1000000)::bigint) || convert_to(text, 'UTF8'));
        insert into audit_records (position, recorded_at, record, hash)
        values (head.position, chained_at, text::json, head.hash);
    end loop;
    update audit_head a
    set position = head.position, hash = head.hash;
end
$$;

-- Moves the first entry that is due to audit_strays. Returns false if there is none.
create function audit_set_aside_entry(now_at timestamptz) returns boolean
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    stray audit_pending;
    text text;
begin
    delete from audit_pending p where p.id = (
        select q.id from audit_pending q
        where q.outcome is not null
            or q.started_at not between now_at - interval '1 minute' and now_at + interval '1 hour'
        order by q.id limit 1
    )
    returning * into stray;
    if not found then
        return false;
    end if;
    begin
        text := json_build_object('entry', left(stray.entry::text, 10000), 'outcome', left(stray.outcome::text, 10000),
            'tenant_id', stray.tenant_id)::text;
    exception
        when others then
            text := '{"entry": "cannot be represented"}';
    end;
    insert into audit_strays (found_at, recorded_at, record) values (now_at, stray.started_at, text::json);
    return true;
end
$$;

-- Moves the counted refusals that are due to audit_strays. Returns their number.
create function audit_set_aside_refusals(now_at timestamptz) returns integer
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    moved integer;
begin
    with gone as (delete from audit_refusals where ends_at <= now_at returning *)
    insert into audit_strays (found_at, recorded_at, record)
    select now_at, coalesce(last_at, now_at), json_build_object('refusals', count, 'text', left(record, 10000)) from gone;
    get diagnostics moved = row_count;
    return moved;
end
$$;

-- Chains at most 1000 entries, and deletes expired records. The texts of records come from audit_pending only, so that a
-- caller can neither supply nor change one. Returns the new head, the number of entries taken and of strays found.
create function audit_chain(
    at timestamptz, out head_position bigint, out head_hash bytea, out chained integer, out strays integer
)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp set lock_timeout = '5s' as $$
declare
    now_at timestamptz := at;
    max_entries integer := 1000;
    -- Batch after a pass without entries, which shows whether a counted refusal is the cause.
    next_max_entries integer;
    attempts_left integer := 5;
    poison integer := 0;
    moved integer;
    pass record;
begin
    if at is null or not isfinite(at) then
        raise exception 'audit_chain needs a time' using errcode = 'null_value_not_allowed';
    end if;
    if not exists (select from installation where kind = 'sandbox') then
        -- A caller must not shorten the retention. The clock of a sandbox is simulated.
        now_at := greatest(
            least(at, clock_timestamp() + interval '1 hour'), clock_timestamp() - interval '1 hour'
        );
    end if;
    chained := 0;
    strays := 0;
    -- The row lock serialises chaining. A transaction that had to wait sees the committed changes in its next statement.
    perform from audit_head for no key update;
    loop
        begin
            select * into pass from audit_append(now_at, max_entries, poison);
            chained := chained + pass.chained;
            strays := strays + pass.strays;
            poison := 0;
            exit when next_max_entries is null;
            if not exists (select from audit_refusals where ends_at <= now_at) then
                max_entries := next_max_entries;
                next_max_entries := null;
            end if;
        exception
            when unique_violation then
                -- A record was inserted beyond the head in the meantime; the next attempt moves it away.
                attempts_left := attempts_left - 1;
                if attempts_left = 0 then
                    raise;
                end if;
            when data_exception or program_limit_exceeded or integrity_constraint_violation then
                -- An entry that cannot be stored as a record must not stop the chain. The batch is halved until the entry
                -- is found.
                if max_entries = 1000 then
                    max_entries := 0;
                    next_max_entries := 500;
                elsif max_entries > 1 then
                    max_entries := max_entries / 2;
                elsif max_entries = 1 then
                    if not audit_set_aside_entry(now_at) then
                        raise;
                    end if;
                    poison := 1;
                    max_entries := 0;
                else
                    moved := audit_set_aside_refusals(now_at);
                    if moved = 0 then
                        raise;
                    end if;
                    poison := poison + moved;
                end if;
        end;
    end loop;
    select h.position, h.hash into head_position, head_hash from audit_head h;
end
$$;

-- Completes an open entry. Returns false if there is none, because the entry was chained as unknown or has an outcome.
create function audit_complete(entry_id bigint, entry_outcome jsonb) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    update audit_pending set outcome = entry_outcome where id = entry_id and outcome is null;
    return found;
end
$$;

-- Returns the stored retention, the number of strays, the start of the oldest entry that is not chained yet, and the time
-- at which the counted refusals of an hour become a record.
create function audit_status(
    out retention_days integer, out strays bigint, out pending_since timestamptz, out refusals_due_at timestamptz
)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select (select s.retention_days from audit_settings s), (select count(*) from audit_strays),
        (select min(p.started_at) from audit_pending p), (select min(r.ends_at) from audit_refusals r)
$$;

-- The owner grants audit_chain, audit_complete and audit_status to the roles of API and worker.
revoke execute on function
    tenant_id_text (uuid),
    audit_text (jsonb, timestamptz, uuid, jsonb),
    audit_own_text (text, text, jsonb, timestamptz),
    audit_count_refusal (jsonb, jsonb, text, timestamptz, timestamptz),
    audit_end_refusals (timestamptz),
    audit_delete_expired (bigint, timestamptz),
    audit_append (timestamptz, integer, integer),
    audit_set_aside_entry (timestamptz),
    audit_set_aside_refusals (timestamptz),
    audit_chain (timestamptz),
    audit_complete (bigint, jsonb),
    audit_status ()
from public;
