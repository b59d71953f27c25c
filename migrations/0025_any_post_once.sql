-- Every POST takes an Idempotency-Key. What is not written in one transaction with its answer is reserved first, without an
-- answer, so that the same request is not worked on twice at a time.
alter table idempotency_keys
    alter column status drop not null,
    alter column location drop not null,
    alter column response drop not null,
    add constraint answered_or_not check (num_nulls(status, location, response) in (0, 3)) not valid;

comment on table idempotency_keys is 'The answers given under an Idempotency-Key; kept for seven days.';
comment on column idempotency_keys.status is 'The HTTP status of the answer; null while the request is being worked on.';
comment on column idempotency_keys.created_at is 'When the request was accepted, or was last begun.';
