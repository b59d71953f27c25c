-- Reads the alarms of environments in the bake, and keeps the reason of a promotion with its wave.

alter table rollout_waves add column promotion_reason text;

comment on column rollout_waves.promotion_reason is 'Reason of the promotion that ended the bake early; null without one.';

alter table rollout_members
    add column alarms_due_at timestamptz,
    add column alarms_read_at timestamptz;

comment on column rollout_members.alarms_due_at is 'Time from which a worker reads the alarms of the environment again in the bake; null before the first read.';
comment on column rollout_members.alarms_read_at is 'Time at which the alarms of the environment were last read and none fired; null before.';
