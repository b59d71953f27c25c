-- A tier may want another person's word before an account is spent on a signup.
alter table approvals drop constraint approvals_action_check;
alter table approvals add constraint approvals_action_check check (action in ('vend', 'adopt', 'correct', 'close'));

comment on column approvals.action is
    'What is to be done: vend an account, adopt one, correct a value, close the account.';
