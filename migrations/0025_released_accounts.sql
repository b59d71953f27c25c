-- Records the state of AWS accounts after the end of their mapping: an account costs money until it is closed.

create table released_accounts (
    aws_account_id text primary key check (aws_account_id ~ '^[0-9]{12}$'),
    state text not null check (state in ('released_active', 'closing', 'closed', 'suspended', 'left_organization')),
    state_since timestamptz not null,
    seen_at timestamptz not null check (seen_at >= state_since)
);

comment on table released_accounts is 'State in AWS of the accounts that no longer belong to an environment, as Freehold saw it last.';
comment on column released_accounts.aws_account_id is 'Account whose mapping has ended.';
comment on column released_accounts.state is 'Last known state. A closed account stays closed when AWS no longer lists it.';
comment on column released_accounts.state_since is 'Time at which Freehold first saw the account in this state.';
comment on column released_accounts.seen_at is 'Time at which Freehold last saw it in this state: at the end of the offboarding, then at each comparison with AWS.';

-- Accounts that are released already. The comparison with AWS corrects what has changed since then.
insert into released_accounts (aws_account_id, state, state_since, seen_at)
select m.aws_account_id, case when bool_or(o.id is not null) then 'closed' else 'released_active' end,
    max(m.valid_to), max(m.valid_to)
from account_mappings m left join operations o
    on o.environment_id = m.environment_id and o.kind = 'offboard' and o.state = 'succeeded'
    and (o.input ? 'account_closed' or exists (
        select from operation_steps s
        where s.operation_id = o.id and s.name = 'await-closure' and s.facts ? 'took_seconds'))
where m.valid_to is not null
group by m.aws_account_id;
