#!/usr/bin/env bash
# Makes the root file system of the production image from Debian packages, the program and your configuration.
#
#     cp freehold.example.toml freehold.toml      # then edit it; keep secrets out of it
#     deploy/image/build.sh --config freehold.toml --rds-ca global-bundle.pem
#
# Needs Debian with mmdebstrap, Python and Rust. apt checks the signatures of all packages with the keys of the package
# debian-archive-keyring. Run it as root, or where mmdebstrap can use user namespaces (package uidmap).
#
#   --config FILE   configuration, becomes /etc/freehold/freehold.toml
#   --rds-ca FILE   certificates of Amazon RDS, become /etc/freehold/rds.pem. Keep the file beside your configuration
#                   under version control, so that each build has the certificates that you reviewed. Another PostgreSQL
#                   does not need them.
#   --binary FILE   program to install [default: build it]
#   --suite NAME    Debian release of the packages [default: that of this machine]. The program must run with its glibc.
#   --output DIR    directory for root.tar and the SBOM [default: target/image]
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)

fail() { echo "build.sh: $*" >&2; exit 1; }

config='' rds_ca='' binary='' suite='' output=$source/target/image
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "$1 needs a value"
    case $1 in
        --config) config=$2 ;;
        --rds-ca) rds_ca=$2 ;;
        --binary) binary=$2 ;;
        --suite) suite=$2 ;;
        --output) output=$2 ;;
        *) fail "unknown option $1; the comment in this file lists the options" ;;
    esac
    shift 2
done
[ -f "$config" ] || fail "--config must name your freehold.toml"
# An image is copied to places that must not know the secrets.
python3 - "$config" <<'PYTHON' || fail "$config must not contain secrets; set them as FREEHOLD_… variables of the task"
import sys, tomllib, urllib.parse
config = tomllib.load(open(sys.argv[1], "rb"))
secrets = [
    ("secrets", "key"),
    ("secrets", "old_keys"),
    ("audit", "signing_key"),
    ("proof", "signing_key"),
    ("database", "api_password"),
    ("database", "worker_password"),
    ("organization", "control_role_external_id"),
]
found = [f"{field} of [{section}]" for section, field in secrets if config.get(section, {}).get(field)]
url = urllib.parse.urlsplit(config.get("database", {}).get("url", ""))
if url.password or "password" in urllib.parse.parse_qs(url.query):
    found.append("the password in url of [database]")
print("".join(f"{field}\n" for field in found), end="", file=sys.stderr)
sys.exit(bool(found))
PYTHON
if [ -n "$rds_ca" ]; then
    grep -q 'BEGIN CERTIFICATE' "$rds_ca" || fail "--rds-ca must name certificates in PEM format"
    ! grep -q 'PRIVATE KEY' "$rds_ca" || fail "--rds-ca must not contain a private key"
fi
command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: apt-get install mmdebstrap"
if [ -z "$suite" ]; then
    # shellcheck disable=SC1091
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ -n "$suite" ] || fail "--suite must name a Debian release"
fi
if [ -z "$binary" ]; then
    (cd "$source" && cargo build --release --locked -p freehold --no-default-features)
    binary=${CARGO_TARGET_DIR:-$source/target}/release/freehold
fi
[ -x "$binary" ] || fail "--binary must name a program, not $binary"

# The same commit and the same Debian packages give the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$source" log -1 --format=%ct 2>/dev/null)} ||
    fail "set SOURCE_DATE_EPOCH to the time of the release in seconds, because $source is no checkout of git"
export SOURCE_DATE_EPOCH
mkdir -p "$output"
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
# A user namespace of mmdebstrap must be able to read the files.
chmod 0755 "$staging"
install -m 0755 "$binary" "$staging/freehold"
install -m 0644 "$config" "$staging/freehold.toml"
[ -z "$rds_ca" ] || install -m 0644 "$rds_ca" "$staging/rds.pem"
cp "$source/deploy/image/fill_root.sh" "$staging/"

# The hook extracts a few packages and runs none of their scripts. mmdebstrap runs the hook only if it extracts a
# package itself.
FREEHOLD_IMAGE_STAGING=$staging mmdebstrap --variant=extract --include=libc6 --skip=cleanup,output/dev \
    --extract-hook="$staging/fill_root.sh" "$suite" - >"$output/root.tar" 2>"$output/mmdebstrap.log" ||
    { cat "$output/mmdebstrap.log" >&2; fail "mmdebstrap failed"; }

tar -xf "$output/root.tar" -O --wildcards './var/lib/dpkg/status.d/*' >"$staging/status"
sbom=usr/share/freehold/freehold.cdx.json
mkdir -p "$staging/add/${sbom%/*}"
"$source/deploy/sbom.py" --binary "$binary" --dpkg-status "$staging/status" >"$staging/add/$sbom"
chmod 0644 "$staging/add/$sbom"
tar -rf "$output/root.tar" -C "$staging/add" --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "./$sbom"
cp "$staging/add/$sbom" "$output/"
cp "$source/deploy/image/Containerfile" "$output/Containerfile"

[ -z "$rds_ca" ] || sha256sum "$rds_ca"
sha256sum "$output/root.tar"
echo "Next: podman build --format docker -t freehold $output   (or: docker build -t freehold $output)"
echo "Push the image, and deploy it by the digest that the registry reports."
