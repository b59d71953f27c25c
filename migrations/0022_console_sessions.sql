-- Records who is signed in to the console.

create table console_sessions (
    id_sha256 bytea primary key check (octet_length(id_sha256) = 32),
    issuer text not null,
    subject text not null,
    client text not null,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz not null
);

create index console_sessions_by_end on console_sessions (expires_at);

comment on table console_sessions is 'Sessions of people in the console.';
comment on column console_sessions.id_sha256 is 'Hash of the session id, which only the cookie of the browser contains.';
comment on column console_sessions.issuer is 'Issuer of the access token with which the session began.';
comment on column console_sessions.subject is 'Person, as in the access token.';
comment on column console_sessions.client is 'Client id of the console, as in the access token.';
comment on column console_sessions.scopes is 'Scopes of the person, from the access token and the roles in it.';
comment on column console_sessions.created_at is 'Time of the sign-in.';
comment on column console_sessions.expires_at is 'End of the session, in real time: that of the access token, at most nine hours after the sign-in.';
