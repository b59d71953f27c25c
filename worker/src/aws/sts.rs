//! Who acts: the ambient identity assumes the control role and, from there, account by account, the roles in them.

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

/// A session that another session opens lasts an hour at most (IAM, "Role chaining").
const SESSION_SECONDS: i32 = 3_600;

/// A session is given up this long before it ends.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

/// Sessions kept at a time: a few for each account that is being worked on. One that had to go is opened again.
pub(super) const MOST_SESSIONS: usize = 512;

/// What a session is called in an account's CloudTrail.
pub(super) const SESSION_NAME: &str = "freehold";

/// What it is called where an organisation is being prepared.
const SESSION_NAME_OF_BOOTSTRAP: &str = "freehold-bootstrap";

const ASSUME_ROLE: &str = "sts:AssumeRole";
const WHO_AM_I: &str = "sts:GetCallerIdentity";

/// As whom a call is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// The identity that Freehold was started with.
    Process,
    /// The control role in the management account.
    ControlRole,
    /// A role in a tenant's account.
    TenantRole(Target, Role),
}

/// The open sessions.
pub(super) type Sessions = Cache<Identity, Arc<Session>>;

/// Credentials of somebody, for a while, and the clients that speak as them.
pub(super) struct Session {
    pub(super) who: Identity,
    pub(super) credentials: Credentials,
    /// Whether AWS has said that it is where it is thought to be.
    proven: AtomicBool,
    connection: Connection,
    clients: Mutex<HashMap<(TypeId, String), Box<dyn Any + Send + Sync>>>,
}

impl Session {
    /// The client of one service in `region`; `new` makes it, which takes longer than most of its calls' other work.
    pub(super) fn client<C: Clone + Send + Sync + 'static>(&self, region: &str, new: fn(&SdkConfig) -> C) -> C {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (TypeId::of::<C>(), region.to_owned());
        if let Some(client) = clients.get(&key).and_then(|client| client.downcast_ref::<C>()) {
            return client.clone();
        }
        let client = new(&self.connection.sdk(self.credentials.clone(), region));
        clients.insert(key, Box::new(client.clone()));
        client
    }

    /// STS in Freehold's own region: the tokens of a regional endpoint hold in every region, opt-in ones included.
    fn sts(&self) -> aws_sdk_sts::Client {
        self.client(self.connection.region(), aws_sdk_sts::Client::new)
    }
}

/// An identity in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account that it belongs to.
    pub account: String,
    /// `arn:aws:sts::…` or `arn:aws:iam::…`
    pub arn: String,
}

impl Aws {
    /// The session that works on the organisation.
    pub(super) async fn control(&self) -> Result<Arc<Session>> {
        if self.acts_directly {
            return self.ambient().await;
        }
        let organization = &self.config.organization;
        self.session(Identity::ControlRole, async {
            let external_id = organization.control_role_external_id.clone();
            self.assume(&*self.ambient().await?, organization.control_role_arn.clone(), external_id).await
        })
        .await
    }

    /// The session that works inside a tenant's account.
    pub(super) async fn inside(&self, account: &Target, role: Role) -> Result<Arc<Session>> {
        let (name, external_id) = match role {
            // Organizations makes this role with a trust that asks for no external id.
            Role::Organization => (self.config.organization.access_role_name.as_str(), None),
            Role::Access => (ACCESS_ROLE, Some(account.environment().to_string())),
            Role::Verify => (VERIFY_ROLE, Some(account.environment().to_string())),
        };
        self.session(Identity::TenantRole(account.clone(), role), async {
            let arn = format!("arn:aws:iam::{}:role/{name}", account.id());
            self.assume(&*self.control().await?, arn, external_id).await
        })
        .await
    }

    async fn ambient(&self) -> Result<Arc<Session>> {
        self.session(Identity::Process, async {
            let credentials = self.connection.credentials().await.map_err(|message| CloudError {
                // A source of credentials that is away for a moment must not end an onboarding.
                kind: CloudErrorKind::NotYet,
                call: ASSUME_ROLE,
                code: "NoCredentials".to_owned(),
                message,
                request_id: None,
            })?;
            // Their own expiry is in real time, which this clock may not show: asked for again soon, it costs nothing.
            Ok((credentials, self.clock.now() + TimeDelta::minutes(1)))
        })
        .await
    }

    async fn session(
        &self,
        who: Identity,
        open: impl Future<Output = Result<(Credentials, DateTime<Utc>)>> + Send,
    ) -> Result<Arc<Session>> {
        let opened = async {
            let (credentials, until) = open.await?;
            let connection = self.connection.clone();
            let (proven, clients) = (AtomicBool::new(false), Mutex::default());
            let session = Session { who: who.clone(), credentials, proven, connection, clients };
            Ok(Some((Arc::new(session), until)))
        };
        let session = self.sessions.get_or_fetch(&who, &self.clock, opened).await?;
        session.ok_or_else(|| missing_field(ASSUME_ROLE, "credentials"))
    }

    /// Opens a session as `role_arn`, and says until when to use it.
    async fn assume(
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
        let answer = self.send(from, ASSUME_ROLE, request.send()).await?;
        let given = answer.credentials.ok_or_else(|| missing_field(ASSUME_ROLE, "credentials"))?;
        let until = to_chrono(given.expiration()).ok_or_else(|| missing_field(ASSUME_ROLE, "expiration"))? - MARGIN;
        let (id, secret, token) = (given.access_key_id, given.secret_access_key, given.session_token);
        Ok((Credentials::new(id, secret, Some(token), None, "freehold"), until))
    }

    /// Who `session` is to AWS.
    async fn who_is(&self, session: &Session) -> Result<Caller> {
        let answer = self.send(session, WHO_AM_I, session.sts().get_caller_identity().send()).await?;
        let account = answer.account.ok_or_else(|| missing_field(WHO_AM_I, "account"))?;
        Ok(Caller { account, arn: answer.arn.unwrap_or_default() })
    }

    /// Who Freehold was started as.
    pub async fn caller(&self) -> Result<Caller> {
        self.who_is(&*self.ambient().await?).await
    }

    /// As whom the organisation is worked on: an ARN.
    pub(crate) async fn acting_as(&self) -> Result<String> {
        Ok(self.who_is(&*self.control().await?).await?.arn)
    }

    /// The same AWS, for preparing the organisation: an administrator of the management account acts as such, anybody
    /// else through the control role.
    pub async fn as_administrator(&self) -> Result<Self> {
        let caller = self.caller().await?;
        let mut administrator = self.clone();
        administrator.session_name = SESSION_NAME_OF_BOOTSTRAP;
        administrator.sessions = Arc::new(Sessions::new(MOST_SESSIONS));
        administrator.acts_directly = caller.account == self.config.organization.management_account_id.as_str();
        Ok(administrator)
    }
}

/// That `role` can be assumed in an account, and that what comes of it can be used and is in that account.
pub(super) async fn check_role(aws: &Aws, account: &Target, role: Role) -> Result<()> {
    let session = aws.inside(account, role).await?;
    if session.proven.load(Ordering::Relaxed) {
        return Ok(());
    }
    let caller = aws.who_is(&session).await?;
    if caller.account == account.id().as_str() {
        session.proven.store(true, Ordering::Relaxed);
        return Ok(());
    }
    Err(CloudError {
        kind: CloudErrorKind::Failed,
        call: WHO_AM_I,
        code: "AnotherAccount".to_owned(),
        message: format!("a session for {account} turned out to be {}", caller.arn),
        request_id: None,
    })
}
