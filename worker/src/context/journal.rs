//! Facts and intents in the journal.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use freehold_tenancy::db::lifecycle::{self, StepDisposition, StepRecord};
use freehold_tenancy::db::{DbError, operations, steps};
use freehold_tenancy::environment_stack::IntendedStack;
use freehold_tenancy::step::{JournalEntry, StepName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::StepContext;
use crate::shared_poller;
use crate::step_outcome::StepError;

impl StepContext {
    pub(crate) fn entry(&self) -> Option<&JournalEntry> {
        self.journal.iter().find(|entry| entry.name == self.step)
    }

    /// Returns a fact of this step. If the step has not recorded it, returns the fact from another step of this
    /// operation or, failing that, from the latest earlier operation on the environment.
    pub fn fact<T: DeserializeOwned>(&self, fact: &str) -> Option<T> {
        let own = self.entry().and_then(|entry| entry.facts.get(fact));
        let others = || self.journal.iter().chain(&self.data.history).find_map(|entry| entry.facts.get(fact));
        serde_json::from_value(own.or_else(others)?.clone()).ok()
    }

    /// Returns a fact of the step `step` of this operation or, failing that, of the latest earlier operation.
    pub fn fact_of<T: DeserializeOwned>(&self, step: StepName, fact: &str) -> Option<T> {
        let entries = self.journal.iter().chain(&self.data.history);
        let value = entries.filter(|entry| entry.name == step).find_map(|entry| entry.facts.get(fact))?;
        serde_json::from_value(value.clone()).ok()
    }

    /// Returns a fact of any step of this operation.
    pub fn operation_fact<T: DeserializeOwned>(&self, fact: &str) -> Option<T> {
        let value = self.journal.iter().find_map(|entry| entry.facts.get(fact))?;
        serde_json::from_value(value.clone()).ok()
    }

    /// Returns the journal entries of a step in earlier operations on the environment, with the latest first.
    pub fn earlier_entries(&self, step: StepName) -> impl Iterator<Item = &JournalEntry> {
        self.data.history.iter().filter(move |entry| entry.name == step)
    }

    /// Returns a fact of this step only.
    pub fn step_fact<T: DeserializeOwned>(&self, fact: &str) -> Option<T> {
        serde_json::from_value(self.entry()?.facts.get(fact)?.clone()).ok()
    }

    /// Returns the time of the first run of this step.
    pub fn entry_started_at(&self) -> DateTime<Utc> {
        self.entry().and_then(|entry| entry.started_at).unwrap_or_else(|| self.now())
    }

    /// Returns the time at which another step of this operation finished.
    pub fn step_finished_at(&self, step: StepName) -> Option<DateTime<Utc>> {
        self.journal.iter().find(|entry| entry.name == step).and_then(|entry| entry.finished_at)
    }

    /// Returns the intent of this step and the time of the intent, if the outcome of the intent is unknown.
    pub fn pending_intent<T: DeserializeOwned>(&self) -> Option<(T, DateTime<Utc>)> {
        let entry = self.entry()?;
        let intent = serde_json::from_value(entry.intent.clone()?).ok()?;
        Some((intent, entry.intent_at?))
    }

    /// Returns the intent of another step, if there is one.
    pub fn pending_intent_of<T: DeserializeOwned>(&self, step: StepName) -> Option<T> {
        let entry = self.journal.iter().find(|entry| entry.name == step)?;
        serde_json::from_value(entry.intent.clone()?).ok()
    }

    /// Writes an intent with the values of the next AWS call to the journal and renews the lease, which must outlast
    /// the call. An intent is required before every call that is not safe to repeat.
    pub async fn record_intent(&self, intent: &impl Serialize) -> Result<(), StepError> {
        let intent = to_json(intent)?;
        let now = self.prolong_lease().await?;
        steps::write_intent(&self.services.pool, &self.claim, self.step, &intent, now).await?;
        Ok(())
    }

    /// Writes an intent like [`Self::record_intent`], together with the row of the stack that the call creates or
    /// updates.
    pub(crate) async fn record_stack_intent(
        &self,
        intent: &impl Serialize,
        stack: &IntendedStack,
    ) -> Result<(), StepError> {
        let intent = to_json(intent)?;
        let now = self.prolong_lease().await?;
        lifecycle::intend_stack(&self.services.pool, &self.claim, self.step, &intent, stack, now).await?;
        Ok(())
    }

    /// Renews the lease, and returns the current time.
    async fn prolong_lease(&self) -> Result<DateTime<Utc>, StepError> {
        let now = self.now();
        operations::prolong(&self.services.pool, &self.claim, now + self.services.lease()).await?;
        Ok(now)
    }

    /// Deletes the intent of this step, because the call certainly had no effect.
    pub async fn withdraw_intent(&self) -> Result<(), StepError> {
        steps::withdraw(&self.services.pool, &self.claim, self.step).await?;
        Ok(())
    }

    /// Deletes the intent of this step like [`Self::withdraw_intent`], and the row of a stack that was never created.
    pub(crate) async fn withdraw_stack_intent(&self, stack: &IntendedStack) -> Result<(), StepError> {
        lifecycle::withdraw_stack(&self.services.pool, &self.claim, self.step, stack).await?;
        Ok(())
    }

    /// Writes the outcome of a run to the journal and wakes the queued operations that can use the released slots.
    pub(crate) async fn record(&self, record: &StepRecord) -> Result<(), DbError> {
        let services = &self.services;
        lifecycle::record_step(&services.pool, &self.claim, record, self.now()).await?;
        services.report_events();
        let released = record.released.iter().map(|slot| slot.quota);
        let parked = record.quota.filter(|_| matches!(record.state, StepDisposition::Parked(_)));
        for quota in released.chain(parked).collect::<BTreeSet<_>>() {
            if shared_poller::wake_queue(services, quota).await? > 0 {
                services.work_notifier.notify();
            }
        }
        Ok(())
    }
}

fn to_json(intent: &impl Serialize) -> Result<Value, StepError> {
    serde_json::to_value(intent)
        .map_err(|error| StepError::retry(format!("the intent cannot be stored as JSON: {error}")))
}
