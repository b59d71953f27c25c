//! Rules of AWS for each kind of policy. The messages are those of IAM.

use std::collections::BTreeSet;

use super::condition::Operator;
use super::document::{Document, Principals, Statement};

/// Kind of a policy, by the object that it is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Policy of AWS Organizations for accounts.
    ServiceControl,
    /// Inline or managed policy of a role or permission set, or policy of a session.
    Identity,
    /// Policy that determines the principals that can assume a role.
    Trust,
    /// Policy of a resource, such as a bucket.
    Resource,
}

/// Version of the policy language with policy variables.
const CURRENT_VERSION: &str = "2012-10-17";
const FIRST_VERSION: &str = "2008-10-17";

impl Document {
    /// Parses a policy and checks it by the rules of its kind. Returns an error message if AWS would refuse it.
    pub fn parse_as(kind: PolicyKind, text: &str) -> Result<Self, String> {
        let document = Self::parse(text)?;
        document.check(kind)?;
        Ok(document)
    }

    /// Checks the document by the rules of its kind. Returns an error message if AWS would refuse it.
    pub fn check(&self, kind: PolicyKind) -> Result<(), String> {
        let is_known_version = match self.version() {
            None | Some(FIRST_VERSION) => kind != PolicyKind::ServiceControl,
            Some(version) => version == CURRENT_VERSION,
        };
        if !is_known_version {
            return Err(format!("Policy document must be version {CURRENT_VERSION} or greater."));
        }
        if self.statements().is_empty() {
            return Err("Syntax errors in policy: Statement must not be empty.".into());
        }
        let mut sids = BTreeSet::new();
        for statement in self.statements() {
            if let Some(sid) = &statement.sid {
                if kind != PolicyKind::Resource && !sid.chars().all(|c| c.is_ascii_alphanumeric()) {
                    return Err("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the \
                                regular expression [0-9A-Za-z]*"
                        .into());
                }
                if !sid.is_empty() && !sids.insert(sid) {
                    return Err("Statement IDs (SID) in a single policy must be unique.".into());
                }
            }
            statement.check(kind)?;
        }
        Ok(())
    }
}

impl Statement {
    fn check(&self, kind: PolicyKind) -> Result<(), String> {
        let actions = self.actions.as_slice();
        if actions.is_empty() {
            return Err("Policy statement must contain actions.".into());
        }
        if !actions.iter().all(|action| is_action(action)) {
            return Err("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".into());
        }
        self.check_principals(kind)?;
        if kind == PolicyKind::Trust {
            if self.resources.is_some() {
                return Err("Has prohibited field Resource".into());
            }
            if !actions.iter().all(|action| action.to_ascii_lowercase().starts_with("sts:")) {
                return Err("AssumeRole policy may only specify STS AssumeRole actions.".into());
            }
        } else {
            let resources = self.resources.as_ref().map(super::Patterns::as_slice).unwrap_or_default();
            if resources.is_empty() {
                return Err("Policy statement must contain resources.".into());
            }
            if let Some(invalid) = resources.iter().find(|resource| !is_resource(resource)) {
                return Err(format!("Resource {invalid} must be in ARN format or \"*\"."));
            }
        }
        self.check_conditions()
    }

    fn check_principals(&self, kind: PolicyKind) -> Result<(), String> {
        let wants_principal = matches!(kind, PolicyKind::Trust | PolicyKind::Resource);
        match &self.principals {
            None if wants_principal => Err("Missing required field Principal".into()),
            None => Ok(()),
            Some(_) if !wants_principal => Err("Policy document should not specify a principal.".into()),
            Some(Principals::Any(star)) if star == "*" => Ok(()),
            Some(Principals::Any(other)) => Err(format!("Invalid principal in policy: {other}")),
            Some(Principals::Named(named)) => {
                if named.is_empty() || named.values().any(|names| names.as_slice().is_empty()) {
                    return Err("Missing required field Principal cannot be empty!".into());
                }
                let names =
                    named.iter().flat_map(|(kind, names)| names.as_slice().iter().map(move |name| (kind, name)));
                match names.into_iter().find(|(kind, name)| !is_principal(kind, name)) {
                    Some((kind, name)) => Err(format!("Invalid principal in policy: \"{kind}\":\"{name}\"")),
                    None => Ok(()),
                }
            }
        }
    }

    fn check_conditions(&self) -> Result<(), String> {
        for (operator, tests) in &self.conditions {
            let Some(comparison) = Operator::parse(operator) else {
                return Err(format!("Invalid Condition type : {operator}."));
            };
            for (key, values) in tests {
                if key.split_once(':').is_none_or(|(vendor, name)| vendor.is_empty() || name.is_empty()) {
                    return Err("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".into());
                }
                if values.is_empty() {
                    return Err(format!("Syntax errors in policy: the condition on {key} has no value."));
                }
                if let Some(invalid) = values.iter().find(|value| !comparison.accepts(value)) {
                    return Err(format!("Syntax errors in policy: {operator} cannot compare {key} with {invalid}."));
                }
            }
        }
        Ok(())
    }
}

/// Returns whether the text is `*` or an action after the prefix of its service, such as `s3:Get*`.
fn is_action(text: &str) -> bool {
    let is_name = |name: &str, more: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || more.contains(c))
    };
    text == "*" || text.split_once(':').is_some_and(|(vendor, name)| is_name(vendor, "") && is_name(name, "*?_"))
}

/// Returns whether the text is `*` or has the six parts of an ARN.
fn is_resource(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    text == "*" || (parts.len() == 6 && parts[0] == "arn" && !parts[1].is_empty() && !parts[2].is_empty())
}

fn is_principal(kind: &str, name: &str) -> bool {
    let is_account = name.len() == 12 && name.bytes().all(|digit| digit.is_ascii_digit());
    match kind {
        "AWS" => {
            let parts: Vec<&str> = name.splitn(6, ':').collect();
            let is_arn = parts.len() == 6 && parts[0] == "arn" && ["iam", "sts"].contains(&parts[2]);
            // AWS replaces the ARN of a deleted role or user with its id.
            let is_id =
                name.len() >= 16 && name.starts_with('A') && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            name == "*" || is_account || (is_arn && !parts[5].is_empty()) || is_id
        }
        "Service" => name.contains('.') && !name.contains(['*', '/', ':', ' ']),
        "Federated" | "CanonicalUser" => !name.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: PolicyKind, statements: &str) -> String {
        let document = format!(r#"{{"Version": "2012-10-17", "Statement": {statements}}}"#);
        Document::parse_as(kind, &document).err().unwrap_or_default()
    }

    #[test]
    fn a_service_control_policy_must_follow_the_policy_language() {
        let of = |statements: &str| error(PolicyKind::ServiceControl, statements);
        let deny = |fields: &str| of(&format!(r#"{{"Effect": "Deny", {fields}}}"#));
        assert_eq!(deny(r#""Action": "iam:*", "Resource": "*""#), "");
        assert_eq!(deny(r#""NotAction": ["iam:*", "sts:Get?allerIdentity"], "Resource": "arn:aws:s3:::b/*""#), "");
        let all = |condition: &str| deny(&format!(r#""Action": "*", "Resource": "*", "Condition": {condition}"#));
        assert_eq!(all(r#"{"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}"#), "");
        assert_eq!(all(r#"{"DateGreaterThan": {"aws:CurrentTime": "2026-12-01T00:00:00Z"}}"#), "");
        assert_eq!(all(r#"{"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}}"#), "");
        for (statements, expected) in [
            ("[]", "must not be empty"),
            (r#"{"Effect": "Deny", "Action": "foo", "Resource": "*"}"#, "prefaced by a vendor"),
            (r#"{"Effect": "Deny", "Action": ["s3:*", "s 3:*"], "Resource": "*"}"#, "prefaced by a vendor"),
            (r#"{"Effect": "Deny", "Action": [], "Resource": "*"}"#, "must contain actions"),
            (r#"{"Effect": "Deny", "Action": "s3:*", "Resource": []}"#, "must contain resources"),
            (r#"{"Effect": "Deny", "Action": "s3:*"}"#, "must contain resources"),
            (r#"{"Effect": "Deny", "Action": "s3:*", "Resource": "bucket"}"#, "ARN format"),
            (r#"{"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Principal": "*"}"#, "should not specify"),
            (r#"{"Sid": "a b", "Effect": "Deny", "Action": "s3:*", "Resource": "*"}"#, "alpha-numeric"),
            (
                r#"[{"Sid": "a", "Effect": "Deny", "Action": "s3:*", "Resource": "*"},
                    {"Sid": "a", "Effect": "Deny", "Action": "s3:*", "Resource": "*"}]"#,
                "must be unique",
            ),
        ] {
            assert!(of(statements).contains(expected), "{statements}: {}", of(statements));
        }
        for condition in [
            r#"{"NumericLessThan": {"aws:MultiFactorAuthAge": "soon"}}"#,
            r#"{"DateGreaterThan": {"aws:CurrentTime": "tomorrow"}}"#,
            r#"{"IpAddress": {"aws:SourceIp": "203.0.113.0/33"}}"#,
            r#"{"Bool": {"aws:SecureTransport": "perhaps"}}"#,
            r#"{"StringEquals": {"region": "eu-west-1"}}"#,
            r#"{"StringEquals": {"aws:RequestedRegion": []}}"#,
        ] {
            assert_ne!(all(condition), "", "{condition}");
        }
        for version in ["", r#""Version": "2008-10-17","#, r#""Version": "2026-01-01","#] {
            let document =
                format!(r#"{{{version} "Statement": [{{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}}]}}"#);
            assert!(Document::parse_as(PolicyKind::ServiceControl, &document).is_err(), "{document}");
        }
    }

    #[test]
    fn a_trust_policy_names_principals_and_actions_of_sts() {
        let of = |statement: &str| error(PolicyKind::Trust, statement);
        let allow = |fields: &str| of(&format!(r#"{{"Effect": "Allow", {fields}}}"#));
        for principal in [
            r#"{"AWS": "111122223333"}"#,
            r#"{"AWS": ["arn:aws:iam::111122223333:root", "arn:aws:sts::111122223333:assumed-role/a/b"]}"#,
            r#"{"Service": "lambda.amazonaws.com"}"#,
            r#"{"Federated": "accounts.google.com"}"#,
            r#""*""#,
        ] {
            assert_eq!(allow(&format!(r#""Principal": {principal}, "Action": "sts:AssumeRole""#)), "", "{principal}");
        }
        let trusted = r#""Principal": {"AWS": "111122223333"}"#;
        for (fields, expected) in [
            (r#""Action": "sts:AssumeRole""#.to_owned(), "Missing required field Principal"),
            (format!(r#"{trusted}, "Action": "sts:AssumeRole", "Resource": "*""#), "prohibited field Resource"),
            (format!(r#"{trusted}, "Action": "s3:GetObject""#), "only specify STS"),
            (r#""Principal": {"AWS": "me"}, "Action": "sts:AssumeRole""#.to_owned(), "Invalid principal"),
            (r#""Principal": {"AWS": []}, "Action": "sts:AssumeRole""#.to_owned(), "cannot be empty"),
            (r#""Principal": {"Aws": "111122223333"}, "Action": "sts:AssumeRole""#.to_owned(), "Invalid principal"),
            (r#""Principal": {"Service": "lambda"}, "Action": "sts:AssumeRole""#.to_owned(), "Invalid principal"),
        ] {
            assert!(allow(&fields).contains(expected), "{fields}: {}", allow(&fields));
        }
    }
}
