# Shortcuts for development; https://just.systems runs them. CONTRIBUTING.md shows the same commands without just.

# List the recipes
default:
    @just --list --unsorted

# Check formatting and lints
check:
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings

# Run all tests, or those whose path contains FILTER: just test api::signup
test *FILTER:
    cargo test --workspace {{ if FILTER == "" { "" } else { "--test main -- " + FILTER } }}

# Run the whole gate, as CI does
ci:
    .ci/run

# Regenerate .sqlx after a change of SQL or of a migration, against a temporary private PostgreSQL
sqlx:
    #!/usr/bin/env bash
    set -euo pipefail
    . .ci/postgres.sh
    queries=$(mktemp -d)
    trap 'stop_database; rm -rf "$queries"' EXIT
    start_database
    # The macros run, and write their descriptions, only if the crate is compiled again.
    touch tenancy/src/lib.rs
    DATABASE_URL=$database_url SQLX_OFFLINE_DIR=$queries cargo check --workspace --all-targets
    rm -rf .sqlx
    mkdir .sqlx
    cp "$queries"/* .sqlx/
    touch tenancy/src/lib.rs
    git status --short .sqlx

# Regenerate openapi/openapi.json after a change of a route or schema
openapi:
    cargo run --quiet -- openapi > target/openapi.json
    mv target/openapi.json openapi/openapi.json

# Regenerate docs/scenarios.md and docs/attention-codes.md
docs:
    UPDATE_DOCS=1 cargo test --workspace --test main -- scenarios::table remedies::attention_codes

# Accept changed snapshots of the tests that FILTER selects; review the diff afterwards
snapshots *FILTER:
    INSTA_UPDATE=always cargo test --workspace {{ if FILTER == "" { "" } else { "--test main -- " + FILTER } }}
    git status --short tests

# Fuzz one TARGET (cargo fuzz list) for SECONDS; needs cargo-fuzz
fuzz TARGET SECONDS="600":
    mkdir -p fuzz/corpus/{{ TARGET }}
    cargo fuzz run -s none --dev {{ TARGET }} fuzz/corpus/{{ TARGET }} fuzz/seeds/{{ TARGET }} -- -max_total_time={{ SECONDS }}

# Run a benchmark: onboarding, rollout, api, crash, attack or front_door; just bench crash --help shows its options
bench NAME *ARGS:
    cargo bench --workspace --bench {{ NAME }} {{ if ARGS == "" { "" } else { "-- " + ARGS } }}

# Check advisories, licences, sources and bans of dependencies (deny.toml); needs cargo-deny and the internet
deny:
    cargo deny --locked check
    cargo deny --manifest-path fuzz/Cargo.toml --config deny.toml --locked check advisories

# Write the software bill of materials of a production build to target/freehold.cdx.json (CycloneDX 1.6)
sbom *ARGS:
    mkdir -p target
    deploy/sbom.py {{ ARGS }} > target/freehold.cdx.json

# Make the root file system of the production image with your CONFIG; needs mmdebstrap
image CONFIG *ARGS:
    deploy/image/build.sh --config {{ CONFIG }} {{ ARGS }}

# Regenerate tests/requirements.txt, the hashes of the tests' Python packages; `just requirements --upgrade` updates them
requirements *ARGS:
    target/venv/bin/python tests/requirements.py {{ ARGS }}

# Regenerate AWS's limits in tenancy/src/aws after an update of tests/requirements.txt
constraints:
    target/venv/bin/python tenancy/aws/generate.py
    target/venv/bin/python sandbox/aws/managed_policies.py
    git status --short tenancy/src/aws
