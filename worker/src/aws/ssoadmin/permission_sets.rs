//! Permission sets of IAM Identity Center.

use std::sync::PoisonError;

use super::Sso;
use crate::aws::Aws;
use crate::aws::cache::{NAME_TTL, PARTIAL_RESULT_TTL};
use crate::cloud::Result;

impl Aws {
    /// Returns the ARN of a permission set, or `None` if there is none with this name.
    pub async fn permission_set(&self, name: &str) -> Result<Option<String>> {
        let fetch = async {
            let Some(arn) = self.find_permission_set(name).await? else { return Ok(None) };
            Ok(Some((arn, self.clock.now() + NAME_TTL)))
        };
        self.caches.permission_sets.get_or_fetch(&name.to_owned(), &self.clock, fetch).await
    }

    /// Returns the ARN of the permission set `name`, or `None` if it does not exist.
    ///
    /// AWS lists only ARNs, so each name is read with a separate call. Names never change and are cached without limit.
    /// The list of ARNs is cached until the search is complete, so that an interrupted search can continue.
    pub(crate) async fn find_permission_set(&self, name: &str) -> Result<Option<String>> {
        let sso = self.sso().await?;
        let fetch = async { Ok(Some((self.permission_set_arns(&sso).await?, self.clock.now() + PARTIAL_RESULT_TTL))) };
        let arns = self.caches.permission_set_arns.get_or_fetch(&(), &self.clock, fetch).await?.unwrap_or_default();
        let mut found = None;
        for arn in arns {
            if self.name_of(&sso, &arn).await? == name {
                found = Some(arn);
                break;
            }
        }
        // The next search lists the permission sets again, so that it finds new ones.
        self.caches.permission_set_arns.invalidate(&());
        Ok(found)
    }

    /// Returns the ARNs of all permission sets, including those that Freehold does not manage.
    pub async fn all_permission_sets(&self) -> Result<Vec<String>> {
        let sso = self.sso().await?;
        self.permission_set_arns(&sso).await
    }

    /// Returns the name of a permission set.
    pub async fn permission_set_name(&self, arn: &str) -> Result<String> {
        let sso = self.sso().await?;
        self.name_of(&sso, arn).await
    }

    async fn permission_set_arns(&self, sso: &Sso) -> Result<Vec<String>> {
        let (mut arns, mut token) = (Vec::new(), None);
        loop {
            let request = sso.client.list_permission_sets().instance_arn(&sso.instance.arn).set_next_token(token);
            let page = self.send(&sso.session, "sso:ListPermissionSets", request.send()).await?;
            arns.extend(page.permission_sets.unwrap_or_default());
            token = page.next_token;
            if token.is_none() {
                return Ok(arns);
            }
        }
    }

    async fn name_of(&self, sso: &Sso, arn: &str) -> Result<String> {
        let names = || self.caches.permission_set_names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names().get(arn).cloned();
        if let Some(name) = known {
            return Ok(name);
        }
        let request = sso.client.describe_permission_set().instance_arn(&sso.instance.arn).permission_set_arn(arn);
        let response = self.send(&sso.session, "sso:DescribePermissionSet", request.send()).await?;
        let name = response.permission_set.and_then(|set| set.name).unwrap_or_default();
        names().insert(arn.to_owned(), name.clone());
        Ok(name)
    }
}
