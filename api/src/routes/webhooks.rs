//! Routes for webhook endpoints and their deliveries.

pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod update;

use std::collections::BTreeSet;

use freehold_tenancy::feed::FeedType;
use freehold_tenancy::secrets::SealError;
use freehold_tenancy::webhook::{DestinationError, Endpoint, WebhookSecret};
use freehold_tenancy::{WebhookEndpointId, db};

use crate::app::App;
use crate::audit::{record_change, recorded_url};
use crate::extract::Fields;
use crate::problem::{ApiError, Code};

fn not_found() -> ApiError {
    ApiError::new(Code::WebhookNotFound, "No webhook endpoint has this id, or the endpoint has no such delivery.")
}

/// Loads the webhook endpoint whose id is in the path.
async fn load_endpoint(app: &App, id: Option<WebhookEndpointId>) -> Result<Endpoint, ApiError> {
    db::webhooks::endpoints::get(&app.pool, id.ok_or_else(not_found)?).await?.ok_or_else(not_found)
}

/// Records the change of an endpoint for the audit trail; `None` before its creation and after its deletion.
fn record_endpoint(before: Option<&Endpoint>, after: Option<&Endpoint>) {
    let url = |endpoint: &Endpoint| recorded_url(endpoint.url.as_str());
    record_change("url", before.map(url), after.map(url));
    // `null` means all types.
    let types = |endpoint: &Endpoint| endpoint.types.clone();
    record_change("types", before.map(types), after.map(types));
    let description = |endpoint: &Endpoint| endpoint.description.clone();
    record_change("description", before.map(description), after.map(description));
    let format = |endpoint: &Endpoint| endpoint.format;
    record_change("format", before.map(format), after.map(format));
}

/// Generates a webhook secret. Returns the secret in plain text and encrypted for the endpoint with this id.
fn generate_secret(app: &App, id: WebhookEndpointId) -> Result<(WebhookSecret, Vec<u8>), ApiError> {
    let secret = WebhookSecret::random().ok_or_else(ApiError::internal)?;
    match app.keyring.seal(secret.bytes(), &id.to_string()) {
        Ok(encrypted) => Ok((secret, encrypted)),
        Err(SealError::NoKey) => Err(ApiError::new(
            Code::SecretsKeyMissing,
            "Secrets of webhook endpoints are encrypted at rest, but no key is configured. Set secrets.key, or \
             FREEHOLD_SECRETS__KEY, to the output of `openssl rand -base64 32`, for both the API and the workers.",
        )),
        Err(error) => {
            tracing::error!(%error, "cannot encrypt a webhook secret");
            Err(ApiError::internal())
        }
    }
}

/// Parses the event types and removes duplicates. Records an error if the list is empty.
fn parse_types(fields: &mut Fields) -> Option<Vec<FeedType>> {
    let (count, types) = fields.list::<FeedType>("types")?;
    if count == 0 {
        fields.error("types", "invalid", "must have at least one type; omit the field for all types");
    }
    let types: BTreeSet<_> = types.into_iter().map(|(_, feed_type)| feed_type).collect();
    Some(types.into_iter().collect())
}

struct Description(String);

impl std::str::FromStr for Description {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let is_valid = text.chars().count() <= 500 && !text.chars().any(char::is_control);
        is_valid.then(|| Self(text.to_owned())).ok_or("must have at most 500 characters and no control characters")
    }
}

/// Records an error if the destination policy forbids sending webhooks to the URL.
async fn check_url(app: &App, fields: &mut Fields, url: Option<&freehold_tenancy::webhook::ReceiverUrl>) {
    let Some(url) = url else { return };
    if let Err(refusal) = app.destination_policy.addresses(url).await {
        let code = match refusal {
            DestinationError::Scheme => "https_needed",
            DestinationError::Port(_) => "port_refused",
            DestinationError::Address(_) => "address_refused",
            DestinationError::Unresolvable => "unresolvable",
        };
        fields.error("url", code, refusal.to_string());
    }
}
