//! Tests of the rules for `[database]`.

use super::{VALID, assert_problem, problems};

#[test]
fn a_role_or_password_that_cannot_be_used_is_a_problem() {
    let url = "url = \"postgres://freehold@localhost/freehold\"";
    let with = |field: &str| format!("{url}\n{field}");
    for (field, expected) in [
        ("owner_role = \"Freehold\"", "database.owner_role: must be a name of lower-case letters"),
        ("api_role = \"a; drop table tenants\"", "database.api_role: must be a name of lower-case letters"),
        ("worker_role = \"pg_monitor\"", "database.worker_role: must be a name of lower-case letters"),
        ("api_role = \"freehold_owner\"", "database.api_role: must be another role than owner_role"),
        ("worker_role = \"freehold_api\"", "database.worker_role: must be another role than owner_role and api_role"),
        ("api_password = \"short\"", "database.api_password: must be 16 to 128 printable ASCII characters"),
        ("api_password = \"pässword-with-umlaut\"", "database.api_password: must be 16 to 128 printable ASCII"),
        ("worker_password = \"a-password\\nwith-two-lines\"", "database.worker_password: must be 16 to 128 printable"),
        (
            "api_password = \"one-password-for-two\"\nworker_password = \"one-password-for-two\"",
            "database.worker_password: must be another password than api_password",
        ),
        ("allow_plaintext = \"yes\"", "database.allow_plaintext: must be true or false"),
    ] {
        assert_problem(url, &with(field), expected);
        assert!(!problems(&VALID.replacen(url, &with(field), 1)).contains("password-"), "a message shows a password");
    }
}

#[test]
fn the_url_of_another_machine_must_require_tls() {
    let local = "localhost/freehold";
    let expected = "database.url: must contain sslmode=verify-full";
    for remote in
        ["db.example.com/freehold", "db.example.com/freehold?sslmode=disable", "192.0.2.1/freehold?sslmode=prefer"]
    {
        assert_problem(local, remote, expected);
    }
    let url = "url = \"postgres://freehold@localhost/freehold\"";
    for valid in [
        "url = \"postgres://freehold@db.example.com/freehold?sslmode=verify-full\"",
        "url = \"postgres://freehold@db.example.com/freehold\"\nallow_plaintext = true",
    ] {
        assert_eq!(problems(&VALID.replacen(url, valid, 1)), "");
    }
}
