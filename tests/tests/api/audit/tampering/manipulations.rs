//! Manipulations of the audit tables.

/// Statements that compute all hashes again, as an attacker does who knows how records are chained.
pub(super) const REHASH: &str = "do $$ declare previous bytea := (select dropped_hash from audit_head); r record; begin
    for r in select * from audit_records order by position loop
        previous := sha256(previous || int8send(r.position)
            || int8send((extract(epoch from r.recorded_at) * 1000000)::bigint) || convert_to(r.record::text, 'UTF8'));
        update audit_records set hash = previous where position = r.position;
        update audit_head set position = r.position, hash = previous;
    end loop;
end $$;";

/// Manipulations of the database: name, statements, whether the attacker computes all hashes again, and a part of the
/// message.
pub(super) const MANIPULATIONS: &[(&str, &str, bool, &str)] = &[
    (
        "text edited",
        "update audit_records set record = replace(record::text, 'tests', 'other')::json where position = 3",
        false,
        "the record at 3 was edited",
    ),
    (
        "text respaced",
        "update audit_records set record = replace(record::text, ': ', ':')::json where position = 3",
        false,
        "the record at 3 was edited",
    ),
    (
        "tenant replaced",
        "update audit_records set record = jsonb_set(record::jsonb, '{tenant_id}', '\"ten_x\"')::json
        where position = 4",
        false,
        "the record at 4 was edited",
    ),
    (
        "hash edited",
        "update audit_records set hash = sha256('x') where position = 3",
        false,
        "the record at 3 was edited",
    ),
    (
        "time edited",
        "update audit_records set recorded_at = recorded_at - interval '1 microsecond' where position = 3",
        false,
        "the record at 3 was edited",
    ),
    (
        "position edited",
        "update audit_records set position = 100 where position = 3",
        false,
        "position 4 directly follows position 2",
    ),
    (
        "first record deleted",
        "delete from audit_records where position = 1",
        false,
        "position 2 directly follows position 0",
    ),
    (
        "records at the start deleted",
        "delete from audit_records where position <= 3",
        false,
        "position 4 directly follows position 0",
    ),
    (
        "record in the middle deleted",
        "delete from audit_records where position = 5",
        false,
        "position 6 directly follows position 4",
    ),
    ("last record deleted", "delete from audit_records where position = 8", false, "its end was removed"),
    (
        "last records deleted with the head lowered",
        "delete from audit_records where position > 5",
        true,
        "its end was removed",
    ),
    ("all records deleted", "delete from audit_records", false, "its end was removed"),
    (
        "trail emptied with its head",
        "delete from audit_records; update audit_head set position = 0,
        hash = decode(repeat('00', 32), 'hex')",
        false,
        "its end was removed",
    ),
    (
        "record inserted",
        "update audit_records set position = position + 100 where position > 4;
        insert into audit_records select 5, recorded_at, record, hash from audit_records where position = 4;
        update audit_records set position = position - 99 where position > 100",
        false,
        "the record at 5 was edited",
    ),
    (
        "record inserted and hashes computed",
        "update audit_records set position = position + 100 where position > 4;
        insert into audit_records select 5, recorded_at, record, hash from audit_records where position = 4;
        update audit_records set position = position - 99 where position > 100",
        true,
        "was rewritten",
    ),
    (
        "record deleted and hashes computed",
        "delete from audit_records where position = 4;
        update audit_records set position = position + 100 where position > 4;
        update audit_records set position = position - 101 where position > 100",
        true,
        "was rewritten",
    ),
    (
        "records swapped",
        "update audit_records set position = position + 100 where position in (3, 4);
        update audit_records set position = 107 - position where position > 100",
        false,
        "the record at 3 was edited",
    ),
    (
        "records swapped and hashes computed",
        "update audit_records set position = position + 100 where position in (3, 6);
        update audit_records set position = 109 - position where position > 100",
        true,
        "was rewritten",
    ),
    (
        "order reversed",
        "update audit_records set position = position + 100;
        update audit_records set position = 109 - position",
        true,
        "was rewritten",
    ),
    (
        "texts swapped",
        "update audit_records a set record = b.record from audit_records b
        where a.position in (2, 7) and b.position = 9 - a.position",
        false,
        "the record at 2 was edited",
    ),
    (
        "trail rewritten",
        "update audit_records set record = replace(record::text, 'tests', 'other')::json",
        true,
        "was rewritten",
    ),
    (
        "last record rewritten",
        "update audit_records set record = replace(record::text, 'tests', 'other')::json
        where position = 8",
        true,
        "was rewritten",
    ),
    ("times rewritten", "update audit_records set recorded_at = recorded_at - interval '1 day'", true, "was rewritten"),
    (
        "installation replaced",
        "update installation set id = gen_random_uuid()",
        false,
        "the database belongs to installation",
    ),
    (
        "installation replaced and trail rewritten",
        "update installation set id = gen_random_uuid();
        update audit_records set record = replace(record::text, 'tests', 'other')::json",
        true,
        "the database belongs to installation",
    ),
    (
        "trail replaced by one of another installation",
        "update installation set id = gen_random_uuid();
        delete from audit_records where position > 2",
        true,
        "the database belongs to installation",
    ),
    (
        "record beyond the head",
        "insert into audit_records select 9, recorded_at, record, sha256('x')
        from audit_records where position = 8",
        false,
        "1 records are beyond the head",
    ),
    (
        "records far beyond the head",
        "insert into audit_records select position + 1000000, recorded_at, record, hash
        from audit_records",
        false,
        "8 records are beyond the head",
    ),
    (
        "head lowered",
        "update audit_head set position = 6, hash = (select hash from audit_records where position = 6)",
        false,
        "2 records are beyond the head",
    ),
    ("head raised", "update audit_head set position = 9", false, "its end was removed"),
    ("hash of the head edited", "update audit_head set hash = sha256('x')", false, "was rewritten"),
    ("head deleted", "delete from audit_head", false, "no rows returned"),
    (
        "start declared as deleted",
        "update audit_head set dropped_position = 3,
        dropped_hash = (select hash from audit_records where position = 3)",
        false,
        "no record says that the records before it were deleted",
    ),
    (
        "start deleted and declared as deleted",
        "update audit_head set dropped_position = 3,
        dropped_hash = (select hash from audit_records where position = 3);
        delete from audit_records where position <= 3",
        false,
        "no record says that the records before it were deleted",
    ),
    (
        "hash of the deleted start edited",
        "update audit_head set dropped_hash = sha256('x')",
        false,
        "the record at 1 was edited",
    ),
    (
        "deletion forged in a pending entry",
        "update audit_head set dropped_position = 3,
        dropped_hash = (select hash from audit_records where position = 3);
        delete from audit_records where position <= 3;
        insert into audit_pending (started_at, entry, outcome) select '2026-01-01', jsonb_build_object(
            'kind', 'audit.dropped', 'action', 'dropAuditRecords', 'actor', '{}'::jsonb, 'through', 3,
            'hash', encode(dropped_hash, 'hex')), '{}' from audit_head",
        false,
        "no record says that the records before it were deleted",
    ),
    (
        "deletion forged in a record",
        "update audit_records set record = json_build_object('kind', 'audit.dropped',
            'through', 3, 'hash', (select encode(hash, 'hex') from audit_records where position = 3))
        where position = 8; update audit_head set dropped_position = 3,
            dropped_hash = (select hash from audit_records where position = 3);
        delete from audit_records where position <= 3",
        true,
        "was rewritten",
    ),
    (
        "retention shortened",
        "insert into audit_settings (retention_days) values (1)",
        false,
        "deletes records after 1 days, not after 2562",
    ),
    (
        "retention shortened and records deleted",
        "insert into audit_settings (retention_days) values (1);
        insert into audit_pending (started_at, entry, outcome) select now(), '{\"kind\": \"command\", \"action\": \"x\",
            \"actor\": {}}', '{}'",
        false,
        "were deleted too early",
    ),
    (
        "kind forged in a pending entry",
        "insert into audit_pending (started_at, entry, outcome)
        values (now(), '{\"kind\": \"audit.strays\", \"action\": \"x\", \"actor\": {}}', '{}')",
        false,
        "1 rows that it did not write",
    ),
    (
        "pending entry without kind",
        "insert into audit_pending (started_at, entry, outcome) values (now(), '{}', '{}')",
        false,
        "1 rows that it did not write",
    ),
];
