//! AWS sessions. The process's credentials assume the control role, which assumes the roles in tenants' accounts.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use chrono::{DateTime, TimeDelta, Utc};

use super::cache::Cache;
use super::call::missing_field;
use super::connection::Connection;
use super::{Aws, to_chrono};
use crate::cloud::{CloudError, CloudErrorKind, Result, Role, Target};
use crate::guardrail::{ACCESS_ROLE, VERIFY_ROLE};

/// Duration of a session. AWS allows at most one hour with role chaining (IAM, "Role chaining").
const SESSION_SECONDS: i32 = 3_600;

/// Remaining lifetime at which a session is replaced.
const EXPIRY_MARGIN: TimeDelta = TimeDelta::minutes(5);

/// Maximum number of cached sessions. Each account with a running operation needs a few; an evicted session is opened
/// again.
pub(super) const MAX_SESSIONS: usize = 512;

/// Name of Freehold's sessions in CloudTrail.
pub(super) const SESSION_NAME: &str = "freehold";

/// Name of the sessions of `freehold bootstrap` in CloudTrail.
const BOOTSTRAP_SESSION_NAME: &str = "freehold-bootstrap";

const ASSUME_ROLE: &str = "sts:AssumeRole";
const GET_CALLER_IDENTITY: &str = "sts:GetCallerIdentity";

/// Identity that makes an AWS call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// The credentials of the process itself.
    Process,
    /// The control role in the management account.
    ControlRole,
    /// The role in the management account that changes users, groups and memberships.
    PeopleRole,
    /// A role in a tenant's account.
    TenantRole(Target, Role),
}

pub(super) type Sessions = Cache<Identity, Arc<Session>>;

/// Temporary credentials of one identity, and the SDK clients that use them.
pub(super) struct Session {
    pub(super) identity: Identity,
    pub(super) credentials: Credentials,
    /// Whether AWS has confirmed that the session belongs to the expected account.
    verified: AtomicBool,
    connection: Connection,
    clients: Mutex<HashMap<(TypeId, String), Box<dyn Any + Send + Sync>>>,
}

impl Session {
    /// Returns the SDK client of type `C` for `region`. Clients are cached, because creating one is slow.
    pub(super) fn client<C: Clone + Send + Sync + 'static>(&self, region: &str, new: fn(&SdkConfig) -> C) -> C {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (TypeId::of::<C>(), region.to_owned());
        if let Some(client) = clients.get(&key).and_then(|client| client.downcast_ref::<C>()) {
            return client.clone();
        }
        let client = new(&self.connection.sdk_config(self.credentials.clone(), region));
        clients.insert(key, Box::new(client.clone()));
        client
    }

    /// Returns the STS client of Freehold's own region, because tokens of a regional endpoint are valid in all regions,
    /// including opt-in regions.
    fn sts(&self) -> aws_sdk_sts::Client {
        self.client(self.connection.region(), aws_sdk_sts::Client::new)
    }
}

/// Response of the call GetCallerIdentity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub account: String,
    /// ARN of an STS session or an IAM identity.
    pub arn: String,
}

impl Aws {
    /// Returns the session for calls in the management account.
    pub(super) async fn control_session(&self) -> Result<Arc<Session>> {
        if self.uses_process_credentials {
            return self.process_session().await;
        }
        let organization = &self.config.organization;
        self.session(Identity::ControlRole, async {
            let external_id = organization.control_role_external_id.clone();
            self.assume(&*self.process_session().await?, organization.control_role_arn.clone(), external_id).await
        })
        .await
    }

    /// Returns the session for calls that change users, groups and memberships of Identity Center.
    pub(super) async fn people_session(&self) -> Result<Arc<Session>> {
        if self.uses_process_credentials {
            return self.process_session().await;
        }
        let organization = &self.config.organization;
        self.session(Identity::PeopleRole, async {
            let external_id = organization.control_role_external_id.clone();
            self.assume(&*self.process_session().await?, organization.people_role_arn(), external_id).await
        })
        .await
    }

    /// Returns the session for calls inside a tenant's account.
    pub(super) async fn tenant_session(&self, account: &Target, role: Role) -> Result<Arc<Session>> {
        let (name, external_id) = match role {
            // Organizations creates this role with a trust policy that requires no external id, so the tags of the
            // account prove that it belongs to the environment.
            Role::Organization => {
                self.check_own_account(account, ASSUME_ROLE).await?;
                (self.config.organization.access_role_name.as_str(), None)
            }
            Role::Access => (ACCESS_ROLE, Some(account.environment().to_string())),
            Role::Verify => (VERIFY_ROLE, Some(account.environment().to_string())),
        };
        self.session(Identity::TenantRole(account.clone(), role), async {
            let arn = format!("arn:aws:iam::{}:role/{name}", account.id());
            self.assume(&*self.control_session().await?, arn, external_id).await
        })
        .await
    }

    async fn process_session(&self) -> Result<Arc<Session>> {
        self.session(Identity::Process, async {
            // A short outage of the credentials source must not fail an onboarding.
            let credentials = self.connection.credentials().await.map_err(|reason| {
                let message = format!("the process has no AWS credentials: {reason}");
                CloudError::from_freehold(CloudErrorKind::NotYet, ASSUME_ROLE, "NoCredentials", message)
            })?;
            // The credentials expire in real time, from which this clock may differ. Reading them again every minute is
            // cheap.
            Ok((credentials, self.clock.now() + TimeDelta::minutes(1)))
        })
        .await
    }

    async fn session(
        &self,
        identity: Identity,
        open: impl Future<Output = Result<(Credentials, DateTime<Utc>)>> + Send,
    ) -> Result<Arc<Session>> {
        let opened = async {
            let (credentials, until) = open.await?;
            Ok(Some((Arc::new(self.uncached_session(identity.clone(), credentials)), until)))
        };
        let session = self.sessions.get_or_fetch(&identity, &self.clock, opened).await?;
        session.ok_or_else(|| missing_field(ASSUME_ROLE, "credentials"))
    }

    pub(super) fn uncached_session(&self, identity: Identity, credentials: Credentials) -> Session {
        let (verified, clients) = (AtomicBool::new(false), Mutex::default());
        Session { identity, credentials, verified, connection: self.connection.clone(), clients }
    }

    /// Assumes a role. Returns the credentials and the time until which they are used.
    pub(super) async fn assume(
        &self,
        from: &Session,
        role_arn: String,
        external_id: Option<String>,
    ) -> Result<(Credentials, DateTime<Utc>)> {
        let request = from
            .sts()
            .assume_role()
            .role_arn(role_arn)
            .role_session_name(self.session_name)
            .duration_seconds(SESSION_SECONDS)
            .set_external_id(external_id);
        let response = self.send(from, ASSUME_ROLE, request.send()).await?;
        let credentials = response.credentials.ok_or_else(|| missing_field(ASSUME_ROLE, "credentials"))?;
        let until = to_chrono(credentials.expiration()).ok_or_else(|| missing_field(ASSUME_ROLE, "expiration"))?
            - EXPIRY_MARGIN;
        let (id, secret, token) = (credentials.access_key_id, credentials.secret_access_key, credentials.session_token);
        Ok((Credentials::new(id, secret, Some(token), None, "freehold"), until))
    }

    /// Returns the identity that AWS reports for the credentials of a session.
    pub(super) async fn caller_of(&self, session: &Session) -> Result<Caller> {
        let response = self.send(session, GET_CALLER_IDENTITY, session.sts().get_caller_identity().send()).await?;
        let account = response.account.ok_or_else(|| missing_field(GET_CALLER_IDENTITY, "account"))?;
        Ok(Caller { account, arn: response.arn.unwrap_or_default() })
    }

    /// Returns the identity of the process's own credentials.
    pub async fn caller(&self) -> Result<Caller> {
        self.caller_of(&*self.process_session().await?).await
    }

    /// Returns the ARN of the identity that makes the calls in the management account.
    pub(crate) async fn caller_arn(&self) -> Result<String> {
        Ok(self.caller_of(&*self.control_session().await?).await?.arn)
    }

    /// Returns a client for `freehold bootstrap`. Credentials of the management account are used directly; other
    /// credentials assume the control role.
    pub async fn as_administrator(&self) -> Result<Self> {
        let caller = self.caller().await?;
        let mut administrator = self.clone();
        administrator.session_name = BOOTSTRAP_SESSION_NAME;
        administrator.sessions = Arc::new(Sessions::new(MAX_SESSIONS));
        administrator.uses_process_credentials =
            caller.account == self.config.organization.management_account_id.as_str();
        Ok(administrator)
    }

    /// Checks that `role` can be assumed in an account and that its credentials belong to that account.
    pub async fn check_role(&self, account: &Target, role: Role) -> Result<()> {
        let session = self.tenant_session(account, role).await?;
        if session.verified.load(Ordering::Relaxed) {
            return Ok(());
        }
        let caller = self.caller_of(&session).await?;
        if caller.account == account.id().as_str() {
            session.verified.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let message = format!("the session for account {account} belongs to {} instead", caller.arn);
        Err(CloudError::from_freehold(CloudErrorKind::Failed, GET_CALLER_IDENTITY, "AnotherAccount", message))
    }
}
