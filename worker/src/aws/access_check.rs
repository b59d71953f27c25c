//! Check that the process has AWS credentials of Freehold's account, and that they may assume the control role.

use aws_credential_types::Credentials;

use super::Aws;
use super::sts::Identity;
use crate::cloud::{CloudError, CloudErrorKind};
use crate::limits::RATE_UNKNOWN;

/// Reason why the process cannot call AWS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The credentials source of the process has no credentials. Contains the reason.
    #[error(
        "the worker has no AWS credentials; set AWS_PROFILE or the AWS_… variables, or run it with an IAM role: {0}"
    )]
    NoCredentials(String),
    /// AWS rejects the credentials.
    #[error("AWS does not accept the credentials of the worker: {0}")]
    CredentialsRejected(CloudError),
    /// The credentials belong to another account than Freehold's.
    #[error(
        "the AWS credentials of the worker belong to account {found} ({arn}); organization.freehold_account_id is \
         {expected}"
    )]
    WrongAccount { found: String, arn: String, expected: String },
    /// The credentials may not assume the control role.
    #[error(
        "AWS does not let {caller} assume organization.control_role_arn {role}; check the trust policy of the role and \
         organization.control_role_external_id: {error}"
    )]
    ControlRoleDenied { caller: String, role: String, error: CloudError },
    /// AWS cannot be asked at the moment.
    #[error("AWS cannot be reached to check the credentials of the worker: {0}")]
    Unavailable(CloudError),
    /// The database, which contains the rate limits of AWS calls, is unavailable, so AWS was not asked.
    #[error("the credentials of the worker cannot be checked: {0}")]
    NotChecked(CloudError),
}

impl AccessError {
    /// Returns whether AWS gave no answer. The credentials may then be valid.
    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Returns AWS's id of the request that failed; `None` if there was no request.
    pub(crate) fn request_id(&self) -> Option<&str> {
        match self {
            Self::NoCredentials(_) | Self::WrongAccount { .. } => None,
            Self::CredentialsRejected(error)
            | Self::ControlRoleDenied { error, .. }
            | Self::Unavailable(error)
            | Self::NotChecked(error) => error.request_id.as_deref(),
        }
    }

    fn of_call(error: CloudError, refused: impl FnOnce(CloudError) -> Self) -> Self {
        match error.kind {
            _ if error.code == RATE_UNKNOWN => Self::NotChecked(error),
            CloudErrorKind::Unknown | CloudErrorKind::Throttled { .. } => Self::Unavailable(error),
            _ => refused(error),
        }
    }
}

impl Aws {
    /// Checks the credentials of the process with two calls, without using cached sessions. After a failed check, the
    /// sessions are opened again for the next call.
    pub async fn check_access(&self) -> Result<(), AccessError> {
        let result = self.check_access_without_cache().await;
        if result.is_err() {
            self.sessions.invalidate(&Identity::Process);
            self.sessions.invalidate(&Identity::ControlRole);
            self.sessions.invalidate(&Identity::PeopleRole);
        }
        result
    }

    async fn check_access_without_cache(&self) -> Result<(), AccessError> {
        let organization = &self.config.organization;
        let credentials: Credentials = self.connection.credentials().await.map_err(AccessError::NoCredentials)?;
        let session = self.uncached_session(Identity::Process, credentials);
        let rejected = |error| AccessError::of_call(error, AccessError::CredentialsRejected);
        let caller = self.caller_of(&session).await.map_err(rejected)?;
        let expected = &organization.freehold_account_id;
        if caller.account != expected.as_str() {
            let expected = expected.to_string();
            return Err(AccessError::WrongAccount { found: caller.account, arn: caller.arn, expected });
        }
        let (role, external_id) =
            (organization.control_role_arn.clone(), organization.control_role_external_id.clone());
        self.assume(&session, role.clone(), external_id).await.map(drop).map_err(|error| {
            AccessError::of_call(error, |error| AccessError::ControlRoleDenied { caller: caller.arn, role, error })
        })
    }
}
