//! The policy language of IAM and of service control policies: reading a document, and asking it a question.

mod condition;
mod document;
mod pattern;

use std::collections::BTreeMap;

pub use document::{Document, Effect, Scope, Statement};
pub use pattern::{arn_matches, text_matches};

/// What a policy is asked: may this principal do this action to this resource?
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The action, such as `lambda:CreateFunction`.
    pub action: &'a str,
    /// The ARN of the resource, or `*` where the action knows none.
    pub resource: &'a str,
    /// Who asks; only policies that name principals (trust policies, function policies) look at it.
    pub principal: Principal<'a>,
    /// Condition keys.
    pub keys: &'a Keys,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal<'a> {
    /// A user, a role, or a session of one.
    Aws {
        /// Its account.
        account: &'a str,
        /// Its ARN: for a session, the session's.
        arn: &'a str,
        /// The ARN of the role behind a session; for others, the same as `arn`.
        role_arn: &'a str,
    },
    /// A service, such as `lambda.amazonaws.com`.
    Service(&'a str),
    /// A call without a signature.
    Anonymous,
}

/// Condition keys and their values. Names are compared without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Keys(BTreeMap<String, Vec<String>>);

impl Keys {
    /// With one more key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
        self
    }

    fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

impl Extend<(String, Vec<String>)> for Keys {
    fn extend<T: IntoIterator<Item = (String, Vec<String>)>>(&mut self, keys: T) {
        self.0.extend(keys);
    }
}

impl IntoIterator for Keys {
    type Item = (String, Vec<String>);
    type IntoIter = std::collections::btree_map::IntoIter<String, Vec<String>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// What one or several policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it and none denies it.
    Allow,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement speaks of it.
    ImplicitDeny,
}

/// What policies of one kind say together: one denial is a denial, else one permission is a permission.
pub fn verdict<'a>(documents: impl IntoIterator<Item = &'a Document>, question: &Question<'_>) -> Verdict {
    let mut verdict = Verdict::ImplicitDeny;
    for statement in documents.into_iter().flat_map(Document::statements) {
        if statement.speaks_of(question) {
            match statement.effect {
                Effect::Deny => return Verdict::ExplicitDeny,
                Effect::Allow => verdict = Verdict::Allow,
            }
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(document: &str, action: &str, resource: &str, keys: &Keys) -> Verdict {
        let document = Document::parse(document).unwrap();
        let arn = "arn:aws:sts::111122223333:assumed-role/worker/one";
        let role_arn = "arn:aws:iam::111122223333:role/worker";
        let principal = Principal::Aws { account: "111122223333", arn, role_arn };
        verdict([&document], &Question { action, resource, principal, keys })
    }

    const GUARDRAIL: &str = r#"{
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "NotAction": ["iam:*", "sts:*", "cloudfront:*"], "Resource": "*",
             "Condition": {
                "StringNotEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]},
                "ArnNotLike": {"aws:PrincipalARN": ["arn:aws:iam::*:role/freehold-access"]}}}
        ]}"#;

    fn in_region(region: &str, role: &str) -> Keys {
        Keys::default()
            .with("aws:RequestedRegion", region)
            .with("aws:PrincipalArn", format!("arn:aws:iam::111122223333:role/{role}"))
    }

    #[test]
    fn a_region_guardrail_denies_other_regions_except_to_the_exempt_role_and_for_global_services() {
        let verdict = |action, region, role| ask(GUARDRAIL, action, "*", &in_region(region, role));
        assert_eq!(verdict("lambda:ListFunctions", "eu-west-1", "verify"), Verdict::Allow);
        assert_eq!(verdict("lambda:ListFunctions", "us-east-1", "verify"), Verdict::ExplicitDeny);
        assert_eq!(verdict("lambda:ListFunctions", "us-east-1", "freehold-access"), Verdict::Allow);
        assert_eq!(verdict("iam:CreateRole", "us-east-1", "verify"), Verdict::Allow);
    }

    #[test]
    fn actions_know_no_case_and_resources_do() {
        let policy = r#"{"Statement": {"Effect": "Allow", "Action": "S3:get*", "Resource": "arn:aws:s3:::Bucket/*"}}"#;
        let keys = Keys::default();
        assert_eq!(ask(policy, "s3:GetObject", "arn:aws:s3:::Bucket/a/b", &keys), Verdict::Allow);
        assert_eq!(ask(policy, "s3:GetObject", "arn:aws:s3:::bucket/a/b", &keys), Verdict::ImplicitDeny);
        assert_eq!(ask(policy, "s3:PutObject", "arn:aws:s3:::Bucket/a", &keys), Verdict::ImplicitDeny);
    }

    #[test]
    fn not_resource_speaks_of_everything_else() {
        let policy =
            r#"{"Statement": [{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:iam::*:role/keep"}]}"#;
        let keys = Keys::default();
        assert_eq!(ask(policy, "iam:DeleteRole", "arn:aws:iam::111122223333:role/keep", &keys), Verdict::ImplicitDeny);
        assert_eq!(ask(policy, "iam:DeleteRole", "arn:aws:iam::111122223333:role/go", &keys), Verdict::Allow);
    }

    fn condition(operator: &str, key: &str, value: &str, keys: &Keys) -> bool {
        let policy = format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "*", "Resource": "*",
                "Condition": {{"{operator}": {{"{key}": {value}}}}}}}}}"#
        );
        ask(&policy, "a:B", "*", keys) == Verdict::Allow
    }

    #[test]
    fn conditions_compare_as_their_operators_say() {
        let keys = Keys::default()
            .with("sts:ExternalId", "Secret-1")
            .with("lambda:InvokedViaFunctionUrl", "true")
            .with("aws:PrincipalArn", "arn:aws:iam::111122223333:role/a/b");
        assert!(condition("StringEquals", "sts:ExternalId", r#"["x", "Secret-1"]"#, &keys));
        assert!(!condition("StringEquals", "sts:ExternalId", r#""secret-1""#, &keys));
        assert!(condition("StringEqualsIgnoreCase", "sts:ExternalId", r#""secret-1""#, &keys));
        assert!(!condition("StringNotEquals", "sts:ExternalId", r#"["x", "Secret-1"]"#, &keys));
        assert!(condition("StringLike", "sts:externalid", r#""Sec*-?""#, &keys));
        assert!(!condition("StringNotLike", "sts:ExternalId", r#""Sec*""#, &keys));
        assert!(condition("Bool", "lambda:InvokedViaFunctionUrl", "true", &keys));
        assert!(!condition("Bool", "lambda:InvokedViaFunctionUrl", r#""false""#, &keys));
        assert!(condition("ArnLike", "aws:PrincipalArn", r#""arn:aws:iam::*:role/a/*""#, &keys));
        assert!(condition("ArnNotLike", "aws:PrincipalArn", r#""arn:aws:iam::*:user/*""#, &keys));
        assert!(condition("ArnEquals", "aws:PrincipalArn", r#""arn:aws:iam::111122223333:role/a/b""#, &keys));
        assert!(!condition("ArnNotEquals", "aws:PrincipalArn", r#""arn:aws:iam::111122223333:role/*""#, &keys));
    }

    #[test]
    fn a_missing_key_fails_what_must_be_equal_and_passes_what_must_differ() {
        let none = Keys::default();
        assert!(!condition("StringEquals", "sts:ExternalId", r#""x""#, &none));
        assert!(condition("StringEqualsIfExists", "sts:ExternalId", r#""x""#, &none));
        assert!(condition("StringNotEquals", "sts:ExternalId", r#""x""#, &none));
        assert!(condition("Null", "sts:ExternalId", "true", &none));
        assert!(!condition("Null", "sts:ExternalId", "false", &none));
        assert!(!condition("ForAnyValue:StringEquals", "aws:TagKeys", r#""x""#, &none));
        assert!(condition("ForAllValues:StringEquals", "aws:TagKeys", r#""x""#, &none));
    }

    #[test]
    fn many_values_are_all_or_any_as_asked() {
        let keys = Keys::default().with("aws:TagKeys", "a").with("aws:TagKeys", "b");
        assert!(condition("ForAnyValue:StringEquals", "aws:TagKeys", r#""a""#, &keys));
        assert!(!condition("ForAllValues:StringEquals", "aws:TagKeys", r#""a""#, &keys));
        assert!(condition("ForAllValues:StringEquals", "aws:TagKeys", r#"["a", "b", "c"]"#, &keys));
    }

    #[test]
    fn a_trust_policy_names_an_account_a_role_a_session_or_everybody() {
        let trust = |principal: &str| {
            let policy = format!(
                r#"{{"Statement": [{{"Effect": "Allow", "Principal": {principal}, "Action": "sts:AssumeRole"}}]}}"#
            );
            ask(&policy, "sts:AssumeRole", "*", &Keys::default()) == Verdict::Allow
        };
        assert!(trust(r#"{"AWS": "arn:aws:iam::111122223333:root"}"#));
        assert!(trust(r#"{"AWS": "111122223333"}"#));
        assert!(trust(r#"{"AWS": ["arn:aws:iam::444455556666:root", "arn:aws:iam::111122223333:role/worker"]}"#));
        assert!(trust(r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/worker/one"}"#));
        assert!(trust(r#""*""#));
        assert!(trust(r#"{"AWS": "*"}"#));
        assert!(!trust(r#"{"AWS": "arn:aws:iam::444455556666:root"}"#));
        assert!(!trust(r#"{"AWS": "arn:aws:iam::111122223333:role/other"}"#));
        assert!(!trust(r#"{"Service": "lambda.amazonaws.com"}"#));
    }

    #[test]
    fn a_document_that_is_none_is_refused_with_what_is_wrong() {
        for (text, complaint) in [
            ("", "EOF"),
            ("{}", "Statement"),
            (r#"{"Statement": [{"Effect": "Perhaps", "Action": "*", "Resource": "*"}]}"#, "Perhaps"),
            (r#"{"Statement": [{"Effect": "Allow", "Resource": "*"}]}"#, "Action"),
            (r#"{"Statement": [{"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"}]}"#, "NotAction"),
            (r#"{"Statement": [{"Effect": "Allow", "Action": "*", "Ressource": "*"}]}"#, "Ressource"),
            (
                r#"{"Statement": [{"Effect": "Allow", "Action": "*", "Condition": {"StringLooks": {"a": "b"}}}]}"#,
                "StringLooks",
            ),
        ] {
            let error = Document::parse(text).unwrap_err();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }

    #[test]
    fn a_document_survives_being_saved() {
        let document = Document::parse(GUARDRAIL).unwrap();
        let saved = serde_json::to_string(&document).unwrap();
        assert_eq!(Document::parse(&saved).unwrap(), document);
    }
}
