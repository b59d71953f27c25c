//! Changes that `freehold bootstrap` can make to the organisation.

use std::fmt;

/// Change to the organisation. `Display` describes the change to the operator in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    EnableScps { root: String },
    EnableTrustedAccess { service: String },
    CreateOu { name: String, parent: String },
    CreatePolicy { name: String, description: String, content: String },
    UpdatePolicy { name: String, content: String },
    AttachPolicy { name: String, ou: String },
    CreatePermissionSet { name: String, description: String, session_duration: String },
    TagPermissionSet { set: String },
    UpdatePermissionSet { name: String, description: String, session_duration: String },
    AttachManagedPolicy { set: String, policy: String },
    DetachManagedPolicy { set: String, policy: String },
    PutInlinePolicy { set: String, policy: String },
    DeleteInlinePolicy { set: String },
    Provision { set: String },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnableScps { root } => write!(f, "enable service control policies on root {root}"),
            Self::EnableTrustedAccess { service } => write!(f, "enable trusted access for {service}"),
            Self::CreateOu { name, parent } => write!(f, "create OU {name} under {parent}"),
            Self::CreatePolicy { name, content, .. } => {
                write!(f, "create service control policy {name} ({} characters)", content.chars().count())
            }
            Self::UpdatePolicy { name, content } => {
                write!(f, "update service control policy {name} ({} characters)", content.chars().count())
            }
            Self::AttachPolicy { name, ou } => write!(f, "attach service control policy {name} to OU {ou}"),
            Self::CreatePermissionSet { name, session_duration, .. } => {
                write!(f, "create permission set {name} (sessions of {session_duration})")
            }
            Self::TagPermissionSet { set } => {
                write!(f, "tag permission set {set}, which lets the control role assign it")
            }
            Self::UpdatePermissionSet { name, session_duration, .. } => {
                write!(f, "update description and session length ({session_duration}) of permission set {name}")
            }
            Self::AttachManagedPolicy { set, policy } => write!(f, "attach {policy} to permission set {set}"),
            Self::DetachManagedPolicy { set, policy } => write!(f, "detach {policy} from permission set {set}"),
            Self::PutInlinePolicy { set, .. } => write!(f, "set the inline policy of permission set {set}"),
            Self::DeleteInlinePolicy { set } => write!(f, "delete the inline policy of permission set {set}"),
            Self::Provision { set } => write!(f, "provision permission set {set} in the accounts that have it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_one_line() {
        let action = Action::CreateOu { name: "freehold-eu".into(), parent: "r-abcd".into() };
        assert_eq!(action.to_string(), "create OU freehold-eu under r-abcd");
        let action = Action::PutInlinePolicy { set: "support".into(), policy: "{\n}".into() };
        assert!(!action.to_string().contains('\n'));
    }
}
