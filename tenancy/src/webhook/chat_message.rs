//! Messages about events for people, in channels of Slack and Microsoft Teams.

use serde_json::{Value, json};

use crate::attention::{AttentionCode, Remedy};
use crate::customer_sentence::UNKNOWN_CODE_SENTENCE;
use crate::feed::{FeedEvent, FeedEventData, FeedType, TEST_EVENT_TYPE};
use crate::finding::FindingKind;

/// Maximum number of characters in a section of a Slack message.
const MAX_SLACK_CHARACTERS: usize = 3_000;

/// Label of the link to the console.
const LINK_LABEL: &str = "Open in the console";

/// Message about an event: what happened to which environment, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    headline: String,
    lines: Vec<String>,
    /// URL of the page of the console; `None` if no console is configured or no page shows the event.
    link: Option<String>,
}

impl ChatMessage {
    /// Writes the message about an event. `console` is the address of the console.
    pub fn of(event: &FeedEvent, company_name: Option<&str>, console: Option<&str>) -> Self {
        let link = console.zip(console_path(event)).map(|(url, path)| format!("{}{path}", url.trim_end_matches('/')));
        let Ok(feed_type) = event.r#type.parse::<FeedType>() else {
            let headline = "This is a test message of Freehold.".to_owned();
            let lines = vec![format!("Webhook endpoint {} can receive messages.", event.subject)];
            return Self { headline, lines, link };
        };
        let data = &event.data;
        let headline = match subject(data, company_name) {
            Some(subject) => format!("{subject}: {}", feed_type.sentence()),
            None => feed_type.sentence().to_owned(),
        };
        let lines = [facts(data), cause(data), remedy(feed_type, data), customer_sentence(data)];
        Self { headline, lines: lines.into_iter().flatten().collect(), link }
    }

    /// Returns the body of a request to an incoming webhook of Slack.
    pub fn slack_body(&self) -> Value {
        let headline = format!("*{}*", escape_for_slack(&self.headline));
        let lines = self.lines.iter().map(|line| escape_for_slack(line));
        let link = self.link.iter().map(|url| format!("<{}|{LINK_LABEL}>", escape_for_slack(url)));
        let text: Vec<String> = std::iter::once(headline).chain(lines).chain(link).collect();
        let text: String = text.join("\n").chars().take(MAX_SLACK_CHARACTERS).collect();
        // With `verbatim`, Slack makes no links or mentions out of the name of a customer. The outer text is shown in
        // notifications.
        let section = json!({ "type": "mrkdwn", "text": text, "verbatim": true });
        json!({
            "text": escape_for_slack(&self.headline), "unfurl_links": false, "unfurl_media": false,
            "blocks": [{ "type": "section", "text": section }],
        })
    }

    /// Returns the body of a request to a workflow of Microsoft Teams: a message with an Adaptive Card. Text runs show
    /// their text as it is, while text blocks would interpret Markdown in the name of a customer.
    pub fn teams_body(&self) -> Value {
        let paragraph = |text: &str, weight: &str| {
            let run = json!({ "type": "TextRun", "text": text, "weight": weight });
            json!({ "type": "RichTextBlock", "inlines": [run] })
        };
        let headline = paragraph(&self.headline, "Bolder");
        let lines = self.lines.iter().map(|line| paragraph(line, "Default"));
        let body: Vec<Value> = std::iter::once(headline).chain(lines).collect();
        let open = |url: &String| json!({ "type": "Action.OpenUrl", "title": LINK_LABEL, "url": url });
        let actions: Vec<Value> = self.link.iter().map(open).collect();
        let card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
            "body": body, "actions": actions,
        });
        let attachment = json!({
            "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card,
        });
        json!({ "type": "message", "attachments": [attachment] })
    }
}

/// Replaces the three characters that Slack interprets in any text.
fn escape_for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the path of the console's page about an event.
fn console_path(event: &FeedEvent) -> Option<String> {
    Some(match &event.data {
        _ if event.r#type.ends_with(".approval.requested") => "/console/approvals".to_owned(),
        FeedEventData { finding_id: Some(_), .. } => "/console/findings".to_owned(),
        FeedEventData { operation_id: Some(operation), .. } => format!("/console/operations/{operation}"),
        FeedEventData { tenant_id: Some(tenant), .. } => format!("/console/tenants/{tenant}"),
        FeedEventData { rollout_id: Some(rollout), .. } => format!("/console/rollouts/{rollout}"),
        _ if event.r#type == TEST_EVENT_TYPE => format!("/console/webhooks/{}", event.subject),
        _ => return None,
    })
}

/// Returns the object of the event as a person names it, such as `Example GmbH, production in eu-central-1`.
fn subject(data: &FeedEventData, company_name: Option<&str>) -> Option<String> {
    let Some(tenant) = company_name.or(data.tenant_id.as_deref()) else {
        let rollout = data.rollout_id.as_ref().map(|id| format!("Rollout {id}"));
        return rollout.or_else(|| data.release_id.as_ref().map(|id| format!("Release {id}")));
    };
    let environment = data.environment.as_ref().or(data.environment_id.as_ref());
    let mut subject = tenant.to_owned();
    for (before, name) in [(", ", environment), (" in ", data.home_region.as_ref().filter(|_| environment.is_some()))] {
        if let Some(name) = name {
            subject.push_str(before);
            subject.push_str(name);
        }
    }
    Some(subject)
}

/// Returns the values of the event that a person needs to find the object.
fn facts(data: &FeedEventData) -> Option<String> {
    let changed = data.changed.as_ref().map(|fields| fields.join(", "));
    let facts = [
        ("customer", data.external_id.as_ref()),
        ("AWS account", data.aws_account_id.as_ref()),
        ("region", data.region.as_ref()),
        ("from", data.from.as_ref()),
        ("to", data.to.as_ref()),
        ("wave", data.wave.as_ref()),
        ("release", data.release_id.as_ref().filter(|_| data.rollout_id.is_some())),
        ("requested action", data.action.as_ref()),
        ("changed fields", changed.as_ref()),
        ("operation", data.operation_id.as_ref()),
    ];
    let facts: Vec<_> = facts.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?))).collect();
    (!facts.is_empty()).then(|| format!("Details: {}.", facts.join(", ")))
}

fn attention_code(data: &FeedEventData) -> Option<AttentionCode> {
    data.code.as_ref()?.parse().ok()
}

/// Returns the reason for the event.
fn cause(data: &FeedEventData) -> Option<String> {
    if let Some(code) = &data.code {
        return Some(match attention_code(data) {
            Some(known) => format!("Why: {} ({code}).", known.title()),
            None => format!("Why: {code}."),
        });
    }
    if let Some(reason) = &data.reason {
        return Some(format!("Why: {}.", reason.replace('_', " ")));
    }
    let kind = data.kind.as_ref()?;
    let known = kind.parse().ok().map(FindingKind::sentence);
    let text = known.unwrap_or(kind).trim_end_matches('.');
    Some(format!("Why: {text}. Severity: {}.", data.severity.as_deref().unwrap_or("unknown")))
}

/// Returns what a person has to do, or `None` if nothing is needed.
fn remedy(feed_type: FeedType, data: &FeedEventData) -> Option<String> {
    let text = match feed_type {
        FeedType::FindingOpened => match data.kind.as_ref().and_then(|kind| kind.parse::<FindingKind>().ok()) {
            Some(kind) if kind.is_safe_to_repair() => "let `freehold reconcile` repair it, or act as the finding says",
            _ => "act as the finding says",
        }
        .to_owned(),
        FeedType::ApprovalRequested | FeedType::TenantApprovalRequested | FeedType::RolloutAwaitingApproval => {
            "another person approves or rejects it".to_owned()
        }
        FeedType::RolloutHalted => "find the cause, then resume the rollout, abort it or roll it back".to_owned(),
        _ => {
            let remedies = attention_code(data)?.remedies();
            let all: Vec<_> = remedies.iter().map(|remedy| remedy_text(*remedy)).collect();
            if all.is_empty() { "fix the cause and request the operation again".to_owned() } else { all.join(", or ") }
        }
    };
    Some(format!("What to do: {text}."))
}

fn remedy_text(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Retry => "fix the cause and retry",
        Remedy::Correct => "correct the e-mail address of the account",
        Remedy::Adopt => "use an account that exists",
        Remedy::Approve => "another person approves or rejects the request",
        Remedy::Cancel => "cancel the operation",
    }
}

/// Returns the sentence that support staff read to the customer.
fn customer_sentence(data: &FeedEventData) -> Option<String> {
    data.code.as_ref()?;
    let sentence = attention_code(data).map_or(UNKNOWN_CODE_SENTENCE, AttentionCode::customer_sentence);
    Some(format!("Tell the customer: {sentence}"))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn event(feed_type: FeedType, data: FeedEventData) -> FeedEvent {
        FeedEvent {
            specversion: "1.0".to_owned(),
            id: "1".to_owned(),
            source: "urn:freehold".to_owned(),
            r#type: feed_type.to_string(),
            subject: "env_1".to_owned(),
            time: DateTime::UNIX_EPOCH,
            datacontenttype: "application/json".to_owned(),
            sequence: "1".to_owned(),
            data,
        }
    }

    #[test]
    fn a_message_says_what_happened_why_and_what_to_do() {
        let data = FeedEventData {
            tenant_id: Some("ten_1".to_owned()),
            environment_id: Some("env_1".to_owned()),
            operation_id: Some("op_1".to_owned()),
            environment: Some("production".to_owned()),
            home_region: Some("eu-central-1".to_owned()),
            code: Some("account_email_taken".to_owned()),
            ..FeedEventData::default()
        };
        let event = event(FeedType::OnboardingNeedsAttention, data);
        let message = ChatMessage::of(&event, Some("Meier <&> *Co*"), Some("https://freehold.example.com/"));
        assert_eq!(
            message.slack_body()["blocks"][0]["text"]["text"],
            "*Meier &lt;&amp;&gt; *Co*, production in eu-central-1: An onboarding needs attention.*\n\
             Details: operation op_1.\n\
             Why: Account e-mail address in use (account_email_taken).\n\
             What to do: fix the cause and retry, or correct the e-mail address of the account, or use an account that \
             exists.\n\
             Tell the customer: The technical e-mail address reserved for your account is already in use. A colleague \
             is resolving this.\n\
             <https://freehold.example.com/console/operations/op_1|Open in the console>"
        );
        let teams = message.teams_body();
        let card = &teams["attachments"][0]["content"];
        let headline = &card["body"][0]["inlines"][0]["text"];
        assert_eq!(headline, "Meier <&> *Co*, production in eu-central-1: An onboarding needs attention.");
        assert_eq!(card["actions"][0]["url"], "https://freehold.example.com/console/operations/op_1");
        assert_eq!(ChatMessage::of(&event, None, None).teams_body()["attachments"][0]["content"]["actions"], json!([]));
    }

    #[test]
    fn every_event_type_has_a_sentence() {
        for feed_type in FeedType::ALL {
            let message = ChatMessage::of(&event(*feed_type, FeedEventData::default()), None, None);
            let sentence = &message.headline;
            assert!(sentence.ends_with('.') && sentence.starts_with(char::is_uppercase), "{feed_type}: {sentence}");
        }
        for kind in FindingKind::ALL {
            assert!(kind.sentence().ends_with('.'), "{kind}");
        }
    }
}
