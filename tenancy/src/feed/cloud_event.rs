//! Public form of a feed event: CloudEvents 1.0, the same in `GET /v1/events` and in webhooks.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::Entry;
use crate::Config;

/// Event in the format of CloudEvents 1.0. `api/src/routes/events/schema.rs` describes the fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CloudEvent {
    pub specversion: String,
    pub id: String,
    pub source: String,
    pub r#type: String,
    pub subject: String,
    pub time: DateTime<Utc>,
    pub datacontenttype: String,
    pub sequence: String,
    pub data: CloudEventData,
}

/// Ids and further fields of an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CloudEventData {
    pub tenant_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<String>>,
}

impl CloudEvent {
    /// Converts an entry of the feed.
    pub fn of(entry: Entry, config: &Config) -> Self {
        let text = |name: &str| entry.data.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        Self {
            specversion: "1.0".to_owned(),
            id: match entry.operation {
                Some(event) => format!("{}/{}", event.operation_id, event.seq),
                None => format!("{}/{}", entry.tenant_id, entry.position),
            },
            source: format!("urn:freehold:{}", config.organization.management_account_id),
            r#type: entry.feed_type.to_string(),
            subject: entry.operation.map_or(entry.tenant_id.to_string(), |event| event.environment_id.to_string()),
            time: entry.occurred_at,
            datacontenttype: "application/json".to_owned(),
            sequence: format!("{:019}", entry.position),
            data: CloudEventData {
                tenant_id: entry.tenant_id.to_string(),
                environment_id: entry.operation.map(|event| event.environment_id.to_string()),
                operation_id: entry.operation.map(|event| event.operation_id.to_string()),
                aws_account_id: text("aws_account_id"),
                code: text("code"),
                action: text("action"),
                changed: entry.data.get("changed").and_then(|changed| serde_json::from_value(changed.clone()).ok()),
            },
        }
    }
}
