//! Parsing and evaluation of policy documents, such as IAM policies and service control policies.

mod condition;
mod document;
mod pattern;
mod validate;

use std::collections::BTreeMap;

pub use document::{Document, Effect, Patterns, Statement};
use pattern::Pattern;
pub use validate::PolicyKind;

/// Access request that policies allow or deny: the principal, the action and the resource.
#[derive(Clone, Debug)]
pub struct AccessRequest<'a> {
    /// IAM action, such as `lambda:CreateFunction`.
    pub action: &'a str,
    /// ARN of the resource, or `*` for an action without resources.
    pub resource: &'a str,
    /// Principal of the request. Only policies that name principals (trust and function policies) use it.
    pub principal: Principal<'a>,
    pub keys: &'a ConditionKeys,
}

/// Principal that makes an access request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal<'a> {
    /// An IAM user, an IAM role, or a session of a role.
    Aws {
        account: &'a str,
        /// ARN of the user, role or session.
        arn: &'a str,
        /// For a session, the ARN of its role; for a user or role, the same value as `arn`.
        role_arn: &'a str,
    },
    /// An AWS service, such as `lambda.amazonaws.com`.
    Service(&'a str),
    /// The caller of an unsigned request.
    Anonymous,
}

/// Condition keys and their values. Key names are case-insensitive.
#[derive(Clone, Debug, Default)]
pub struct ConditionKeys(BTreeMap<String, Vec<String>>);

impl ConditionKeys {
    /// Adds a value to a condition key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
        self
    }

    fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}

impl Extend<(String, Vec<String>)> for ConditionKeys {
    fn extend<T: IntoIterator<Item = (String, Vec<String>)>>(&mut self, keys: T) {
        self.0.extend(keys);
    }
}

impl IntoIterator for ConditionKeys {
    type Item = (String, Vec<String>);
    type IntoIter = std::collections::btree_map::IntoIter<String, Vec<String>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Result of the evaluation of one or several policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows the request, and no statement denies it.
    Allow,
    /// A statement denies the request.
    ExplicitDeny,
    /// No statement applies to the request.
    ImplicitDeny,
}

/// Evaluates several policies together. A statement that denies the request overrides all statements that allow it.
pub fn evaluate<'a>(documents: impl IntoIterator<Item = &'a Document>, request: &AccessRequest<'_>) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for document in documents {
        for statement in document.statements() {
            if statement.applies_to(request, document.version()) {
                match statement.effect {
                    Effect::Deny => return Decision::ExplicitDeny,
                    Effect::Allow => decision = Decision::Allow,
                }
            }
        }
    }
    decision
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate_document(document: &str, action: &str, resource: &str, keys: &ConditionKeys) -> Decision {
        let document = Document::parse(document).unwrap();
        let arn = "arn:aws:sts::111122223333:assumed-role/worker/one";
        let role_arn = "arn:aws:iam::111122223333:role/worker";
        let principal = Principal::Aws { account: "111122223333", arn, role_arn };
        evaluate([&document], &AccessRequest { action, resource, principal, keys })
    }

    const GUARDRAIL_POLICY: &str = r#"{
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "NotAction": ["iam:*", "sts:*", "cloudfront:*"], "Resource": "*",
             "Condition": {
                "StringNotEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]},
                "ArnNotLike": {"aws:PrincipalARN": ["arn:aws:iam::*:role/freehold-access"]}}}
        ]}"#;

    fn in_region(region: &str, role: &str) -> ConditionKeys {
        ConditionKeys::default()
            .with("aws:RequestedRegion", region)
            .with("aws:PrincipalArn", format!("arn:aws:iam::111122223333:role/{role}"))
    }

    #[test]
    fn a_guardrail_denies_other_regions_except_for_the_exempt_role() {
        let decision =
            |action, region, role| evaluate_document(GUARDRAIL_POLICY, action, "*", &in_region(region, role));
        assert_eq!(decision("lambda:ListFunctions", "eu-west-1", "verify"), Decision::Allow);
        assert_eq!(decision("lambda:ListFunctions", "us-east-1", "verify"), Decision::ExplicitDeny);
        assert_eq!(decision("lambda:ListFunctions", "us-east-1", "freehold-access"), Decision::Allow);
        assert_eq!(decision("iam:CreateRole", "us-east-1", "verify"), Decision::Allow);
    }

    #[test]
    fn actions_are_case_insensitive_and_resources_are_case_sensitive() {
        let policy = r#"{"Statement": {"Effect": "Allow", "Action": "S3:get*", "Resource": "arn:aws:s3:::Bucket/*"}}"#;
        let keys = ConditionKeys::default();
        assert_eq!(evaluate_document(policy, "s3:GetObject", "arn:aws:s3:::Bucket/a/b", &keys), Decision::Allow);
        assert_eq!(evaluate_document(policy, "s3:GetObject", "arn:aws:s3:::bucket/a/b", &keys), Decision::ImplicitDeny);
        assert_eq!(evaluate_document(policy, "s3:PutObject", "arn:aws:s3:::Bucket/a", &keys), Decision::ImplicitDeny);
    }

    #[test]
    fn not_resource_applies_to_all_other_resources() {
        let policy =
            r#"{"Statement": [{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:iam::*:role/keep"}]}"#;
        let keys = ConditionKeys::default();
        assert_eq!(
            evaluate_document(policy, "iam:DeleteRole", "arn:aws:iam::111122223333:role/keep", &keys),
            Decision::ImplicitDeny
        );
        assert_eq!(
            evaluate_document(policy, "iam:DeleteRole", "arn:aws:iam::111122223333:role/go", &keys),
            Decision::Allow
        );
    }

    fn condition(operator: &str, key: &str, value: &str, keys: &ConditionKeys) -> bool {
        let policy = format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "*", "Resource": "*",
                "Condition": {{"{operator}": {{"{key}": {value}}}}}}}}}"#
        );
        evaluate_document(&policy, "a:B", "*", keys) == Decision::Allow
    }

    #[test]
    fn each_condition_operator_compares_correctly() {
        let keys = ConditionKeys::default()
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
    fn numbers_dates_and_addresses_are_compared_by_value() {
        let keys = ConditionKeys::default()
            .with("aws:MultiFactorAuthAge", "900")
            .with("aws:CurrentTime", "2026-11-23T09:00:00Z")
            .with("aws:SourceIp", "203.0.113.7");
        assert!(condition("NumericLessThan", "aws:MultiFactorAuthAge", "3600", &keys));
        assert!(!condition("NumericGreaterThanEquals", "aws:MultiFactorAuthAge", "1000", &keys));
        assert!(condition("NumericNotEquals", "aws:MultiFactorAuthAge", "9e3", &keys));
        assert!(condition("NumericEquals", "aws:MultiFactorAuthAge", r#""900.0""#, &keys));
        assert!(condition("DateLessThan", "aws:CurrentTime", r#""2026-11-24""#, &keys));
        assert!(!condition("DateGreaterThan", "aws:CurrentTime", r#""2026-11-23T10:00:00+01:00""#, &keys));
        assert!(condition("IpAddress", "aws:SourceIp", r#"["198.51.100.0/24", "203.0.113.0/24"]"#, &keys));
        assert!(!condition("NotIpAddress", "aws:SourceIp", r#""203.0.113.0/24""#, &keys));
        let none = ConditionKeys::default();
        assert!(condition("NumericLessThanIfExists", "aws:MultiFactorAuthAge", "1", &none));
        assert!(!condition("NumericLessThan", "aws:MultiFactorAuthAge", "1", &none));
    }

    #[test]
    fn a_variable_without_a_value_denies_rather_than_allows() {
        let keys = ConditionKeys::default().with("aws:PrincipalTag/team", "red").with("s3:prefix", "red/");
        let decide = |effect: &str, fields: &str, resource: &str| {
            let policy = format!(
                r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "{effect}", "Action": "*", {fields}}}]}}"#
            );
            evaluate_document(&policy, "s3:GetObject", resource, &keys)
        };
        let known = r#""Resource": "arn:aws:s3:::b/${aws:PrincipalTag/team}/*""#;
        assert_eq!(decide("Allow", known, "arn:aws:s3:::b/red/1"), Decision::Allow);
        assert_eq!(decide("Allow", known, "arn:aws:s3:::b/blue/1"), Decision::ImplicitDeny);
        assert_eq!(decide("Deny", known, "arn:aws:s3:::b/red/1"), Decision::ExplicitDeny);
        let unknown = r#""Resource": "arn:aws:s3:::b/${aws:username}/*""#;
        assert_eq!(decide("Allow", unknown, "arn:aws:s3:::b/red/1"), Decision::ImplicitDeny);
        assert_eq!(decide("Deny", unknown, "arn:aws:s3:::b/red/1"), Decision::ExplicitDeny);
        assert_eq!(decide("Deny", unknown, "arn:aws:s3:::c/red/1"), Decision::ImplicitDeny);
        let except = r#""NotResource": "arn:aws:s3:::b/${aws:username}/*""#;
        assert_eq!(decide("Allow", except, "arn:aws:s3:::b/red/1"), Decision::ImplicitDeny);
        assert_eq!(decide("Deny", except, "arn:aws:s3:::b/red/1"), Decision::ExplicitDeny);
        for operator in ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"] {
            let fields = r#""Resource": "*", "Condition": {"OPERATOR": {"s3:prefix": "${aws:username}/"}}"#;
            let fields = fields.replace("OPERATOR", operator);
            assert_eq!(decide("Allow", &fields, "*"), Decision::ImplicitDeny, "{operator}");
            assert_eq!(decide("Deny", &fields, "*"), Decision::ExplicitDeny, "{operator}");
        }
        let prefix = r#""Resource": "*", "Condition": {"StringEquals": {"s3:prefix": "${aws:PrincipalTag/team}/"}}"#;
        assert_eq!(decide("Allow", prefix, "*"), Decision::Allow);
    }

    #[test]
    fn a_document_of_the_first_version_has_no_variables() {
        let policy = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::b/${a:b}"}}"#;
        let decide = |resource| evaluate_document(policy, "s3:GetObject", resource, &ConditionKeys::default());
        assert_eq!(decide("arn:aws:s3:::b/${a:b}"), Decision::Allow);
        assert_eq!(decide("arn:aws:s3:::b/x"), Decision::ImplicitDeny);
    }

    #[test]
    fn a_missing_key_fails_equality_and_passes_inequality() {
        let none = ConditionKeys::default();
        assert!(!condition("StringEquals", "sts:ExternalId", r#""x""#, &none));
        assert!(condition("StringEqualsIfExists", "sts:ExternalId", r#""x""#, &none));
        assert!(condition("StringNotEquals", "sts:ExternalId", r#""x""#, &none));
        assert!(condition("Null", "sts:ExternalId", "true", &none));
        assert!(!condition("Null", "sts:ExternalId", "false", &none));
        assert!(!condition("ForAnyValue:StringEquals", "aws:TagKeys", r#""x""#, &none));
        assert!(condition("ForAllValues:StringEquals", "aws:TagKeys", r#""x""#, &none));
        assert!(!condition("ForAnyValue:StringNotEquals", "aws:TagKeys", r#""x""#, &none));
        assert!(condition("ForAnyValue:StringNotEqualsIfExists", "aws:TagKeys", r#""x""#, &none));
    }

    #[test]
    fn tags_of_resources_are_known_only_for_services_that_have_them() {
        let decide = |effect: &str, action: &str| {
            let policy = format!(
                r#"{{"Statement": {{"Effect": "{effect}", "Action": "*", "Resource": "*",
                    "Condition": {{"StringNotEquals": {{"aws:ResourceTag/team": "red"}}}}}}}}"#
            );
            evaluate_document(&policy, action, "*", &ConditionKeys::default())
        };
        assert_eq!(decide("Allow", "organizations:MoveAccount"), Decision::Allow);
        assert_eq!(decide("Allow", "lambda:InvokeFunction"), Decision::ImplicitDeny);
        assert_eq!(decide("Deny", "lambda:InvokeFunction"), Decision::ExplicitDeny);
    }

    #[test]
    fn a_key_that_is_not_simulated_denies_rather_than_allows() {
        let keys = ConditionKeys::default();
        for operator in ["StringEquals", "StringNotEquals", "StringEqualsIfExists", "ForAllValues:StringLike", "Null"] {
            let decide = |effect: &str| {
                let policy = format!(
                    r#"{{"Statement": {{"Effect": "{effect}", "Action": "*", "Resource": "*",
                        "Condition": {{"{operator}": {{"aws:Future": "true"}}}}}}}}"#
                );
                evaluate_document(&policy, "a:B", "*", &keys)
            };
            assert_eq!(decide("Allow"), Decision::ImplicitDeny, "{operator}");
            assert_eq!(decide("Deny"), Decision::ExplicitDeny, "{operator}");
        }
    }

    #[test]
    fn set_operators_compare_all_or_any_values() {
        let keys = ConditionKeys::default().with("aws:TagKeys", "a").with("aws:TagKeys", "b");
        assert!(condition("ForAnyValue:StringEquals", "aws:TagKeys", r#""a""#, &keys));
        assert!(!condition("ForAllValues:StringEquals", "aws:TagKeys", r#""a""#, &keys));
        assert!(condition("ForAllValues:StringEquals", "aws:TagKeys", r#"["a", "b", "c"]"#, &keys));
        let tags = "account:AccountResourceOrgTags/team";
        let keys = ConditionKeys::default().with(tags, "red");
        assert!(condition("ForAnyValue:StringLike", tags, r#""r*""#, &keys));
        assert!(!condition("StringLike", tags, r#""r*""#, &keys), "a key with several values needs a set operator");
    }

    #[test]
    fn a_trust_policy_can_list_accounts_roles_sessions_or_any_principal() {
        let trust = |principal: &str| {
            let policy = format!(
                r#"{{"Statement": [{{"Effect": "Allow", "Principal": {principal}, "Action": "sts:AssumeRole"}}]}}"#
            );
            evaluate_document(&policy, "sts:AssumeRole", "*", &ConditionKeys::default()) == Decision::Allow
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
    fn an_invalid_document_is_rejected_with_its_error() {
        for (text, expected) in [
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
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_document_can_be_saved_and_loaded() {
        let document = Document::parse(GUARDRAIL_POLICY).unwrap();
        let saved = serde_json::to_string(&document).unwrap();
        assert_eq!(Document::parse(&saved).unwrap(), document);
    }
}
