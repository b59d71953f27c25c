-- Shows outages: whether each running worker can call AWS, and AWS's ids of the requests that failed.

create table workers (
    id uuid primary key,
    name text not null,
    checked_at timestamptz not null,
    aws_failing_since timestamptz,
    aws_error text,
    constraint aws_error_has_time check ((aws_failing_since is null) = (aws_error is null))
);

comment on table workers is 'Running workers, each with the result of its last check of its AWS credentials.';
comment on column workers.id is 'Id of the process; a restarted worker has another one.';
comment on column workers.name is 'Name of the worker, as in claims and logs; need not be unique.';
comment on column workers.checked_at is 'Time of the last check in real time, because the clock of a sandbox may run faster. An old row belongs to a worker that died.';
comment on column workers.aws_failing_since is 'Time of the first failed check since the last successful one, on the clock of the installation; null while checks succeed.';
comment on column workers.aws_error is 'Reason why the worker cannot call AWS; null while checks succeed.';

alter table operation_steps add column last_error_aws_request_id text;
alter table operations add column attention_aws_request_id text;

comment on column operation_steps.last_error_aws_request_id is 'AWS''s id of the request that caused last_error; null if no request to AWS caused it.';
comment on column operations.attention_aws_request_id is 'AWS''s id of the request that caused the attention; null if no request to AWS caused it.';
