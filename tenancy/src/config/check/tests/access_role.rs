//! Tests of the statements in `access_role`.

use super::{VALID, assert_problem_of, problems};

/// Returns the configuration of one statement, with these fields.
fn statement(fields: &str) -> String {
    format!("[[access_role.statements]]\n{fields}")
}

#[test]
fn a_statement_of_the_access_role_must_follow_the_grammar_of_iam() {
    let allow = "Effect = \"Allow\"\nAction = \"sqs:*\"\nResource = \"*\"";
    for (from, to, expected) in [
        ("Effect = \"Allow\"\n", "", "[1].Effect: must be Allow or Deny"),
        ("\"Allow\"", "\"allow\"", "[1].Effect: must be Allow or Deny"),
        ("\"Allow\"", "5", "[1].Effect: must be a text in quotes, not the number 5"),
        ("\"sqs:*\"", "5", "[1].Action: must be a text in quotes or a list of them, not the number 5"),
        ("\"sqs:*\"", "[]", "[1].Action: must have at least one text"),
        ("Action = \"sqs:*\"\n", "", "[1]: must have either Action or NotAction"),
        ("Action", "NotAction = \"sqs:*\"\nAction", "[1]: must have either Action or NotAction"),
        ("Resource = \"*\"", "", "[1]: must have either Resource or NotResource"),
        ("sqs:*", "sqs", "[1].Action: must be an action, such as sqs:CreateQueue or sqs:*, not `sqs`"),
        ("sqs:*", "*:CreateQueue", "[1].Action: must be an action"),
        ("\"*\"", "\"queue\"", "[1].Resource: must be * or an ARN, such as arn:aws:sqs:*:*:freehold-*, not `queue`"),
        ("\"*\"", "\"arn:aws:sqs:*:*\"", "[1].Resource: must be * or an ARN"),
        ("\"*\"", "\"arn:aws:sqs:*:${AWS::AccountId}\"", "[1].Resource: must be * or an ARN"),
        (
            "\"*\"",
            "\"arn:aws:sqs:${AWS::Region}:*:a\"",
            "[1].Resource: must contain only the variables ${AWS::AccountId} and ${AWS::Partition}, not ${AWS::Region}",
        ),
        ("Effect", "Principal = \"*\"\nEffect", "[1].Principal: must be removed, because there is no such field"),
        ("Effect", "Sid = \"a b\"\nEffect", "[1].Sid: must contain only letters and digits"),
        (
            "Effect",
            "Condition.StringIs.\"aws:x\" = \"y\"\nEffect",
            "[1].Condition.StringIs: must be a condition operator",
        ),
        ("Effect", "Condition.StringEquals.x = \"y\"\nEffect", "[1].Condition.StringEquals.x: must be a condition key"),
    ] {
        let changed = allow.replacen(from, to, 1);
        assert_ne!(changed, allow);
        assert_problem_of(&statement(&changed), &format!("access_role.statements.{expected}"));
    }
    let named = statement(&format!("Sid = \"Queue\"\n{allow}"));
    assert_problem_of(&format!("{named}\n{named}"), "access_role.statements.Sid.Queue: must be declared only once");
}

#[test]
fn a_statement_must_not_let_the_access_role_escape() {
    for (fields, expected) in [
        ("Action = \"*\"\nResource = \"*\"", "Action: must name a service"),
        ("NotAction = \"sqs:*\"\nResource = \"*\"", "NotAction: must be replaced by Action"),
        (
            "Action = \"organizations:LeaveOrganization\"\nResource = \"*\"",
            "Action: must not allow organizations:Leave",
        ),
        ("Action = \"Account:CloseAccount\"\nResource = \"*\"", "Action: must not allow Account:CloseAccount"),
        ("Action = \"sts:AssumeRole\"\nResource = \"arn:aws:iam::*:role/x\"", "Action: must not allow sts:AssumeRole"),
        ("Action = \"iam:PutRolePolicy\"\nResource = \"*\"", "Resource: must start with one of role/freehold-tenant-"),
        ("Action = \"IAM:*\"\nResource = \"arn:aws:iam::*:role/freehold-*\"", "Resource: must start with one of role/"),
        ("Action = \"iam:*\"\nResource = \"arn:aws:iam::*:user/*\"", "Resource: must start with one of role/freehold"),
        ("Action = \"iam:*\"\nNotResource = \"arn:aws:iam::*:role/x\"", "Resource: must start with one of role/freeh"),
    ] {
        let text = statement(&format!("Effect = \"Allow\"\n{fields}"));
        assert_problem_of(&text, &format!("access_role.statements.[1].{expected}"));
    }
    for fields in [
        "Effect = \"Deny\"\nNotAction = \"sqs:*\"\nResource = \"*\"",
        "Effect = \"Allow\"\nAction = \"iam:CreatePolicy\"\n\
         Resource = \"arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/freehold-tenant-*\"",
        "Effect = \"Allow\"\nAction = [\"s3:*\", \"sqs:Get?ueue*\"]\nResource = [\"*\"]\nSid = \"Own1\"\n\
         Condition.\"ForAnyValue:StringLikeIfExists\".\"aws:TagKeys\" = [\"${aws:PrincipalTag/a}\", \"b\"]",
    ] {
        assert_eq!(problems(&format!("{VALID}\n{}", statement(fields))), "");
    }
}
