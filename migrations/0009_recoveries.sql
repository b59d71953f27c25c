-- Records the recoveries of a restored database.

create table recoveries (
    feed_position bigint primary key,
    previous_feed_position bigint not null check (previous_feed_position < feed_position),
    recovered_at timestamptz not null,
    recovered_by jsonb not null check (jsonb_typeof(recovered_by) = 'object'),
    database_identity text not null
);

comment on table recoveries is 'Recoveries after the restore of an older database, by `freehold recover`.';
comment on column recoveries.feed_position is 'Latest feed position after the recovery. The positions between the two were skipped, so that none is used twice.';
comment on column recoveries.previous_feed_position is 'Latest feed position before the recovery.';
comment on column recoveries.recovered_at is 'Time of the recovery.';
comment on column recoveries.recovered_by is 'Process that recovered, as issuer and subject.';
comment on column recoveries.database_identity is 'Cluster, timeline and database. A restore changes it, so that a later restore is recognised.';
