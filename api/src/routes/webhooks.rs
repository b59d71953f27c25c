//! Webhooks: where the feed is sent, and what came of it.

pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod update;

use std::collections::BTreeSet;

use freehold_tenancy::feed::FeedType;
use freehold_tenancy::secrets::SealError;
use freehold_tenancy::webhook::{DestinationError, Endpoint, WebhookSecret};
use freehold_tenancy::{WebhookEndpointId, db};

use crate::app::App;
use crate::extract::Fields;
use crate::problem::{ApiError, Code};

/// There is no such endpoint, or no such delivery of it.
fn not_found() -> ApiError {
    ApiError::new(Code::WebhookNotFound, "There is no webhook endpoint, or no delivery of it, with this id.")
}

/// The endpoint that a path names.
async fn named(app: &App, id: Option<WebhookEndpointId>) -> Result<Endpoint, ApiError> {
    db::webhooks::endpoints::get(&app.pool, id.ok_or_else(not_found)?).await?.ok_or_else(not_found)
}

/// A new secret, and as it is kept for this endpoint.
fn secret(app: &App, id: WebhookEndpointId) -> Result<(WebhookSecret, Vec<u8>), ApiError> {
    let secret = WebhookSecret::random().ok_or_else(ApiError::internal)?;
    match app.keyring.seal(secret.bytes(), &id.to_string()) {
        Ok(sealed) => Ok((secret, sealed)),
        Err(SealError::NoKey) => Err(ApiError::new(
            Code::SecretsKeyMissing,
            "Secrets of webhook endpoints are encrypted at rest, and no key is configured for that. Set key of [secrets], or \
             FREEHOLD_SECRETS__KEY, to the output of `openssl rand -base64 32`, for API and workers alike.",
        )),
        Err(error) => {
            tracing::error!(%error, "a secret cannot be encrypted");
            Err(ApiError::internal())
        }
    }
}

/// Types of events; each once, and at least one.
fn types(fields: &mut Fields) -> Option<Vec<FeedType>> {
    let (given, types) = fields.list::<FeedType>("types")?;
    if given == 0 {
        fields.error("types", "invalid", "name at least one type, or leave this out for all");
    }
    let types: BTreeSet<_> = types.into_iter().map(|(_, feed_type)| feed_type).collect();
    Some(types.into_iter().collect())
}

/// What an endpoint is for.
struct Description(String);

impl std::str::FromStr for Description {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let fits = text.chars().count() <= 500 && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned())).ok_or("this has at most 500 characters, none of them a control character")
    }
}

/// Notes that nothing is sent to the URL that was given, if nothing is.
async fn check_url(app: &App, fields: &mut Fields, url: Option<&freehold_tenancy::webhook::ReceiverUrl>) {
    let Some(url) = url else { return };
    if let Err(refused) = app.destination_policy.addresses(url).await {
        let code = match refused {
            DestinationError::Scheme => "https_needed",
            DestinationError::Port(_) => "port_refused",
            DestinationError::Address(_) => "address_refused",
            DestinationError::Unresolvable => "unresolvable",
        };
        fields.error("url", code, refused.to_string());
    }
}
