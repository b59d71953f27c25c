-- Stores the residency proofs of environments: signed documents that workers write from their observations in AWS.

create table residency_proofs (
    -- Immutable.
    operation_id uuid primary key references operations (id),
    environment_id uuid not null references environments (id),
    observed_at timestamptz not null,
    conforms boolean not null,
    key_id text not null check (char_length(key_id) between 1 and 64),
    jws text not null
);

create index residency_proofs_by_environment on residency_proofs (environment_id, observed_at desc);

comment on table residency_proofs is 'Signed residency proofs of the environments. A proof is never changed; the latest one is served.';
comment on column residency_proofs.operation_id is 'Operation whose worker has made the observations.';
comment on column residency_proofs.environment_id is 'Environment of the proof.';
comment on column residency_proofs.observed_at is 'Time at which the observations started.';
comment on column residency_proofs.conforms is 'Whether the environment was found within its residency.';
comment on column residency_proofs.key_id is 'Thumbprint of the key that has signed the proof (RFC 7638).';
comment on column residency_proofs.jws is 'The document as a compact JWS (RFC 7515).';
