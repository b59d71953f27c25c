"""Sign up a tenant, wait until it is ready, and print its AWS account.

Usage: FREEHOLD_API_URL=http://127.0.0.1:8080 FREEHOLD_TOKEN=… python sign_up.py COMPANY EMAIL REGION

The package freehold_client is generated from openapi/openapi.json: see examples/README.md.
"""

import os
import sys
import uuid

from freehold_client import AuthenticatedClient
from freehold_client.api.account_mappings import list_account_mappings
from freehold_client.api.events import list_events
from freehold_client.api.tenants import create_tenant
from freehold_client.models import AccountMappingPage, FeedEventPage, Signup, Tenant
from freehold_client.types import UNSET

TYPES = "tenant.onboarding.succeeded,tenant.onboarding.needs_attention"


def sign_up(client: AuthenticatedClient, company: str, email: str, region: str) -> Tenant:
    # The key makes the signup safe to repeat: store it before you send the request.
    key = str(uuid.uuid4())
    signup = Signup(company_name=company, admin_email=email, home_region=region)
    tenant = create_tenant.sync(client=client, body=signup, idempotency_key=key)
    if not isinstance(tenant, Tenant):
        sys.exit(f"the signup was refused: {tenant}")
    return tenant


def wait_until_ready(client: AuthenticatedClient, tenant: str) -> None:
    # Without `after`, the feed begins with the oldest event. Each request waits for an event for at most 20 seconds.
    after = UNSET
    while True:
        page = list_events.sync(client=client, tenant=tenant, types=TYPES, wait=20, after=after)
        if not isinstance(page, FeedEventPage):
            sys.exit(f"the events cannot be read: {page}")
        after = page.next_after
        for event in page.events:
            if event.type_ == "tenant.onboarding.succeeded":
                return
            print(f"tenant {tenant} needs attention: tell support", file=sys.stderr)


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} COMPANY EMAIL REGION")
    url, token = os.environ["FREEHOLD_API_URL"], os.environ["FREEHOLD_TOKEN"]
    with AuthenticatedClient(base_url=url, token=token, timeout=60) as client:
        tenant = sign_up(client, *sys.argv[1:])
        print(f"tenant {tenant.id}: onboarding", file=sys.stderr)
        wait_until_ready(client, tenant.id)
        page = list_account_mappings.sync(client=client, tenant=tenant.id)
        if not isinstance(page, AccountMappingPage):
            sys.exit(f"the account mappings cannot be read: {page}")
        for mapping in page.account_mappings:
            print(mapping.aws_account_id, mapping.environment, mapping.home_region)


if __name__ == "__main__":
    main()
