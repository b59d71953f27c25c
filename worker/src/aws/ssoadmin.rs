//! IAM Identity Center calls for the instance, permission sets and account assignments.

mod assignments;
mod permission_sets;

use aws_sdk_ssoadmin::Client;
use chrono::TimeDelta;

use super::Aws;
use super::sts::Session;
use crate::cloud::{CloudError, CloudErrorKind, Result};

/// Cache lifetime of the instance, whose ids and region never change.
const INSTANCE_TTL: TimeDelta = TimeDelta::hours(1);

/// Instance of IAM Identity Center in the organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// ARN of the instance: `arn:aws:sso:::instance/ssoins-…`
    pub arn: String,
    /// Id of the Identity Store of the instance: `d-…`
    pub identity_store_id: String,
    pub region: String,
}

/// Session, instance and client for calls to Identity Center.
pub(super) struct Sso {
    pub(super) session: std::sync::Arc<Session>,
    pub(super) instance: Instance,
    pub(super) client: Client,
}

impl Aws {
    pub(super) async fn sso(&self) -> Result<Sso> {
        let session = self.control_session().await?;
        let instance = self.identity_center().await?;
        let client = session.client(&instance.region, Client::new);
        Ok(Sso { session, instance, client })
    }

    /// Returns the instance of Identity Center. If the configuration does not name it, the instance is searched for in
    /// the configured region, by default the region in which Freehold runs.
    pub(crate) async fn identity_center(&self) -> Result<Instance> {
        const CALL: &str = "sso:ListInstances";
        let configured = &self.config.identity_center;
        let region = configured.region.map_or_else(|| self.connection.region(), |region| region.as_str()).to_owned();
        if let (Some(arn), Some(store)) = (&configured.instance_arn, &configured.identity_store_id) {
            return Ok(Instance { arn: arn.clone(), identity_store_id: store.clone(), region });
        }
        let fetch = async {
            let session = self.control_session().await?;
            let client = session.client(&region, Client::new);
            let mut token = None;
            loop {
                let page = self.send(&session, CALL, client.list_instances().set_next_token(token).send()).await?;
                let mut instances = page.instances.unwrap_or_default().into_iter();
                let found = instances.find(|instance| {
                    configured.instance_arn.is_none() || instance.instance_arn == configured.instance_arn
                });
                if let Some((arn, identity_store_id)) =
                    found.and_then(|one| one.instance_arn.zip(one.identity_store_id))
                {
                    let instance = Instance { arn, identity_store_id, region: region.clone() };
                    return Ok(Some((instance, self.clock.now() + INSTANCE_TTL)));
                }
                token = page.next_token;
                if token.is_none() {
                    return Err(no_instance(CALL, &region));
                }
            }
        };
        self.caches.instance.get_or_fetch(&(), &self.clock, fetch).await?.ok_or_else(|| no_instance(CALL, &region))
    }
}

fn no_instance(call: &'static str, region: &str) -> CloudError {
    let message = format!(
        "IAM Identity Center has no instance in {region}; enable it, or set \
         identity_center.region to the region of the instance"
    );
    CloudError::from_freehold(CloudErrorKind::Failed, call, "NoIdentityCenter", message)
}
