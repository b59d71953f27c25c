//! The services that this world knows, and the protocol that each speaks.

use serde::{Deserialize, Serialize};

/// A simulated service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// AWS Organizations, one endpoint in us-east-1.
    Organizations,
    /// Security Token Service, an endpoint in each region.
    Sts,
    /// Account Management, one endpoint in us-east-1.
    Account,
    /// Identity Center's administration: permission sets and assignments. Signs as `sso`.
    SsoAdmin,
    /// Identity Center's directory of users and groups.
    IdentityStore,
    /// CloudFormation, an endpoint in each region.
    CloudFormation,
    /// Lambda: only the calling of Function URLs.
    Lambda,
}

/// How requests, answers and errors look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A JSON body, the operation in `X-Amz-Target`.
    AwsJson,
    /// A form body with `Action`, XML answers.
    AwsQuery,
    /// A JSON body, the operation in the path.
    RestJson,
}

impl Service {
    /// The service with this signing name (the fourth part of a SigV4 credential scope).
    pub fn signing_as(name: &str) -> Option<Self> {
        Some(match name {
            "organizations" => Self::Organizations,
            "sts" => Self::Sts,
            "account" => Self::Account,
            "sso" => Self::SsoAdmin,
            "identitystore" => Self::IdentityStore,
            "cloudformation" => Self::CloudFormation,
            "lambda" => Self::Lambda,
            _ => return None,
        })
    }

    /// The name in IAM actions, as in `organizations:CreateAccount`.
    pub fn iam_prefix(self) -> &'static str {
        match self {
            Self::Organizations => "organizations",
            Self::Sts => "sts",
            Self::Account => "account",
            Self::SsoAdmin => "sso",
            Self::IdentityStore => "identitystore",
            Self::CloudFormation => "cloudformation",
            Self::Lambda => "lambda",
        }
    }

    /// The name of the SDK crate and of `aws` sub-commands, used in fault rules and the call log.
    pub fn name(self) -> &'static str {
        match self {
            Self::SsoAdmin => "ssoadmin",
            other => other.iam_prefix(),
        }
    }

    /// How it talks.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Organizations | Self::SsoAdmin | Self::IdentityStore => Protocol::AwsJson,
            Self::Sts | Self::CloudFormation => Protocol::AwsQuery,
            Self::Account | Self::Lambda => Protocol::RestJson,
        }
    }

    /// Whether it has one endpoint only, in us-east-1.
    pub fn is_global(self) -> bool {
        matches!(self, Self::Organizations | Self::Account)
    }

    /// The XML namespace of its answers, for those that speak XML.
    pub fn xml_namespace(self) -> &'static str {
        match self {
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            _ => "http://cloudformation.amazonaws.com/doc/2010-05-15/",
        }
    }
}
