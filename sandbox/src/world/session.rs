//! Who is calling, and everything else that a service needs to know about a call.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{AccountId, Service};
use crate::faults::Fault;
use crate::settings::{Settings, Spread};

/// What an access key stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The account that it acts in.
    pub account: AccountId,
    /// The principal, such as `arn:aws:sts::111122223333:assumed-role/freehold-control/worker`.
    pub arn: String,
    /// `UserId` of GetCallerIdentity.
    pub user_id: String,
    /// The role that was assumed; none for the root-like bootstrap keys.
    pub role: Option<String>,
    /// The policies of a bootstrap key that stands for no role, and the session policy of one that does.
    pub policy: Option<crate::policy::Document>,
    /// The session token that has to come along.
    pub token: Option<String>,
    /// When it ends; never for long-lived keys.
    pub expires: Option<DateTime<Utc>>,
}

/// The principal behind a call.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its account; empty when the call is not signed.
    pub account: AccountId,
    /// Its ARN; empty when the call is not signed.
    pub arn: String,
    /// What its access key stands for; none when the call is not signed.
    pub session: Option<Session>,
}

impl Caller {
    /// Nobody: a call without a signature, as a Function URL may get.
    pub fn anonymous() -> Self {
        Self { account: String::new(), arn: String::new(), session: None }
    }

    /// The role that it has assumed, if it has.
    pub fn role(&self) -> Option<&str> {
        self.session.as_ref()?.role.as_deref()
    }

    /// The ARN that policies see as `aws:PrincipalArn`: the role's, for an assumed role.
    pub fn principal_arn(&self) -> String {
        match self.role() {
            Some(role) => format!("arn:aws:iam::{}:role/{role}", self.account),
            None => self.arn.clone(),
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// When it is.
    pub now: DateTime<Utc>,
    /// Who calls.
    pub caller: Caller,
    /// The region that is asked: us-east-1 for services that have no other.
    pub region: String,
    /// The service that is asked.
    pub service: Service,
    /// The operation.
    pub operation: String,
    /// `x-amzn-RequestId` of the answer.
    pub request_id: String,
    /// How the world is set up.
    pub settings: Arc<Settings>,
    /// Where the world is served, if it is.
    pub base_url: Option<String>,
    /// What is to go wrong with the work that this call begins: [`Fault::Stuck`], [`Fault::FailedState`] or
    /// [`Fault::EmptyPage`]; the other faults never reach a service.
    pub fault: Option<Fault>,
}

impl Ctx {
    /// How long the thing called `key` takes. The key must name the thing and not the moment, so that the order of
    /// calls changes nothing: an e-mail, a stack's and a resource's name.
    pub fn draw(&self, spread: Spread, key: &str) -> TimeDelta {
        self.settings.draw(spread, key)
    }

    /// The URL of a Function URL with this id.
    pub fn function_url(&self, id: &str) -> String {
        match &self.base_url {
            Some(base) => format!("{base}/lambda-url/{}/{id}/", self.region),
            None => format!("https://{id}.lambda-url.{}.on.aws/", self.region),
        }
    }
}
