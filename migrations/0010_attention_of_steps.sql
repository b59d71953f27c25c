-- A step that is late asks for a person and goes on looking all the same. So attention belongs to steps: an operation needs
-- a person as long as one of its steps does, and no longer.
alter table operation_steps
    add column attention jsonb check (jsonb_typeof(attention) = 'object'),
    add column blocked_since timestamptz;

-- What was parked by the version before, which knew the operation's attention only.
update operation_steps s
set attention = jsonb_build_object(
    'code', o.attention_code, 'sentence', o.attention_sentence, 'remedies', to_jsonb(o.attention_remedies))
from operations o
where o.id = s.operation_id and s.state = 'parked' and o.attention_code is not null;

comment on column operation_steps.attention is 'Why it needs a person: code, sentence, remedies. Parked steps have it, and late ones, which look on.';
comment on column operation_steps.blocked_since is 'Since when AWS has not let it begin or go on; null where it does.';
