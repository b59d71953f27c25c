//! Privileges of API and worker on each table, view and function.
//!
//! A privilege is `select`, `insert`, `update`, `delete` or `execute`. `update(a, b)` is limited to these columns, and
//! `update except(a, b)` to all others, including those that a later migration adds. A lock of a row (`for update`)
//! needs the privilege to update any column. Foreign keys and cascades need no privilege. Nothing else is granted.

/// Name of the object, privileges of the API, privileges of the worker.
pub(super) type Grants = (&'static str, &'static str, &'static str);

/// The tables and views. A new table needs a line here.
#[rustfmt::skip]
pub(super) const TABLES: &[Grants] = &[
    ("_sqlx_migrations", "select", "select"),
    ("accepted_accounts", "select, insert, update(accepted_at)", "select(accepted_at), delete"),
    ("access_grants",
        "select",
        "select, insert, update except(id, tenant_id, environment_id, aws_account_id)"),
    ("account_mappings",
        "select, update(opened_at_position, closed_at_position)",
        "select, insert, update(valid_to, opened_at_position, closed_at_position)"),
    // Only the API decides, and a worker cannot insert an approval that is already decided.
    ("approvals",
        "select, insert except(decided_by, decided_at), update(state, decided_by, decided_at, reason, expired)",
        "select, insert except(decided_by, decided_at)"),
    // Functions of the owner chain the entries, complete them, and delete expired records.
    ("audit_head", "select", "select"),
    ("audit_pending",
        "select, insert(started_at, tenant_id, entry, outcome)",
        "select, insert(started_at, tenant_id, entry, outcome)"),
    ("audit_records", "select", "select"),
    ("audit_refusals", "", ""),
    ("audit_settings", "", ""),
    ("audit_strays", "", ""),
    ("aws_call_rates", "select", "select, insert, update"),
    // Only the API sets a freeze or ends it.
    ("change_freeze", "select, update", "select"),
    ("console_sessions", "select, insert, delete", ""),
    ("default_release", "select, update", "select, update"),
    ("degraded_environments", "select", "select"),
    // A worker cannot add a front door: the API checks that the residency allows it.
    ("environment_front_doors",
        "select, insert, update(state, since)",
        "select, update except(environment_id, created_at), delete"),
    // A worker cannot add a replica: the API checks its region.
    ("environment_replicas",
        "select, insert, update(leaving_at, since)",
        "select, update(region, state, since, message, url, ready_at), delete"),
    ("environment_pins", "select, insert, update, delete", "select, delete"),
    ("environment_stacks",
        "select",
        "select, insert, update except(environment_id, kind, region), delete"),
    ("environments",
        "select, insert, update except(id, tenant_id, name, residency, home_region, created_at)",
        "select, update except(id, tenant_id, name, residency, created_at)"),
    ("events", "select, insert", "select, insert"),
    ("feed", "select, insert, delete", "select, insert, delete"),
    ("feed_head", "select, update(position)", "select, update(position)"),
    ("feed_pending", "select, insert, delete", "select, insert, delete"),
    ("findings",
        "select",
        "select, insert, update except(id, kind, subject, aws_account_id, tenant_id, environment_id, first_seen_at)"),
    ("fleet_holds", "select", "select, insert, update, delete"),
    // A worker deletes expired keys, and erases an e-mail address in the response of a signup.
    ("idempotency_keys",
        "select, insert, update, delete",
        "select(created_at, location, response), update(response), delete"),
    ("installation", "select", "select"),
    ("operation_steps",
        "select, update except(operation_id, name)",
        "select, insert, update except(operation_id, name)"),
    // A worker cannot waive an approval.
    ("operations",
        "select, insert, update except(id, tenant_id, environment_id, kind, requested_by, created_at)",
        "select, insert except(approval_required, started_by_tenant), \
            update except(id, tenant_id, environment_id, kind, requested_by, created_at, approval_required, \
            started_by_tenant)"),
    ("reconciler", "", "select, insert, update"),
    // Only `freehold recover` uses this table, as the owner.
    ("recoveries", "", ""),
    ("released_accounts", "select", "select, insert, update(state, state_since, seen_at)"),
    // A worker can register only the release of the configuration, and approves none.
    ("releases",
        "select, insert, update(approved_by, approved_at)",
        "select, insert except(approved_by, approved_at), update(state, problems, declared_parameters, checked_at)"),
    // Neither process can change a proof, and the API cannot write one.
    ("residency_proofs", "select", "select, insert"),
    // Neither process can change the membership of a rollout.
    ("rollout_members",
        "select, insert, update except(rollout_id, environment_id, wave, position, previous_release_id)",
        "select, insert, update except(rollout_id, environment_id, wave, position, previous_release_id)"),
    ("rollout_waves", "select, insert, update", "select, insert, update except(approved_by, approved_at)"),
    ("rollouts", "select, insert, update", "select, update"),
    // Triggers write the entries.
    ("search_entries", "select", ""),
    ("shared_polls", "select", "select, insert, update"),
    ("slots", "select, update, delete", "select, insert, update, delete"),
    // A worker can lift neither a legal hold nor a suspension.
    ("suspended_environments", "select", "select"),
    ("tenants",
        "select, insert, update except(id, created_at)",
        "select, update(admin_email, former_admin_emails, updated_at)"),
    ("vending_pause", "select, insert, update, delete", "select"),
    ("webhook_attempts", "select", "select, insert"),
    // The API locks the row, but never moves the cursor.
    ("webhook_cursor", "select, update(singleton)", "select, update(position)"),
    ("webhook_deliveries",
        "select, insert, update(state, tries, started_at, next_attempt_at)",
        "select, insert, update, delete"),
    // A worker cannot change the destination of deliveries.
    ("webhook_endpoints",
        "select, insert, update, delete",
        "select, update(secret, previous_secret, previous_secret_until, disabled_at, disabled_reason, failing_since, \
            paused_until, updated_at)"),
    ("workers", "select", "select, insert, update, delete"),
];

/// The functions. A new function needs a line here. A trigger needs no privilege to execute its function.
#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Grants] = &[
    ("audit_append", "", ""),
    ("audit_chain", "execute", "execute"),
    ("audit_complete", "execute", "execute"),
    ("audit_count_refusal", "", ""),
    ("audit_delete_expired", "", ""),
    ("audit_end_refusals", "", ""),
    ("audit_own_text", "", ""),
    ("audit_set_aside_entry", "", ""),
    ("audit_set_aside_refusals", "", ""),
    ("audit_status", "execute", "execute"),
    ("audit_text", "", ""),
    ("close_tenant", "execute", "execute"),
    ("index_account_for_search", "", ""),
    ("index_aws_request_for_search", "", ""),
    ("index_tenant_for_search", "", ""),
    ("queue_event_for_feed", "", ""),
    ("refuse_change", "", ""),
    ("search_trigrams", "execute", ""),
    ("tenant_id_text", "", ""),
    ("tenant_search_content", "", ""),
    ("write_search_entry", "", ""),
];
