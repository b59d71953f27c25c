//! Template of the baseline stack, which contains the roles of Freehold in a tenant's account.

use freehold_tenancy::aws::quotas::{MAX_ROLE_POLICY_CHARACTERS, MAX_TEMPLATE_BYTES};
use freehold_tenancy::config::AccessRole;
use serde_json::{Value, json};

use super::Template;

/// Template without the configured statements.
const BASELINE_TEMPLATE: &str = include_str!("../../../stacks/baseline.yaml");

/// Comment of the template that the policy with the configured statements replaces.
const MARKER: &str = "        # The policy with access_role.statements of the configuration.\n";

/// Name of the inline policy with the configured statements.
const POLICY_NAME: &str = "configured";

/// Variables of CloudFormation that the configured statements may contain.
const VARIABLES: [&str; 2] = ["${AWS::AccountId}", "${AWS::Partition}"];

/// Returns the template of the baseline stack with the configured statements.
pub(crate) fn template(role: &AccessRole) -> String {
    if role.statements.is_empty() {
        return BASELINE_TEMPLATE.to_owned();
    }
    let statements: Vec<Value> = role.statements.iter().map(|statement| resolvable(json!(statement))).collect();
    let document = json!({ "Version": "2012-10-17", "Statement": statements });
    // JSON is valid YAML.
    let policy = format!("        - PolicyName: {POLICY_NAME}\n          PolicyDocument: {document}\n");
    BASELINE_TEMPLATE.replacen(MARKER, &policy, 1)
}

/// Replaces each text that contains a variable of CloudFormation with `Fn::Sub`, and escapes the variables of IAM in
/// it.
fn resolvable(value: Value) -> Value {
    match value {
        Value::String(text) if VARIABLES.iter().any(|variable| text.contains(variable)) => {
            let escaped = text.replace("${", "${!");
            let escaped =
                VARIABLES.iter().fold(escaped, |text, variable| text.replace(&variable.replace("${", "${!"), variable));
            json!({ "Fn::Sub": escaped })
        }
        Value::Array(items) => items.into_iter().map(resolvable).collect(),
        Value::Object(entries) => entries.into_iter().map(|(key, value)| (key, resolvable(value))).collect(),
        other => other,
    }
}

/// Returns the limit of AWS that the configured statements exceed, as a text that starts with "must".
pub(super) fn size_problem(role: &AccessRole) -> Option<String> {
    if role.statements.is_empty() {
        return None;
    }
    let template = template(role);
    if template.len() > MAX_TEMPLATE_BYTES {
        return Some(format!(
            "must be shorter, because the template of the baseline has at most {MAX_TEMPLATE_BYTES} bytes, not {}",
            template.len()
        ));
    }
    let characters = policy_characters(&template)?;
    (characters > MAX_ROLE_POLICY_CHARACTERS).then(|| {
        format!(
            "must be shorter, because the policies of a role have at most {MAX_ROLE_POLICY_CHARACTERS} characters \
             together, and those of freehold-access have {characters}"
        )
    })
}

/// Returns the number of characters of all policies of the role, without whitespace and with the variables resolved.
fn policy_characters(template: &str) -> Option<usize> {
    let template = Template::parse(template).ok()?;
    let (_, role) = template.section("Resources").find(|(name, _)| *name == "Access")?;
    let policies = role["Properties"]["Policies"].as_array()?;
    let documents = policies.iter().map(|policy| resolved(&policy["PolicyDocument"]).to_string());
    Some(documents.map(|text| text.chars().filter(|one| !one.is_whitespace()).count()).sum())
}

/// Replaces `Fn::Sub` with its text, for an account of the partition with the longest name.
fn resolved(value: &Value) -> Value {
    match value {
        Value::Object(entries) => match entries.get("Fn::Sub").and_then(Value::as_str) {
            Some(text) => {
                let text = text.replace("${AWS::AccountId}", "111122223333").replace("${AWS::Partition}", "aws-us-gov");
                Value::String(text.replace("${!", "${"))
            }
            None => entries.iter().map(|(key, value)| (key.clone(), resolved(value))).collect(),
        },
        Value::Array(items) => items.iter().map(resolved).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use freehold_tenancy::Config;
    use freehold_tenancy::baseline::BASELINE_REVISION;

    use super::*;

    /// Hash of the template of each revision, without comments.
    const REVISIONS: [(u32, &str); 5] =
        [(1, "5f9c47fbd4cd"), (2, "d6a3f7d54eba"), (3, "cf7c108ce610"), (4, "678607584fc2"), (5, "a8957214d6f9")];

    fn role(text: &str) -> AccessRole {
        let minimal = include_str!("../../../tenancy/src/config/minimal.toml");
        Config::parse(&format!("{minimal}\n{text}")).unwrap().access_role
    }

    const STATEMENT: &str = r#"
        [[access_role.statements]]
        Effect = "Allow"
        Action = "sqs:*"
        Resource = "arn:${AWS::Partition}:sqs:*:${AWS::AccountId}:${aws:PrincipalTag/team}-*"
        Condition.StringEquals."aws:ResourceTag/team" = "${aws:PrincipalTag/team}"
    "#;

    #[test]
    fn a_change_of_the_template_raises_the_revision() {
        let lines = BASELINE_TEMPLATE.lines().filter(|line| !line.trim_start().starts_with('#'));
        let code: String = lines.flat_map(|line| [line, "\n"]).collect();
        let hash = freehold_tenancy::baseline::hash(code.as_bytes());
        assert_eq!(
            REVISIONS.last(),
            Some(&(BASELINE_REVISION, hash.as_str())),
            "stacks/baseline.yaml has changed: raise BASELINE_REVISION and add the hash of the new revision"
        );
    }

    #[test]
    fn the_configured_statements_are_a_policy_of_the_access_role() {
        assert!(BASELINE_TEMPLATE.contains(MARKER));
        let template = Template::parse(&template(&role(STATEMENT))).unwrap();
        let roles: Vec<_> = template.section("Resources").collect();
        let policies = roles[0].1["Properties"]["Policies"].as_array().unwrap();
        assert_eq!((roles[0].0, policies.len(), policies[1]["PolicyName"].as_str()), ("Access", 2, Some(POLICY_NAME)));
        let statement = &policies[1]["PolicyDocument"]["Statement"][0];
        assert_eq!(
            statement["Resource"][0]["Fn::Sub"],
            "arn:${AWS::Partition}:sqs:*:${AWS::AccountId}:${!aws:PrincipalTag/team}-*"
        );
        assert_eq!(statement["Condition"]["StringEquals"]["aws:ResourceTag/team"][0], "${aws:PrincipalTag/team}");
        assert_eq!(roles[1].1["Properties"]["Policies"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn statements_that_are_too_long_for_the_role_are_a_problem() {
        assert_eq!(size_problem(&role(STATEMENT)), None);
        let problem = size_problem(&role(&STATEMENT.repeat(60))).unwrap();
        assert!(problem.starts_with("must be shorter, because the policies of a role have at most 10240"), "{problem}");
        let problem = size_problem(&role(&STATEMENT.repeat(300))).unwrap();
        assert!(problem.starts_with("must be shorter, because the template of the baseline"), "{problem}");
    }
}
