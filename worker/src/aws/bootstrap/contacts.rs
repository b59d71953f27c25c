//! Whom AWS writes to beside the root user.

use aws_sdk_account::types::AlternateContactType;

use super::super::Aws;
use super::super::account::client;
use super::super::call::none_if;
use crate::cloud::Result;

/// What a contact is for.
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
    /// Whether the caller's own account has named somebody.
    pub(crate) async fn has_contact(&self, contact: Contact) -> Result<bool> {
        let kind = match contact {
            Contact::Billing => AlternateContactType::Billing,
            Contact::Operations => AlternateContactType::Operations,
            Contact::Security => AlternateContactType::Security,
        };
        let control = self.control().await?;
        let request = client(&control).get_alternate_contact().alternate_contact_type(kind);
        let answer = self.send(&control, "account:GetAlternateContact", request.send()).await;
        Ok(none_if(answer, "ResourceNotFoundException")?.is_some_and(|answer| answer.alternate_contact.is_some()))
    }
}
