//! The device flow of OAuth (RFC 8628): a program shows a code, and a person approves it in a browser.

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::json;
use winterbaume_core::MockResponse;

use super::{Client, PortalSession, SignIn, SignInState, start_url};
use crate::world::ids::{ALPHANUMERIC, UPPERCASE};
use crate::world::{AwsError, Ctx, Request, State};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Lifetime of the registration of a client.
const CLIENT_LIFETIME: TimeDelta = TimeDelta::days(90);

/// Lifetime of a device code and its user code, in seconds.
const CODE_SECONDS: i64 = 600;

/// Shortest time between two polls of a sign-in at first, in seconds.
const POLL_SECONDS: i64 = 1;

/// Seconds by which a poll that comes too early makes that time longer (RFC 8628, section 3.5).
const SLOW_DOWN_SECONDS: i64 = 5;

/// Lifetime of an access token, in seconds. It is the default session duration of the access portal.
const TOKEN_SECONDS: i64 = 8 * 3_600;

/// Time after which finished and expired sign-ins are deleted.
const RETENTION: TimeDelta = TimeDelta::days(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterInput {
    client_name: Option<String>,
    client_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartInput {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    start_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenInput {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    grant_type: String,
    device_code: Option<String>,
}

pub(super) fn register_client(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input: RegisterInput = parse(request)?;
    if input.client_name.is_none_or(|name| name.is_empty()) {
        return Err(AwsError::new("InvalidClientMetadataException", "clientName must not be empty"));
    }
    if input.client_type.as_deref() != Some("public") {
        return Err(AwsError::new("InvalidClientMetadataException", "clientType must be public"));
    }
    let (id, secret) = (state.ids.next(ALPHANUMERIC, 22), state.ids.next(ALPHANUMERIC, 120));
    let expires_at = ctx.system_time + CLIENT_LIFETIME;
    state.access_portal.clients.retain(|_, client| client.expires_at + RETENTION > ctx.system_time);
    state.access_portal.clients.insert(id.clone(), Client { secret: secret.clone(), expires_at });
    Ok(super::json(json!({
        "clientId": id,
        "clientSecret": secret,
        "clientIdIssuedAt": ctx.system_time.timestamp(),
        "clientSecretExpiresAt": expires_at.timestamp(),
    })))
}

pub(super) fn start(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input: StartInput = parse(request)?;
    check_client(state, ctx, &input.client_id, &input.client_secret)?;
    let given = input.start_url.split('#').next().unwrap_or_default().trim_end_matches('/');
    if given != start_url(state) || ctx.region != ctx.settings.home_region {
        let message = "Invalid start url provided, or Identity Center is in another region";
        return Err(AwsError::new("InvalidRequestException", message));
    }
    let device_code = state.ids.next(ALPHANUMERIC, 64);
    let user_code = format!("{}-{}", state.ids.next(UPPERCASE, 4), state.ids.next(UPPERCASE, 4));
    let verification_uri = match &ctx.base_url {
        Some(base) => format!("{base}/-/device"),
        None => format!("https://device.sso.{}.amazonaws.com/", ctx.region),
    };
    let sign_in = SignIn {
        client: input.client_id,
        user_code: user_code.clone(),
        expires_at: ctx.system_time + TimeDelta::seconds(CODE_SECONDS),
        interval: POLL_SECONDS,
        polled_at: None,
        state: SignInState::Pending,
    };
    let sign_ins = &mut state.access_portal.sign_ins;
    sign_ins.retain(|_, sign_in| sign_in.expires_at + RETENTION > ctx.system_time);
    sign_ins.insert(device_code.clone(), sign_in);
    Ok(super::json(json!({
        "deviceCode": device_code,
        "userCode": user_code,
        "verificationUri": verification_uri,
        "verificationUriComplete": format!("{verification_uri}?user_code={user_code}"),
        "expiresIn": CODE_SECONDS,
        "interval": POLL_SECONDS,
    })))
}

pub(super) fn create_token(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let input: TokenInput = parse(request)?;
    check_client(state, ctx, &input.client_id, &input.client_secret)?;
    if input.grant_type != DEVICE_GRANT {
        let message = format!("The sandbox supports the grant type {DEVICE_GRANT} only.");
        return Err(AwsError::new("UnsupportedGrantTypeException", message));
    }
    let now = ctx.system_time;
    let device_code = input.device_code.unwrap_or_default();
    let sign_in = state.access_portal.sign_ins.get_mut(&device_code);
    let Some(sign_in) = sign_in.filter(|sign_in| sign_in.client == input.client_id) else {
        return Err(AwsError::new("InvalidGrantException", "Invalid device code provided"));
    };
    if sign_in.expires_at <= now {
        return Err(AwsError::new("ExpiredTokenException", "Device code expired"));
    }
    let polled_at = sign_in.polled_at.replace(now);
    let user = match &sign_in.state {
        SignInState::Denied => return Err(AwsError::new("AccessDeniedException", "The person denied the sign-in")),
        SignInState::Approved(user) => user.clone(),
        SignInState::Pending => {
            // Requests of a client that keeps to the interval can arrive a little closer together.
            let shortest = TimeDelta::milliseconds(sign_in.interval * 800);
            if polled_at.is_some_and(|polled_at| now - polled_at < shortest) {
                sign_in.interval += SLOW_DOWN_SECONDS;
                return Err(AwsError::new("SlowDownException", "The client polls too often"));
            }
            return Err(AwsError::new("AuthorizationPendingException", "The person has not approved the sign-in yet"));
        }
    };
    state.access_portal.sign_ins.remove(&device_code);
    let token = state.ids.next(ALPHANUMERIC, 200);
    let expires_at = now + TimeDelta::seconds(TOKEN_SECONDS);
    state.access_portal.sessions.retain(|_, session| session.expires_at > now);
    state.access_portal.sessions.insert(token.clone(), PortalSession { user, expires_at });
    Ok(super::json(json!({ "accessToken": token, "expiresIn": TOKEN_SECONDS, "tokenType": "Bearer" })))
}

fn parse<T: for<'a> Deserialize<'a>>(request: &Request) -> Result<T, AwsError> {
    request.json().map_err(|error| AwsError::new("InvalidRequestException", error.message))
}

/// Returns an error unless the client is registered and its secret has not expired.
fn check_client(state: &State, ctx: &Ctx, id: &str, secret: &str) -> Result<(), AwsError> {
    let client = state.access_portal.clients.get(id).filter(|client| client.secret == secret);
    match client {
        Some(client) if client.expires_at > ctx.system_time => Ok(()),
        Some(_) => Err(AwsError::new("InvalidClientException", "The client secret has expired").status(401)),
        None => Err(AwsError::new("InvalidClientException", "Invalid client provided").status(401)),
    }
}
