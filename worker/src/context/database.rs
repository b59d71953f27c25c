//! Database queries of steps, except those of the journal.

use chrono::{DateTime, Utc};
use freehold_tenancy::approval::Approval;
use freehold_tenancy::db::{
    access_grants, account_mappings, approvals, closures, environment_stacks, former_admins, lifecycle, tenants,
};
use freehold_tenancy::environment_stack::EnvironmentStack;
use freehold_tenancy::{AwsAccountId, EmailAddress};
use serde_json::Value;

use super::StepContext;
use crate::step_outcome::StepError;

impl StepContext {
    /// Returns whether `account` is mapped to this environment.
    pub(crate) async fn is_mapped(&self, account: &AwsAccountId) -> Result<bool, StepError> {
        Ok(account_mappings::is_mapped(&self.services.pool, account, self.environment().id).await?)
    }

    /// Returns whether `account` is or was mapped to another environment.
    pub(crate) async fn is_mapped_to_other(&self, account: &AwsAccountId) -> Result<bool, StepError> {
        Ok(account_mappings::is_mapped_to_other(&self.services.pool, account, self.environment().id).await?)
    }

    /// Returns the stacks of this environment that are on record and not deleted.
    pub(crate) async fn stacks(&self) -> Result<Vec<EnvironmentStack>, StepError> {
        Ok(environment_stacks::list(&self.services.pool, self.environment().id).await?)
    }

    pub(crate) async fn is_on_legal_hold(&self) -> Result<bool, StepError> {
        Ok(tenants::is_on_legal_hold(&self.services.pool, self.tenant().id).await?)
    }

    /// Returns the permission set ARN and the group id of each assignment in the account that Freehold has made.
    pub(crate) async fn own_assignments(&self) -> Result<Vec<(String, String)>, StepError> {
        Ok(access_grants::own_group_grants(&self.services.pool, self.environment().id).await?)
    }

    /// Returns whether Freehold has ever given the tenant's own group access to an account.
    pub(crate) async fn has_used_tenant_group(&self) -> Result<bool, StepError> {
        Ok(access_grants::has_used_tenant_group(&self.services.pool, self.tenant().id).await?)
    }

    /// Returns the earlier administrators whose access remains to be removed.
    pub(crate) async fn former_admins(&self) -> Result<Vec<String>, StepError> {
        Ok(former_admins::list(&self.services.pool, self.tenant()).await?)
    }

    /// Records that the access of all `listed` earlier administrators was removed.
    pub(crate) async fn forget_former_admins(&self, listed: &[String]) -> Result<(), StepError> {
        Ok(former_admins::forget(&self.services.pool, self.tenant(), listed).await?)
    }

    /// Records that the user with this e-mail address has access as the tenant's administrator.
    pub(crate) async fn record_added_admin(&self, email: &EmailAddress) -> Result<(), StepError> {
        Ok(former_admins::add_if_replaced(&self.services.pool, self.tenant().id, email).await?)
    }

    /// Returns the approvals of this operation, with the oldest first.
    pub(crate) async fn approvals(&self) -> Result<Vec<Approval>, StepError> {
        Ok(approvals::list_for_operation(&self.services.pool, self.operation_id()).await?)
    }

    /// Requests a second person's approval to create the account that `request` describes.
    pub(crate) async fn request_vending_approval(&self, request: &Value) -> Result<(), StepError> {
        lifecycle::request_creation_approval(&self.services.pool, &self.claim, self.step, request, self.now()).await?;
        Ok(())
    }

    /// Returns the number of operations that will close an account before this operation does.
    pub(crate) async fn closures_ahead(&self) -> Result<i64, StepError> {
        Ok(closures::ahead(&self.services.pool, self.operation_id()).await?)
    }

    /// Returns the times of the account closures since `since`, with the oldest first.
    pub(crate) async fn closures_since(&self, since: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>, StepError> {
        Ok(closures::since(&self.services.pool, since).await?)
    }

    pub(crate) async fn known_accounts(&self) -> Result<i64, StepError> {
        Ok(closures::count_mapped_accounts(&self.services.pool).await?)
    }
}
