//! Execution of the plan of `freehold bootstrap`.

use std::time::Duration;

use super::{Action, BootstrapError, KnownIds, Plan, retry_while_busy};
use crate::aws::Aws;
use crate::cloud::{AssignmentState, CloudErrorKind};

/// Interval between two polls of a provisioning request.
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// Maximum number of polls, which corresponds to ten minutes.
const MAX_POLLS: usize = 200;

/// Executes the actions of `plan` one after the other and calls `progress` after each. If an action fails, the next run
/// of bootstrap executes the rest.
pub async fn apply(aws: &Aws, plan: Plan, mut progress: impl FnMut(&Action)) -> Result<(), BootstrapError> {
    let aws = aws.as_administrator().await?;
    let mut known = plan.known;
    for action in &plan.actions {
        execute(&aws, action, &mut known).await?;
        progress(action);
    }
    Ok(())
}

async fn execute(aws: &Aws, action: &Action, known: &mut KnownIds) -> Result<(), BootstrapError> {
    let clock = aws.clock();
    match action {
        Action::EnableScps { root } => retry_while_busy(clock, || aws.enable_scps(root)).await?,
        Action::EnableTrustedAccess { service } => {
            retry_while_busy(clock, || aws.enable_trusted_access(service)).await?;
        }
        Action::CreateOu { name, parent } => {
            let id = match retry_while_busy(clock, || aws.create_ou(parent, name)).await {
                Ok(id) => id,
                // The OU was created after the plan was made.
                Err(error) if error.kind == CloudErrorKind::Conflict => {
                    id_of(&retry_while_busy(clock, || aws.ous(parent)).await?, name)?.to_owned()
                }
                Err(error) => return Err(error.into()),
            };
            known.ous.insert(name.clone(), id);
        }
        Action::CreatePolicy { name, description, content } => {
            let id = match retry_while_busy(clock, || aws.create_policy(name, description, content)).await {
                Ok(id) => id,
                // The policy was created after the plan was made; its content may differ.
                Err(error) if error.kind == CloudErrorKind::Conflict => {
                    let policies = retry_while_busy(clock, || aws.policies()).await?;
                    let id = id_of(&policies, name)?.to_owned();
                    retry_while_busy(clock, || aws.update_policy(&id, content)).await?;
                    id
                }
                Err(error) => return Err(error.into()),
            };
            known.policies.insert(name.clone(), id);
        }
        Action::UpdatePolicy { name, content } => {
            let id = id_of(&known.policies, name)?;
            retry_while_busy(clock, || aws.update_policy(id, content)).await?;
        }
        Action::AttachPolicy { name, ou } => {
            let (policy, ou) = (id_of(&known.policies, name)?, id_of(&known.ous, ou)?);
            retry_while_busy(clock, || aws.attach_policy(policy, ou)).await?;
        }
        Action::CreatePermissionSet { name, description, session_duration } => {
            let arn =
                retry_while_busy(clock, || aws.create_permission_set(name, description, session_duration)).await?;
            known.permission_sets.insert(name.clone(), arn);
        }
        Action::TagPermissionSet { set } => {
            let arn = id_of(&known.permission_sets, set)?;
            retry_while_busy(clock, || aws.tag_permission_set(arn, set)).await?;
        }
        Action::UpdatePermissionSet { name, description, session_duration } => {
            let arn = id_of(&known.permission_sets, name)?;
            retry_while_busy(clock, || aws.update_permission_set(arn, description, session_duration)).await?;
        }
        Action::AttachManagedPolicy { set, policy } => {
            let arn = id_of(&known.permission_sets, set)?;
            retry_while_busy(clock, || aws.attach_managed_policy(arn, policy)).await?;
        }
        Action::DetachManagedPolicy { set, policy } => {
            let arn = id_of(&known.permission_sets, set)?;
            retry_while_busy(clock, || aws.detach_managed_policy(arn, policy)).await?;
        }
        Action::PutInlinePolicy { set, policy } => {
            let arn = id_of(&known.permission_sets, set)?;
            retry_while_busy(clock, || aws.put_inline_policy(arn, policy)).await?;
        }
        Action::DeleteInlinePolicy { set } => {
            let arn = id_of(&known.permission_sets, set)?;
            retry_while_busy(clock, || aws.delete_inline_policy(arn)).await?;
        }
        Action::Provision { set } => provision(aws, set, id_of(&known.permission_sets, set)?).await?,
    }
    Ok(())
}

async fn provision(aws: &Aws, set: &str, arn: &str) -> Result<(), BootstrapError> {
    let clock = aws.clock();
    let request = retry_while_busy(clock, || aws.provision_permission_set(arn)).await?;
    let failed = |reason: String| BootstrapError::NotProvisioned { set: set.to_owned(), reason };
    for _ in 0..MAX_POLLS {
        match retry_while_busy(clock, || aws.provisioning_status(&request)).await? {
            AssignmentState::Succeeded => return Ok(()),
            AssignmentState::Failed(reason) => return Err(failed(reason)),
            AssignmentState::InProgress => clock.sleep(POLL_INTERVAL).await,
        }
    }
    Err(failed("provisioning is still in progress; run bootstrap again later".to_owned()))
}

fn id_of<'a>(ids: &'a std::collections::BTreeMap<String, String>, name: &str) -> Result<&'a str, BootstrapError> {
    ids.get(name).map(String::as_str).ok_or_else(|| BootstrapError::Missing(name.to_owned()))
}
