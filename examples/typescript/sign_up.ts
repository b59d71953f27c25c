// Signs up a tenant, waits until it is ready, and prints its AWS account.
//
// Usage: FREEHOLD_API_URL=http://127.0.0.1:8080 FREEHOLD_TOKEN=… node sign_up.js COMPANY EMAIL REGION
//
// The module freehold-api is generated from openapi/openapi.json: see examples/README.md.

import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { paths } from "./freehold-api.js";

const TYPES = "tenant.onboarding.succeeded,tenant.onboarding.needs_attention";

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

const [company, email, region] = process.argv.slice(2);
if (!company || !email || !region) fail("usage: node sign_up.js COMPANY EMAIL REGION");
const { FREEHOLD_API_URL: baseUrl, FREEHOLD_TOKEN: token } = process.env;
if (!baseUrl || !token) fail("FREEHOLD_API_URL must be the URL of the API, and FREEHOLD_TOKEN an access token");

const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

// The key makes the signup safe to repeat: store it before you send the request.
const key = randomUUID();
const { data: tenant, error: refusal } = await client.POST("/v1/tenants", {
  params: { header: { "Idempotency-Key": key } },
  body: { company_name: company, admin_email: email, home_region: region },
});
// With `dry_run`, the response would be a preview, which has no id.
if (!tenant || !("id" in tenant)) fail(`the signup was refused: ${JSON.stringify(refusal)}`);
console.error(`tenant ${tenant.id}: onboarding`);

// Without `after`, the feed begins with the oldest event. Each request waits for an event for at most 20 seconds.
let after: number | undefined;
let isReady = false;
while (!isReady) {
  const { data: page, error } = await client.GET("/v1/events", {
    params: { query: { tenant: tenant.id, types: TYPES, wait: 20, after } },
  });
  if (!page) fail(`the events cannot be read: ${JSON.stringify(error)}`);
  after = page.next_after;
  for (const event of page.events) {
    if (event.type === "tenant.onboarding.succeeded") isReady = true;
    else console.error(`tenant ${tenant.id} needs attention: tell support`);
  }
}

const { data: page, error } = await client.GET("/v1/account-mappings", { params: { query: { tenant: tenant.id } } });
if (!page || typeof page === "string" || !("account_mappings" in page)) {
  fail(`the account mappings cannot be read: ${JSON.stringify(error)}`);
}
for (const mapping of page.account_mappings) {
  console.log(mapping.aws_account_id, mapping.environment, mapping.home_region);
}
