//! Users, groups and memberships in the Identity Store of IAM Identity Center. The control role reads them; only the
//! people role changes them.

use std::sync::Arc;

use aws_sdk_identitystore::Client;
use aws_sdk_identitystore::types::{AlternateIdentifier, Email, MemberId, Name, UniqueAttribute};
use aws_smithy_types::Document;
use freehold_tenancy::aws::constraints::USER_DISPLAY_NAME;

use super::Aws;
use super::cache::{Cache, NAME_TTL};
use super::call::{missing_field, none_if, ok_if_conflict};
use super::sts::Session;
use crate::cloud::{CloudError, CloudErrorKind, Membership, OwnGroup, OwnUser, Person, Result, User};

const GET_GROUP: &str = "identitystore:GetGroupId";
const GET_USER: &str = "identitystore:GetUserId";
pub(super) const NOT_FOUND: &str = "ResourceNotFoundException";

/// `UserType` of users that Freehold created. Only these may be deleted.
const FREEHOLD_USER_TYPE: &str = "freehold";

/// Id of the Identity Store, with the session and the client for its calls.
pub(super) struct Store {
    pub(super) session: Arc<Session>,
    pub(super) id: String,
    pub(super) client: Client,
}

impl Aws {
    /// Returns the Identity Store for calls that read.
    pub(super) async fn store(&self) -> Result<Store> {
        self.store_of(self.control_session().await?).await
    }

    /// Returns the Identity Store for calls that change users, groups or memberships.
    async fn people_store(&self) -> Result<Store> {
        self.store_of(self.people_session().await?).await
    }

    async fn store_of(&self, session: Arc<Session>) -> Result<Store> {
        let instance = self.identity_center().await?;
        let client = session.client(&instance.region, Client::new);
        Ok(Store { session, id: instance.identity_store_id, client })
    }

    /// Returns the id of a group by its display name, or `None` if there is none.
    pub async fn group(&self, display_name: &str) -> Result<Option<String>> {
        let fetch = async {
            let store = self.store().await?;
            let found = self.find_group(&store, display_name).await?;
            Ok(found.map(|id| (id, self.clock.now() + NAME_TTL)))
        };
        self.caches.groups.get_or_fetch(&display_name.to_owned(), &self.clock, fetch).await
    }

    async fn find_group(&self, store: &Store, display_name: &str) -> Result<Option<String>> {
        let request = store
            .client
            .get_group_id()
            .identity_store_id(&store.id)
            .set_alternate_identifier(unique_attribute("displayName", display_name));
        let response = none_if(self.send(&store.session, GET_GROUP, request.send()).await, NOT_FOUND)?;
        Ok(response.map(|response| response.group_id))
    }

    /// Creates a group if it does not exist. Returns its id.
    pub(super) async fn ensure_group(&self, display_name: &str, description: &str) -> Result<String> {
        let (name, missing) = (display_name.to_owned(), format!("group {display_name}"));
        if !self.is_missing(&missing, self.group(display_name)).await?
            && let Some(id) = self.group(display_name).await?
        {
            return Ok(id);
        }
        let store = self.people_store().await?;
        let request = store
            .client
            .create_group()
            .identity_store_id(&store.id)
            .display_name(display_name)
            .description(description);
        let created = self.send(&store.session, "identitystore:CreateGroup", request.send()).await;
        let created = created.map(|response| response.group_id);
        let (cache, find) = (&self.caches.groups, self.group(display_name));
        self.id_of_created(cache, &name, &missing, created, find, "the group").await
    }

    /// Creates a user if it does not exist. Returns its id.
    pub async fn ensure_user(&self, person: &Person<'_>) -> Result<String> {
        let (name, missing) = (person.email.to_owned(), format!("user {}", person.email));
        if !self.is_missing(&missing, self.find_cached_user(person.email)).await?
            && let Some(id) = self.find_cached_user(person.email).await?
        {
            return Ok(id);
        }
        let store = self.people_store().await?;
        let display_name = accepted_name(person.display_name);
        let (given, family) = split_name(&display_name);
        let request = store
            .client
            .create_user()
            .identity_store_id(&store.id)
            .user_name(person.email)
            .display_name(&display_name)
            .name(Name::builder().given_name(given).family_name(family).build())
            .user_type(FREEHOLD_USER_TYPE)
            .emails(Email::builder().value(person.email).r#type("work").primary(true).build());
        let created = self.send(&store.session, "identitystore:CreateUser", request.send()).await;
        let created = created.map(|response| response.user_id);
        let (cache, find) = (&self.caches.users, self.find_cached_user(person.email));
        self.id_of_created(
            cache,
            &name,
            &missing,
            created,
            find,
            "the user of admin_email (AWS: userName, emails.value)",
        )
        .await
    }

    /// Returns whether the object that `find` searches for is missing. The result is cached: if a rate limit interrupts
    /// the caller between this check and the creation, the next attempt creates the object without repeating the check.
    async fn is_missing(
        &self,
        cache_key: &String,
        find: impl Future<Output = Result<Option<String>>> + Send,
    ) -> Result<bool> {
        let fetch = async { Ok(find.await?.is_none().then(|| ((), self.clock.now() + NAME_TTL))) };
        Ok(self.caches.missing.get_or_fetch(cache_key, &self.clock, fetch).await?.is_some())
    }

    /// Returns the id of a user or group that was created or already exists. The id of a created object is cached.
    /// `object` names the user or group in the error for an object that AWS reports to exist but does not find.
    async fn id_of_created(
        &self,
        known: &Cache<String, String>,
        name: &String,
        missing: &String,
        created: Result<String>,
        find: impl Future<Output = Result<Option<String>>> + Send,
        object: &str,
    ) -> Result<String> {
        let found = match created {
            Ok(id) => {
                known.get_or_fetch(name, &self.clock, async { Ok(Some((id, self.clock.now() + NAME_TTL))) }).await?
            }
            Err(error) if error.kind == CloudErrorKind::Conflict => {
                self.caches.missing.invalidate(missing);
                Some(find.await?.ok_or_else(|| {
                    let message = format!("AWS reports that {object} exists, but does not find it: {}", error.message);
                    let kind = CloudErrorKind::Unknown;
                    let request_id = error.request_id;
                    CloudError { request_id, ..CloudError::from_freehold(kind, error.call, "NotFound", message) }
                })?)
            }
            Err(error) => return Err(error),
        };
        self.caches.missing.invalidate(missing);
        found.ok_or_else(|| missing_field(GET_GROUP, "id"))
    }

    /// Returns the id of the user with this e-mail address, or `None` if there is none.
    pub async fn user_id(&self, email: &str) -> Result<Option<String>> {
        self.find_cached_user(email).await
    }

    /// Removes the id of a deleted user from the cache.
    pub fn forget_user(&self, user_id: &str) {
        self.caches.users.invalidate_value(&user_id.to_owned());
    }

    async fn find_cached_user(&self, email: &str) -> Result<Option<String>> {
        let fetch = async {
            let store = self.store().await?;
            let found = self.find_user(&store, email).await?;
            Ok(found.map(|id| (id, self.clock.now() + NAME_TTL)))
        };
        self.caches.users.get_or_fetch(&email.to_owned(), &self.clock, fetch).await
    }

    /// Returns the id of the user with this user name, or else of the user with this e-mail address, who may have
    /// another user name.
    async fn find_user(&self, store: &Store, email: &str) -> Result<Option<String>> {
        if let Some(id) = self.find_user_by(store, "userName", email).await? {
            return Ok(Some(id));
        }
        self.find_user_by(store, "emails.value", email).await.map_err(|error| match error.kind {
            CloudErrorKind::Conflict => {
                let message = "several users of Identity Center have the e-mail address of admin_email (AWS: \
                               emails.value); remove it from all of them but one"
                    .to_owned();
                let kind = CloudErrorKind::Failed;
                let request_id = error.request_id;
                CloudError { request_id, ..CloudError::from_freehold(kind, GET_USER, "UserAmbiguous", message) }
            }
            _ => error,
        })
    }

    async fn find_user_by(&self, store: &Store, attribute: &str, value: &str) -> Result<Option<String>> {
        let request = store
            .client
            .get_user_id()
            .identity_store_id(&store.id)
            .set_alternate_identifier(unique_attribute(attribute, value));
        let response = none_if(self.send(&store.session, GET_USER, request.send()).await, NOT_FOUND)?;
        Ok(response.map(|response| response.user_id))
    }

    /// Adds a user to a group. Succeeds if the user is a member already.
    pub async fn ensure_member(&self, group: &OwnGroup, user_id: &str) -> Result<()> {
        let store = self.people_store().await?;
        let request = store
            .client
            .create_group_membership()
            .identity_store_id(&store.id)
            .group_id(group.id())
            .member_id(MemberId::UserId(user_id.to_owned()));
        ok_if_conflict(self.send(&store.session, "identitystore:CreateGroupMembership", request.send()).await)
    }

    /// Returns the memberships of a group.
    pub async fn members(&self, group_id: &str) -> Result<Vec<Membership>> {
        const CALL: &str = "identitystore:ListGroupMemberships";
        let store = self.store().await?;
        let mut members = Vec::new();
        let mut token = None;
        loop {
            let request = store
                .client
                .list_group_memberships()
                .identity_store_id(&store.id)
                .group_id(group_id)
                .set_next_token(token);
            let Some(page) = none_if(self.send(&store.session, CALL, request.send()).await, NOT_FOUND)? else {
                return Ok(members);
            };
            members.extend(page.group_memberships.into_iter().filter_map(|membership| match membership.member_id {
                Some(MemberId::UserId(user_id)) => Some(Membership { id: membership.membership_id, user_id }),
                _ => None,
            }));
            token = page.next_token;
            if token.is_none() {
                return Ok(members);
            }
        }
    }

    /// Returns the user name, which is the e-mail address, of the only user in a group that Freehold created. Returns
    /// `None` if there is no such group, or if it does not have exactly one such user.
    pub async fn group_admin(&self, display_name: &str) -> Result<Option<String>> {
        let Some(group) = self.group(display_name).await? else { return Ok(None) };
        let store = self.store().await?;
        let mut admins = Vec::new();
        for membership in self.members(&group).await? {
            let request = store.client.describe_user().identity_store_id(&store.id).user_id(&membership.user_id);
            let response = self.send(&store.session, "identitystore:DescribeUser", request.send()).await;
            let user = none_if(response, NOT_FOUND)?;
            let is_own = |one: &Option<String>| one.as_deref() == Some(FREEHOLD_USER_TYPE);
            admins.extend(user.filter(|user| is_own(&user.user_type)).and_then(|user| user.user_name));
        }
        Ok(admins.pop().filter(|_| admins.is_empty()))
    }

    /// Removes a user from a group. Succeeds if the user is not a member.
    pub async fn remove_member(&self, group: &OwnGroup, user_id: &str) -> Result<()> {
        let memberships = self.members(group.id()).await?;
        let Some(membership) = memberships.into_iter().find(|membership| membership.user_id == user_id) else {
            return Ok(());
        };
        let store = self.people_store().await?;
        let request = store.client.delete_group_membership().identity_store_id(&store.id).membership_id(&membership.id);
        let response = self.send(&store.session, "identitystore:DeleteGroupMembership", request.send()).await;
        none_if(response, NOT_FOUND).map(drop)
    }

    /// Returns a user, or `None` if there is no such user.
    pub async fn user(&self, user_id: &str) -> Result<Option<User>> {
        let store = self.store().await?;
        let request = store.client.describe_user().identity_store_id(&store.id).user_id(user_id);
        let response = self.send(&store.session, "identitystore:DescribeUser", request.send()).await;
        let Some(response) = none_if(response, NOT_FOUND)? else { return Ok(None) };
        let request = store
            .client
            .list_group_memberships_for_member()
            .identity_store_id(&store.id)
            .member_id(MemberId::UserId(user_id.to_owned()));
        // One page is sufficient, because callers only need to know whether the user has more than one membership.
        let groups = self.send(&store.session, "identitystore:ListGroupMembershipsForMember", request.send()).await?;
        Ok(Some(User {
            created_by_freehold: response.user_type.as_deref() == Some(FREEHOLD_USER_TYPE),
            groups: groups.group_memberships.len() + usize::from(groups.next_token.is_some()),
            has_assignments: self.is_assigned_directly(user_id).await?,
            id: user_id.to_owned(),
        }))
    }

    /// Deletes a user and its memberships. Succeeds if there is no such user.
    pub async fn delete_user(&self, user: &OwnUser) -> Result<()> {
        let store = self.people_store().await?;
        let request = store.client.delete_user().identity_store_id(&store.id).user_id(user.id());
        self.caches.users.invalidate_value(&user.id().to_owned());
        none_if(self.send(&store.session, "identitystore:DeleteUser", request.send()).await, NOT_FOUND).map(drop)
    }

    /// Deletes a group. Succeeds if there is no such group.
    pub async fn delete_group(&self, group: &OwnGroup) -> Result<()> {
        let store = self.people_store().await?;
        let request = store.client.delete_group().identity_store_id(&store.id).group_id(group.id());
        self.caches.groups.invalidate(&group.name().to_owned());
        self.caches.own_groups.invalidate(&group.id().to_owned());
        none_if(self.send(&store.session, "identitystore:DeleteGroup", request.send()).await, NOT_FOUND).map(drop)
    }
}

fn unique_attribute(path: &str, value: &str) -> Option<AlternateIdentifier> {
    let attribute =
        UniqueAttribute::builder().attribute_path(path).attribute_value(Document::String(value.to_owned())).build();
    attribute.ok().map(AlternateIdentifier::UniqueAttribute)
}

/// Splits a display name into given name and family name. AWS requires both, so a single word is used for both.
fn split_name(display_name: &str) -> (&str, &str) {
    display_name.trim().split_once(' ').unwrap_or((display_name, display_name))
}

/// Returns a name without the characters that Identity Center refuses, such as joiners inside names and emoji.
fn accepted_name(display_name: &str) -> String {
    let is_accepted = |one: char| USER_DISPLAY_NAME.violation(one.encode_utf8(&mut [0; 4])).is_none();
    let accepted = display_name.chars().filter_map(|one| match one {
        one if is_accepted(one) => Some(one),
        one if one.is_whitespace() => Some(' '),
        _ => None,
    });
    accepted.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_only_characters_that_identity_center_accepts() {
        for (name, accepted) in [
            ("Example GmbH", "Example GmbH"),
            ("می\u{200c}خواهم", "میخواهم"),
            ("👩\u{200d}🚀", "👩🚀"),
            ("\u{200b}A\u{2003}B\u{e000}", "A B"),
        ] {
            assert_eq!(accepted_name(name), accepted);
            assert_eq!(USER_DISPLAY_NAME.violation(accepted), None);
        }
    }

    #[test]
    fn every_display_name_has_a_given_and_a_family_name() {
        assert_eq!(split_name("Ada Lovelace"), ("Ada", "Lovelace"));
        assert_eq!(split_name("Juan de la Cruz"), ("Juan", "de la Cruz"));
        assert_eq!(split_name("Example"), ("Example", "Example"));
    }
}
