//! What a step gets to see and may use.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use freehold_tenancy::clock::seconds;
use freehold_tenancy::config::Residency;
use freehold_tenancy::db::operations::{self, Claim, Subject};
use freehold_tenancy::db::quotas::{self, Line, Place, Terms};
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
use crate::quota::{self, ACCOUNT_CREATIONS};
use crate::step::{Outcome, StepError};
use crate::watch;

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

    /// Takes a place under its quota, with leave to make the call that it is for where that has a line of its own, or says
    /// how long the line is.
    pub async fn take(&self, place: &Place, limit: u16) -> Result<(), StepError> {
        let line = match self.ask(place, limit).await? {
            // Somebody else in the organisation may have taken the place: what is in progress is counted first.
            Line::Uncounted if watch::recount(&self.worker, place.quota).await?? => self.ask(place, limit).await?,
            line => line,
        };
        let why = || format!("a place under AWS's limit of {limit} {} at a time", place.quota.replace('-', " "));
        let (why, until) = match line {
            Line::Granted => return Ok(()),
            // Whoever gives a place back wakes the next in line; this is for when that wake-up is lost.
            Line::Waiting { ahead } => (why(), self.now() + pause_in_line(ahead, limit)),
            Line::Later { until } => {
                (format!("AWS's limit on {}", quota::call(place.quota).unwrap_or(place.quota)), until)
            }
            Line::Uncounted => {
                let why = format!("a count of the {} that AWS has in progress", place.quota.replace('-', " "));
                (why, self.now() + TimeDelta::seconds(2))
            }
        };
        Err(StepError::NotYet { why, until: Some(until), at_most: None })
    }

    async fn ask(&self, place: &Place, limit: u16) -> Result<Line, StepError> {
        let (worker, quotas) = (&self.worker, &self.config().quotas);
        let terms = Terms {
            limit,
            limit_each: quota::places_each(quotas, place.quota),
            yields: seconds_of(quotas.maintenance_yields_seconds),
            pace: worker.pace_of_place(place.quota),
            counted_since: match place.quota {
                ACCOUNT_CREATIONS => Some(watch::counted_since(worker, place.quota).await?),
                _ => None,
            },
        };
        Ok(quotas::ask(&worker.pool, &self.claim, place, &terms, self.now()).await?)
    }

    /// Notes that AWS calls the work that has this place `request_id`, and that the step `waits` waits for its end.
    pub async fn asked(&self, place: &Place, request_id: &str, waits: &'static str) -> Result<(), StepError> {
        quotas::note_request(&self.worker.pool, &self.claim, place, request_id, waits, self.now()).await?;
        Ok(())
    }

    /// Those of `requests` that may be what was asked for with this place, and whose id was lost with the answer.
    pub async fn unclaimed(&self, place: &Place, requests: &[String]) -> Result<Vec<String>, StepError> {
        Ok(quotas::unclaimed(&self.worker.pool, &self.claim, place, requests).await?)
    }

    /// Goes back into the line for a place that somebody else in the organisation has turned out to have taken.
    pub async fn step_back(&self, place: &Place) -> Result<(), StepError> {
        quotas::step_back(&self.worker.pool, &self.claim, place).await?;
        Ok(())
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
        let expected = self.worker.patience.expected(self.step, usually, self.now()).await;
        Ok(self.waits(why, since, at_most, patience::next_look(self.now() - since, expected)))
    }

    /// Waits likewise for work that is looked after for everybody at once: whose end is told by whoever looks, and which is
    /// looked at from here only should nobody have.
    pub async fn wait_to_be_told(
        &self,
        why: &str,
        since: DateTime<Utc>,
        usually: u64,
        at_most: u64,
    ) -> Result<Outcome, StepError> {
        let expected = self.worker.patience.expected(self.step, usually, self.now()).await;
        Ok(self.waits(why, since, at_most, patience::at_the_latest(self.now() - since, expected)))
    }

    /// Looks again after `pause`; once the deadline has passed, a person is asked as well.
    fn waits(&self, why: &str, since: DateTime<Utc>, at_most: u64, pause: TimeDelta) -> Outcome {
        let (now, deadline) = (self.now(), self.deadline(since, at_most));
        let looked = |check_at| Outcome::wait(why, check_at).with("looked_at", now.to_rfc3339());
        if now < deadline {
            return looked((now + pause).min(deadline));
        }
        let (waited, allowed) = (told(now - since), told(seconds_of(at_most)));
        let late = late(&format!("Still waiting for {why} after {waited}; {allowed} is allowed"));
        Outcome { late: Some(late), ..looked(now + pause.min(LONGEST_PAUSE)) }
    }

    /// When a person is asked about something that is waited for since `since` and may take `at_most` seconds; who has
    /// tried again after that has given it as long once more.
    pub fn deadline(&self, since: DateTime<Utc>, at_most: u64) -> DateTime<Utc> {
        let retried = self.entry().and_then(|entry| entry.retried_at);
        retried.map_or(since, |at| at.max(since)) + seconds_of(at_most)
    }

    /// Whether a first look would be wasted: hardly any such work has ended so soon after it began, at `since`.
    pub async fn would_be_wasted(&self, since: DateTime<Utc>, usually: u64) -> bool {
        let now = self.now();
        let looked = self.entry().is_some_and(|entry| entry.facts.contains_key("looked_at"));
        !looked && self.worker.patience.expected(self.step, usually, now).await.is_too_soon(now - since)
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

/// How long to wait in line before looking whether the line has moved, though nobody has said so: the longer, the more are
/// ahead.
fn pause_in_line(ahead: i64, limit: u16) -> TimeDelta {
    let ahead = (ahead - i64::from(limit)).clamp(0, 1_000);
    TimeDelta::seconds((30 + 5 * ahead).min(15 * 60))
}

fn seconds_of(count: u64) -> TimeDelta {
    #[expect(clippy::cast_precision_loss, reason = "deadlines are far below 2^52 seconds")]
    seconds(count as f64)
}
