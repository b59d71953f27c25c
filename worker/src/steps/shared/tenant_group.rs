//! Group of a tenant in Identity Center, with the tenant's administrator.

use freehold_tenancy::attention::AttentionCode;
use freehold_tenancy::{EmailAddress, TenantId};

use crate::attention_codes;
use crate::aws::Aws;
use crate::cloud::{CloudError, CloudErrorKind, ErrorOrigin, Membership, OwnGroup, Person, User};
use crate::context::StepContext;
use crate::step_outcome::StepError;

/// Group of a tenant, and the id of its current administrator in the Identity Store.
pub(in crate::steps) struct TenantGroup {
    pub(in crate::steps) group: OwnGroup,
    admin_id: Option<String>,
}

/// Returns the name of the tenant's own group.
pub(crate) fn name(tenant: TenantId) -> String {
    OwnGroup::name_of(tenant)
}

/// Creates the tenant's own group and the user of its administrator, if missing, and adds the user to the group.
pub(in crate::steps) async fn ensure_with_admin(context: &StepContext) -> Result<TenantGroup, StepError> {
    let (tenant, aws) = (context.tenant(), context.aws());
    let group = aws.ensure_own_group(tenant.id).await?;
    let Some(email) = &tenant.admin_email else { return Ok(TenantGroup { group, admin_id: None }) };
    let admin = Person { email: email.as_str(), display_name: tenant.company_name.as_str() };
    let user = aws.ensure_user(&admin).await.map_err(|error| admin_rejected(tenant.id, email, error))?;
    match aws.ensure_member(&group, &user).await {
        Ok(()) => {}
        Err(error) if error.code == "ResourceNotFoundException" => {
            // The user was deleted after its id was cached. The next run creates it.
            aws.forget_user(&user);
            return Err(StepError::retry(error.to_string()).caused_by(&error));
        }
        Err(error) => return Err(error.into()),
    }
    context.record_added_admin(email).await?;
    Ok(TenantGroup { group, admin_id: Some(user) })
}

/// Names the tenant's field that makes AWS reject the user of the administrator.
fn admin_rejected(tenant: TenantId, email: &EmailAddress, error: CloudError) -> StepError {
    let is_rejection = error.kind == CloudErrorKind::Failed && error.origin == ErrorOrigin::Aws;
    if !is_rejection || attention_codes::for_error(&error).is_some() {
        return error.into();
    }
    let message = format!(
        "Identity Center rejects the user for the tenant's admin_email {email}. Change admin_email with PATCH \
         /v1/tenants/{tenant}, then retry. {error}"
    );
    StepError::needs_attention(AttentionCode::AwsRefused, message).caused_by(&error)
}

/// Removes the former administrators from the tenant's own group, after the current one was added.
pub(in crate::steps) async fn remove_former_admins(context: &StepContext) -> Result<(), StepError> {
    let former = context.former_admins().await?;
    if former.is_empty() {
        return Ok(());
    }
    let (tenant, aws) = (context.tenant(), context.aws());
    let tier = context.config().tier(&tenant.tier);
    let group = if tier.is_some_and(|tier| tier.tenant_group_permission_set.is_some()) {
        Some(ensure_with_admin(context).await?)
    } else {
        // An earlier tier had a group.
        aws.own_group(tenant.id).await?.map(|group| TenantGroup { group, admin_id: None })
    };
    if let Some(TenantGroup { group, admin_id }) = group {
        let members = aws.members(group.id()).await?;
        for email in &former {
            // Identity Center ignores the case of user names, so both addresses can name one user.
            let user = aws.user_id(email).await?.filter(|id| admin_id.as_ref() != Some(id));
            if let Some(membership) = members.iter().find(|member| Some(&member.user_id) == user.as_ref()) {
                remove_user(aws, &group, membership).await?;
            }
        }
    }
    context.forget_former_admins(&former).await
}

/// Deletes the user of a membership if Freehold created it and it has no other use. Otherwise deletes the membership.
pub(in crate::steps) async fn remove_user(
    aws: &Aws,
    group: &OwnGroup,
    membership: &Membership,
) -> Result<(), StepError> {
    let user = aws.user(&membership.user_id).await?;
    // The membership is deleted last, because a repeated run finds the user through it.
    match user.and_then(User::into_own) {
        Some(user) => aws.delete_user(&user).await?,
        None => aws.remove_member(group, &membership.user_id).await?,
    }
    Ok(())
}
