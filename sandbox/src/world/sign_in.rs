//! Sessions of any role, and the decisions of its policies, with which tests try calls that an attacker could make.

use std::sync::Arc;

use super::{Caller, Ctx, Service, Session, World};
use crate::world::ids::UPPERCASE;

impl World {
    /// Opens a session of the first role of an account whose name starts with `role_prefix`, without its trust policy.
    /// `AWSReservedSSO_{name}_` is the prefix for a permission set. Returns the access key id, which needs no session
    /// token and does not expire, or `None` if there is no such role.
    pub fn open_session(&self, account: &str, role_prefix: &str) -> Option<String> {
        let mut state = self.state();
        state.advance(self.settings(), self.clock().now());
        let roles = &state.accounts.get(account)?.roles;
        let role = roles.values().find(|role| role.name.starts_with(role_prefix))?;
        let (name, id) = (role.name.clone(), role.id.clone());
        let key = format!("ASIA{}", state.ids.next(UPPERCASE, 16));
        let session = Session {
            account: account.to_owned(),
            arn: format!("arn:aws:sts::{account}:assumed-role/{name}/attacker"),
            user_id: format!("{id}:attacker"),
            role: Some(name),
            policy: None,
            managed_session_policies: Vec::new(),
            token: None,
            expires: None,
            uses_system_clock: false,
        };
        state.access_keys.insert(key.clone(), session);
        Some(key)
    }

    /// Evaluates the policies for an action of any service, also of one that is not simulated. Returns the error
    /// message of a denied call.
    pub fn authorize(&self, access_key: &str, region: &str, action: &str, resource: &str) -> Result<(), String> {
        let state = self.state();
        let session = state.access_keys.get(access_key).ok_or_else(|| format!("unknown access key {access_key}"))?;
        let caller =
            Caller { account: session.account.clone(), arn: session.arn.clone(), session: Some(session.clone()) };
        let ctx = Ctx {
            now: self.clock().now(),
            system_time: self.clock().system_time(),
            caller,
            region: region.to_owned(),
            // The service determines only the code of the error.
            service: Service::Organizations,
            operation: action.to_owned(),
            request_id: String::new(),
            settings: Arc::clone(&self.0.settings),
            base_url: None,
            fault: None,
        };
        state.authorize(&ctx, action, resource).map_err(|error| error.message)
    }
}
