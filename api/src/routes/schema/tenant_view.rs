//! Fields of each response schema that a token of one tenant sees.
//!
//! Hidden are: names of staff, the root e-mail address and the management account, ids of OUs and of Identity Center,
//! and all free text of workers, AWS and operators, which may contain these. `crate::tenant_view` applies the views.

use super::view::TenantView;

/// View without fields, from which the views below are built.
const NONE: TenantView = TenantView { schema: "", visible: &[], parts: &[], replaced: &[], hidden: &[] };

const TENANT: TenantView = TenantView {
    schema: "Tenant",
    visible: &["id", "company_name", "admin_email", "state", "tier", "external_id", "created_at", "updated_at"],
    parts: &[("environments", &ENVIRONMENT), ("suspension", &SUSPENSION), ("maintenance_windows", &MAINTENANCE_WINDOW)],
    // Labels are notes of the operator.
    hidden: &["labels", "legal_hold"],
    ..NONE
};

const SUSPENSION: TenantView =
    TenantView { schema: "Suspension", visible: &["reason", "since"], hidden: &["note"], ..NONE };

const MAINTENANCE_WINDOW: TenantView =
    TenantView { schema: "MaintenanceWindow", visible: &["days", "start", "minutes", "time_zone"], ..NONE };

const TENANT_PAGE: TenantView =
    TenantView { schema: "TenantPage", visible: &["next_page_token"], parts: &[("tenants", &TENANT)], ..NONE };

const ENVIRONMENT: TenantView = TenantView {
    schema: "Environment",
    visible: &[
        "id",
        "tenant_id",
        "name",
        "state",
        "residency",
        "home_region",
        "release",
        "url",
        "aws_account_id",
        "baseline_version",
        "operation_id",
        "created_at",
        "ready_at",
        "offboarded_at",
    ],
    parts: &[("regions", &ENVIRONMENT_REGION), ("front_door", &FRONT_DOOR), ("pin", &PIN), ("findings", &OPEN_FINDING)],
    ..NONE
};

const PIN: TenantView =
    TenantView { schema: "EnvironmentPin", visible: &["until", "pinned_at"], hidden: &["reason", "pinned_by"], ..NONE };

const ENVIRONMENT_REGION: TenantView = TenantView {
    schema: "EnvironmentRegion",
    visible: &["region", "role", "state", "stack_id", "release", "url", "since"],
    hidden: &["message"],
    ..NONE
};

const FRONT_DOOR: TenantView = TenantView {
    schema: "FrontDoor",
    visible: &["state", "domain", "failover_region", "since"],
    hidden: &["message"],
    ..NONE
};

const NEW_ENVIRONMENT_PREVIEW: TenantView = TenantView {
    schema: "NewEnvironmentPreview",
    visible: &[
        "accepted",
        "accounts_exhausted_until",
        "name",
        "tier",
        "residency",
        "home_region",
        "replica_regions",
        "front_door",
        "approval_required",
    ],
    parts: &[("collisions", &COLLISION), ("queue", &QUEUE)],
    // Names in the organisation of the SaaS.
    hidden: &["organizational_unit", "guardrail", "stack", "template"],
    ..NONE
};

const COLLISION: TenantView = TenantView { schema: "Collision", visible: &["field", "refused", "message"], ..NONE };

const OPEN_FINDING: TenantView = TenantView {
    schema: "OpenFinding",
    visible: &["id", "kind", "severity", "remedy", "operation_id", "first_seen_at"],
    hidden: &["message"],
    ..NONE
};

const OPERATION: TenantView = TenantView {
    schema: "Operation",
    visible: &[
        "id",
        "tenant_id",
        "environment_id",
        "environment",
        "kind",
        "state",
        "wake_at",
        "created_at",
        "started_at",
        "finished_at",
        "updated_at",
    ],
    parts: &[
        ("attention", &ATTENTION),
        ("failure", &FAILURE),
        ("queue", &QUEUE),
        ("fleet_hold", &OPERATION_HOLD),
        ("steps", &STEP),
        ("approvals", &APPROVAL),
    ],
    // A preview shows the resources of the software.
    hidden: &["requested_by", "result"],
    ..NONE
};

const OPERATION_PAGE: TenantView =
    TenantView { schema: "OperationPage", visible: &["next_page_token"], parts: &[("operations", &OPERATION)], ..NONE };

const ATTENTION: TenantView = TenantView {
    schema: "Attention",
    visible: &["code", "tell_customer", "remedies"],
    hidden: &["message", "aws_request_id"],
    ..NONE
};

const FAILURE: TenantView = TenantView { schema: "Failure", visible: &["code"], hidden: &["message"], ..NONE };

const QUEUE: TenantView =
    TenantView { schema: "Queue", visible: &["position", "estimated_ready_at", "stopped_by"], ..NONE };

const OPERATION_HOLD: TenantView =
    TenantView { schema: "OperationHold", visible: &["code", "since"], hidden: &["message"], ..NONE };

const STEP: TenantView = TenantView {
    schema: "Step",
    visible: &["name", "after", "state", "attempts", "started_at", "finished_at", "tell_customer", "check_at"],
    parts: &[("attention", &ATTENTION)],
    // The reasons and the facts contain messages and ids of AWS.
    hidden: &["reason", "waits_for", "last_error", "aws_request_id", "facts"],
    ..NONE
};

const APPROVAL: TenantView = TenantView {
    schema: "Approval",
    visible: &["id", "action", "state", "requested_at", "decided_at"],
    hidden: &["request", "request_hash", "requested_by", "decided_by", "reason"],
    ..NONE
};

/// View of an event of an operation. `code`, `action` and `aws_account_id` depend on the type of the event.
pub(crate) const OPERATION_EVENT: TenantView = TenantView {
    schema: "OperationEvent",
    visible: &["operation_id", "seq", "type", "step", "occurred_at", "code", "action", "aws_account_id"],
    ..NONE
};

/// View of a residency proof, which is made for the tenant and its auditors. A signed document cannot be shown in part.
const RESIDENCY_PROOF: TenantView = TenantView {
    schema: "ResidencyProof",
    visible: &["tenant_id", "environment_id", "operation_id", "observed_at", "conforms", "key_id", "document", "jws"],
    ..NONE
};

const ACCOUNT_MAPPING: TenantView = TenantView {
    schema: "AccountMapping",
    visible: &[
        "id",
        "aws_account_id",
        "tenant_id",
        "company_name",
        "external_id",
        "tier",
        "environment_id",
        "environment",
        "home_region",
        "replica_regions",
        "valid_from",
        "valid_to",
        "account_state",
        "account_state_since",
        "account_seen_at",
    ],
    ..NONE
};

const ACCOUNT_MAPPING_PAGE: TenantView = TenantView {
    schema: "AccountMappingPage",
    visible: &["feed_position", "next_page_token"],
    parts: &[("account_mappings", &ACCOUNT_MAPPING)],
    ..NONE
};

const ACCOUNT_HISTORY: TenantView =
    TenantView { schema: "AccountHistory", parts: &[("account_mappings", &ACCOUNT_MAPPING)], ..NONE };

/// View of a row of the export of account mappings.
pub(crate) const ACCOUNT_MAPPING_ROW: TenantView = TenantView {
    schema: "AccountMappingRow",
    visible: &[
        "SubAccountId",
        "SubAccountName",
        "x_TenantId",
        "x_ExternalId",
        "x_Environment",
        "x_Tier",
        "x_HomeRegion",
        "x_EffectiveFrom",
        "x_EffectiveTo",
        "x_Status",
        "x_ReplicaRegions",
        "x_CompanyName",
        "x_AccountState",
        "x_AccountStateSince",
        "x_AccountSeenAt",
    ],
    hidden: &["BillingAccountId"],
    ..NONE
};

const FEED_EVENT: TenantView = TenantView {
    schema: "FeedEvent",
    visible: &["specversion", "id", "type", "subject", "time", "datacontenttype", "sequence"],
    parts: &[("data", &FEED_EVENT_DATA)],
    // CloudEvents requires a source, and the source contains the management account.
    replaced: &[("source", "urn:freehold")],
    ..NONE
};

const FEED_EVENT_DATA: TenantView = TenantView {
    schema: "FeedEventData",
    visible: &[
        "tenant_id",
        "external_id",
        "environment_id",
        "environment",
        "home_region",
        "operation_id",
        "aws_account_id",
        "code",
        "action",
        "finding_id",
        "kind",
        "severity",
        "changed",
        "region",
        "from",
        "to",
        "approval_id",
        // A code, not a text: the reason for a suspension.
        "reason",
    ],
    // Fields of events of the fleet, which are not sent to a tenant.
    hidden: &["release_id", "rollout_id", "wave"],
    ..NONE
};

const FEED_EVENT_PAGE: TenantView = TenantView {
    schema: "FeedEventPage",
    visible: &["next_after", "has_more", "latest_position"],
    parts: &[("events", &FEED_EVENT)],
    ..NONE
};

/// Views of all schemas that routes for tenants use.
pub(crate) const VIEWS: &[&TenantView] = &[
    &TENANT,
    &TENANT_PAGE,
    &SUSPENSION,
    &MAINTENANCE_WINDOW,
    &ENVIRONMENT,
    &PIN,
    &ENVIRONMENT_REGION,
    &FRONT_DOOR,
    &NEW_ENVIRONMENT_PREVIEW,
    &COLLISION,
    &OPEN_FINDING,
    &OPERATION,
    &OPERATION_PAGE,
    &ATTENTION,
    &FAILURE,
    &QUEUE,
    &OPERATION_HOLD,
    &STEP,
    &APPROVAL,
    &OPERATION_EVENT,
    &RESIDENCY_PROOF,
    &ACCOUNT_MAPPING,
    &ACCOUNT_MAPPING_PAGE,
    &ACCOUNT_HISTORY,
    &ACCOUNT_MAPPING_ROW,
    &FEED_EVENT,
    &FEED_EVENT_DATA,
    &FEED_EVENT_PAGE,
];
