//! Credentials of a role in the account, with at most one new sign-in.

use freehold_worker::access_portal::{PortalError, RoleCredentials};
use secrecy::SecretString;

use super::AccountTarget;
use super::sign_in::{SignIn, portal_error};
use crate::exit::Exit;

/// Returns credentials of the role. Signs in if no token is cached, or if the cached one is refused.
pub(super) async fn get(
    session: &SignIn<'_>,
    account: &AccountTarget,
    role: Option<&str>,
) -> anyhow::Result<RoleCredentials> {
    if let Some(token) = session.cached_token() {
        match request(session, account, role, &token).await {
            Err(error) if matches!(error.downcast_ref(), Some(PortalError::TokenRefused)) => {
                super::note("the earlier sign-in has ended; sign in again");
            }
            result => return result.map_err(portal_error),
        }
    }
    let token = session.sign_in().await?;
    request(session, account, role, &token).await.map_err(portal_error)
}

async fn request(
    session: &SignIn<'_>,
    account: &AccountTarget,
    role: Option<&str>,
    token: &SecretString,
) -> anyhow::Result<RoleCredentials> {
    let portal = session.portal;
    let roles = match portal.list_roles(token, &account.id).await {
        Ok(roles) => roles,
        Err(PortalError::NoAccess(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if roles.is_empty() {
        let others = portal.list_accounts(token).await?.len();
        return Err(no_role_error(session, account, others));
    }
    let role = choose_role(&roles, role, account)?;
    match portal.role_credentials(token, &account.id, role).await {
        Err(PortalError::NoAccess(_)) => Err(Exit::NotFound.error(format!(
            "you no longer have the role {role} in AWS account {}, or an administrator blocks you; {}",
            account.id,
            advice(account)
        ))),
        result => Ok(result?),
    }
}

/// Returns the role with this name, or without a name the only role.
fn choose_role<'a>(roles: &'a [String], wanted: Option<&str>, account: &AccountTarget) -> anyhow::Result<&'a str> {
    let (id, list) = (&account.id, roles.join(", "));
    match (wanted, roles) {
        (Some(wanted), _) => match roles.iter().find(|role| *role == wanted) {
            Some(role) => Ok(role),
            None => {
                Err(Exit::NotFound.error(format!("you have no role {wanted} in AWS account {id}; your roles: {list}")))
            }
        },
        (None, [only]) => Ok(only),
        (None, _) => Err(Exit::Usage
            .error(format!("--role: must be set, because you have several roles in AWS account {id}: {list}"))),
    }
}

/// Creates the error for an account in which the person has no role.
fn no_role_error(session: &SignIn<'_>, account: &AccountTarget, others: usize) -> anyhow::Error {
    let AccountTarget { id, description, .. } = account;
    let more = match others {
        0 => format!(
            "You have no role in any account; if you have signed in as another person, delete {} and run it again.",
            session.cache.file().display()
        ),
        1 => "You have a role in 1 other account.".to_owned(),
        others => format!("You have a role in {others} other accounts."),
    };
    Exit::NotFound.error(format!("you have no role in AWS account {id} ({description}); {}. {more}", advice(account)))
}

/// Returns words that say who can give access.
fn advice(account: &AccountTarget) -> String {
    format!(
        "ask an administrator of IAM Identity Center to add you to a group with access to it; `freehold access-review \
         --tenant {}` lists these groups",
        account.tenant
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(roles: &[&str], wanted: Option<&str>) -> Result<String, String> {
        let account = AccountTarget {
            id: "111122223333".parse().unwrap(),
            region: "eu-central-1".to_owned(),
            description: "environment production of Example GmbH".to_owned(),
            tenant: "ten_01k2m8v3x9e7rt4s5q6w7y8z9b".to_owned(),
        };
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        choose_role(&roles, wanted, &account).map(str::to_owned).map_err(|error| error.to_string())
    }

    #[test]
    fn the_only_role_is_chosen_and_several_are_listed() {
        assert_eq!(choose(&["support"], None).as_deref(), Ok("support"));
        assert_eq!(choose(&["admin", "support"], Some("support")).as_deref(), Ok("support"));
        let several = choose(&["admin", "support"], None).unwrap_err();
        assert!(several.starts_with("--role: must be set") && several.ends_with("111122223333: admin, support"));
        let unknown = choose(&["support"], Some("Support")).unwrap_err();
        assert!(unknown.contains("no role Support") && unknown.ends_with("your roles: support"), "{unknown}");
    }
}
