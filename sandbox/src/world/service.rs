//! The simulated services and their wire protocols.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// AWS Organizations, with one endpoint in us-east-1.
    Organizations,
    /// Security Token Service, with an endpoint in each region.
    Sts,
    /// Account Management, with one endpoint in us-east-1.
    Account,
    /// Administration of Identity Center: permission sets and assignments. The signing name is `sso`.
    SsoAdmin,
    /// Identity Store, the directory of users and groups of Identity Center.
    IdentityStore,
    /// CloudFormation, with an endpoint in each region.
    CloudFormation,
    /// Lambda; functions can be read, invoked and called through their URLs.
    Lambda,
    /// CloudWatch; only alarms. The signing name is `monitoring`.
    CloudWatch,
    /// S3, as far as CloudFormation reads templates from it.
    S3,
    /// Access portal of Identity Center, whose requests are not signed.
    Sso,
    /// Sign-in to the access portal, whose requests are not signed.
    SsoOidc,
}

/// Wire protocol, which determines the format of requests, responses and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// JSON body with the operation in `X-Amz-Target`.
    AwsJson,
    /// Form body with the parameter `Action`, XML responses.
    AwsQuery,
    /// JSON body with the operation in the path.
    RestJson,
    /// The operation is in method, path and query; XML responses.
    RestXml,
    /// The client chooses CBOR, JSON or `AwsQuery` for each request.
    ByRequest,
}

impl Service {
    /// Returns the service with this signing name (the fourth part of a SigV4 credential scope).
    pub fn from_signing_name(name: &str) -> Option<Self> {
        Some(match name {
            "organizations" => Self::Organizations,
            "sts" => Self::Sts,
            "account" => Self::Account,
            "sso" => Self::SsoAdmin,
            "identitystore" => Self::IdentityStore,
            "cloudformation" => Self::CloudFormation,
            "lambda" => Self::Lambda,
            "monitoring" => Self::CloudWatch,
            "s3" => Self::S3,
            _ => return None,
        })
    }

    /// Returns the prefix of the IAM actions of the service, such as `organizations` in `organizations:CreateAccount`.
    pub fn iam_prefix(self) -> &'static str {
        match self {
            Self::Organizations => "organizations",
            Self::Sts => "sts",
            Self::Account => "account",
            Self::SsoAdmin | Self::Sso => "sso",
            Self::IdentityStore => "identitystore",
            Self::CloudFormation => "cloudformation",
            Self::Lambda => "lambda",
            Self::CloudWatch => "cloudwatch",
            Self::S3 => "s3",
            Self::SsoOidc => "sso-oauth",
        }
    }

    /// Returns the service name used in fault rules and the call log. It is the same as in the crates of the AWS SDK.
    pub fn name(self) -> &'static str {
        match self {
            Self::SsoAdmin => "ssoadmin",
            Self::SsoOidc => "ssooidc",
            other => other.iam_prefix(),
        }
    }

    pub fn protocol(self) -> Protocol {
        match self {
            Self::Organizations | Self::SsoAdmin | Self::IdentityStore => Protocol::AwsJson,
            Self::Sts | Self::CloudFormation => Protocol::AwsQuery,
            Self::Account | Self::Lambda | Self::Sso | Self::SsoOidc => Protocol::RestJson,
            Self::S3 => Protocol::RestXml,
            Self::CloudWatch => Protocol::ByRequest,
        }
    }

    /// Returns whether the service has a single endpoint, in us-east-1.
    pub fn is_global(self) -> bool {
        matches!(self, Self::Organizations | Self::Account)
    }

    /// Returns whether the requests of the service are not signed.
    pub fn is_unsigned(self) -> bool {
        matches!(self, Self::Sso | Self::SsoOidc)
    }

    /// Returns the XML namespace of responses. Only the services with the protocol awsQuery use it.
    pub fn xml_namespace(self) -> &'static str {
        match self {
            Self::CloudWatch => "http://monitoring.amazonaws.com/doc/2010-08-01/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            _ => "http://cloudformation.amazonaws.com/doc/2010-05-15/",
        }
    }
}
