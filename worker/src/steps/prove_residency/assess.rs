//! Decides from the observations whether an environment conforms to its residency.

use freehold_tenancy::Region;
use freehold_tenancy::environment_stack::StackKind;
use freehold_tenancy::residency_proof::{
    AttachmentKind, ProbeResult, ProofDocument, STACK_NOT_FOUND, STACK_NOT_READABLE,
};

/// Returns the reasons why the environment does not conform, in plain language; empty if it conforms. `ou_name` is the
/// name of the OU in which the account must be.
pub(super) fn reasons(document: &ProofDocument, ou_name: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    check_place(document, ou_name, &mut reasons);
    check_policy(document, &mut reasons);
    check_probe(document, &mut reasons);
    check_regions(document, &mut reasons);
    check_stacks(document, &mut reasons);
    if document.front_door.is_some() && !document.front_door_allowed {
        reasons.push(
            "The environment has a front door (Amazon CloudFront), which its residency does not allow.".to_owned(),
        );
    }
    reasons
}

fn check_place(document: &ProofDocument, ou_name: &str, reasons: &mut Vec<String>) {
    let parent = document.attachments.get(1);
    if parent.and_then(|parent| parent.name.as_deref()) == Some(ou_name) {
        return;
    }
    let found = match parent {
        Some(parent) if parent.kind == AttachmentKind::Root => "directly below the root of the organisation".to_owned(),
        Some(parent) => {
            format!("in the organizational unit `{}`", parent.name.as_deref().unwrap_or(parent.id.as_str()))
        }
        None => "at an unknown place".to_owned(),
    };
    reasons
        .push(format!("The account is {found}. It must be in the organizational unit `{ou_name}` of its residency."));
}

fn check_policy(document: &ProofDocument, reasons: &mut Vec<String>) {
    let name = &document.guardrail;
    match document.policies.iter().find(|policy| policy.is_guardrail) {
        None => reasons.push(format!(
            "The policy `{name}`, which denies all other regions, is attached neither to the account nor to anything \
             above it."
        )),
        Some(policy) if policy.matches_expected != Some(true) => reasons.push(format!(
            "The text of the attached policy `{name}` is not the text that the provider requires: it was changed, or \
             it is outdated."
        )),
        Some(_) => {}
    }
}

fn check_probe(document: &ProofDocument, reasons: &mut Vec<String>) {
    let probe = &document.denied_region;
    let region = probe.region.map_or("another region", Region::as_str);
    match probe.result {
        ProbeResult::Denied | ProbeResult::NoOtherRegion => {}
        ProbeResult::Allowed => {
            reasons.push(format!("A call in {region}, which is outside the residency, was possible."));
        }
        ProbeResult::RefusedWithoutPolicy => reasons.push(format!(
            "A call in {region}, which is outside the residency, was refused for another reason than a policy that \
             denies it."
        )),
        ProbeResult::NotObserved => reasons.push(format!(
            "Whether a call in {region} is denied could not be observed, because the role `{}` of the account could \
             not be used.",
            probe.role
        )),
    }
}

fn check_regions(document: &ProofDocument, reasons: &mut Vec<String>) {
    for region in document.requested_regions.iter().filter(|region| !document.allowed_regions.contains(region)) {
        reasons.push(format!("The region {region} of the environment is outside the residency."));
    }
}

fn check_stacks(document: &ProofDocument, reasons: &mut Vec<String>) {
    for stack in &document.stacks {
        let (name, region) = (&stack.name, stack.region);
        // The control plane of CloudFront is in us-east-1.
        if stack.kind != StackKind::FrontDoor && !document.allowed_regions.contains(&region) {
            reasons.push(format!("The stack `{name}` is in {region}, which is outside the residency."));
        }
        if stack.status == STACK_NOT_READABLE {
            reasons.push(format!("The stack `{name}` in {region} could not be read, because AWS denied the access."));
        } else if stack.status == STACK_NOT_FOUND && stack.is_expected {
            reasons.push(format!("The stack `{name}` in {region} is on record, but AWS does not have it."));
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use freehold_tenancy::residency_proof::{AttachedPolicy, Attachment, PROOF_VERSION, ProofStack, RegionProbe};

    use super::*;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    fn stack(kind: StackKind, place: &str, status: &str) -> ProofStack {
        ProofStack {
            kind,
            serves: "home".to_owned(),
            region: region(place),
            name: format!("freehold-{kind}"),
            stack_id: None,
            status: status.to_owned(),
            is_expected: true,
        }
    }

    fn conforming() -> ProofDocument {
        let attachment = |kind, id: &str, name: Option<&str>| Attachment {
            kind,
            id: id.to_owned(),
            name: name.map(ToOwned::to_owned),
            policies: Vec::new(),
        };
        ProofDocument {
            version: PROOF_VERSION,
            installation_id: "ins_01k2m8v3x9e7rt4s5q6w7y8z9a".parse().unwrap(),
            tenant_id: "ten_01k2m8v3x9e7rt4s5q6w7y8z9b".parse().unwrap(),
            environment_id: "env_01k2m8v3x9e7rt4s5q6w7y8z9a".parse().unwrap(),
            environment: "production".parse().unwrap(),
            operation_id: "op_01k2m8v3x9e7rt4s5q6w7y8z9c".parse().unwrap(),
            observed_at: DateTime::UNIX_EPOCH,
            aws_account_id: "111122223333".parse().unwrap(),
            residency: "eu".parse().unwrap(),
            conforms: false,
            reasons: Vec::new(),
            requested_regions: vec![region("eu-central-1"), region("eu-west-1")],
            allowed_regions: vec![region("eu-central-1"), region("eu-west-1")],
            guardrail: "freehold-region-eu".to_owned(),
            attachments: vec![
                attachment(AttachmentKind::Account, "111122223333", None),
                attachment(AttachmentKind::OrganizationalUnit, "ou-1", Some("freehold-eu")),
                attachment(AttachmentKind::Root, "r-1", None),
            ],
            policies: vec![AttachedPolicy {
                id: "p-1".to_owned(),
                name: "freehold-region-eu".to_owned(),
                sha256: String::new(),
                text: String::new(),
                is_guardrail: true,
                matches_expected: Some(true),
            }],
            denied_region: RegionProbe {
                region: Some(region("us-east-1")),
                role: "freehold-verify".to_owned(),
                call: "cloudformation:ListStacks".to_owned(),
                result: ProbeResult::Denied,
                at: DateTime::UNIX_EPOCH,
            },
            stacks: vec![
                stack(StackKind::Tenant, "eu-central-1", "CREATE_COMPLETE"),
                stack(StackKind::Tenant, "eu-west-1", "CREATE_COMPLETE"),
                stack(StackKind::FrontDoor, "us-east-1", "CREATE_COMPLETE"),
            ],
            replicas: Vec::new(),
            front_door: Some("CREATE_COMPLETE".to_owned()),
            front_door_allowed: true,
            exemptions: Vec::new(),
            drift: Vec::new(),
            leaves_region: Vec::new(),
        }
    }

    #[test]
    fn an_environment_within_its_residency_conforms() {
        assert_eq!(reasons(&conforming(), "freehold-eu"), [""; 0]);
        let mut document = conforming();
        document.denied_region.result = ProbeResult::NoOtherRegion;
        // A stack whose creation was never completed need not exist.
        document.stacks[1].status = STACK_NOT_FOUND.to_owned();
        document.stacks[1].is_expected = false;
        assert_eq!(reasons(&document, "freehold-eu"), [""; 0]);
    }

    #[test]
    fn each_deviation_has_a_reason_of_its_own() {
        type Change = fn(&mut ProofDocument);
        let cases: [(Change, &str); 13] = [
            (|one| one.front_door_allowed = false, "which its residency does not allow"),
            (|one| _ = one.attachments.remove(1), "directly below the root"),
            (|one| one.attachments[1].name = Some("sales".to_owned()), "in the organizational unit `sales`"),
            (|one| one.attachments.clear(), "at an unknown place"),
            (|one| one.policies.clear(), "attached neither to the account nor"),
            (|one| one.policies[0].is_guardrail = false, "attached neither to the account nor"),
            (|one| one.policies[0].matches_expected = Some(false), "is not the text that the provider requires"),
            (|one| one.denied_region.result = ProbeResult::Allowed, "was possible"),
            (|one| one.denied_region.result = ProbeResult::RefusedWithoutPolicy, "refused for another reason"),
            (|one| one.denied_region.result = ProbeResult::NotObserved, "could not be observed"),
            (|one| one.requested_regions.push(region("us-east-1")), "us-east-1 of the environment is outside"),
            (|one| one.stacks.push(stack(StackKind::Tenant, "us-east-1", "CREATE_COMPLETE")), "is in us-east-1"),
            (|one| one.stacks[1].status = STACK_NOT_FOUND.to_owned(), "AWS does not have it"),
        ];
        for (change, expected) in cases {
            let mut document = conforming();
            change(&mut document);
            let found = reasons(&document, "freehold-eu");
            assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
        }
    }
}
