//! Groups of Identity Center that Freehold has created. IAM cannot distinguish them from other groups, so only these
//! methods create [`OwnGroup`] values, and only an [`OwnGroup`] gets members or is deleted.

use freehold_tenancy::TenantId;

use super::Aws;
use super::cache::NAME_TTL;
use super::call::none_if;
use crate::cloud::{CloudError, CloudErrorKind, OwnGroup, Result};

const DESCRIBE_GROUP: &str = "identitystore:DescribeGroup";

/// Description of the groups that Freehold creates.
const DESCRIPTION: &str = "Users of one tenant";

/// Error code for a group that Freehold has not created.
pub(crate) const GROUP_NOT_OWN: &str = "GroupNotOwn";

impl Aws {
    /// Returns the group that Freehold has created for a tenant, or `None` if there is none. Fails if a group with its
    /// name was not created by Freehold or is protected.
    pub async fn own_group(&self, tenant: TenantId) -> Result<Option<OwnGroup>> {
        let name = OwnGroup::name_of(tenant);
        let Some(id) = self.group(&name).await? else { return Ok(None) };
        self.verify_own(id, name).await
    }

    /// Creates the group of a tenant if it does not exist. Fails if a group with its name was not created by Freehold
    /// or is protected.
    pub async fn ensure_own_group(&self, tenant: TenantId) -> Result<OwnGroup> {
        let name = OwnGroup::name_of(tenant);
        let id = self.ensure_group(&name, DESCRIPTION).await?;
        let group = self.verify_own(id, name).await?;
        group.ok_or_else(|| {
            let message = format!("the group {} was deleted meanwhile", OwnGroup::name_of(tenant));
            CloudError::from_freehold(CloudErrorKind::NotYet, DESCRIBE_GROUP, "NotFound", message)
        })
    }

    /// Returns the group `id` if Freehold has created it, or `None` if it no longer exists. A group that an identity
    /// provider has created has an external id.
    async fn verify_own(&self, id: String, name: String) -> Result<Option<OwnGroup>> {
        let refuse = |why: &str| {
            let message = format!("group {name} {why}, so it was not changed");
            CloudError::from_freehold(CloudErrorKind::Failed, DESCRIBE_GROUP, GROUP_NOT_OWN, message)
        };
        let is_same = |other: &String| other.to_lowercase() == name.to_lowercase();
        if self.config.organization.protected_groups.iter().any(is_same) {
            return Err(refuse("is listed in protected_groups of [organization]"));
        }
        let mut is_missing = false;
        let fetch = async {
            let store = self.store().await?;
            let request = store.client.describe_group().identity_store_id(&store.id).group_id(&id);
            let response = self.send(&store.session, DESCRIBE_GROUP, request.send()).await;
            let Some(group) = none_if(response, super::identitystore::NOT_FOUND)? else {
                is_missing = true;
                return Ok(None);
            };
            let is_own = group.description.as_deref() == Some(DESCRIPTION)
                && group.external_ids.as_ref().is_none_or(Vec::is_empty);
            Ok(is_own.then(|| ((), self.clock.now() + NAME_TTL)))
        };
        let is_own = self.caches.own_groups.get_or_fetch(&id, &self.clock, fetch).await?.is_some();
        if is_missing {
            self.caches.groups.invalidate(&name);
            return Ok(None);
        }
        if !is_own {
            return Err(refuse("was not created by Freehold"));
        }
        Ok(Some(OwnGroup::new(id, name)))
    }
}
