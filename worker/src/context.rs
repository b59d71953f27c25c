//! What a step gets to see and may use.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::config::Residency;
use freehold_tenancy::db::operations::{self, Claim, Subject};
use freehold_tenancy::db::quotas::{self, Line, Place};
use freehold_tenancy::db::steps;
use freehold_tenancy::environment::Environment;
use freehold_tenancy::operation::Attention;
use freehold_tenancy::step::JournalEntry;
use freehold_tenancy::tenant::Tenant;
use freehold_tenancy::{AwsAccountId, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Worker;
use crate::cloud::{Cloud, Tags, Target};
use crate::patience;
use crate::step::{Outcome, StepError};

/// The longest pause between two looks at what is late.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// What a step gets to see and may use.
pub struct StepContext {
    pub(crate) worker: Arc<Worker>,
    pub(crate) claim: Claim,
    pub(crate) step: &'static str,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) subject: Arc<Subject>,
    pub(crate) history: Arc<Vec<JournalEntry>>,
    pub(crate) journal: Arc<Vec<JournalEntry>>,
}

impl StepContext {
    /// Whose environment it is.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// What the operation works on.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What the operator has declared.
    pub fn config(&self) -> &Config {
        &self.worker.config
    }

    /// The cloud.
    pub fn cloud(&self) -> &dyn Cloud {
        &*self.worker.cloud
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        self.worker.clock.now()
    }

    /// The residency of the environment.
    pub fn residency(&self) -> Result<&Residency, StepError> {
        let name = &self.environment.residency;
        self.config().residency(name).ok_or_else(|| {
            StepError::park(
                "residency_not_configured",
                format!("The residency `{name}` is no longer in the configuration. Declare it again, then retry."),
            )
        })
    }

    /// The tags that mark what Freehold makes for this environment.
    pub fn tags(&self) -> Tags {
        Tags::from([
            ("freehold:installation".to_owned(), self.worker.installation.to_string()),
            ("freehold:tenant".to_owned(), self.tenant.id.to_string()),
            ("freehold:environment".to_owned(), self.environment.id.to_string()),
        ])
    }

    /// Whether these tags mark something as made for this environment, by this installation.
    pub fn is_ours(&self, tags: &Tags) -> bool {
        ["freehold:installation", "freehold:environment"].iter().all(|key| tags.get(*key) == self.tags().get(*key))
    }

    /// The environment's account, as the target of an act.
    pub fn account(&self) -> Result<Target, StepError> {
        let id: AwsAccountId = self.account_id().ok_or_else(|| {
            // No list lets a step come here without `await-account`; if one did, it must not act on nothing.
            StepError::park("account_unknown", "The journal does not say which account is this environment's.")
        })?;
        Ok(Target::new(id, self.environment.id, &self.config().organization)?)
    }

    /// The id of the environment's account, once that is known for certain.
    pub fn account_id(&self) -> Option<AwsAccountId> {
        self.environment.aws_account_id.clone().or_else(|| self.known("account_id"))
    }

    /// The environment's account, as the target of an act, if it has one.
    pub fn account_if_any(&self) -> Result<Option<Target>, StepError> {
        self.account_id().map(|_| self.account()).transpose()
    }

    /// How long policies and permissions may take to reach everywhere.
    pub fn propagation(&self) -> TimeDelta {
        seconds_of(self.config().waits.propagation_seconds)
    }

    /// How long an environment can be restored.
    pub fn cooling_off(&self) -> TimeDelta {
        seconds_of(self.config().offboarding.cooling_off_seconds)
    }

    /// What was asked for beside the kind of the operation.
    pub fn asked_for(&self, what: &str) -> bool {
        self.subject.input.get(what).and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    // The journal.

    pub(crate) fn entry(&self) -> Option<&JournalEntry> {
        self.journal.iter().find(|entry| entry.name == self.step)
    }

    /// What this step or one before it has learnt; else what an earlier operation on this environment has.
    pub fn known<T: DeserializeOwned>(&self, fact: &str) -> Option<T> {
        let mine = self.entry().and_then(|entry| entry.facts.get(fact));
        let others = || self.journal.iter().chain(&*self.history).find_map(|entry| entry.facts.get(fact));
        serde_json::from_value(mine.or_else(others)?.clone()).ok()
    }

    /// What this operation has learnt.
    pub fn learnt<T: DeserializeOwned>(&self, fact: &str) -> Option<T> {
        let value = self.journal.iter().find_map(|entry| entry.facts.get(fact))?;
        serde_json::from_value(value.clone()).ok()
    }

    /// What an earlier operation on this environment has journaled of a step, the latest first.
    pub fn earlier<'a>(&'a self, step: &'a str) -> impl Iterator<Item = &'a JournalEntry> {
        self.history.iter().filter(move |entry| entry.name == step)
    }

    /// What this step itself has learnt.
    pub fn remembered<T: DeserializeOwned>(&self, fact: &str) -> Option<T> {
        serde_json::from_value(self.entry()?.facts.get(fact)?.clone()).ok()
    }

    /// When this step was first run.
    pub fn entry_started_at(&self) -> DateTime<Utc> {
        self.entry().and_then(|entry| entry.started_at).unwrap_or_else(|| self.now())
    }

    /// When a step before this one was done.
    pub fn done_at(&self, step: &str) -> Option<DateTime<Utc>> {
        self.journal.iter().find(|entry| entry.name == step).and_then(|entry| entry.finished_at)
    }

    /// What this step set out to ask, and when, where it did so before and the outcome is unknown.
    pub fn intended<T: DeserializeOwned>(&self) -> Option<(T, DateTime<Utc>)> {
        let entry = self.entry()?;
        let intent = serde_json::from_value(entry.intent.clone()?).ok()?;
        Some((intent, entry.intent_at?))
    }

    /// What another step set out to ask, where the outcome is unknown.
    pub fn intended_by<T: DeserializeOwned>(&self, step: &str) -> Option<T> {
        let entry = self.journal.iter().find(|entry| entry.name == step)?;
        serde_json::from_value(entry.intent.clone()?).ok()
    }

    /// Writes down what is about to be asked, and makes sure that the lease outlasts the call. Comes before every call
    /// that changes something and is not safe to repeat blindly.
    pub async fn intend(&self, intent: &impl Serialize) -> Result<(), StepError> {
        let intent = serde_json::to_value(intent).map_err(|error| StepError::Retry(error.to_string()))?;
        let now = self.now();
        operations::prolong(&self.worker.pool, &self.claim, now + self.worker.lease()).await?;
        steps::intend(&self.worker.pool, &self.claim, self.step, &intent, now).await?;
        Ok(())
    }

    /// Takes the intent back: it is known that nothing was asked.
    pub async fn withdraw(&self) -> Result<(), StepError> {
        steps::withdraw(&self.worker.pool, &self.claim, self.step).await?;
        Ok(())
    }

    // Quotas and waiting.

    /// A place of this step's under `quota`.
    pub fn place(&self, quota: &'static str, item: impl Into<String>) -> Place {
        Place { quota, step: self.step, item: item.into() }
    }

    /// Takes a place under its quota, or says how long the line is.
    pub async fn take(&self, place: &Place, limit: u16) -> Result<(), StepError> {
        match quotas::ask(&self.worker.pool, &self.claim, place, limit, self.now()).await? {
            Line::Granted => Ok(()),
            Line::Waiting { ahead } => Err(StepError::NotYet {
                why: format!("a place under AWS's limit of {limit} {} at a time", place.quota.replace('-', " ")),
                // Whoever gives a place back wakes the next in line; this is for when that wake-up is lost.
                until: Some(self.now() + seconds(if ahead < i64::from(limit) { 15.0 } else { 120.0 })),
                at_most: None,
            }),
        }
    }

    /// Waits for work that AWS accepted at `since` and that takes about `usually` seconds. How long such work has taken
    /// before decides when it looks again.
    ///
    /// After `at_most` seconds it is late: a person is asked, and it goes on looking.
    pub async fn look_again(
        &self,
        why: &str,
        since: DateTime<Utc>,
        usually: u64,
        at_most: u64,
    ) -> Result<Outcome, StepError> {
        let now = self.now();
        let elapsed = now - since;
        let deadline = self.deadline(since, at_most);
        let expected = self.worker.patience.expected(self.step, usually, now).await;
        let pause = patience::next_look(elapsed, expected, self.worker.patience.serves(self.step));
        let looked = |check_at| Outcome::wait(why, check_at).with("looked_at", now.to_rfc3339());
        if now < deadline {
            return Ok(looked((now + pause).min(deadline)));
        }
        let late =
            late(&format!("Still waiting for {why} after {}; {} is allowed", told(elapsed), told(seconds_of(at_most))));
        Ok(Outcome { late: Some(late), ..looked(now + pause.min(LONGEST_PAUSE)) })
    }

    /// When a person is asked about something that is waited for since `since` and may take `at_most` seconds; who has
    /// tried again after that has given it as long once more.
    pub fn deadline(&self, since: DateTime<Utc>, at_most: u64) -> DateTime<Utc> {
        let retried = self.entry().and_then(|entry| entry.retried_at);
        retried.map_or(since, |at| at.max(since)) + seconds_of(at_most)
    }

    /// When to look instead of now, where somebody else has just looked for everybody who waits in this step.
    pub async fn looked_for_everybody(&self, usually: u64) -> Option<DateTime<Utc>> {
        self.worker.patience.too_soon(self.step, usually, self.now()).await
    }

    /// Shares a look with everybody who waits in this step for a request, kept as the fact `fact`: those whose request is
    /// not among `in_progress` any more know it as the fact `ended`, and look at once. Where this look found all of
    /// `at_most` places taken, there may be a line for them, and every second counts.
    pub async fn share_look(&self, fact: &str, in_progress: &[String], at_most: u16) -> Result<(), StepError> {
        let now = self.now();
        let ended = steps::tell_ended(&self.worker.pool, self.step, fact, in_progress, now).await?;
        if ended > 0 {
            self.worker.bell.ring();
        }
        // Those that have ended had a place until now; one of them may be this operation's own.
        let taken = in_progress.len() + usize::try_from(ended).unwrap_or(0) + 1;
        self.worker.patience.note_shared_look(self.step, now, taken >= usize::from(at_most));
        Ok(())
    }

    /// Whether this step has looked at its work before; where it has not, and the work was only just accepted, a look would
    /// be wasted.
    pub fn has_looked(&self) -> bool {
        self.entry().is_some_and(|entry| entry.facts.contains_key("looked_at"))
    }

    /// About how many seconds the work took that was accepted at `since` and is now found done: between the last look
    /// that found it under way and this one.
    pub fn took_seconds(&self, since: DateTime<Utc>) -> f64 {
        let elapsed = (self.now() - since).as_seconds_f64();
        let looked: Option<DateTime<Utc>> = self.remembered("looked_at");
        let before = looked.filter(|at| *at > since).map_or(0.0, |at| (at - since).as_seconds_f64());
        f64::midpoint(before.max(0.3 * elapsed), elapsed)
    }
}

/// What takes longer than it may: it looks on by itself, and a person may find out why.
pub(crate) fn late(what: &str) -> Attention {
    let sentence = format!("{what}. Freehold goes on looking. Look at it in AWS; retry to look at once.");
    Attention::new("deadline_passed", sentence)
}

/// A span in the largest unit that fits.
pub(crate) fn told(span: TimeDelta) -> String {
    match (span.num_seconds(), span.num_minutes(), span.num_hours()) {
        (seconds @ ..120, ..) => format!("{seconds} seconds"),
        (_, minutes @ ..120, _) => format!("{minutes} minutes"),
        (_, _, hours @ ..48) => format!("{hours} hours"),
        (_, _, hours) => format!("{} days", hours / 24),
    }
}

fn seconds_of(count: u64) -> TimeDelta {
    #[expect(clippy::cast_precision_loss, reason = "deadlines are far below 2^52 seconds")]
    seconds(count as f64)
}
