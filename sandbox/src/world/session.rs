//! The context of an API call: the caller, the service, the region and the settings.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{AccountId, Service};
use crate::faults::Fault;
use crate::policy::{AccessRequest, Decision, Document, evaluate};
use crate::settings::{DurationDistribution, Settings};

/// Session or user that an access key belongs to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    pub account: AccountId,
    /// ARN of the principal, such as `arn:aws:sts::111122223333:assumed-role/freehold-control/worker`.
    pub arn: String,
    /// `UserId` in the response of GetCallerIdentity.
    pub user_id: String,
    /// Name of the assumed role; `None` for the long-lived keys.
    pub role: Option<String>,
    /// Session policy of an assumed role, or the identity policy of a long-lived key.
    pub policy: Option<Document>,
    /// Documents of the managed policies that limit the session of an assumed role.
    #[serde(default)]
    pub managed_session_policies: Vec<Document>,
    /// Session token that every request of the session must contain; `None` for long-lived keys.
    pub token: Option<String>,
    /// Time of expiry; `None` for long-lived keys.
    pub expires: Option<DateTime<Utc>>,
    /// True if `expires` is a time of the system clock. Freehold uses the sandbox's clock, but other clients use the
    /// system clock, and the sandbox's clock can run faster.
    #[serde(default)]
    pub uses_system_clock: bool,
}

impl Session {
    /// Returns whether the session has expired by the clock of the client that created it.
    pub fn has_expired(&self, ctx: &Ctx) -> bool {
        let now = if self.uses_system_clock { ctx.system_time } else { ctx.now };
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The principal that makes an API call.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Account id; empty if the call is not signed.
    pub account: AccountId,
    /// ARN of the principal; empty if the call is not signed.
    pub arn: String,
    /// Session of the access key; `None` if the call is not signed.
    pub session: Option<Session>,
}

impl Caller {
    /// Creates the caller of an unsigned request, which only Function URLs accept.
    pub fn anonymous() -> Self {
        Self { account: String::new(), arn: String::new(), session: None }
    }

    /// Returns the name of the assumed role, or `None` for a long-lived key or an unsigned call.
    pub fn role(&self) -> Option<&str> {
        self.session.as_ref()?.role.as_deref()
    }

    /// Evaluates the policies that limit the session of a role. Returns [`Decision::Allow`] without such policies.
    pub fn evaluate_session_policies(&self, request: &AccessRequest<'_>) -> Decision {
        let Some(session) = self.session.as_ref().filter(|session| session.role.is_some()) else {
            return Decision::Allow;
        };
        let policies = session.policy.iter().chain(&session.managed_session_policies);
        if policies.clone().next().is_none() { Decision::Allow } else { evaluate(policies, request) }
    }

    /// Returns the value of `aws:PrincipalArn`. For an assumed role, that is the ARN of the role.
    pub fn principal_arn(&self) -> String {
        match self.role() {
            Some(role) => format!("arn:aws:iam::{}:role/{role}", self.account),
            None => self.arn.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Ctx {
    /// Time of the sandbox's clock.
    pub now: DateTime<Utc>,
    /// Time of the system clock, which clients other than Freehold use.
    pub system_time: DateTime<Utc>,
    pub caller: Caller,
    /// Region of the called endpoint; us-east-1 for global services.
    pub region: String,
    pub service: Service,
    pub operation: String,
    /// Value of the response header `x-amzn-RequestId`.
    pub request_id: String,
    pub settings: Arc<Settings>,
    /// URL at which the simulated AWS is served, or `None` if it is used only within this process.
    pub base_url: Option<String>,
    /// Fault that the called service must inject: [`Fault::Stuck`], [`Fault::FailedState`] or [`Fault::EmptyPage`].
    /// Other faults are injected before the service is called.
    pub fault: Option<Fault>,
}

impl Ctx {
    /// Draws a random duration for the background work that `key` identifies. The key must consist of names (an e-mail
    /// address, or the names of a stack and a resource) and not contain the time, so that durations do not depend on
    /// the order of calls.
    pub fn draw_duration(&self, spread: DurationDistribution, key: &str) -> TimeDelta {
        self.settings.draw_duration(spread, key)
    }

    /// Returns the Function URL with this id in the region of the call.
    pub fn function_url(&self, id: &str) -> String {
        match &self.base_url {
            Some(base) => format!("{base}/lambda-url/{}/{id}/", self.region),
            None => format!("https://{id}.lambda-url.{}.on.aws/", self.region),
        }
    }
}
