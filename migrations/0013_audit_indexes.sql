-- Makes the audit trail searchable. While an index is built, only the process that chains entries waits.

-- An index cannot store a long text, so that each contains the beginning of one. A search also compares the whole text.
create index audit_records_by_time on audit_records (recorded_at, position);
create index audit_records_by_action on audit_records (left(record ->> 'action', 256), position);
create index audit_records_by_actor
    on audit_records (left(coalesce(record -> 'actor' ->> 'subject', record -> 'actor' ->> 'process'), 256), position);
create index audit_records_by_client on audit_records (left(record -> 'actor' ->> 'client', 256), position)
    where record -> 'actor' ->> 'client' is not null;
create index audit_records_by_operation on audit_records (left(record ->> 'operation_id', 256), position)
    where record ->> 'operation_id' is not null;
create index audit_records_by_request on audit_records (left(record ->> 'request_id', 256), position)
    where record ->> 'request_id' is not null;
create index audit_records_by_aws_request on audit_records (left(record -> 'outcome' ->> 'aws_request_id', 256), position)
    where record -> 'outcome' ->> 'aws_request_id' is not null;
create index audit_records_by_outcome_id on audit_records using gin (((record -> 'outcome' -> 'ids')::jsonb));
