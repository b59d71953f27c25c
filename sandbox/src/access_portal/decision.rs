//! The decision of a person about a user code, which the page `/-/device` of the sandbox sends.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::SignInState;
use crate::identitystore::{Membership, User};
use crate::world::{State, World};

/// Maximum number of characters of a user name.
const MAX_NAME_CHARACTERS: usize = 128;

/// Decision about a user code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Approve(SignInPerson),
    Deny,
}

/// Person who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInPerson {
    /// User of the Identity Store with this id.
    Existing(String),
    /// Member of the group with this id. The user with this name is created if it does not exist.
    Member { user_name: String, group: String },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecisionError {
    #[error("no sign-in waits for the code {0}; it has expired, was used or is mistyped")]
    UnknownCode(String),
    #[error("user: must be the id of an existing user")]
    UnknownUser,
    #[error("group: must be the id of an existing group")]
    UnknownGroup,
    #[error("user_name: must have 1 to {MAX_NAME_CHARACTERS} characters and no control characters")]
    InvalidUserName,
}

impl World {
    /// Records the decision of a person about a user code. Returns the name of the user, or `None` if the sign-in was
    /// denied.
    pub fn decide_sign_in(&self, user_code: &str, decision: Decision) -> Result<Option<String>, DecisionError> {
        let now = self.clock().system_time();
        let mut state = self.state();
        check_code(&state, user_code, now)?;
        let (sign_in_state, name) = match decision {
            Decision::Deny => (SignInState::Denied, None),
            Decision::Approve(person) => {
                let id = user_id(&mut state, person, self.clock().now())?;
                let name = state.identity_store.users.get(&id).map(|user| user.user_name.clone());
                (SignInState::Approved(id), name)
            }
        };
        if let Some(sign_in) = state.access_portal.sign_ins.values_mut().find(|one| one.user_code == user_code) {
            sign_in.state = sign_in_state;
        }
        Ok(name)
    }
}

/// Returns an error unless a sign-in with this user code waits for a decision.
fn check_code(state: &State, user_code: &str, now: DateTime<Utc>) -> Result<(), DecisionError> {
    let mut sign_ins = state.access_portal.sign_ins.values();
    let waits = sign_ins.any(|sign_in| {
        sign_in.user_code == user_code && sign_in.expires_at > now && sign_in.state == SignInState::Pending
    });
    if waits { Ok(()) } else { Err(DecisionError::UnknownCode(user_code.to_owned())) }
}

/// Returns the id of the user, which is created and added to the group if needed.
fn user_id(state: &mut State, person: SignInPerson, now: DateTime<Utc>) -> Result<String, DecisionError> {
    let store = &state.identity_store;
    let (user_name, group) = match person {
        SignInPerson::Existing(id) if store.users.contains_key(&id) => return Ok(id),
        SignInPerson::Existing(_) => return Err(DecisionError::UnknownUser),
        SignInPerson::Member { user_name, group } => (user_name.trim().to_owned(), group),
    };
    let length = user_name.chars().count();
    if length == 0 || length > MAX_NAME_CHARACTERS || user_name.chars().any(char::is_control) {
        return Err(DecisionError::InvalidUserName);
    }
    if !store.groups.contains_key(&group) {
        return Err(DecisionError::UnknownGroup);
    }
    let existing = store.users.values().find(|user| user.user_name.to_lowercase() == user_name.to_lowercase());
    let existing = existing.map(|user| user.id.clone());
    let user = existing.unwrap_or_else(|| {
        let id = state.ids.uuid();
        let attributes = json!({
            "UserName": user_name,
            "DisplayName": user_name,
            "Name": { "GivenName": user_name, "FamilyName": "Sandbox" },
        });
        let user = User { id: id.clone(), user_name, attributes, created_at: now };
        state.identity_store.users.insert(id.clone(), user);
        id
    });
    if !state.identity_store.groups_of(&user).contains(&group) {
        let id = state.ids.uuid();
        let membership = Membership { id: id.clone(), group, user: user.clone(), created_at: now };
        state.identity_store.memberships.insert(id, membership);
    }
    Ok(user)
}
