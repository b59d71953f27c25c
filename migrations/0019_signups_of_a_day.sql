-- How many a client has signed up in the last 24 hours is asked at each signup.
create index idempotency_keys_of_a_day on idempotency_keys (issuer, client, route, created_at desc);
