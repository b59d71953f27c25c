//! Tests of the formats of endpoints: messages for channels of Slack and Microsoft Teams.

use std::sync::Arc;

use freehold_tests::api_fixture::signup_body_with;
use freehold_tests::receiver::Receiver;
use freehold_tests::webhook_fixture::{WebhookFixture, id};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn chat_endpoints_get_messages_with_cause_remedy_and_link() {
    let hooks = WebhookFixture::new().await;
    let (slack, teams) = (Receiver::start().await, Receiver::start().await);
    let types = json!(["tenant.onboarding.needs_attention"]);
    let create = async |receiver: &Receiver, format: &str| {
        hooks.create_endpoint_with(&json!({ "url": receiver.url(), "types": types, "format": format })).await
    };
    let endpoint = create(&slack, "slack").await;
    create(&teams, "teams").await;
    assert_eq!(endpoint["format"], "slack");
    let tenant = hooks.api.sign_up(&signup_body_with(json!({ "company_name": "Meier <& Co>" }))).await;
    hooks.api.park("account_email_taken").await;
    let mut config = (*hooks.api.config).clone();
    config.console.url = Some("https://freehold.example.com".to_owned());
    let worker = Arc::new(hooks.worker_with(&Arc::new(config)));
    assert_eq!(worker.drain_webhooks().await.unwrap(), 2);

    let received = &slack.received()[0];
    assert_eq!(received.signatures(), [received.expected_signature(endpoint["secret"].as_str().unwrap())]);
    let operation = tenant["environments"][0]["operation_id"].as_str().unwrap();
    let page = format!("https://freehold.example.com/console/operations/{operation}");
    let lines = [
        "*Meier &lt;&amp; Co&gt;, production in eu-central-1: An onboarding needs attention.*".to_owned(),
        format!("Details: operation {operation}."),
        "Why: Account e-mail address in use (account_email_taken).".to_owned(),
        "What to do: fix the cause and retry, or correct the e-mail address of the account, or use an account that \
         exists."
            .to_owned(),
        "Tell the customer: The technical e-mail address reserved for your account is already in use. A colleague is \
         resolving this."
            .to_owned(),
        format!("<{page}|Open in the console>"),
    ];
    let section = &received.json()["blocks"][0]["text"];
    assert_eq!(section, &json!({ "type": "mrkdwn", "text": lines.join("\n"), "verbatim": true }));

    let message = teams.received()[0].json();
    assert_eq!(message["type"], "message");
    let attachment = &message["attachments"][0];
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &attachment["content"];
    assert_eq!((&card["type"], &card["actions"][0]["url"]), (&json!("AdaptiveCard"), &json!(page)));
    let texts: Vec<_> =
        card["body"].as_array().unwrap().iter().map(|block| block["inlines"][0]["text"].as_str().unwrap()).collect();
    let unescaped =
        |line: &String| line.trim_matches('*').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    assert_eq!(texts, lines[..5].iter().map(unescaped).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_format_can_be_changed_and_is_checked() {
    let hooks = WebhookFixture::new().await;
    let receiver = Receiver::start().await;
    let endpoint = hooks.create_endpoint(&receiver.url(), &[]).await;
    assert_eq!(endpoint["format"], "freehold");
    let patch = async |body: &Value| {
        let path = format!("/v1/webhook-endpoints/{}", id(&endpoint));
        let request = hooks.api.request(Method::PATCH, &path).header("If-Match", "*").json(body);
        freehold_tests::api_fixture::send(request).await
    };
    for invalid in [json!("discord"), json!(7), json!(null)] {
        let refused = patch(&json!({ "format": invalid })).await;
        assert_eq!(refused.status_and_code(), (422, "validation_failed".into()));
        assert_eq!(refused.json()["errors"][0]["field"], "format", "{}", refused.text);
    }
    let changed = patch(&json!({ "format": "slack" })).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["format"]), (200, &json!("slack")), "{}", changed.text);
    let audited = hooks.api.get("/v1/audit-events?action=updateWebhookEndpoint").await.json();
    let mut changes =
        audited["audit_events"].as_array().unwrap().iter().map(|one| &one["record"]["outcome"]["changes"]);
    let expected = json!({ "old": "freehold", "new": "slack" });
    assert!(changes.any(|changes| changes["format"] == expected), "{audited}");

    hooks.post(&endpoint, "/test", &json!({})).await;
    Arc::new(hooks.worker()).drain_webhooks().await.unwrap();
    let text = receiver.received()[0].json()["blocks"][0]["text"]["text"].as_str().unwrap().to_owned();
    assert_eq!(
        text,
        format!("*This is a test message of Freehold.*\nWebhook endpoint {} can receive messages.", id(&endpoint))
    );
}
