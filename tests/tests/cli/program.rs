//! Tests of the program as a process: exit codes, output, and the sandbox.

use std::net::TcpListener;

use freehold_tests::database::Database;
use freehold_tests::fixture::CONFIG;

use super::process::{self, Sandbox, freehold, text};

#[test]
fn the_demo_ends_with_four_ready_tenants_and_a_front_door_that_survives() {
    let sandbox = Sandbox::prepare();
    let demo = sandbox.run(&["sandbox", "--demo", "--exit-after-demo", "--speed", "40"]);
    let output = text(&demo.stdout);
    assert_eq!(demo.status.code(), Some(0), "{output}{}", text(&demo.stderr));
    assert_eq!(output.matches("environment ready\n").count(), 4, "{output}");
    assert!(output.contains("front door deployed\n"), "{output}");
    let front_door = output.lines().find(|line| line.contains("front door") && line.contains("answers"));
    let front_door = front_door.expect("the front door");
    assert!(front_door.contains("answers from eu-central-1"), "{output}");
    assert!(front_door.contains("answers from eu-west-1"), "{output}");
    assert!(output.contains("no answer (ConnectionFailed)"), "{output}");
    for region in ["eu-central-1", "us-east-1"] {
        assert!(output.contains(&format!("/lambda-url/{region}/")), "no stack answered in {region}: {output}");
    }
    // CloudFormation has no Function URLs in this region.
    assert!(output.contains("  function freehold-tenant in eu-central-2\n"), "{output}");
    for unit in ["freehold-eu", "freehold-us", "freehold-ch"] {
        assert!(output.contains(unit), "no account is in {unit}: {output}");
    }
    let directory = Sandbox::database_directory(&output);
    assert!(!directory.exists(), "{} was left behind", directory.display());
    assert_eq!(process::processes_with_path(&directory), [""; 0], "processes were left behind");
}

#[test]
fn a_killed_sandbox_leaves_no_processes_and_no_data() {
    let mut sandbox = Sandbox::start(&[]);
    let directory = Sandbox::database_directory(&sandbox.output());
    assert!(directory.exists());
    assert_ne!(process::processes_with_path(&directory), [""; 0]);
    sandbox.kill();
    process::wait_until("PostgreSQL stops and its data are removed", || {
        !directory.exists() && process::processes_with_path(&directory).is_empty()
    });
    let tokens = sandbox.run(&["token"]);
    assert_eq!(tokens.status.code(), Some(1));
    assert!(text(&tokens.stderr).contains("no sandbox is running"));
}

#[test]
fn a_sandbox_with_a_data_directory_continues_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    // Other tests start sandboxes meanwhile, and one of them would take the default port.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).unwrap().port().to_string();
    let mut sandbox = Sandbox::start(&["--data", data, "--speed", "40", "--port", &port]);
    let created = sandbox.create_tenant(&[]);
    let account = created["environments"][0]["aws_account_id"].as_str().unwrap().to_owned();
    let token = text(&sandbox.run(&["token"]).stdout);
    let api = sandbox.address_of("API");
    assert_eq!(sandbox.interrupt().code(), Some(0));

    let again = Sandbox::start(&["--data", data, "--speed", "40"]);
    assert!(again.output().contains("already prepared"), "{}", again.output());
    // Port and signing key do not change, so old tokens stay valid.
    let listed = again.run(&["tenants", "list", "--output", "json", "--api-url", &api, "--token", token.trim()]);
    assert_eq!(listed.status.code(), Some(0), "{}", text(&listed.stderr));
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0], created);
    assert!(again.world().contains(&account), "the simulated AWS lost the account");

    let another = again.run(&["sandbox", "--data", data]);
    assert_eq!(another.status.code(), Some(1));
    assert!(text(&another.stderr).contains("another process is using"), "{}", text(&another.stderr));
}

#[test]
fn several_sandboxes_are_told_apart_by_their_urls() {
    let mut first = Sandbox::start(&[]);
    let mut second = Sandbox::start_beside(&first, &[]);
    let (first_api, second_api) = (first.address_of("API"), second.address_of("API"));
    for arguments in [&["tenants", "list"][..], &["token"]] {
        let refused = first.run(arguments);
        let message = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(message.contains("several sandboxes are running"), "{message}");
        assert!(message.contains(&first_api) && message.contains(&second_api), "{message}");
    }
    for api in [&first_api, &second_api] {
        let listed = first.run(&["tenants", "list", "--api-url", api]);
        assert_eq!(listed.status.code(), Some(0), "{}", text(&listed.stderr));
        let token = text(&first.run(&["token", "--api-url", api]).stdout);
        let listed = first.run(&["tenants", "list", "--api-url", api, "--token", token.trim()]);
        assert_eq!(listed.status.code(), Some(0), "{}", text(&listed.stderr));
    }
    // The sandbox that stops leaves the other one registered.
    assert_eq!(second.interrupt().code(), Some(0));
    assert_eq!(first.run(&["tenants", "list"]).status.code(), Some(0));

    // The registration of a killed sandbox is ignored.
    let mut third = Sandbox::start_beside(&first, &[]);
    third.kill();
    assert_eq!(first.run(&["tenants", "list"]).status.code(), Some(0));
    let unknown = first.run(&["token", "--api-url", &second_api]);
    assert!(text(&unknown.stderr).contains("no sandbox is running at"), "{}", text(&unknown.stderr));
    first.interrupt();
    assert!(text(&first.run(&["token"]).stderr).contains("no sandbox is running;"));
}

#[test]
fn exit_codes_distinguish_the_kinds_of_failure() {
    let sandbox = Sandbox::start(&[]);
    let code = |arguments: &[&str]| sandbox.run(arguments).status.code();
    assert_eq!(code(&["tenants", "list"]), Some(0));
    assert_eq!(code(&["tenants", "lisst"]), Some(2));
    assert_eq!(code(&["tenants", "show", "ten_01k2m8v3x9e7rt4s5q6w7y8z9b"]), Some(4));
    assert_eq!(code(&["operations", "show", "op_01k2m8v3x9e7rt4s5q6w7y8z9b"]), Some(4));
    assert_eq!(code(&["tenants", "list", "--api-url", "http://127.0.0.1:1", "--token", "x"]), Some(5));
    assert_eq!(code(&["tenants", "list", "--token", "x"]), Some(6));
    // The token of the sandbox is used for the sandbox only.
    assert_eq!(code(&["tenants", "list", "--api-url", "http://127.0.0.1:1"]), Some(6));
    let reader = text(&sandbox.run(&["token", "--scope", "fleet", "--scope", "tenants:read"]).stdout);
    let signup = [
        "tenants",
        "create",
        "--company-name",
        "Example GmbH",
        "--admin-email",
        "admin.example.com",
        "--home-region",
        "mars-north-1",
    ];
    assert_eq!(code(&[&signup[..], &["--token", reader.trim()]].concat()), Some(6));
    let refused = sandbox.run(&signup);
    assert_eq!(refused.status.code(), Some(1));
    for field in ["admin_email: ", "home_region: "] {
        assert!(text(&refused.stderr).contains(field), "{}", text(&refused.stderr));
    }
    assert_eq!(text(&refused.stdout), "", "stdout must contain data only");
}

#[test]
fn needing_attention_has_its_own_exit_code_and_can_be_retried() {
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("freehold.toml");
    let unknown_group = "[[access]]\npermission_set = \"support\"\ngroup = \"missing-group\"\n";
    std::fs::write(&config, format!("{CONFIG}\n{unknown_group}")).unwrap();
    let sandbox = Sandbox::start(&["--speed", "40", "--config", config.to_str().unwrap()]);
    let created = sandbox.run(&[
        "tenants",
        "create",
        "--company-name",
        "Example GmbH",
        "--admin-email",
        "admin@example.com",
        "--home-region",
        "us-east-1",
        "--wait",
    ]);
    assert_eq!(created.status.code(), Some(3), "{}", text(&created.stderr));
    assert!(text(&created.stderr).contains("missing-group"), "{}", text(&created.stderr));
    let parked = sandbox.run(&["operations", "list", "--code", "group_missing", "--output", "json"]);
    let parked: serde_json::Value = serde_json::from_slice(&parked.stdout).unwrap();
    let operation = parked[0]["id"].as_str().unwrap();
    let shown = sandbox.run(&["operations", "show", operation]);
    assert_eq!(shown.status.code(), Some(3));
    assert!(text(&shown.stdout).contains("missing-group"), "{}", text(&shown.stdout));
    assert!(text(&shown.stdout).contains("tell the customer A group of users"), "{}", text(&shown.stdout));
    let retried = sandbox.run(&["operations", "retry", operation]);
    assert_eq!(retried.status.code(), Some(0), "{}", text(&retried.stderr));
    // The group is still missing.
    let watched = sandbox.run(&["tenants", "watch", parked[0]["tenant_id"].as_str().unwrap()]);
    assert_eq!(watched.status.code(), Some(3), "{}", text(&watched.stdout));
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let piped = process::run_bash_line("set -o pipefail; \"$FREEHOLD\" openapi | head -n 1");
    assert_eq!(piped.status.code(), Some(0), "{}", text(&piped.stderr));
    assert_eq!(text(&piped.stderr), "");
}

#[tokio::test]
async fn real_and_simulated_installations_do_not_mix() {
    let database = Database::new().await;
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("freehold.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let run = |command: &[&str]| {
        let url = match command[0] {
            "api" => &database.api_url,
            "worker" => &database.worker_url,
            _ => &database.url,
        };
        let here = ["--config", config.to_str().unwrap(), "--database-url", url];
        let run = freehold(&[command, &here[..]].concat());
        (run.status.code(), text(&run.stderr) + text(&run.stdout).as_str())
    };

    let (code, output) = run(&["api"]);
    assert!(code == Some(1) && output.contains("freehold migrate"), "{output}");
    let (code, output) = run(&["migrate"]);
    assert!(code == Some(0) && output.contains("111122223333"), "{output}");
    let (code, output) = run(&["sandbox"]);
    assert!(code == Some(1) && output.contains("belongs to a real installation"), "{output}");
    let (code, output) = run(&["worker", "--sandbox", "http://127.0.0.1:1"]);
    assert!(code == Some(1) && output.contains("belongs to a real installation"), "{output}");
    let (code, output) = run(&["worker", "--sandbox", "https://aws.example.com"]);
    assert!(code == Some(1) && output.contains("loopback"), "{output}");
    // AWS_ENDPOINT_URL redirects AWS calls, so the worker refuses to start.
    let (code, output) = run(&["worker"]);
    assert!(code == Some(1) && output.contains("AWS_ENDPOINT_URL"), "{output}");
}

#[tokio::test]
async fn the_api_reports_that_it_serves_only_with_a_valid_issuer() {
    let database = Database::new().await;
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("freehold.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let migrated = freehold(&[&["migrate", "--database-url", &database.url][..], &config].concat());
    assert_eq!(migrated.status.code(), Some(0));
    let api = ["api", "--listen", "127.0.0.1:0", "--database-url", &database.api_url];
    let api = freehold(&[&api[..], &config].concat());
    let output = text(&api.stderr);
    assert!(api.status.code() == Some(1) && output.contains("api.issuer: must be"), "{output}");
    assert!(!output.contains("API started"), "{output}");
}

#[test]
fn each_command_names_the_database_that_it_cannot_use() {
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("freehold.toml");
    std::fs::write(&config, CONFIG).unwrap();
    // Port 1 of the loopback interface has no server.
    for (command, url, words) in [
        ("api", "postgres://freehold@127.0.0.1:1/freehold", "PostgreSQL at 127.0.0.1:1: Connection refused"),
        ("api", "mysql://root@127.0.0.1/freehold", "must be a URL such as postgres://user:password@host/name"),
        ("migrate", "mysql://root@127.0.0.1/freehold", "must be a URL such as postgres://user:password@host/name"),
        ("api", "postgres://freehold@db.example.com/freehold", "must contain sslmode=verify-full"),
        ("migrate", "postgres://freehold@db.example.com/freehold?sslmode=disable", "must contain sslmode=verify-full"),
    ] {
        let output = freehold(&[command, "--config", config.to_str().unwrap(), "--database-url", url]);
        assert_eq!(output.status.code(), Some(1), "{command} {url}");
        assert!(text(&output.stderr).contains(words), "{command} {url}: {}", text(&output.stderr));
    }
}
