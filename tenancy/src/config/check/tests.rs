//! Tests that each rule rejects an invalid value with a message that contains the name of the field.

mod access_role;
mod api_limits;
mod database;
mod rollout_plans;

use super::super::Config;

const VALID: &str = concat!(
    include_str!("../minimal.toml"),
    r#"
    [database]
    url = "postgres://freehold@localhost/freehold"
    [api]
    issuer = "https://login.example.com/"
    jwks = "https://login.example.com/.well-known/jwks.json"
    [api.roles]
    support = ["fleet"]
    [[permission_sets]]
    name = "support"
    description = "Reads"
    session_duration = "PT4H"
    managed_policies = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    [[access]]
    permission_set = "support"
    group = "support"
    [[tiers]]
    name = "standard"
    "#
);

fn problems(text: &str) -> String {
    match Config::parse(text) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

/// Replaces part of the valid configuration and asserts the reported problem.
fn assert_problem(from: &str, to: &str, expected: &str) {
    let text = VALID.replacen(from, to, 1);
    assert_ne!(text, VALID, "`{from}` is not in the configuration");
    let found = problems(&text);
    assert!(found.lines().any(|line| line.trim_start().starts_with(expected)), "`{to}`: {found}");
}

/// Appends to the valid configuration and asserts the reported problem.
fn assert_problem_of(addition: &str, expected: &str) {
    let found = problems(&format!("{VALID}\n{addition}"));
    assert!(found.lines().any(|line| line.trim_start().starts_with(expected)), "`{addition}`: {found}");
}

#[test]
fn the_valid_configuration_has_no_problems() {
    assert_eq!(problems(VALID), "");
}

#[test]
fn a_value_that_aws_refuses_is_a_problem_of_its_field() {
    for (from, to, expected) in [
        ("name = \"support\"", "name = \"read only\"", "permission_sets.read only.name: must contain only letters"),
        ("name = \"support\"", "name = \"\"", "permission_sets..name: must not be empty"),
        ("\"Reads\"", "\"Reads – only\"", "permission_sets.support.description: must contain only Latin-1"),
        (
            "\"PT4H\"",
            "\"PT30M\"",
            "permission_sets.support.session_duration: must be an ISO 8601 duration from PT1H to",
        ),
        ("\"PT4H\"", "\"PT13H\"", "permission_sets.support.session_duration: must be"),
        ("\"PT4H\"", "\"4h\"", "permission_sets.support.session_duration: must be"),
        ("aws:policy/ReadOnlyAccess", "111122223333:policy/Own", "permission_sets.support.managed_policies: `arn:"),
        ("group = \"support\"", "group = \"\"", "access.: must not be empty"),
        (
            "permission_set = \"support\"",
            "permission_set = \"other\"",
            "access.support: permission_set must be declared",
        ),
        ("role/freehold-control", "role/", "organization.control_role_arn: must end with the name of a role"),
        ("111122223333:role", "444455556666:role", "organization.control_role_arn: must be a role in the management"),
        (
            "\"444455556666\"",
            "\"111122223333\"",
            "organization.freehold_account_id: must differ from management_account_id",
        ),
        (
            "account_email =",
            "people_role_arn = \"freehold-people\"\naccount_email =",
            "organization.people_role_arn: must be the ARN of a role in the management account, such as",
        ),
        (
            "account_email =",
            "people_role_arn = \"arn:aws:iam::444455556666:role/people\"\naccount_email =",
            "organization.people_role_arn: must be a role in the management account, arn:aws:iam::111122223333:role/",
        ),
        (
            "account_email =",
            "people_role_arn = \"arn:aws:iam::111122223333:role/freehold-control\"\naccount_email =",
            "organization.people_role_arn: must differ from control_role_arn",
        ),
        (
            "account_email =",
            "protected_groups = [\"\"]\naccount_email =",
            "organization.protected_groups: must not be empty",
        ),
        ("@example.com\"", "@a-domain-that-is-much-too-long.example.com\"", "organization.account_email: must have at"),
        ("aws+{environment_id}", "aws", "organization.account_email: must contain {environment_id} exactly once"),
        ("name = \"eu\"", "name = \"quarantine\"", "residencies.quarantine: must have another name"),
        ("\"eu-central-2\"", "\"eu-central-1\"", "residencies.eu.regions: eu-central-1 must be listed only once"),
        ("[\"eu-central-1\", \"eu-central-2\"]", "[]", "residencies.eu.regions: must contain at least one"),
        ("postgres://freehold", "mysql://freehold", "database.url: must be a URL such as postgres://"),
    ] {
        assert_problem(from, to, expected);
    }
}

#[test]
fn an_optional_field_with_a_broken_value_is_a_problem() {
    for (addition, expected) in [
        ("[identity_center]\ninstance_arn = \"ssoins\"", "identity_center.instance_arn: must have at least 10"),
        ("[identity_center]\nidentity_store_id = \"store\"", "identity_center.identity_store_id: must be the id of"),
        ("[stack]\nname = \"tenant\"", "stack.name: must start with `freehold-`"),
        ("[stack]\nname = \"freehold-baseline\"", "stack.name: must not be freehold-baseline"),
        ("[stack]\nurl_output = \"Function-Url\"", "stack.url_output: must be the name of an output"),
        ("[stack]\ncapabilities = [\"CAPABILITY_ALL\"]", "stack.capabilities.[1]: must be one of CAPABILITY_IAM"),
        (
            "[stack]\ncapabilities = [\"CAPABILITY_IAM\", \"CAPABILITY_IAM\"]",
            "stack.capabilities.CAPABILITY_IAM: must be declared only once",
        ),
        (
            "[stack.region_templates]\nus-east-1 = \"us.yaml\"",
            "stack.region_templates.us-east-1: must be removed, because no residency has this region",
        ),
        (
            "[stack.template_urls.eu-central-1]\nurl = \"https://example.com/\"\nsha256 = \"00\"",
            "stack.template_urls.eu-central-1.sha256: must be 64 lower-case hexadecimal digits",
        ),
        (
            "[stack.template_urls.eu-central-1]\nurl = \"https://example.com/\"\nsha256 = \"00\"",
            "stack.template_urls.eu-central-1.url: must be on the S3 host of eu-central-1, such as https://",
        ),
        (
            "[stack.template_urls.eu-central-1]\nurl = \"https://example.com/\"\nsha256 = \"00\"",
            "stack.template_urls.eu-central-2: must be set, because other regions of the residencies have",
        ),
        ("[stack]\nfunction_output = \"\"", "stack.function_output: must be the name of an output"),
        ("[stack.check]\nkind = \"ping\"", "stack.check.kind: must be one of url, invoke, not `ping`"),
        ("[stack.check]\nmethod = \"PUT\"", "stack.check.method: must be one of GET, HEAD, POST, not `PUT`"),
        ("[stack.check]\nmethod = \"HEAD\"", "stack.check.method: must be GET or POST, because the response to HEAD"),
        ("[stack.check]\npath = \"health\"", "stack.check.path: must start with `/`"),
        (
            "[stack.check]\npath = \"/{tenant}\"",
            "stack.check.path: must not contain `{tenant}`; the placeholders are {tenant_id}, {environment_id}",
        ),
        ("[stack.check]\npayload = \"{tenant_id}\"", "stack.check.payload: must be JSON, with placeholders only in"),
        ("[stack.check]\nstatuses = [200, 20]", "stack.check.statuses: must contain HTTP statuses from 200 to 599"),
        ("[stack.check]\nbody_contains = \"\"", "stack.check.body_contains: must not be empty"),
        ("[stack.check]\ntimeout_seconds = 60", "stack.check.timeout_seconds: must be from 1 to 20, not 60"),
        ("[stack.check.json]\nstatus = \"up\"", "stack.check.json.status: must be a JSON pointer, such as /status"),
        ("[stack.check.json]\n\"/a\" = \"{id}\"", "stack.check.json./a: must not contain `{id}`"),
        ("[stack.parameters]\nTenantId = \"x\"", "stack.parameters.TenantId: must not be set"),
        ("[stack.parameters]\n\"Image-Tag\" = \"x\"", "stack.parameters.Image-Tag: must be a name of 1 to 255"),
        ("[timeouts]\nstack_seconds = 0", "timeouts.stack_seconds: must be from 1 to"),
        ("[timeouts]\nstack_seconds = 5", "expected_durations.tenant_stack_seconds: must be at most timeouts.stack_s"),
        ("[expected_durations]\nassignment_seconds = 0", "expected_durations.assignment_seconds: must be at least 1"),
        ("[offboarding]\ncooling_off_seconds = 100000000", "offboarding.cooling_off_seconds: must be from 0 to"),
        ("[reconcile]\ninterval_seconds = 5", "reconcile.interval_seconds: must be from 60 to"),
        ("[audit]\nanchor_interval_seconds = 0", "audit.anchor_interval_seconds: must be from 1 to"),
        ("[audit]\nretention_days = 0", "audit.retention_days: must be from 1 to"),
        ("[audit]\nsigning_key = \"short\"", "audit.signing_key: must be base64 of 32 random bytes"),
        ("[audit]\nold_public_keys = [\"short\"]", "audit.old_public_keys: must contain public keys in base64"),
        ("[quotas]\nassignments = 0", "quotas.assignments: must be from 1 to"),
        ("[quotas.rates.sts]\nper_second = 0.0\nburst = 1", "quotas.rates.sts: per_second must be greater than 0"),
        ("[quotas.rates.sts]\nper_second = 1.0\nburst = 0", "quotas.rates.sts: burst must be at least 1"),
        ("[telemetry]\notlp_endpoint = \"localhost:4318\"", "telemetry.otlp_endpoint: must be an http:// or https://"),
        ("[webhooks]\nallowed_ports = [0]", "webhooks.allowed_ports: must contain ports from 1 to"),
    ] {
        assert_problem_of(addition, expected);
    }
}

#[test]
fn a_name_that_is_declared_twice_is_a_problem() {
    for (addition, expected) in [
        ("[[tiers]]\nname = \"standard\"\napproval = \"required\"", "tiers.standard: must be declared only once"),
        ("[[permission_sets]]\nname = \"support\"", "permission_sets.support: must be declared only once"),
        (
            "[[access]]\npermission_set = \"support\"\ngroup = \"support\"",
            "access.support (permission set support): must",
        ),
        ("[[residencies]]\nname = \"eu\"\nregions = [\"us-east-1\"]", "residencies.eu: must be declared only once"),
        (
            "[[residencies]]\nname = \"dach\"\nregions = [\"eu-central-2\"]",
            "residencies.dach.regions: eu-central-2 must",
        ),
    ] {
        assert_problem_of(addition, expected);
    }
    let policy = "\"arn:aws:iam::aws:policy/ReadOnlyAccess\"";
    let expected = "permission_sets.support.managed_policies.arn:aws:iam::aws:policy/ReadOnlyAccess: must be declared";
    assert_problem(policy, &format!("{policy}, {policy}"), expected);
}

#[test]
fn an_inline_policy_must_be_a_policy_document() {
    let long = format!("{{\"Version\": \"2012-10-17\", \"Statement\": \"{}\"}}", "x".repeat(10_240));
    for (policy, expected) in [
        ("no JSON", "must be JSON; line 1"),
        ("[]", "must be a JSON object with Version and Statement"),
        (r#"{"Statement": []}"#, "must have \"Version\": \"2012-10-17\""),
        (r#"{"Version": "2012-10-17", "Statement": []}"#, "must have a Statement"),
        (
            r#"{"Version": "2012-10-17", "Statement": {"Effect": "deny", "Action": "*", "Resource": "*"}}"#,
            "statement 1 must have the Effect",
        ),
        (
            r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Resource": "*"}}"#,
            "statement 1 must have either Action",
        ),
        (
            r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*"}}"#,
            "statement 1 must have either Resource",
        ),
        (
            r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Principal": "*"}}"#,
            "statement 1 must have no Principal",
        ),
        (long.as_str(), "must have at most 10240 characters without whitespace"),
    ] {
        let addition = format!("inline_policy = '''{policy}'''\n[[access]]");
        assert_problem("[[access]]", &addition, &format!("permission_sets.support.inline_policy: {expected}"));
    }
    let valid = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "logs:*", "Resource": "*"}]}"#;
    assert_eq!(problems(&VALID.replacen("[[access]]", &format!("inline_policy = '''{valid}'''\n[[access]]"), 1)), "");
}

#[test]
fn all_problems_are_reported_at_once() {
    let broken = VALID
        .replace("management_account_id = \"111122223333\"", "management_account_id = \"1111\"")
        .replace("arn:aws:iam::111122223333:role/freehold-control", "freehold-control")
        .replace("account_email = \"aws+{environment_id}@example.com\"", "speed = 3")
        .replace("\"eu-central-2\"]", "\"mars-north-1\"]")
        .replace("name = \"standard\"", "name = \"Standard\"\napproval = \"never\"")
        .replace("group = \"support\"", "")
        .replace("\"PT4H\"", "\"PT13H\"");
    let found = problems(&broken);
    for expected in [
        "organization.management_account_id: must be an AWS account id",
        "organization.control_role_arn: must be the ARN of a role",
        "organization.account_email: must be set",
        "organization.speed: must be removed",
        "residencies.eu.regions.[2]: `mars-north-1` is not an AWS region",
        "tiers.Standard.name: must be 1 to 32 lower-case letters",
        "tiers.Standard.approval: must be one of not_required, required, not `never`",
        "access.[1].group: must be set",
        "permission_sets.support.session_duration: must be an ISO 8601 duration",
    ] {
        assert!(found.lines().any(|line| line.trim_start().starts_with(expected)), "no `{expected}`: {found}");
    }
    assert_eq!(found.lines().count(), 10, "{found}");
}

#[test]
fn a_value_of_the_wrong_type_is_a_problem() {
    for (addition, expected) in [
        (
            "[timeouts]\nstack_seconds = \"1h\"",
            "timeouts.stack_seconds: must be a whole number of at least 0, not a text",
        ),
        (
            "[timeouts]\nstack_seconds = -5",
            "timeouts.stack_seconds: must be a whole number of at least 0, not the number -5",
        ),
        (
            "[identity_center]\ninstance_arn = 5",
            "identity_center.instance_arn: must be a text in quotes, not the number 5",
        ),
        ("[reconcile]\nauto_repair = \"yes\"", "reconcile.auto_repair: must be true or false, not a text"),
        ("[webhooks]\nallowed_ports = 8443", "webhooks.allowed_ports: must be a list, not the number 8443"),
        (
            "[webhooks]\nallowed_ports = [\"8443\"]",
            "webhooks.allowed_ports.[1]: must be a whole number from 0 to 65535",
        ),
        ("[quotas.rates]\nsts = 5", "quotas.rates.sts: must be a table, not the number 5"),
    ] {
        assert_problem_of(addition, expected);
    }
    assert_problem(
        "[[tiers]]\n    name = \"standard\"",
        "[tiers]\nname = \"standard\"",
        "tiers: must be a list, not a table",
    );
}

#[test]
fn an_empty_file_lacks_the_organisation_and_the_residencies() {
    let found = problems("");
    assert!(found.contains("organization: must be set") && found.contains("residencies: must be set"), "{found}");
}

#[test]
fn no_message_contains_a_secret() {
    for text in [
        VALID.replace("postgres://freehold", "mysql://freehold:hidden"),
        VALID.replace("url = \"postgres://freehold@localhost/freehold\"", "url = \"hidden"),
        format!("{VALID}\n[audit]\nsigning_key = \"hidden\""),
        format!("{VALID}\n[secrets]\nkey = \"hidden\""),
        format!("{VALID}\n[secrets]\nkey = hidden"),
        format!("{VALID}\n[secrets]\nold_keys = \"hidden\""),
        format!("{VALID}\n[telemetry]\notlp_endpoint = \"https://ann:hidden@traces.example.com\""),
        VALID.replace("https://login.example.com/.well-known", "https://ann:hidden@login.example.com/.well-known"),
        VALID.replace("https://login.example.com/.well-known", "http://ann:hidden@login.example.com/.well-known"),
    ] {
        let found = problems(&text);
        assert!(!found.is_empty() && !found.contains("hidden"), "{found}");
    }
    let key = "aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVuaGk=";
    let text = VALID.replace("postgres://freehold", "postgres://freehold:hidden");
    let secrets = format!("[secrets]\nkey = \"{key}\"\nold_keys = [\"{key}\"]");
    let config = format!("{text}\n[audit]\nsigning_key = \"{key}\"\n{secrets}");
    let shown = format!("{:?}", Config::parse(&config).unwrap());
    assert!(!shown.contains("hidden") && !shown.contains(key), "{shown}");
}

#[test]
fn another_partition_and_an_iam_token_are_refused_with_their_names() {
    for (from, to, expected) in [
        (
            "arn:aws:iam::111122223333:role/freehold-control",
            "arn:aws-us-gov:iam::111122223333:role/freehold-control",
            "organization.control_role_arn: must be in the partition aws; aws-us-gov (AWS GovCloud (US)) is not \
             supported: it would take an organisation and an installation of their own there",
        ),
        (
            "arn:aws:iam::111122223333:role/freehold-control",
            "arn:aws-cn:iam::111122223333:role/freehold-control",
            "organization.control_role_arn: must be in the partition aws; aws-cn (AWS China)",
        ),
        (
            "postgres://freehold@localhost/freehold",
            "postgres://freehold:db.example.com%3A5432%2F%3FAction%3Dconnect%26X-Amz-Signature%3D00@db.example.com/a",
            "database.url: must contain a password that stays valid, not an IAM token",
        ),
    ] {
        assert_problem(from, to, expected);
    }
    assert_problem_of(
        "[identity_center]\ninstance_arn = \"arn:aws-us-gov:sso:::instance/ssoins-1111222233334444\"",
        "identity_center.instance_arn: must be in the partition aws",
    );
}

#[test]
fn a_region_of_another_partition_is_refused_with_what_it_would_take() {
    let refusal = "`cn-north-1` (China (Beijing)) is in the partition aws-cn, which is not supported: it would take";
    let of_residency = problems(&VALID.replacen("\"eu-central-2\"", "\"cn-north-1\"", 1));
    assert!(of_residency.contains("residencies") && of_residency.contains(refusal), "{of_residency}");
    let of_template = problems(&format!("{VALID}\n[stack.region_templates]\ncn-north-1 = \"x.yaml\""));
    assert!(of_template.contains("stack.region_templates") && of_template.contains(refusal), "{of_template}");
}

#[test]
fn each_issuer_is_declared_once_in_one_form() {
    let (issuer, jwks) = ("https://staff.example.com/", "https://staff.example.com/jwks.json");
    let valid = format!("[[api.issuers]]\nissuer = \"{issuer}\"\naudience = [\"a\", \"b\"]\njwks = \"{jwks}\"\n");
    let single =
        "issuer = \"https://login.example.com/\"\n    jwks = \"https://login.example.com/.well-known/jwks.json\"";
    let list = |more: &str| format!("{}\n{valid}{more}", VALID.replacen(single, "", 1));
    assert_eq!(problems(&list("roles_claim = [\"realm_access\", \"roles\"]\n")), "");
    for field in ["api.issuer", "api.jwks"] {
        assert_problem_of(&valid, &format!("{field}: must be removed, because [[api.issuers]] declares the issuers"));
    }
    let without_issuer = VALID.replacen(single, "tenant_claim = \"\"\naudience = \"\"\nroles_claim = []", 1);
    for field in ["api.tenant_claim", "api.audience", "api.roles_claim"] {
        assert!(problems(&without_issuer).contains(&format!("{field}: must ")), "{field}");
    }
    for (more, expected) in [
        (valid.as_str(), "api.issuers.[2].issuer: must be declared only once"),
        ("[[api.issuers]]", "api.issuers.[2].issuer: must be the claim `iss`"),
        ("[[api.issuers]]", "api.issuers.[2].audience: must not be empty"),
        ("subject_claim = []", "api.issuers.[1].subject_claim: must be the name of a claim"),
        ("roles_claim = [\"a\", \"\"]", "api.issuers.[1].roles_claim: must be the name of a claim"),
        ("scopes_claim = \"tenant_id\"", "api.issuers.[1].scopes_claim: must differ from tenant_claim"),
        ("scope_prefix = \"x/\"\nscopes = { a = \"fleet\" }", "api.issuers.[1].scope_prefix: must be removed"),
        ("scope_prefix = \" x/\"", "api.issuers.[1].scope_prefix: must not start or end with whitespace"),
        ("scopes = { \"a b\" = \"fleet\" }", "api.issuers.[1].scopes.\"a b\": must be the name of a scope"),
        ("required_claims = { token_use = \"\" }", "api.issuers.[1].required_claims.\"token_use\": must have"),
        ("roles_claim = 7", "api.issuers.[1].roles_claim: must be a text in quotes or a list of texts"),
        ("subject = \"oid\"", "api.issuers.[1].subject: must be removed, because there is no such field"),
    ] {
        let found = problems(&list(more));
        assert!(found.lines().any(|line| line.trim_start().starts_with(expected)), "`{more}`: {found}");
    }
}
