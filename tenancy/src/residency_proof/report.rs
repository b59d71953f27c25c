//! A residency proof as text for auditors, who need not know Freehold. The page of the API and the command line show
//! it.

use chrono::{DateTime, Utc};

use super::{AttachedPolicy, Attachment, AttachmentKind, NOT_PROVED, ProbeResult, ProofDocument};
use crate::Region;

/// Part of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub title: &'static str,
    pub blocks: Vec<Block>,
}

/// Content of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    Paragraph(String),
    List(Vec<String>),
    Table {
        headings: Vec<&'static str>,
        rows: Vec<Vec<String>>,
    },
    /// Text that is shown as it is, such as a policy.
    Verbatim(String),
}

/// Returns the result of the proof as a sentence.
pub fn verdict(document: &ProofDocument) -> &'static str {
    if document.conforms {
        "The environment conforms: it was found within its residency, and a policy of AWS keeps it there."
    } else {
        "The environment does NOT conform to its residency."
    }
}

/// Formats a time for readers.
pub fn format_time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Returns the sections of the report, except the verdict.
pub fn sections(document: &ProofDocument) -> Vec<Section> {
    vec![subject(document), regions(document), policy(document), probe(document), resources(document)]
        .into_iter()
        .chain([
            Section { title: "What the policy does not apply to", blocks: vec![list(&document.exemptions)] },
            drift(document),
            Section { title: "What leaves the regions anyway", blocks: vec![list(&document.leaves_region)] },
            Section {
                title: "What this document does not prove",
                blocks: vec![Block::List(NOT_PROVED.map(ToOwned::to_owned).to_vec())],
            },
        ])
        .collect()
}

fn list(items: &[String]) -> Block {
    Block::List(items.to_vec())
}

fn join(regions: &[Region]) -> String {
    regions.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", ")
}

fn subject(document: &ProofDocument) -> Section {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = vec![
        row("Customer", document.tenant_id.to_string()),
        row("Environment", format!("{} ({})", document.environment, document.environment_id)),
        row("AWS account", document.aws_account_id.to_string()),
        row("Observed at", format_time(document.observed_at)),
        row("Operation", document.operation_id.to_string()),
        row("Installation", document.installation_id.to_string()),
    ];
    let introduction = "The provider runs the software of each customer in an AWS account of its own, with a program \
        called Freehold. Freehold has observed this account in AWS at the time below, and has signed the result. An \
        environment is one installation of the software.";
    let blocks =
        vec![Block::Paragraph(introduction.to_owned()), Block::Table { headings: vec!["Subject", "Value"], rows }];
    Section { title: "Subject", blocks }
}

fn regions(document: &ProofDocument) -> Section {
    let text = format!(
        "The environment was requested in {}. Its residency `{}` allows these regions of AWS, and no others: {}.",
        join(&document.requested_regions),
        document.residency,
        join(&document.allowed_regions)
    );
    Section { title: "Regions", blocks: vec![Block::Paragraph(text)] }
}

fn policy(document: &ProofDocument) -> Section {
    let introduction = format!(
        "A service control policy limits what users and roles of an AWS account can do, in addition to their own \
         permissions. The policy `{}` denies all other regions. It is in force if it is attached to the account or to \
         anything above it. These policies were found on the way from the account to the root of the organisation:",
        document.guardrail
    );
    let rows = document.attachments.iter().flat_map(|target| attachment_rows(target, &document.policies)).collect();
    let headings = vec!["Attached to", "Policy", "Id", "SHA-256 of the text", "Remarks"];
    let mut blocks = vec![Block::Paragraph(introduction), Block::Table { headings, rows }];
    for policy in &document.policies {
        blocks.push(Block::Paragraph(format!("Text of the policy `{}`:", policy.name)));
        blocks.push(Block::Verbatim(policy.text.clone()));
    }
    Section { title: "Policies", blocks }
}

fn attachment_rows(target: &Attachment, policies: &[AttachedPolicy]) -> Vec<Vec<String>> {
    let place = match (target.kind, &target.name) {
        (AttachmentKind::Account, _) => format!("account {}", target.id),
        (AttachmentKind::OrganizationalUnit, Some(name)) => format!("organizational unit {name} ({})", target.id),
        (AttachmentKind::OrganizationalUnit, None) => format!("organizational unit {}", target.id),
        (AttachmentKind::Root, _) => format!("root {}", target.id),
    };
    let attached = policies.iter().filter(|policy| target.policies.contains(&policy.id));
    let mut rows: Vec<_> = attached
        .map(|policy| {
            let remarks = match policy.matches_expected {
                Some(true) => "denies other regions; has the required text",
                Some(false) => "should deny other regions, but does NOT have the required text",
                None => "not needed for the residency",
            };
            vec![place.clone(), policy.name.clone(), policy.id.clone(), policy.sha256.clone(), remarks.to_owned()]
        })
        .collect();
    if rows.is_empty() {
        rows.push(vec![place, "none".to_owned(), String::new(), String::new(), String::new()]);
    }
    rows
}

fn probe(document: &ProofDocument) -> Section {
    let probe = &document.denied_region;
    let region = probe.region.map_or("another region", Region::as_str);
    let attempt = format!(
        "At {}, the role `{}` of the account, to which the policy applies as it does to users, tried the call `{}` in \
         {region}, which is outside the residency.",
        format_time(probe.at),
        probe.role,
        probe.call
    );
    let result = match probe.result {
        ProbeResult::Denied => "AWS denied it, with reference to a policy that denies it explicitly.",
        ProbeResult::Allowed => "It was possible.",
        ProbeResult::RefusedWithoutPolicy => "AWS refused it, but not because of a policy that denies it explicitly.",
        ProbeResult::NotObserved => "The role could not be used, so that no call was made.",
        ProbeResult::NoOtherRegion => "",
    };
    let text = match probe.result {
        ProbeResult::NoOtherRegion => {
            "No region was tried, because the residency contains all regions that can be used without an opt-in."
                .to_owned()
        }
        _ => format!("{attempt} {result}"),
    };
    Section { title: "Attempt to use another region", blocks: vec![Block::Paragraph(text)] }
}

fn resources(document: &ProofDocument) -> Section {
    let stacks = document.stacks.iter().map(|stack| {
        let id = stack.stack_id.clone().unwrap_or_else(|| "none".to_owned());
        vec![stack.region.to_string(), stack.serves.clone(), stack.name.clone(), stack.status.clone(), id]
    });
    let mut blocks = vec![
        Block::Paragraph(
            "All resources of the provider's software belong to these stacks of AWS CloudFormation. A stack is in one \
             region."
                .to_owned(),
        ),
        Block::Table { headings: vec!["Region", "Serves", "Stack", "Status in AWS", "ARN"], rows: stacks.collect() },
    ];
    if document.replicas.is_empty() {
        blocks.push(Block::Paragraph("The environment has no replicas in further regions.".to_owned()));
    } else {
        let rows = document
            .replicas
            .iter()
            .map(|replica| vec![replica.region.to_string(), replica.state.to_string(), format_time(replica.since)]);
        blocks.push(Block::Table { headings: vec!["Replica in", "State", "Since"], rows: rows.collect() });
    }
    let front_door = match &document.front_door {
        None => "Front door (Amazon CloudFront): none.".to_owned(),
        Some(status) => format!("Front door (Amazon CloudFront): its stack has the status {status}."),
    };
    blocks.push(Block::Paragraph(front_door));
    Section { title: "Where the environment runs", blocks }
}

fn drift(document: &ProofDocument) -> Section {
    let block = if document.drift.is_empty() {
        Block::Paragraph("The provider knows of none.".to_owned())
    } else {
        let rows = document
            .drift
            .iter()
            .map(|one| vec![one.kind.as_str().replace('_', " "), one.severity.to_string(), format_time(one.since)]);
        Block::Table { headings: vec!["Kind", "Severity", "Since"], rows: rows.collect() }
    };
    Section { title: "Known differences between AWS and the provider's records", blocks: vec![block] }
}
