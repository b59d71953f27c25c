//! Tests that deploy/cloudformation/freehold.yaml passes each process the secrets that it needs, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use freehold_tenancy::config::Database;
use serde_yaml_ng::Value as Yaml;

use super::yaml;

const TEMPLATE: &str = "deploy/cloudformation/freehold.yaml";

/// Task definition, database role, and each variable with the secret that it gets.
type TaskSecrets = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The secrets of each task. The administrator of the database prepares the roles of the others.
const TASKS: [TaskSecrets; 3] = [
    ("Api", "freehold_api", &[("FREEHOLD_SECRETS__KEY", "SecretsKey"), ("PGPASSWORD", "ApiLogin")]),
    (
        "Worker",
        "freehold_worker",
        &[
            ("FREEHOLD_AUDIT__SIGNING_KEY", "AuditSigningKey"),
            ("FREEHOLD_PROOF__SIGNING_KEY", "ProofSigningKey"),
            ("FREEHOLD_SECRETS__KEY", "SecretsKey"),
            ("PGPASSWORD", "WorkerLogin"),
        ],
    ),
    (
        "Migrate",
        "freehold",
        &[
            ("FREEHOLD_DATABASE__API_PASSWORD", "ApiLogin"),
            ("FREEHOLD_DATABASE__WORKER_PASSWORD", "WorkerLogin"),
            ("PGPASSWORD", "DatabaseSecret"),
        ],
    ),
];

/// Secrets of the configuration that the template does not pass, each with the reason.
const NOT_PASSED: [(&str, &str); 3] = [
    ("FREEHOLD_CONSOLE__CLIENT_SECRET", "a public client needs none; a secret comes from the OpenID provider"),
    ("FREEHOLD_DATABASE__URL", "the URL contains no password, because PGPASSWORD supplies it"),
    ("FREEHOLD_SECRETS__OLD_KEYS", "only set during a rotation"),
];

/// Returns the text of a scalar, with the arguments of a function such as `!Sub`.
fn text(value: &Yaml) -> String {
    match value {
        Yaml::Tagged(tagged) => text(&tagged.value),
        value => value.as_str().unwrap_or_default().to_owned(),
    }
}

/// Returns the logical name of the secret in a reference such as `${Login}:password::` or `!Ref Key`.
fn referenced_secret(reference: &Yaml) -> String {
    let reference = text(reference);
    let name = reference.strip_prefix("${").and_then(|rest| rest.split('}').next());
    name.unwrap_or(&reference).to_owned()
}

fn container<'a>(template: &'a Yaml, task: &str) -> &'a Yaml {
    &template["Resources"][format!("{task}Task").as_str()]["Properties"]["ContainerDefinitions"][0]
}

#[test]
fn each_task_gets_the_secrets_that_it_needs_by_reference() {
    let template = yaml(TEMPLATE);
    for (task, _, expected) in TASKS {
        let secrets = container(&template, task)["Secrets"].as_sequence().unwrap();
        let found: BTreeMap<_, _> = secrets
            .iter()
            .map(|secret| (secret["Name"].as_str().unwrap().to_owned(), referenced_secret(&secret["ValueFrom"])))
            .collect();
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(name, from)| ((*name).to_owned(), (*from).to_owned())).collect();
        assert_eq!(found, expected, "{task}");
        // The execution role of the task can read exactly these secrets.
        let role = text(&template["Resources"][format!("{task}Task").as_str()]["Properties"]["ExecutionRoleArn"]);
        let role = role.strip_suffix(".Arn").unwrap();
        assert_eq!(role, format!("{task}ExecutionRole"));
        let statement = &template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0];
        let readable: BTreeSet<_> = statement["Resource"].as_sequence().unwrap().iter().map(text).collect();
        assert_eq!(readable, expected.into_values().collect(), "{role}");
    }
}

#[test]
fn each_task_logs_in_with_a_role_of_its_own_over_tls() {
    let template = yaml(TEMPLATE);
    let roles = Database::default().roles();
    assert_eq!((TASKS[0].1, TASKS[1].1), (roles.api.as_str(), roles.worker.as_str()));
    for (task, role, _) in TASKS {
        let variables = container(&template, task)["Environment"].as_sequence().unwrap();
        let url = variables.iter().find(|variable| variable["Name"] == "FREEHOLD_DATABASE__URL").unwrap();
        let url = text(&url["Value"]);
        assert!(
            url.starts_with(&format!("postgres://{role}@")) && url.contains("sslmode=verify-full"),
            "{task}: {url}"
        );
        // A value in the template is visible to all who can read the stack.
        for variable in variables {
            let name = variable["Name"].as_str().unwrap();
            assert!(
                !["KEY", "PASSWORD", "SECRET", "TOKEN"]
                    .iter()
                    .any(|word| name.contains(word) && name != "FREEHOLD_API__TOKEN_TYPE"),
                "{name}"
            );
        }
    }
    let logins = [("ApiLogin", &roles.api), ("WorkerLogin", &roles.worker)];
    for (login, role) in logins {
        let generated = &template["Resources"][login]["Properties"]["GenerateSecretString"];
        assert!(generated["SecretStringTemplate"].as_str().unwrap().contains(&format!("\"{role}\"")), "{login}");
    }
}

#[test]
fn a_generated_key_is_valid() {
    let template = yaml(TEMPLATE);
    for secret in ["SecretsKey", "AuditSigningKey", "ProofSigningKey"] {
        let generated = &template["Resources"][secret]["Properties"]["GenerateSecretString"];
        let excluded = generated["ExcludeCharacters"].as_str().unwrap();
        let digits: String = ('0'..='9').chain('a'..='z').filter(|one| !excluded.contains(*one)).collect();
        assert_eq!(digits, "0123456789abcdef", "{secret}");
        assert!(generated["ExcludeUppercase"] == true && generated["ExcludePunctuation"] == true, "{secret}");
        let length = usize::try_from(generated["PasswordLength"].as_u64().unwrap()).unwrap();
        let key = digits.chars().cycle().take(length).collect::<String>().into();
        assert!(freehold_tenancy::secrets::SealingKey::parse(&key).is_ok(), "{secret}");
        assert!(freehold_tenancy::audit::Signer::new(&key).is_ok(), "{secret}");
        assert!(freehold_tenancy::residency_proof::ProofSigner::new(&key).is_ok(), "{secret}");
    }
}

/// Returns the variables of all secrets in the configuration, which have types that hide their value.
fn secrets_of_the_configuration() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tenancy/src/config");
    let mut variables = BTreeSet::new();
    for file in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let code = fs::read_to_string(&file).unwrap_or_default();
        let mut section = String::new();
        for line in code.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("/// Section `[") {
                section = rest.split(']').next().unwrap().to_uppercase();
            }
            let field = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "));
            if let Some((name, kind)) = field
                && ["SecretString", "SealingKey"].iter().any(|secret| kind.contains(secret))
                && !name.contains('(')
            {
                variables.insert(format!("FREEHOLD_{section}__{}", name.to_uppercase()));
            }
        }
    }
    variables
}

#[test]
fn every_secret_of_the_configuration_is_passed_to_a_process() {
    let passed: BTreeSet<_> =
        TASKS.iter().flat_map(|(.., secrets)| secrets.iter().map(|(name, _)| (*name).to_owned())).collect();
    let known = secrets_of_the_configuration();
    assert!(known.contains("FREEHOLD_SECRETS__KEY") && known.contains("FREEHOLD_DATABASE__API_PASSWORD"), "{known:?}");
    for secret in known {
        let is_excepted = NOT_PASSED.iter().any(|(name, _)| *name == secret);
        assert!(
            passed.contains(&secret) != is_excepted,
            "{secret}: pass it in {TEMPLATE}, to the process that needs it"
        );
    }
}
