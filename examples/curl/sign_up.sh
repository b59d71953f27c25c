#!/usr/bin/env bash
# Signs up a tenant, waits until it is ready, and prints its AWS account. Needs curl and jq.
#
# Usage: FREEHOLD_API_URL=http://127.0.0.1:8080 FREEHOLD_TOKEN=… examples/curl/sign_up.sh COMPANY EMAIL REGION
set -euo pipefail

[ $# = 3 ] || { echo "usage: $0 COMPANY EMAIL REGION" >&2; exit 2; }
: "${FREEHOLD_API_URL:?must be the URL of the API}" "${FREEHOLD_TOKEN:?must be an access token}"
company=$1 email=$2 region=$3

# Sends a request. The token is read from a file descriptor, because all users of a machine see command lines.
api() {
    local path=$1
    shift
    curl --silent --show-error --fail-with-body --max-time 60 "$@" \
        --header @<(printf 'Authorization: Bearer %s\n' "$FREEHOLD_TOKEN") "$FREEHOLD_API_URL$path"
}

# The key makes the signup safe to repeat: store it before you send the request.
key=$(uuidgen 2>/dev/null || cat /proc/sys/kernel/random/uuid)
signup=$(jq --null-input --arg company "$company" --arg email "$email" --arg region "$region" \
    '{company_name: $company, admin_email: $email, home_region: $region}')
response=$(api /v1/tenants --retry 3 --header "Idempotency-Key: $key" \
    --header 'Content-Type: application/json' --data "$signup") ||
    { echo "the signup was refused: $response" >&2; exit 1; }
tenant=$(jq --raw-output .id <<<"$response")
echo "tenant $tenant: onboarding" >&2

# Each request waits for an event for at most 20 seconds. Without `after`, the feed begins with the oldest event.
types=tenant.onboarding.succeeded,tenant.onboarding.needs_attention
after=
while true; do
    page=$(api "/v1/events?tenant=$tenant&types=$types&wait=20${after:+&after=$after}" --retry 3) ||
        { echo "the events cannot be read: $page" >&2; exit 1; }
    after=$(jq .next_after <<<"$page")
    is_ready=
    while read -r type; do
        case $type in
            tenant.onboarding.succeeded) is_ready=1 ;;
            tenant.onboarding.needs_attention) echo "tenant $tenant needs attention: tell support" >&2 ;;
        esac
    done < <(jq --raw-output '.events[].type' <<<"$page")
    [ -z "$is_ready" ] || break
done

mappings=$(api "/v1/account-mappings?tenant=$tenant") ||
    { echo "the account mappings cannot be read: $mappings" >&2; exit 1; }
jq --raw-output '.account_mappings[] | "\(.aws_account_id) \(.environment) \(.home_region)"' <<<"$mappings"
