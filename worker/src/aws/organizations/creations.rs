//! CreateAccount requests and their status.

use aws_sdk_organizations::types::{CreateAccountState, CreateAccountStatus};
use chrono::{DateTime, TimeDelta, Utc};

use super::{client, tags};
use crate::aws::call::missing_field;
use crate::aws::{Aws, to_chrono};
use crate::cloud::{Creation, CreationState, NewAccount, Result};

/// Maximum assumed delay of AWS's clock relative to Freehold's clock.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

impl Aws {
    /// Requests an account and returns at once. The call has no client token, so a repeated call creates a second
    /// account.
    pub async fn create_account(&self, account: &NewAccount) -> Result<Creation> {
        const CALL: &str = "organizations:CreateAccount";
        let session = self.control_session().await?;
        let request = client(&session)
            .create_account()
            .account_name(&account.name)
            .email(&account.email)
            .role_name(&self.config.organization.access_role_name)
            .set_tags(Some(tags(&account.tags)));
        let response = self.send(&session, CALL, request.send()).await?;
        response.create_account_status.and_then(creation_of).ok_or_else(|| missing_field(CALL, "status"))
    }

    /// Returns the status of a CreateAccount request.
    pub async fn creation_status(&self, request_id: &str) -> Result<Creation> {
        const CALL: &str = "organizations:DescribeCreateAccountStatus";
        let session = self.control_session().await?;
        let request = client(&session).describe_create_account_status().create_account_request_id(request_id);
        let response = self.send(&session, CALL, request.send()).await?;
        response.create_account_status.and_then(creation_of).ok_or_else(|| missing_field(CALL, "status"))
    }

    /// Returns the ids of all CreateAccount requests in progress in the organisation.
    pub async fn creations_in_progress(&self) -> Result<Vec<String>> {
        Ok(self.open_statuses().await?.into_iter().filter_map(|status| status.id).collect())
    }

    /// Returns all CreateAccount requests in progress in the organisation.
    pub async fn open_creations(&self) -> Result<Vec<Creation>> {
        Ok(self.open_statuses().await?.into_iter().filter_map(creation_of).collect())
    }

    async fn open_statuses(&self) -> Result<Vec<CreateAccountStatus>> {
        const CALL: &str = "organizations:ListCreateAccountStatus";
        let session = self.control_session().await?;
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let request = client(&session)
                .list_create_account_status()
                .states(CreateAccountState::InProgress)
                .set_next_token(token);
            let page = self.send(&session, CALL, request.send()).await?;
            found.extend(page.create_account_statuses.unwrap_or_default());
            token = page.next_token;
            // AWS allows five creations at a time, so there is one page unless AWS returns empty pages.
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns the latest request for an account named `name` that was made at or after `since`, if there is one.
    pub async fn find_creation(&self, name: &str, since: DateTime<Utc>) -> Result<Option<Creation>> {
        const CALL: &str = "organizations:ListCreateAccountStatus";
        let session = self.control_session().await?;
        let mut cursor = self.caches.creation_searches.resume(name);
        loop {
            let request = client(&session).list_create_account_status().set_next_token(cursor.token.clone());
            let page = match self.send(&session, CALL, request.send()).await {
                Ok(page) => page,
                Err(error) => return Err(self.caches.creation_searches.pause(name, cursor, error)),
            };
            let creations = page.create_account_statuses.unwrap_or_default().into_iter().filter_map(creation_of);
            cursor.found.extend(creations.filter(|creation| creation.account_name == name));
            cursor.token = page.next_token;
            if cursor.token.is_none() {
                return Ok(latest(cursor.found, since));
            }
        }
    }
}

/// Returns the latest creation that AWS accepted at or after `since`, with a tolerance of [`CLOCK_SKEW`].
fn latest(creations: Vec<Creation>, since: DateTime<Utc>) -> Option<Creation> {
    let recent = creations.into_iter().filter(|creation| creation.requested_at >= since - CLOCK_SKEW);
    recent.max_by_key(|creation| creation.requested_at)
}

fn creation_of(status: CreateAccountStatus) -> Option<Creation> {
    let state = match status.state {
        Some(CreateAccountState::Succeeded) => CreationState::Succeeded(status.account_id?.parse().ok()?),
        Some(CreateAccountState::Failed) => CreationState::Failed(
            status.failure_reason.map_or_else(|| "UNKNOWN".to_owned(), |reason| reason.as_str().to_owned()),
        ),
        // A state that this version does not know is polled until the step's deadline.
        _ => CreationState::InProgress,
    };
    Some(Creation {
        request_id: status.id?,
        account_name: status.account_name.unwrap_or_default(),
        requested_at: status.requested_timestamp.as_ref().and_then(to_chrono)?,
        completed_at: status.completed_timestamp.as_ref().and_then(to_chrono),
        state,
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_organizations::types::CreateAccountFailureReason;
    use aws_smithy_types::DateTime as AwsTime;

    use super::*;

    fn status(name: &str, requested_at: i64, state: &str) -> CreateAccountStatus {
        CreateAccountStatus::builder()
            .id(format!("car-{name}-{requested_at}"))
            .account_name(name)
            .requested_timestamp(AwsTime::from_secs(requested_at))
            .state(CreateAccountState::from(state))
            .build()
    }

    fn found(statuses: Vec<CreateAccountStatus>, since: i64) -> Option<String> {
        let creations = statuses.into_iter().filter_map(creation_of).collect();
        latest(creations, DateTime::from_timestamp(since, 0).unwrap()).map(|creation| creation.request_id)
    }

    #[test]
    fn the_latest_creation_since_the_given_time_is_found() {
        let statuses = || vec![status("env_1", 5_000, "IN_PROGRESS"), status("env_1", 1_000, "FAILED")];
        assert_eq!(found(statuses(), 4_000).as_deref(), Some("car-env_1-5000"));
        assert_eq!(found(statuses(), 0).as_deref(), Some("car-env_1-5000"));
        assert_eq!(found(statuses(), 6_000), None);
    }

    #[test]
    fn a_clock_skew_of_one_minute_is_tolerated() {
        let one = || vec![status("env_1", 5_000, "IN_PROGRESS")];
        assert!(found(one(), 5_060).is_some());
        assert!(found(one(), 5_061).is_none());
    }

    #[test]
    fn an_unknown_state_counts_as_in_progress() {
        let creation = creation_of(status("env_1", 1, "FUTURE_STATE")).unwrap();
        assert_eq!(creation.state, CreationState::InProgress);
    }

    #[test]
    fn a_failed_creation_keeps_an_unknown_reason() {
        for reason in ["EMAIL_ALREADY_EXISTS", "FUTURE_REASON"] {
            let mut failed = status("env_1", 1, "FAILED");
            failed.failure_reason = Some(CreateAccountFailureReason::from(reason));
            assert_eq!(creation_of(failed).unwrap().state, CreationState::Failed(reason.to_owned()));
        }
    }

    #[test]
    fn a_creation_without_an_account_id_has_not_succeeded() {
        assert_eq!(creation_of(status("env_1", 1, "SUCCEEDED")), None);
    }
}
