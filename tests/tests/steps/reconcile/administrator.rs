//! Administrator of the management account, who changes AWS resources without Freehold.

use aws_credential_types::Credentials;
use aws_sdk_cloudformation::types::{Capability, Parameter};
use aws_sdk_organizations::types::{PolicyType, Tag};
use aws_sdk_ssoadmin::types::{PrincipalType, TargetType};
use freehold_tests::fixture::Freehold;

use crate::conformance::cloud::{ACCESS_ROLE, Cloud, Member};

pub(crate) struct Administrator(Cloud);

impl Administrator {
    /// Returns the administrator of this installation's organisation.
    pub(crate) fn of(freehold: &Freehold) -> Self {
        let key = &freehold.world.settings().management_access_key;
        Self(Cloud {
            endpoint: freehold.world.base_url().expect("a served world"),
            http: aws_smithy_http_client::Builder::new().build_http(),
            management: Credentials::new(key, "secret", None, None, "tests"),
            simulator: None,
        })
    }

    /// Creates an account with one tag. Returns the account id.
    pub(crate) async fn create_account_tagged(&self, key: &str, value: &str) -> String {
        let tag = Tag::builder().key(key).value(value).build().expect("a tag");
        let organizations = self.0.organizations();
        let request = organizations.create_account().account_name("by hand").email("by-hand@example.com").tags(tag);
        let request = request.send().await.expect("a request").create_account_status.expect("a status");
        let status = organizations.describe_create_account_status().set_create_account_request_id(request.id);
        let status = status.send().await.expect("a response").create_account_status.expect("a status");
        status.account_id.expect("an account")
    }

    pub(crate) async fn remove_from_organization(&self, account: &str) {
        self.0.organizations().remove_account_from_organization().account_id(account).send().await.expect("a removal");
    }

    pub(crate) async fn close(&self, account: &str) {
        self.0.organizations().close_account().account_id(account).send().await.expect("a closure");
    }

    pub(crate) async fn move_to_root(&self, account: &str) {
        let organizations = self.0.organizations();
        let parents = organizations.list_parents().child_id(account).send().await.expect("parents").parents;
        let parent = parents.into_iter().flatten().next().expect("a parent").id.expect("an id");
        let call = organizations.move_account().account_id(account).source_parent_id(parent);
        call.destination_parent_id(self.0.root().await.expect("a root")).send().await.expect("a move");
    }

    /// Moves an account from the root to a new OU. Returns the ids of the root and of the OU.
    pub(crate) async fn move_to_new_ou(&self, account: &str, name: &str) -> (String, String) {
        let (organizations, root) = (self.0.organizations(), self.0.root().await.expect("a root"));
        let unit = organizations.create_organizational_unit().parent_id(&root).name(name).send().await.expect("a unit");
        let unit = unit.organizational_unit.and_then(|unit| unit.id).expect("an id");
        let call = organizations.move_account().account_id(account).source_parent_id(&root);
        call.destination_parent_id(&unit).send().await.expect("a move");
        (root, unit)
    }

    async fn find_ou(&self, name: &str) -> String {
        let root = self.0.root().await.expect("a root");
        let units = self.0.organizations().list_organizational_units_for_parent().parent_id(root).send().await;
        let units = units.expect("units").organizational_units.unwrap_or_default();
        units.into_iter().find(|unit| unit.name.as_deref() == Some(name)).expect("the unit").id.expect("an id")
    }

    async fn find_policy(&self, name: &str) -> String {
        let policies = self.0.organizations().list_policies().filter(PolicyType::ServiceControlPolicy).send().await;
        let policies = policies.expect("policies").policies.unwrap_or_default();
        policies.into_iter().find(|policy| policy.name.as_deref() == Some(name)).expect("the policy").id.expect("an id")
    }

    pub(crate) async fn detach(&self, policy: &str, ou: &str) {
        let (policy, ou) = (self.find_policy(policy).await, self.find_ou(ou).await);
        self.0.organizations().detach_policy().policy_id(policy).target_id(ou).send().await.expect("a detachment");
    }

    pub(crate) async fn attach(&self, policy: &str, ou: &str) {
        let (policy, ou) = (self.find_policy(policy).await, self.find_ou(ou).await);
        self.0.organizations().attach_policy().policy_id(policy).target_id(ou).send().await.expect("an attachment");
    }

    pub(crate) async fn delete_policy(&self, policy: &str) {
        let policy = self.find_policy(policy).await;
        self.0.organizations().delete_policy().policy_id(policy).send().await.expect("a deletion");
    }

    /// Returns the ARN of the Identity Center instance, the ARN of a permission set and the id of a group.
    async fn find_access_ids(&self, set: &str, group: &str) -> (String, String, String) {
        let sso = self.0.sso();
        let instances = sso.list_instances().send().await.expect("instances").instances.unwrap_or_default();
        let instance = instances.into_iter().next().expect("an instance");
        let arn = instance.instance_arn.expect("an ARN");
        let sets = sso.list_permission_sets().instance_arn(&arn).send().await.expect("sets").permission_sets;
        let mut found = None;
        for one in sets.unwrap_or_default() {
            let described = sso.describe_permission_set().instance_arn(&arn).permission_set_arn(&one).send().await;
            if described.expect("a set").permission_set.and_then(|set| set.name).as_deref() == Some(set) {
                found = Some(one);
            }
        }
        let groups =
            self.0.identity_store().list_groups().identity_store_id(instance.identity_store_id.expect("a store"));
        let groups = groups.send().await.expect("groups").groups;
        let group = groups.into_iter().find(|one| one.display_name.as_deref() == Some(group)).expect("the group");
        (arn, found.expect("the set"), group.group_id)
    }

    pub(crate) async fn unassign(&self, account: &str, set: &str, group: &str) {
        let (instance, set, group) = self.find_access_ids(set, group).await;
        let call = self.0.sso().delete_account_assignment().instance_arn(instance).target_id(account);
        let call = call.target_type(TargetType::AwsAccount).permission_set_arn(set);
        call.principal_type(PrincipalType::Group).principal_id(group).send().await.expect("a deletion");
    }

    /// Assigns a permission set to a group for an account. Returns the group's id.
    pub(crate) async fn assign(&self, account: &str, set: &str, group: &str) -> String {
        let (instance, set, group) = self.find_access_ids(set, group).await;
        let call = self.0.sso().create_account_assignment().instance_arn(instance).target_id(account);
        let call = call.target_type(TargetType::AwsAccount).permission_set_arn(set);
        call.principal_type(PrincipalType::Group).principal_id(&group).send().await.expect("an assignment");
        group
    }

    pub(crate) async fn create_permission_set(&self, name: &str) {
        let sso = self.0.sso();
        let instances = sso.list_instances().send().await.expect("instances").instances.unwrap_or_default();
        let instance = instances.into_iter().next().and_then(|one| one.instance_arn).expect("an ARN");
        sso.create_permission_set().instance_arn(instance).name(name).send().await.expect("a permission set");
    }

    async fn identity_store_id(&self) -> String {
        let instances = self.0.sso().list_instances().send().await.expect("instances").instances;
        instances.into_iter().flatten().next().and_then(|one| one.identity_store_id).expect("a store")
    }

    pub(crate) async fn create_group(&self, name: &str) {
        let store = self.identity_store_id().await;
        let call = self.0.identity_store().create_group().identity_store_id(store).display_name(name);
        call.send().await.expect("a group");
    }

    pub(crate) async fn tag_account(&self, account: &str, key: &str, value: &str) {
        let tag = Tag::builder().key(key).value(value).build().expect("a tag");
        self.0.organizations().tag_resource().resource_id(account).tags(tag).send().await.expect("a tag");
    }

    async fn cloudformation_client(&self, account: &str) -> aws_sdk_cloudformation::Client {
        let credentials = self.0.assume(&self.0.management, account, ACCESS_ROLE).await.expect("credentials");
        self.0.cloudformation(&Member { id: account.to_owned(), credentials })
    }

    pub(crate) async fn delete_stack(&self, account: &str, name: &str) {
        self.cloudformation_client(account).await.delete_stack().stack_name(name).send().await.expect("a deletion");
    }

    /// Returns a client of CloudFormation in `region` with the rights of the organisation's access role.
    pub(crate) async fn cloudformation_in(
        &self,
        account: &str,
        region: &'static str,
    ) -> aws_sdk_cloudformation::Client {
        let credentials = self.0.assume(&self.0.management, account, ACCESS_ROLE).await.expect("credentials");
        self.0.cloudformation_in(&Member { id: account.to_owned(), credentials }, region)
    }

    pub(crate) async fn delete_stack_in(&self, account: &str, region: &'static str, name: &str) {
        let client = self.cloudformation_in(account, region).await;
        client.delete_stack().stack_name(name).send().await.expect("a deletion");
    }

    /// Sets a parameter of a stack in `region`.
    pub(crate) async fn set_parameter(&self, account: &str, region: &'static str, name: &str, parameter: Parameter) {
        let client = self.cloudformation_in(account, region).await;
        let stacks = client.describe_stacks().stack_name(name).send().await.expect("stacks").stacks;
        let stack = stacks.into_iter().flatten().next().expect("the stack");
        let mut parameters = stack.parameters.unwrap_or_default();
        parameters.retain(|one| one.parameter_key != parameter.parameter_key);
        parameters.push(parameter);
        let update = client.update_stack().stack_name(name).use_previous_template(true);
        let update = update.set_parameters(Some(parameters)).capabilities(Capability::CapabilityNamedIam);
        update.send().await.expect("an update");
    }

    /// Replaces the template of a stack in `region`, through a change set.
    pub(crate) async fn replace_template(&self, account: &str, region: &'static str, name: &str, template: &str) {
        let client = self.cloudformation_in(account, region).await;
        let stacks = client.describe_stacks().stack_name(name).send().await.expect("stacks").stacks;
        let stack = stacks.into_iter().flatten().next().expect("the stack");
        let create = client.create_change_set().stack_name(name).change_set_name("by-hand").template_body(template);
        let create = create.set_parameters(stack.parameters).set_tags(stack.tags);
        create.capabilities(Capability::CapabilityNamedIam).send().await.expect("a change set");
        client.execute_change_set().stack_name(name).change_set_name("by-hand").send().await.expect("an execution");
    }

    /// Creates a stack with one log group and no tags.
    pub(crate) async fn create_stack(&self, account: &str, name: &str) {
        let template = r#"{"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup"}}}"#;
        let client = self.cloudformation_client(account).await;
        client.create_stack().stack_name(name).template_body(template).send().await.expect("a creation");
    }

    pub(crate) async fn protect_stack(&self, account: &str, name: &str, protect: bool) {
        let client = self.cloudformation_client(account).await;
        let call = client.update_termination_protection().stack_name(name).enable_termination_protection(protect);
        call.send().await.expect("an update");
    }

    /// Replaces all tags of a stack with one tag that Freehold does not use.
    pub(crate) async fn retag_stack(&self, account: &str, name: &str) {
        let cloudformation_client = self.cloudformation_client(account).await;
        let stacks = cloudformation_client.describe_stacks().stack_name(name).send().await.expect("stacks").stacks;
        let stack = stacks.into_iter().flatten().next().expect("the stack");
        let tag = aws_sdk_cloudformation::types::Tag::builder().key("owner").value("by hand").build();
        let update = cloudformation_client.update_stack().stack_name(name).use_previous_template(true).tags(tag);
        let update = update.set_parameters(stack.parameters).capabilities(Capability::CapabilityNamedIam);
        update.send().await.expect("an update");
    }
}
