//! How often what may be called.

use serde::{Deserialize, Serialize};

use crate::world::{AwsError, Ctx, Service, State};

/// Token buckets, by what they limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Buckets {}

/// Takes a token for this call.
pub fn take(_state: &mut State, _ctx: &Ctx) -> Result<(), AwsError> {
    Ok(())
}

/// What a service says to one call too many.
pub fn throttled(service: Service) -> AwsError {
    match service {
        Service::Organizations => AwsError::new(
            "TooManyRequestsException",
            "AWS Organizations can't complete your request because another request is already in progress. Try again \
             later.",
        ),
        Service::Account => AwsError::new("TooManyRequestsException", "Too many requests.").status(429),
        Service::SsoAdmin | Service::IdentityStore => {
            AwsError::new("ThrottlingException", "There are too many requests processing. Try again later.")
        }
        Service::Lambda => AwsError::new("TooManyRequestsException", "Rate Exceeded.").status(429),
        Service::Sts | Service::CloudFormation => AwsError::new("Throttling", "Rate exceeded"),
    }
}
