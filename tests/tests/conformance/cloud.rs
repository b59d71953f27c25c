//! Organisation of one test case, with SDK clients and helper functions that several cases use.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_organizations::types::{CreateAccountState, CreateAccountStatus};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;

use super::case::Failure;
use super::simulator::Simulator;

/// Region of all regional calls, except in cases that test regions.
pub(crate) const HOME_REGION: &str = "eu-central-1";

/// Role that Organizations creates in every new account.
pub(crate) const ACCESS_ROLE: &str = "OrganizationAccountAccessRole";

/// Maximum number of polls before a case fails.
const MAX_PAUSES: usize = 200;

/// Organisation of one test case, and the credentials of an administrator in its management account.
pub(crate) struct Cloud {
    pub(crate) endpoint: String,
    pub(crate) http: SharedHttpClient,
    pub(crate) management: Credentials,
    /// Simulator with the clock that the test advances; `None` for emulators, which use real time.
    pub(crate) simulator: Option<Simulator>,
}

pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) credentials: Credentials,
}

impl Cloud {
    pub(crate) fn organizations(&self) -> aws_sdk_organizations::Client {
        aws_sdk_organizations::Client::new(&self.config(&self.management, "us-east-1"))
    }

    pub(crate) fn organizations_as(&self, member: &Member) -> aws_sdk_organizations::Client {
        aws_sdk_organizations::Client::new(&self.config(&member.credentials, "us-east-1"))
    }

    pub(crate) fn sts(&self) -> aws_sdk_sts::Client {
        self.sts_as(&self.management)
    }

    pub(crate) fn sts_as(&self, credentials: &Credentials) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.config(credentials, HOME_REGION))
    }

    pub(crate) fn sso(&self) -> aws_sdk_ssoadmin::Client {
        aws_sdk_ssoadmin::Client::new(&self.config(&self.management, HOME_REGION))
    }

    pub(crate) fn identity_store(&self) -> aws_sdk_identitystore::Client {
        aws_sdk_identitystore::Client::new(&self.config(&self.management, HOME_REGION))
    }

    pub(crate) fn account_as(&self, credentials: &Credentials) -> aws_sdk_account::Client {
        aws_sdk_account::Client::new(&self.config(credentials, "us-east-1"))
    }

    pub(crate) fn cloudformation(&self, member: &Member) -> aws_sdk_cloudformation::Client {
        self.cloudformation_in(member, HOME_REGION)
    }

    pub(crate) fn cloudformation_in(&self, member: &Member, region: &'static str) -> aws_sdk_cloudformation::Client {
        aws_sdk_cloudformation::Client::new(&self.config(&member.credentials, region))
    }

    fn config(&self, credentials: &Credentials, region: &'static str) -> aws_config::SdkConfig {
        aws_config::SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new(region))
            .endpoint_url(&self.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
            // A case observes one response, so the SDK must not retry.
            .retry_config(RetryConfig::disabled())
            .http_client(self.http.clone())
            .build()
    }

    /// Advances the simulator's clock by 30 seconds, or sleeps briefly in real time if the target is an emulator.
    pub(crate) async fn pause(&self) {
        match &self.simulator {
            Some(simulator) => simulator.clock.advance(Duration::from_secs(30)),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }

    /// Calls `poll` until it returns a value.
    pub(crate) async fn poll_until<T>(&self, poll: impl AsyncFn() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
        for _ in 0..MAX_PAUSES {
            if let Some(answer) = poll().await? {
                return Ok(answer);
            }
            self.pause().await;
        }
        Err(Failure("never".to_owned()))
    }

    /// Creates an account and waits for the final status.
    pub(crate) async fn create_account(&self, name: &str, email: &str) -> Result<CreateAccountStatus, Failure> {
        let organizations = self.organizations();
        let started = organizations.create_account().account_name(name).email(email).send().await?;
        let status = started.create_account_status.ok_or_else(|| Failure("no status".to_owned()))?;
        let id = status.id.unwrap_or_default();
        self.poll_until(async || {
            let answer = organizations.describe_create_account_status().create_account_request_id(&id).send().await?;
            let status = answer.create_account_status.ok_or_else(|| Failure("no status".to_owned()))?;
            Ok((status.state != Some(CreateAccountState::InProgress)).then_some(status))
        })
        .await
    }

    /// Creates a member account and returns its id.
    pub(crate) async fn new_account(&self, name: &str) -> Result<String, Failure> {
        let status = self.create_account(name, &format!("aws+{name}@example.com")).await?;
        status.account_id.ok_or_else(|| Failure("no account".to_owned()))
    }

    /// Creates a member account and waits until it can be used.
    pub(crate) async fn create_member(&self, name: &str) -> Result<Member, Failure> {
        let id = self.new_account(name).await?;
        self.assume_access_role(&id).await
    }

    /// Waits until the access role of an account can be assumed and CloudFormation is available in the account.
    pub(crate) async fn assume_access_role(&self, account: &str) -> Result<Member, Failure> {
        let member = self
            .poll_until(async || match self.assume(&self.management, account, ACCESS_ROLE).await {
                Ok(credentials) => Ok(Some(Member { id: account.to_owned(), credentials })),
                Err(_) => Ok(None),
            })
            .await?;
        self.poll_until(async || Ok(self.cloudformation(&member).list_stacks().send().await.ok())).await?;
        Ok(member)
    }

    /// Assumes a role of an account and returns the credentials of the session.
    pub(crate) async fn assume(
        &self,
        credentials: &Credentials,
        account: &str,
        role: &str,
    ) -> Result<Credentials, Failure> {
        let arn = format!("arn:aws:iam::{account}:role/{role}");
        let answer =
            self.sts_as(credentials).assume_role().role_arn(arn).role_session_name("conformance").send().await?;
        let keys = answer.credentials.ok_or_else(|| Failure("no credentials".to_owned()))?;
        let token = Some(keys.session_token);
        Ok(Credentials::new(keys.access_key_id, keys.secret_access_key, token, None, "conformance"))
    }

    pub(crate) async fn root(&self) -> Result<String, Failure> {
        let roots = self.organizations().list_roots().send().await?.roots.unwrap_or_default();
        roots.into_iter().next().and_then(|root| root.id).ok_or_else(|| Failure("no root".to_owned()))
    }

    /// Creates an organizational unit below `parent` and returns its id.
    pub(crate) async fn create_ou(&self, parent: &str, name: &str) -> Result<String, Failure> {
        let created = self.organizations().create_organizational_unit().parent_id(parent).name(name).send().await?;
        created.organizational_unit.and_then(|unit| unit.id).ok_or_else(|| Failure("no unit".to_owned()))
    }
}
