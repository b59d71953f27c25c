//! Test cases of IAM Identity Center: permission sets and account assignments.

use aws_sdk_ssoadmin::types::{AccountAssignmentOperationStatus, PrincipalType, StatusValues, TargetType};

use super::case::{Failure, Observed, accepted, cases};
use super::cloud::Cloud;
use super::identity_store::group;

cases![
    exactly_one_instance_exists,
    a_permission_set_name_is_unique,
    a_permission_set_name_of_33_characters_is_too_long,
    a_permission_set_name_with_blanks_is_rejected,
    an_unknown_permission_set_is_not_found,
    a_session_of_13_hours_is_too_long,
    a_managed_policy_cannot_be_attached_twice,
    an_inline_policy_is_stored_unchanged,
    creating_an_assignment_takes_time,
    an_assignment_succeeds,
    an_assignment_is_listed,
    an_assignment_can_be_requested_twice,
    an_unknown_assignment_request_is_not_found,
    a_deleted_assignment_is_not_listed,
    an_assigned_permission_set_cannot_be_deleted,
];

async fn exactly_one_instance_exists(cloud: Cloud) -> Observed {
    let instances = cloud.sso().list_instances().send().await?.instances.unwrap_or_default();
    Ok(instances.len().to_string())
}

async fn a_permission_set_name_is_unique(cloud: Cloud) -> Observed {
    let instance = instance(&cloud).await?.arn;
    permission_set(&cloud, &instance, "support").await?;
    permission_set(&cloud, &instance, "support").await.map(accepted)
}

async fn a_permission_set_name_of_33_characters_is_too_long(cloud: Cloud) -> Observed {
    permission_set(&cloud, &instance(&cloud).await?.arn, &"n".repeat(33)).await.map(accepted)
}

async fn a_permission_set_name_with_blanks_is_rejected(cloud: Cloud) -> Observed {
    permission_set(&cloud, &instance(&cloud).await?.arn, "a b").await.map(accepted)
}

async fn an_unknown_permission_set_is_not_found(cloud: Cloud) -> Observed {
    let instance = instance(&cloud).await?.arn;
    let created = permission_set(&cloud, &instance, "deleted").await?;
    cloud.sso().delete_permission_set().instance_arn(&instance).permission_set_arn(&created).send().await?;
    let call = cloud.sso().describe_permission_set().instance_arn(&instance).permission_set_arn(&created);
    Ok(call.send().await.map(accepted)?)
}

async fn a_session_of_13_hours_is_too_long(cloud: Cloud) -> Observed {
    let call = cloud.sso().create_permission_set().instance_arn(instance(&cloud).await?.arn).name("long");
    Ok(call.session_duration("PT13H").send().await.map(accepted)?)
}

async fn a_managed_policy_cannot_be_attached_twice(cloud: Cloud) -> Observed {
    let instance = instance(&cloud).await?.arn;
    let set = permission_set(&cloud, &instance, "support").await?;
    let attach = async || {
        let call = cloud.sso().attach_managed_policy_to_permission_set().instance_arn(&instance);
        let call = call.permission_set_arn(&set).managed_policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess");
        call.send().await.map(accepted)
    };
    attach().await?;
    Ok(attach().await?)
}

async fn an_inline_policy_is_stored_unchanged(cloud: Cloud) -> Observed {
    let instance = instance(&cloud).await?.arn;
    let set = permission_set(&cloud, &instance, "support").await?;
    let call = cloud.sso().put_inline_policy_to_permission_set().instance_arn(&instance).permission_set_arn(&set);
    call.inline_policy(super::policies::HARMLESS_POLICY).send().await?;
    let call = cloud.sso().get_inline_policy_for_permission_set().instance_arn(&instance).permission_set_arn(&set);
    let stored = call.send().await?.inline_policy.unwrap_or_default();
    Ok(if stored == super::policies::HARMLESS_POLICY { "unchanged" } else { "otherwise" }.to_owned())
}

async fn creating_an_assignment_takes_time(cloud: Cloud) -> Observed {
    let fixture = Fixture::create(&cloud).await?;
    Ok(state_of(&fixture.assign(&cloud).await?))
}

async fn an_assignment_succeeds(cloud: Cloud) -> Observed {
    let fixture = Fixture::create(&cloud).await?;
    let started = fixture.assign(&cloud).await?;
    fixture.final_state(&cloud, started).await
}

async fn an_assignment_is_listed(cloud: Cloud) -> Observed {
    let fixture = Fixture::create(&cloud).await?;
    let started = fixture.assign(&cloud).await?;
    fixture.final_state(&cloud, started).await?;
    fixture.listed(&cloud).await
}

async fn an_assignment_can_be_requested_twice(cloud: Cloud) -> Observed {
    let fixture = Fixture::create(&cloud).await?;
    let started = fixture.assign(&cloud).await?;
    fixture.final_state(&cloud, started).await?;
    let again = fixture.assign(&cloud).await?;
    let state = fixture.final_state(&cloud, again).await?;
    Ok(format!("{state}, {}", fixture.listed(&cloud).await?))
}

async fn an_unknown_assignment_request_is_not_found(cloud: Cloud) -> Observed {
    let call = cloud.sso().describe_account_assignment_creation_status().instance_arn(instance(&cloud).await?.arn);
    let call = call.account_assignment_creation_request_id("11112222-3333-4444-5555-666677778888");
    Ok(call.send().await.map(accepted)?)
}

async fn a_deleted_assignment_is_not_listed(cloud: Cloud) -> Observed {
    let fixture = Fixture::create(&cloud).await?;
    let started = fixture.assign(&cloud).await?;
    fixture.final_state(&cloud, started).await?;
    let call = cloud.sso().delete_account_assignment().instance_arn(&fixture.instance).target_id(&fixture.account);
    let call = call.target_type(TargetType::AwsAccount).permission_set_arn(&fixture.set);
    call.principal_type(PrincipalType::Group).principal_id(&fixture.group).send().await?;
    cloud.poll_until(async || Ok(Some(fixture.listed(&cloud).await?).filter(|listed| listed == "listed 0 times"))).await
}

async fn an_assigned_permission_set_cannot_be_deleted(cloud: Cloud) -> Observed {
    let fixture = Fixture::create(&cloud).await?;
    let started = fixture.assign(&cloud).await?;
    fixture.final_state(&cloud, started).await?;
    let call = cloud.sso().delete_permission_set().instance_arn(&fixture.instance).permission_set_arn(&fixture.set);
    Ok(call.send().await.map(accepted)?)
}

pub(crate) struct Instance {
    pub(crate) arn: String,
    pub(crate) identity_store: String,
}

pub(crate) async fn instance(cloud: &Cloud) -> Result<Instance, Failure> {
    let instances = cloud.sso().list_instances().send().await?.instances.unwrap_or_default();
    let first = instances.into_iter().next().ok_or_else(|| Failure("no instance".to_owned()))?;
    let identity_store = first.identity_store_id.unwrap_or_default();
    Ok(Instance { arn: first.instance_arn.unwrap_or_default(), identity_store })
}

async fn permission_set(cloud: &Cloud, instance: &str, name: &str) -> Result<String, Failure> {
    let call = cloud.sso().create_permission_set().instance_arn(instance).name(name).session_duration("PT1H");
    let created = call.send().await?.permission_set;
    created.and_then(|set| set.permission_set_arn).ok_or_else(|| Failure("no permission set".to_owned()))
}

/// Group, permission set and account for assignments in a test case.
struct Fixture {
    instance: String,
    account: String,
    set: String,
    group: String,
}

impl Fixture {
    async fn create(cloud: &Cloud) -> Result<Self, Failure> {
        let found = instance(cloud).await?;
        Ok(Self {
            account: cloud.create_member("a").await?.id,
            set: permission_set(cloud, &found.arn, "support").await?,
            group: group(cloud, &found.identity_store, "helpers").await?,
            instance: found.arn,
        })
    }

    async fn assign(&self, cloud: &Cloud) -> Result<AccountAssignmentOperationStatus, Failure> {
        let call = cloud.sso().create_account_assignment().instance_arn(&self.instance).target_id(&self.account);
        let call = call.target_type(TargetType::AwsAccount).permission_set_arn(&self.set);
        let started = call.principal_type(PrincipalType::Group).principal_id(&self.group).send().await?;
        started.account_assignment_creation_status.ok_or_else(|| Failure("no status".to_owned()))
    }

    /// Waits until an assignment reaches a final state, and returns the state.
    async fn final_state(&self, cloud: &Cloud, started: AccountAssignmentOperationStatus) -> Observed {
        let request = started.request_id.unwrap_or_default();
        let sso = cloud.sso();
        cloud
            .poll_until(async || {
                let call = sso.describe_account_assignment_creation_status().instance_arn(&self.instance);
                let answer = call.account_assignment_creation_request_id(&request).send().await?;
                let status =
                    answer.account_assignment_creation_status.ok_or_else(|| Failure("no status".to_owned()))?;
                Ok((status.status != Some(StatusValues::InProgress)).then(|| state_of(&status)))
            })
            .await
    }

    async fn listed(&self, cloud: &Cloud) -> Observed {
        let call = cloud.sso().list_account_assignments().instance_arn(&self.instance).account_id(&self.account);
        let found = call.permission_set_arn(&self.set).send().await?.account_assignments.unwrap_or_default();
        let ours = found.iter().filter(|assignment| assignment.principal_id.as_ref() == Some(&self.group)).count();
        Ok(format!("listed {ours} times"))
    }
}

fn state_of(status: &AccountAssignmentOperationStatus) -> String {
    status.status.as_ref().map_or("no state", StatusValues::as_str).to_owned()
}
