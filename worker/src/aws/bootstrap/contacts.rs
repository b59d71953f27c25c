//! Alternate contacts of the management account, to which AWS sends e-mail in addition to the root user.

use aws_sdk_account::types::AlternateContactType;

use super::super::Aws;
use super::super::account::client;
use super::super::call::none_if;
use crate::cloud::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contact {
    Billing,
    Operations,
    Security,
}

impl Contact {
    pub(crate) const ALL: [Self; 3] = [Self::Billing, Self::Operations, Self::Security];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Billing => "billing",
            Self::Operations => "operations",
            Self::Security => "security",
        }
    }
}

impl Aws {
    /// Returns whether the management account has an alternate contact of this kind.
    pub(crate) async fn has_contact(&self, contact: Contact) -> Result<bool> {
        let kind = match contact {
            Contact::Billing => AlternateContactType::Billing,
            Contact::Operations => AlternateContactType::Operations,
            Contact::Security => AlternateContactType::Security,
        };
        let session = self.control_session().await?;
        let request = client(&session).get_alternate_contact().alternate_contact_type(kind);
        let response = self.send(&session, "account:GetAlternateContact", request.send()).await;
        Ok(none_if(response, "ResourceNotFoundException")?.is_some_and(|response| response.alternate_contact.is_some()))
    }
}
