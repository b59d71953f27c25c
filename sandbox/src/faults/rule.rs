//! Faults injected into the simulated AWS.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::RegionOutage;
use crate::world::{Ctx, Request, World};

/// A fault that is injected into an API call, or into the background work that the call starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The call fails with this error and has no effect.
    Error { status: u16, code: String, message: String },
    /// The call succeeds, but the background work that it starts never completes.
    Stuck,
    /// The call succeeds, but the background work that it starts fails.
    FailedState {
        /// Value of `FailureReason`, or status reason of a stack.
        reason: String,
    },
    /// The call is rejected by a rate limit.
    Throttle,
    /// The list call returns an empty page and a token for the next page.
    EmptyPage,
}

impl Fault {
    /// Creates a fault that makes the call fail with HTTP status 400.
    pub fn error(code: &str, message: &str) -> Self {
        Self::Error { status: 400, code: code.to_owned(), message: message.to_owned() }
    }

    pub fn failed(reason: &str) -> Self {
        Self::FailedState { reason: reason.to_owned() }
    }
}

/// A rule that injects a fault into matching calls. Without further conditions, all calls of the operation match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    service: String,
    operation: String,
    account: Option<String>,
    containing: Option<String>,
    skip: u64,
    times: u64,
    #[serde(default = "always_per_mille")]
    per_mille: u16,
    seen: u64,
    fault: Fault,
}

fn always_per_mille() -> u16 {
    1000
}

impl Rule {
    /// Creates a rule for calls of an operation of a service. Services are named as in [`World::calls`]
    /// (`organizations`, `ssoadmin`, …); `*` matches any service or operation.
    pub fn on(service: &str, operation: &str, fault: Fault) -> Self {
        Self {
            service: service.to_owned(),
            operation: operation.to_owned(),
            account: None,
            containing: None,
            skip: 0,
            times: u64::MAX,
            per_mille: always_per_mille(),
            seen: 0,
            fault,
        }
    }

    /// Applies the fault to `per_mille` of every 1,000 matching calls on average. The selection is derived from the
    /// seed.
    #[must_use]
    pub fn with_probability_per_mille(mut self, per_mille: u16) -> Self {
        self.per_mille = per_mille;
        self
    }

    /// Restricts the rule to calls from this account.
    #[must_use]
    pub fn from_account(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// Restricts the rule to calls whose body contains this text, such as a name, an e-mail address or an id.
    #[must_use]
    pub fn containing(mut self, text: &str) -> Self {
        self.containing = Some(text.to_owned());
        self
    }

    /// Applies the fault to the `n`th matching call only, counted from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        self.skip(n.saturating_sub(1)).times(1)
    }

    /// Does not apply the fault to the first `n` matching calls.
    #[must_use]
    pub fn skip(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }

    /// Applies the fault at most `n` times.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.times = n;
        self
    }

    fn matches(&self, service: &str, operation: &str, account: &str, text: &str) -> bool {
        let matches = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        matches(&self.service, service)
            && matches(&self.operation, operation)
            && self.account.as_deref().is_none_or(|wanted| wanted == account)
            && self.containing.as_deref().is_none_or(|wanted| text.contains(wanted))
    }
}

/// Record of an injected fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultHit {
    pub at: DateTime<Utc>,
    /// Name of the called operation in the format `service:Operation`.
    pub operation: String,
    pub account: String,
    pub fault: Fault,
}

/// The active rules, the outages of regions and the faults injected so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Faults {
    rules: Vec<Rule>,
    hits: Vec<FaultHit>,
    #[serde(default)]
    pub(super) outages: Vec<RegionOutage>,
}

impl Faults {
    /// Returns the fault to inject into a call, if a rule matches.
    pub fn fault_for_call(&mut self, ctx: &Ctx, request: &Request) -> Option<Fault> {
        if self.rules.is_empty() {
            return None;
        }
        let mut text = String::from_utf8_lossy(&request.body).into_owned();
        // A form body is percent-encoded, so match the decoded parameters as well.
        text.extend(request.params.values().flat_map(|value| ["\n", value]));
        self.fault_for_work(ctx, ctx.service.name(), &ctx.operation, &text)
    }

    /// Returns the fault to inject into a call or into background work, if a rule matches. For background work on a
    /// stack resource, `operation` is the resource type, and `text` contains the names of the stack and the resource.
    pub fn fault_for_work(&mut self, ctx: &Ctx, service: &str, operation: &str, text: &str) -> Option<Fault> {
        let account = &ctx.caller.account;
        let mut fault = None;
        // Throttling applies to API calls only, not to the work on a stack's resources.
        let is_applicable = |rule: &&mut Rule| rule.fault != Fault::Throttle || !operation.contains("::");
        for rule in
            self.rules.iter_mut().filter(|rule| rule.matches(service, operation, account, text)).filter(is_applicable)
        {
            rule.seen += 1;
            let draw = || ctx.settings.random_fraction(&format!("fault/{service}:{operation}/{}", rule.seen));
            if rule.per_mille < always_per_mille() && draw() >= f64::from(rule.per_mille) / 1000.0 {
                continue;
            }
            if fault.is_none() && rule.seen > rule.skip && rule.seen - rule.skip <= rule.times {
                fault = Some(rule.fault.clone());
            }
        }
        let fault = fault?;
        let operation = format!("{service}:{operation}");
        self.hits.push(FaultHit { at: ctx.now, operation, account: account.clone(), fault: fault.clone() });
        Some(fault)
    }
}

impl World {
    /// Adds a fault rule that applies to later calls.
    pub fn inject(&self, rule: Rule) {
        self.state().faults.rules.push(rule);
    }

    /// Removes all fault rules. Faults that were already injected into background work remain in effect.
    pub fn clear_faults(&self) {
        self.state().faults.rules.clear();
    }

    /// Returns the faults injected so far, oldest first.
    pub fn fault_hits(&self) -> Vec<FaultHit> {
        self.state().faults.hits.clone()
    }
}
