//! Public form of a feed event: CloudEvents 1.0, the same in `GET /v1/events` and in webhooks.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Entry;
use crate::{Config, WebhookDeliveryId, WebhookEndpointId};

/// Event in the format of CloudEvents 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedEvent {
    /// Version of CloudEvents.
    #[cfg_attr(feature = "openapi", schema(example = "1.0"))]
    pub specversion: String,
    /// Permanent id of the event: the id of the operation and the number of the event within the operation, or
    /// `subject` and the feed position if the event belongs to no operation.
    #[cfg_attr(feature = "openapi", schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c/7"))]
    pub id: String,
    /// Source of the event: the organisation, identified by its management account.
    #[cfg_attr(feature = "openapi", schema(example = "urn:freehold:111122223333"))]
    pub source: String,
    /// Type of the event.
    #[cfg_attr(feature = "openapi", schema(example = "environment.account.assigned"))]
    pub r#type: String,
    /// Environment of the event, or tenant if it concerns no environment. An event of the fleet has its rollout or
    /// release, or `change-freeze`; a test event has the webhook endpoint.
    #[cfg_attr(feature = "openapi", schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a"))]
    pub subject: String,
    /// Time of the event.
    pub time: DateTime<Utc>,
    /// Media type of `data`.
    #[cfg_attr(feature = "openapi", schema(example = "application/json"))]
    pub datacontenttype: String,
    /// Position in the feed, with leading zeros, so that positions can be compared as strings. Only zeros in a test
    /// event, which is not in the feed.
    #[cfg_attr(feature = "openapi", schema(example = "0000000000000004711", pattern = "^[0-9]{19}$"))]
    pub sequence: String,
    /// Ids of the affected objects, and fields that depend on the event type.
    pub data: FeedEventData,
}

/// Data of an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedEventData {
    /// Tenant of the event; in all event types except those of the fleet: `release.*`, `rollout.*` and
    /// `change_freeze.*`. Only a token with the scope `fleet` gets these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b", nullable = false))]
    pub tenant_id: Option<String>,
    /// Id of the tenant in your system, as it was when the event entered the feed; in all events of a tenant that has
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "customer-4711", nullable = false))]
    pub external_id: Option<String>,
    /// Environment of the event; in all event types of a tenant except `tenant.updated` and `tenant.approval.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "env_01k2m8v3x9e7rt4s5q6w7y8z9a", nullable = false))]
    pub environment_id: Option<String>,
    /// Name of the environment; in all events with an `environment_id`, except those that entered the feed before
    /// 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "production", nullable = false))]
    pub environment: Option<String>,
    /// Home region of the environment when the event entered the feed; in the same events as `environment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "eu-central-1", nullable = false))]
    pub home_region: Option<String>,
    /// Operation of the event, whose details are at `GET /v1/operations/{id}`; in all event types of a
    /// tenant except `tenant.updated`, `tenant.approval.*`, `environment.degraded`, `environment.recovered`,
    /// `environment.pinned`, `environment.unpinned` and `environment.finding.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "op_01k2m8v3x9e7rt4s5q6w7y8z9c", nullable = false))]
    pub operation_id: Option<String>,
    /// AWS account; only in `environment.account.*` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "111122223333", pattern = "^[0-9]{12}$", nullable = false))]
    pub aws_account_id: Option<String>,
    /// Attention code; only in `tenant.*.needs_attention` and `tenant.*.failed` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "account_email_taken", nullable = false))]
    pub code: Option<String>,
    /// Requested action; only in `operation.approval.*` and `tenant.approval.*` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "close", nullable = false))]
    pub action: Option<String>,
    /// Approval, whose details are at `GET /v1/approvals/{id}`; only in `tenant.approval.*` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "apr_01k2m8v3x9e7rt4s5q6w7y8z9d", nullable = false))]
    pub approval_id: Option<String>,
    /// Reason for the suspension; only in `environment.suspended` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "non_payment", nullable = false))]
    pub reason: Option<String>,
    /// Finding; only in `environment.finding.*` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "find_01k2m8v3x9e7rt4s5q6w7y8z9e", nullable = false))]
    pub finding_id: Option<String>,
    /// Kind of the finding; only in `environment.finding.*` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "wrong_ou", nullable = false))]
    pub kind: Option<String>,
    /// Severity of the finding; only in `environment.finding.*` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "critical", nullable = false))]
    pub severity: Option<String>,
    /// Region; only in `environment.region.*` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "eu-west-1", nullable = false))]
    pub region: Option<String>,
    /// Home region before; only in `environment.home_moved` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "eu-central-1", nullable = false))]
    pub from: Option<String>,
    /// Home region now; only in `environment.home_moved` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "eu-west-1", nullable = false))]
    pub to: Option<String>,
    /// Release, whose details are at `GET /v1/releases/{id}`; only in `release.*` and `rollout.*` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "rel_01k2m8v3x9e7rt4s5q6w7y8z9f", nullable = false))]
    pub release_id: Option<String>,
    /// Rollout, whose details are at `GET /v1/rollouts/{id}`; only in `rollout.*` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "rol_01k2m8v3x9e7rt4s5q6w7y8z9g", nullable = false))]
    pub rollout_id: Option<String>,
    /// Name of the wave; only in `rollout.wave.*`, `rollout.awaiting_approval` and `rollout.approved` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "canaries", nullable = false))]
    pub wave: Option<String>,
    /// Changed fields of the tenant; only in `tenant.updated` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = json!(["tier"]), nullable = false))]
    pub changed: Option<Vec<String>>,
}

/// Type of the event that tests a webhook endpoint. It is no [`FeedType`](super::FeedType), because it is not in the
/// feed.
pub const TEST_EVENT_TYPE: &str = "webhook.test";

impl FeedEvent {
    /// Creates a test event for a webhook endpoint.
    pub fn test(endpoint: WebhookEndpointId, delivery: WebhookDeliveryId, at: DateTime<Utc>, config: &Config) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{endpoint}/{delivery}"),
            source: source(config),
            r#type: TEST_EVENT_TYPE.to_owned(),
            subject: endpoint.to_string(),
            time: at,
            datacontenttype: "application/json".to_owned(),
            sequence: sequence(0),
            data: FeedEventData::default(),
        }
    }

    /// Converts a feed entry to its public form.
    pub fn of(entry: Entry, config: &Config) -> Self {
        let text = |name: &str| entry.data.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let tenant_id = entry.tenant_id.map(|id| id.to_string());
        let environment_id = entry.environment_id.map(|id| id.to_string());
        let of_tenant = environment_id.clone().or_else(|| tenant_id.clone());
        let subject = of_tenant.or_else(|| text("rollout_id")).or_else(|| text("release_id"));
        let subject = subject.unwrap_or_else(|| "change-freeze".to_owned());
        Self {
            specversion: "1.0".to_owned(),
            id: match entry.operation {
                Some(event) => format!("{}/{}", event.operation_id, event.seq),
                None => format!("{subject}/{}", entry.position),
            },
            source: source(config),
            r#type: entry.feed_type.to_string(),
            subject,
            time: entry.occurred_at,
            datacontenttype: "application/json".to_owned(),
            sequence: sequence(entry.position),
            data: FeedEventData {
                tenant_id,
                external_id: text("external_id"),
                environment_id,
                environment: text("environment"),
                home_region: text("home_region"),
                operation_id: entry.operation.map(|event| event.operation_id.to_string()),
                aws_account_id: text("aws_account_id"),
                code: text("code"),
                action: text("action"),
                approval_id: text("approval_id"),
                reason: text("reason"),
                finding_id: text("finding_id"),
                kind: text("kind"),
                severity: text("severity"),
                region: text("region"),
                from: text("from"),
                to: text("to"),
                release_id: text("release_id"),
                rollout_id: text("rollout_id"),
                wave: text("wave"),
                changed: entry.data.get("changed").and_then(|changed| serde_json::from_value(changed.clone()).ok()),
            },
        }
    }
}

fn source(config: &Config) -> String {
    format!("urn:freehold:{}", config.organization.management_account_id)
}

fn sequence(position: i64) -> String {
    format!("{position:019}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::feed::FeedType;

    #[test]
    fn each_declared_field_of_a_type_is_in_its_events() {
        let config = Config::parse(include_str!("../config/minimal.toml")).unwrap();
        for feed_type in FeedType::ALL.iter().copied() {
            let value = |name: &&str| if *name == "changed" { json!(["tier"]) } else { json!("value") };
            let data: Map<_, _> =
                feed_type.data_fields().iter().map(|name| ((*name).to_owned(), value(name))).collect();
            let (position, occurred_at) = (7, DateTime::UNIX_EPOCH);
            let (tenant_id, environment_id, operation) = (None, None, None);
            let data = Value::Object(data);
            let entry = Entry { position, tenant_id, environment_id, operation, feed_type, data, occurred_at };
            let expected = entry.data.clone();
            assert_eq!(json!(FeedEvent::of(entry, &config).data), expected, "{feed_type}");
        }
    }

    #[test]
    fn operations_that_fail_or_need_a_person_have_a_code() {
        let has_cause = |feed_type: &FeedType| {
            let name = feed_type.to_string();
            name.starts_with("tenant.") && (name.ends_with(".needs_attention") || name.ends_with(".failed"))
        };
        let with_cause: Vec<_> = FeedType::ALL.iter().copied().filter(has_cause).collect();
        assert!(with_cause.len() > 10);
        assert!(with_cause.iter().all(|feed_type| feed_type.data_fields() == ["code"]), "{with_cause:?}");
    }
}
