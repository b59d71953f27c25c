# A private PostgreSQL with the project's tables, for checking SQL at compile time. Sourced by .ci/run and by `just sqlx`.
#
#     start_database     # sets database_url
#     stop_database      # stops the server and deletes its data

# Prints the directory with initdb and postgres.
server_binaries() {
    local directory
    for directory in $(ls -dr --sort=version /usr/lib/postgresql/*/bin 2>/dev/null) $(pg_config --bindir 2>/dev/null); do
        [ -x "$directory/initdb" ] && [ -x "$directory/postgres" ] && echo "$directory" && return
    done
    return 1
}

# PostgreSQL refuses to run as root.
as_server() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

start_database() {
    local bin migration
    bin=$(server_binaries)
    server=$(mktemp -d "${TMPDIR:-/tmp}/freehold-postgres-XXXXXX")
    [ "$(id -u)" != 0 ] || chown postgres: "$server"
    cd "$server"
    as_server "$bin/initdb" -D "$server/data" -U freehold -A reject -E UTF8 --locale=C --no-sync >/dev/null
    # Only the current user may connect; the kernel tells PostgreSQL who connects.
    echo 'local all all peer map=owner' >"$server/data/pg_hba.conf"
    echo "owner $(id -un) freehold" >"$server/data/pg_ident.conf"
    # The server listens on a private socket in its own private directory only: no port conflict, no password.
    as_server "$bin/pg_ctl" -D "$server/data" -l "$server/log" -w \
        -o "-c listen_addresses='' -c unix_socket_directories='$server' -c unix_socket_permissions=0700 -c fsync=off" start >/dev/null
    cd - >/dev/null
    "$bin/createdb" -h "$server" -U freehold freehold
    for migration in migrations/*.sql; do
        "$bin/psql" -h "$server" -U freehold -d freehold -X -q -v ON_ERROR_STOP=1 -1 -f "$migration"
    done
    database_url="postgres://freehold@localhost/freehold?host=$(printf %s "$server" | sed 's,/,%2F,g')"
}

stop_database() {
    [ -n "${server:-}" ] || return 0
    (cd / && as_server "$(server_binaries)/pg_ctl" -D "$server/data" -m immediate -w stop >/dev/null 2>&1) || true
    rm -rf "$server"
    server=
}
