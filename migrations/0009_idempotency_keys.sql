-- The answer that a signup got, so that the same request gets the same answer.
create table idempotency_keys (
    issuer text not null,
    client text not null,
    route text not null,
    key text not null check (char_length(key) between 1 and 255),
    request_hash bytea not null check (octet_length(request_hash) = 32),
    status smallint not null,
    location text not null,
    response json not null,
    created_at timestamptz not null,
    primary key (issuer, client, route, key)
);

comment on table idempotency_keys is 'The answers given under an Idempotency-Key; written in the commit of the change itself.';
comment on column idempotency_keys.issuer is 'Who issued the token of the caller.';
comment on column idempotency_keys.client is 'Which client of that issuer asked.';
comment on column idempotency_keys.route is 'Method and path of the route.';
comment on column idempotency_keys.key is 'The key, without quotes.';
comment on column idempotency_keys.request_hash is 'SHA-256 of the request body in canonical form.';
comment on column idempotency_keys.status is 'The HTTP status of the answer.';
comment on column idempotency_keys.location is 'The Location header of the answer.';
comment on column idempotency_keys.response is 'The body of the answer, to the letter.';
comment on column idempotency_keys.created_at is 'When the request was accepted.';
