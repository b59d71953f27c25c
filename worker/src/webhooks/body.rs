//! Body of a delivery, in the format of its endpoint.

use freehold_tenancy::Config;
use freehold_tenancy::db::webhooks::claims::{Claim, DeliveryContent};
use freehold_tenancy::feed::FeedEvent;
use freehold_tenancy::webhook::{ChatMessage, WebhookFormat};

/// Returns the body of a delivery, or `None` if its event no longer exists.
pub(super) fn delivery_body(claim: &Claim, config: &Config) -> Option<String> {
    let event = match &claim.content {
        DeliveryContent::Event(entry) => FeedEvent::of(entry.clone(), config),
        DeliveryContent::Test { created_at } => FeedEvent::test(claim.endpoint_id, claim.id, *created_at, config),
        DeliveryContent::Missing => return None,
    };
    let message = || ChatMessage::of(&event, claim.company_name.as_deref(), config.console.url.as_deref());
    Some(match claim.format {
        WebhookFormat::Freehold => serde_json::to_string(&event).unwrap_or_default(),
        WebhookFormat::Slack => message().slack_body().to_string(),
        WebhookFormat::Teams => message().teams_body().to_string(),
    })
}
