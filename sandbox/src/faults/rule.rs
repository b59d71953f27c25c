//! Faults of the simulated AWS itself.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::world::{Ctx, Request, World};

/// What goes wrong with a call, or with the work that it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The call ends in this error; nothing happens.
    Error { status: u16, code: String, message: String },
    /// The call is accepted and the work never ends.
    Stuck,
    /// The call is accepted and the work ends in a failed state for this reason.
    FailedState {
        /// Text of `FailureReason` or a stack's status reason.
        reason: String,
    },
    /// The call is refused because there were too many.
    Throttle,
    /// A list answers with an empty page and a token for the next.
    EmptyPage,
}

impl Fault {
    /// An error with HTTP status 400.
    pub fn error(code: &str, message: &str) -> Self {
        Self::Error { status: 400, code: code.to_owned(), message: message.to_owned() }
    }

    pub fn failed(reason: &str) -> Self {
        Self::FailedState { reason: reason.to_owned() }
    }
}

/// Which calls suffer which fault. Without more, every call of the operation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    service: String,
    operation: String,
    account: Option<String>,
    containing: Option<String>,
    skip: u64,
    times: u64,
    #[serde(default = "always")]
    per_mille: u16,
    seen: u64,
    fault: Fault,
}

fn always() -> u16 {
    1000
}

impl Rule {
    /// Calls of `operation` of `service` (named as in `world.calls()`: `organizations`, `ssoadmin`, …; `*` for any)
    /// suffer `fault`.
    pub fn on(service: &str, operation: &str, fault: Fault) -> Self {
        Self {
            service: service.to_owned(),
            operation: operation.to_owned(),
            account: None,
            containing: None,
            skip: 0,
            times: u64::MAX,
            per_mille: always(),
            seen: 0,
            fault,
        }
    }

    /// So many of a thousand matching calls, drawn from the world's seed.
    #[must_use]
    pub fn sometimes(mut self, per_mille: u16) -> Self {
        self.per_mille = per_mille;
        self
    }

    /// Only calls from this account.
    #[must_use]
    pub fn from_account(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// Only calls in whose body this text occurs: a name, an e-mail, an id.
    #[must_use]
    pub fn containing(mut self, text: &str) -> Self {
        self.containing = Some(text.to_owned());
        self
    }

    /// Only the `n`th matching call, counted from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        self.skip(n.saturating_sub(1)).times(1)
    }

    /// Not the first `n` matching calls.
    #[must_use]
    pub fn skip(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }

    /// At most `n` times.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.times = n;
        self
    }

    fn matches(&self, service: &str, operation: &str, account: &str, text: &str) -> bool {
        let is = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        is(&self.service, service)
            && is(&self.operation, operation)
            && self.account.as_deref().is_none_or(|wanted| wanted == account)
            && self.containing.as_deref().is_none_or(|wanted| text.contains(wanted))
    }
}

/// A fault that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    pub at: DateTime<Utc>,
    /// `service:Operation`.
    pub operation: String,
    /// The account that called.
    pub account: String,
    pub fault: Fault,
}

/// The rules in force, and what they have done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Faults {
    rules: Vec<Rule>,
    hits: Vec<Hit>,
}

impl Faults {
    /// The fault that this call is to suffer, if any.
    pub fn for_call(&mut self, ctx: &Ctx, request: &Request) -> Option<Fault> {
        if self.rules.is_empty() {
            return None;
        }
        let mut text = String::from_utf8_lossy(&request.body).into_owned();
        // A form is encoded: what was meant stands in the parameters.
        text.extend(request.params.values().flat_map(|value| ["\n", value]));
        self.for_work(ctx, ctx.service.name(), &ctx.operation, &text)
    }

    /// The fault that some work is to suffer: `operation` may be a CloudFormation resource type, and `text` its name.
    pub fn for_work(&mut self, ctx: &Ctx, service: &str, operation: &str, text: &str) -> Option<Fault> {
        let account = &ctx.caller.account;
        let mut hit = None;
        // Calls are throttled, and not the work on a resource that one has begun.
        let fits = |rule: &&mut Rule| rule.fault != Fault::Throttle || !operation.contains("::");
        for rule in self.rules.iter_mut().filter(|rule| rule.matches(service, operation, account, text)).filter(fits) {
            rule.seen += 1;
            let drawn = || ctx.settings.chance(&format!("fault/{service}:{operation}/{}", rule.seen));
            if rule.per_mille < always() && drawn() >= f64::from(rule.per_mille) / 1000.0 {
                continue;
            }
            if hit.is_none() && rule.seen > rule.skip && rule.seen - rule.skip <= rule.times {
                hit = Some(rule.fault.clone());
            }
        }
        let fault = hit?;
        let operation = format!("{service}:{operation}");
        self.hits.push(Hit { at: ctx.now, operation, account: account.clone(), fault: fault.clone() });
        Some(fault)
    }
}

impl World {
    /// From now on, calls that match suffer the rule's fault.
    pub fn inject(&self, rule: Rule) {
        self.state().faults.rules.push(rule);
    }

    /// Takes all rules back; what they did to work that had begun remains.
    pub fn clear_faults(&self) {
        self.state().faults.rules.clear();
    }

    /// The faults that have happened.
    pub fn fault_hits(&self) -> Vec<Hit> {
        self.state().faults.hits.clone()
    }
}
