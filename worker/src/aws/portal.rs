//! Access portal of IAM Identity Center and the sign-in to it (device flow). The calls are not signed;
//! `freehold access` makes them for a person, and the worker never does.

use std::time::Duration;

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{AppName, BehaviorVersion, SdkConfig};
use aws_sdk_ssooidc::operation::create_token::CreateTokenError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::{AwsAccountId, Region};
use secrecy::{ExposeSecret, SecretString};

use super::connection::{ConnectError, plain_client, timeouts, tls_client};
use crate::access_portal::{
    DeviceCode, Poll, PortalAccount, PortalError, PortalToken, RegisteredClient, RoleCredentials,
};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Scope that lets a client read the accounts and roles of a person.
const ACCOUNT_SCOPE: &str = "sso:account:access";

/// Maximum number of entries per page of the portal.
const PAGE_SIZE: i32 = 100;

/// Maximum number of pages that are read, so that a list without an end cannot last forever.
const MAX_PAGES: usize = 1_000;

type Result<T> = std::result::Result<T, PortalError>;

/// Client of the access portal in one region.
#[derive(Debug, Clone)]
pub struct Portal {
    region: Region,
    accounts: aws_sdk_sso::Client,
    sign_in: aws_sdk_ssooidc::Client,
}

impl Portal {
    /// Creates a client of the real AWS.
    pub fn in_region(region: Region) -> Self {
        Self::new(region, None, tls_client())
    }

    /// Creates a client of a simulated AWS that listens on loopback.
    pub fn loopback(region: Region, endpoint: &str) -> std::result::Result<Self, ConnectError> {
        Ok(Self::new(region, Some(endpoint), plain_client(endpoint)?))
    }

    fn new(region: Region, endpoint: Option<&str>, http: SharedHttpClient) -> Self {
        let config = |retries: RetryConfig| {
            let mut config = SdkConfig::builder();
            config.set_endpoint_url(endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned()));
            config.set_app_name(AppName::new("freehold").ok());
            config
                .behavior_version(BehaviorVersion::latest())
                .region(aws_config::Region::new(region.as_str().to_owned()))
                .http_client(http.clone())
                .retry_config(retries)
                .timeout_config(timeouts())
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .build()
        };
        Self {
            region,
            accounts: aws_sdk_sso::Client::new(&config(RetryConfig::standard())),
            // A poll that is repeated by the SDK would ignore the interval.
            sign_in: aws_sdk_ssooidc::Client::new(&config(RetryConfig::disabled())),
        }
    }

    /// Registers this program as an OAuth client.
    pub async fn register_client(&self) -> Result<RegisteredClient> {
        const CALL: &str = "sso-oidc:RegisterClient";
        let request =
            self.sign_in.register_client().client_name("freehold").client_type("public").scopes(ACCOUNT_SCOPE);
        let answer = request.send().await.map_err(|error| self.error(CALL, error))?;
        let expires_at = DateTime::from_timestamp(answer.client_secret_expires_at(), 0);
        Ok(RegisteredClient {
            id: required(CALL, "client id", answer.client_id)?,
            secret: required(CALL, "client secret", answer.client_secret)?.into(),
            expires_at: required(CALL, "valid time of expiry", expires_at)?,
        })
    }

    /// Starts a sign-in, which a person has to approve.
    pub async fn start_sign_in(&self, client: &RegisteredClient, start_url: &str) -> Result<DeviceCode> {
        const CALL: &str = "sso-oidc:StartDeviceAuthorization";
        let request = self.sign_in.start_device_authorization().client_id(&client.id);
        let request = request.client_secret(client.secret.expose_secret()).start_url(start_url);
        let answer = request.send().await.map_err(|error| self.error(CALL, error))?;
        Ok(DeviceCode {
            lifetime: seconds(answer.expires_in()),
            interval: seconds(answer.interval()),
            device_code: required(CALL, "device code", answer.device_code)?.into(),
            user_code: required(CALL, "user code", answer.user_code)?,
            verification_url: required(CALL, "verification URI", answer.verification_uri)?,
            complete_url: answer.verification_uri_complete,
        })
    }

    /// Polls for the access token of a sign-in.
    pub async fn poll(&self, client: &RegisteredClient, code: &DeviceCode) -> Poll {
        const CALL: &str = "sso-oidc:CreateToken";
        let request = self.sign_in.create_token().client_id(&client.id).client_secret(client.secret.expose_secret());
        let request = request.grant_type(DEVICE_GRANT).device_code(code.device_code.expose_secret());
        let error = match request.send().await {
            Ok(answer) => {
                let lifetime = seconds(answer.expires_in());
                return match required(CALL, "access token", answer.access_token) {
                    Ok(token) => Poll::Token(PortalToken { secret: token.into(), lifetime }),
                    Err(error) => Poll::Ended(error),
                };
            }
            Err(error) => error,
        };
        let is_temporary = error.raw_response().is_none_or(|raw| raw.status().is_server_error());
        match error.as_service_error() {
            Some(CreateTokenError::AuthorizationPendingException(_)) => Poll::Pending,
            Some(CreateTokenError::SlowDownException(_)) => Poll::SlowDown,
            Some(CreateTokenError::AccessDeniedException(_)) => Poll::Ended(PortalError::Denied),
            Some(CreateTokenError::ExpiredTokenException(_)) => Poll::Ended(PortalError::CodeExpired),
            _ => match self.error(CALL, error) {
                PortalError::Throttled => Poll::SlowDown,
                error if is_temporary => Poll::Failed(error),
                error => Poll::Ended(error),
            },
        }
    }

    /// Returns the accounts that the person has access to.
    pub async fn list_accounts(&self, token: &SecretString) -> Result<Vec<PortalAccount>> {
        const CALL: &str = "sso:ListAccounts";
        let (mut accounts, mut next_token) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let request = self.accounts.list_accounts().access_token(token.expose_secret()).max_results(PAGE_SIZE);
            let answer = request.set_next_token(next_token).send().await.map_err(|error| self.error(CALL, error))?;
            for account in answer.account_list.unwrap_or_default() {
                let name = account.account_name.unwrap_or_default();
                accounts.push(PortalAccount { id: required(CALL, "account id", account.account_id)?, name });
            }
            next_token = answer.next_token;
            if next_token.is_none() {
                break;
            }
        }
        Ok(accounts)
    }

    /// Returns the names of the roles that the person has in an account. They are names of permission sets.
    pub async fn list_roles(&self, token: &SecretString, account: &AwsAccountId) -> Result<Vec<String>> {
        const CALL: &str = "sso:ListAccountRoles";
        let (mut roles, mut next_token) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let request = self.accounts.list_account_roles().access_token(token.expose_secret()).max_results(PAGE_SIZE);
            let request = request.account_id(account.as_str()).set_next_token(next_token);
            let answer = request.send().await.map_err(|error| self.error(CALL, error))?;
            for role in answer.role_list.unwrap_or_default() {
                roles.push(required(CALL, "role name", role.role_name)?);
            }
            next_token = answer.next_token;
            if next_token.is_none() {
                break;
            }
        }
        roles.sort();
        Ok(roles)
    }

    /// Returns credentials of a role in an account.
    pub async fn role_credentials(
        &self,
        token: &SecretString,
        account: &AwsAccountId,
        role: &str,
    ) -> Result<RoleCredentials> {
        const CALL: &str = "sso:GetRoleCredentials";
        let request = self.accounts.get_role_credentials().access_token(token.expose_secret());
        let request = request.account_id(account.as_str()).role_name(role);
        let answer = request.send().await.map_err(|error| self.error(CALL, error))?;
        let given = required(CALL, "credentials", answer.role_credentials)?;
        // Unlike in all other calls, the time is in milliseconds.
        let expires_at = DateTime::<Utc>::from_timestamp_millis(given.expiration());
        Ok(RoleCredentials {
            access_key_id: required(CALL, "access key id", given.access_key_id)?,
            secret_access_key: required(CALL, "secret access key", given.secret_access_key)?.into(),
            session_token: required(CALL, "session token", given.session_token)?.into(),
            expires_at: required(CALL, "valid time of expiry", expires_at)?,
        })
    }

    fn error<E>(&self, call: &'static str, error: SdkError<E, HttpResponse>) -> PortalError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let SdkError::ServiceError(service_error) = &error else {
            let reason = super::call::error_chain(&error);
            return PortalError::Unreachable { region: self.region.to_string(), reason };
        };
        let status = service_error.raw().status().as_u16();
        let metadata = service_error.err().meta();
        let code = metadata.code().map_or_else(|| format!("HTTP {status}"), str::to_owned);
        let message = metadata.message().map_or_else(|| oauth_description(service_error.raw()), str::to_owned);
        match (code.as_str(), status) {
            ("InvalidClientException", _) => PortalError::ClientExpired,
            ("UnauthorizedException", _) => PortalError::TokenRefused,
            (_, 429) => PortalError::Throttled,
            ("ForbiddenException" | "ResourceNotFoundException", _) | (_, 403 | 404) => PortalError::NoAccess(message),
            (_, 401) => PortalError::TokenRefused,
            _ => PortalError::Aws { call, code, message },
        }
    }
}

/// Returns the description of an OAuth error, which is not in the member of other AWS errors.
fn oauth_description(response: &HttpResponse) -> String {
    let body: Option<serde_json::Value> = response.body().bytes().and_then(|body| serde_json::from_slice(body).ok());
    let description = body.as_ref().and_then(|body| body.get("error_description")?.as_str());
    description.unwrap_or("no description").to_owned()
}

fn required<T>(call: &'static str, name: &str, value: Option<T>) -> Result<T> {
    let message = || format!("the answer of AWS has no {name}");
    value.ok_or_else(|| PortalError::Aws { call, code: "UnreadableAnswer".to_owned(), message: message() })
}

fn seconds(seconds: i32) -> Duration {
    TimeDelta::seconds(seconds.into()).to_std().unwrap_or_default()
}
