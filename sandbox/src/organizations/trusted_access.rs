//! Trusted access, which permits an AWS service to operate in all accounts of the organisation.

use winterbaume_core::MockResponse;
use winterbaume_organizations::wire;

use super::{page, timestamp};
use crate::world::{AwsError, Ctx, State};

/// Enables trusted access for a service. Succeeds if trusted access is already enabled.
pub(super) fn enable(state: &mut State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input = wire::deserialize_enable_a_w_s_service_access_request(body).map_err(AwsError::serialization)?;
    state.organization.trusted_services.entry(input.service_principal).or_insert(ctx.now);
    Ok(wire::serialize_enable_a_w_s_service_access_response())
}

pub(super) fn list(state: &State, ctx: &Ctx, body: &[u8]) -> Result<MockResponse, AwsError> {
    let input =
        wire::deserialize_list_a_w_s_service_access_for_organization_request(body).map_err(AwsError::serialization)?;
    let principals = state.organization.trusted_services.iter().map(|(service, since)| wire::EnabledServicePrincipal {
        date_enabled: Some(timestamp(*since)),
        service_principal: Some(service.clone()),
    });
    let (principals, next_token) = page(ctx, principals, input.next_token.as_deref(), input.max_results)?;
    Ok(wire::serialize_list_a_w_s_service_access_for_organization_response(
        &wire::ListAWSServiceAccessForOrganizationResponse { enabled_service_principals: Some(principals), next_token },
    ))
}
