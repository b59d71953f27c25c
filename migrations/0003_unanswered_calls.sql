-- Counts a call that needs a slot of a quota when AWS has answered it, so that no call reaches AWS before its token.

alter table aws_call_rates add column unanswered timestamptz[] not null default '{}';

comment on column aws_call_rates.unanswered is 'Times of the calls that AWS has not answered yet, oldest first; only for calls that need a slot of a quota.';
