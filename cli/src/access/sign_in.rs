//! Sign-in of a person with the device flow, and its cached access token.

use std::time::Duration;

use chrono::TimeDelta;
use freehold_tenancy::Clock;
use freehold_worker::access_portal::{DeviceCode, NextAction, Polling, PortalError, PortalToken, RegisteredClient};
use freehold_worker::aws::Portal;
use secrecy::SecretString;

use super::note;
use super::token_cache::TokenCache;
use crate::exit::Exit;

/// Remaining lifetime below which a cached token or registration is not used any more.
const MIN_LIFETIME: TimeDelta = TimeDelta::minutes(1);

/// Access portal of a person, with the cache of the access token.
pub(super) struct SignIn<'a> {
    pub(super) portal: &'a Portal,
    pub(super) cache: &'a TokenCache,
    pub(super) start_url: &'a str,
    pub(super) clock: Clock,
}

impl SignIn<'_> {
    /// Returns the cached access token, or `None` if it has expired or there is none.
    pub(super) fn cached_token(&self) -> Option<SecretString> {
        self.cache.token(self.clock.now() + MIN_LIFETIME)
    }

    /// Signs the person in and stores the access token.
    pub(super) async fn sign_in(&self) -> anyhow::Result<SecretString> {
        let (client, code) = self.start().await.map_err(|error| portal_error(error.into()))?;
        match &code.complete_url {
            Some(url) => note(format!("To sign in, open {url} and compare the code: {}", code.user_code)),
            None => note(format!("To sign in, open {} and enter the code: {}", code.verification_url, code.user_code)),
        }
        note(format!("The code is valid for {} minutes; Ctrl-C cancels.", code.lifetime.as_secs() / 60));
        let token = self.wait_for_approval(&client, &code).await.map_err(|error| portal_error(error.into()))?;
        let expires_at = self.clock.now() + TimeDelta::from_std(token.lifetime).unwrap_or_default();
        if let Err(error) = self.cache.store(&client, &token.secret, expires_at) {
            note(format!("warning: the sign-in cannot be stored, so the next command asks again: {error:#}"));
        }
        Ok(token.secret)
    }

    /// Starts a sign-in. A stored registration that AWS does not accept any more is replaced.
    async fn start(&self) -> Result<(RegisteredClient, DeviceCode), PortalError> {
        if let Some(client) = self.cache.client(self.clock.now() + MIN_LIFETIME) {
            match self.portal.start_sign_in(&client, self.start_url).await {
                Err(PortalError::ClientExpired) => {}
                result => return result.map(|code| (client, code)),
            }
        }
        let client = self.portal.register_client().await?;
        let code = self.portal.start_sign_in(&client, self.start_url).await?;
        Ok((client, code))
    }

    async fn wait_for_approval(
        &self,
        client: &RegisteredClient,
        code: &DeviceCode,
    ) -> Result<PortalToken, PortalError> {
        let mut polling = Polling::new(code, self.clock.now());
        let mut next = polling.first_poll(self.clock.now());
        loop {
            let pause = (next - self.clock.now()).to_std().unwrap_or(Duration::ZERO);
            self.clock.sleep(pause).await;
            let poll = self.portal.poll(client, code).await;
            match polling.next_action(poll, self.clock.now()) {
                NextAction::PollAt(time) => next = time,
                NextAction::Finish(token) => return Ok(token),
                NextAction::Fail(error) => return Err(error),
            }
        }
    }
}

/// Adds an exit code and advice to an error of the access portal. Other errors are returned unchanged.
pub(super) fn portal_error(error: anyhow::Error) -> anyhow::Error {
    let Some(cause) = error.downcast_ref::<PortalError>() else { return error };
    match cause {
        PortalError::Unreachable { .. } | PortalError::Throttled => Exit::Unreachable.error(cause.to_string()),
        PortalError::TokenRefused => Exit::Failure.error(format!("{cause} of this sign-in; run the command again")),
        PortalError::ClientExpired => Exit::Failure.error(format!("{cause}; run the command again")),
        PortalError::Aws { code, .. } if code == "InvalidRequestException" => Exit::Failure.error(format!(
            "{cause}; check that --start-url (FREEHOLD_SSO_START_URL) and --sso-region (FREEHOLD_SSO_REGION) are those \
             of IAM Identity Center"
        )),
        _ => Exit::Failure.error(cause.to_string()),
    }
}
