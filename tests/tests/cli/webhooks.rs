//! Test of `freehold webhooks test`.

use freehold_tests::receiver::{Receiver, Reply};
use serde_json::Value;

use super::process::{Sandbox, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_test_event_prints_what_the_receiver_answers() {
    let receiver = Receiver::start().await;
    let sandbox = Sandbox::start(&[]);
    let create = ["webhooks", "create", "--url", &receiver.url(), "--format", "slack", "--output", "json"];
    let created = sandbox.run(&create);
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    let endpoint: Value = serde_json::from_slice(&created.stdout).expect("JSON");
    let id = endpoint["id"].as_str().expect("an id");

    let delivered = sandbox.run(&["webhooks", "test", id]);
    let shown = text(&delivered.stdout);
    assert_eq!(delivered.status.code(), Some(0), "{shown}{}", text(&delivered.stderr));
    assert!(shown.contains("webhook.test") && shown.contains("Delivered (204)."), "{shown}");
    assert!(receiver.received()[0].body.starts_with(r#"{"text":"#), "{:?}", receiver.received());

    receiver.set_reply(Reply::Status(500, String::new()));
    let failed = sandbox.run(&["webhooks", "test", id]);
    let shown = text(&failed.stdout);
    assert_eq!(failed.status.code(), Some(1), "{shown}{}", text(&failed.stderr));
    assert!(shown.contains("The receiver answered 500, not 2xx."), "{shown}");
}
