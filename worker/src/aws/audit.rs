//! What is asked of AWS that changes something goes into the audit trail: before it is asked, and with what came of it.

use aws_sdk_sts::operation::RequestId;
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, AuditWriter, OpenEntry};

use super::Aws;
use super::sts::{Identity, Session};
use crate::cloud::{CloudError, CloudErrorKind, Result, Role};
use crate::current_step::RunningStep;
use crate::guardrail::{ACCESS_ROLE, VERIFY_ROLE};

/// Where calls are put on record, and in whose name.
#[derive(Debug, Clone)]
pub(super) struct Audited {
    audit_writer: AuditWriter,
    process: String,
}

/// What calls that change nothing begin with.
const READS: [&str; 3] = ["Describe", "List", "Get"];

/// Services none of whose calls changes anything: who assumes a role has changed nothing yet, and neither has who calls a
/// Function URL.
const READ_ONLY_SERVICES: [&str; 2] = ["sts", "lambda"];

/// Whether a call, such as `organizations:MoveAccount`, changes something.
fn changes(call: &str) -> bool {
    let (service, operation) = call.split_once(':').unwrap_or(("", call));
    !READ_ONLY_SERVICES.contains(&service) && !READS.iter().any(|read| operation.starts_with(read))
}

impl Aws {
    /// Makes `call`, on record if it changes something. What cannot be put on record is not asked.
    pub(super) async fn on_record<T: RequestId>(
        &self,
        session: &Session,
        call: &'static str,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(audited) = self.audit.as_ref().filter(|_| changes(call)) else { return answer.await };
        let begun = audited.begin(self.role_of(&session.who), call).await?;
        let answer = answer.await;
        audited.audit_writer.end(begun, &outcome(&answer)).await;
        answer
    }

    /// The role as which a call is made.
    fn role_of(&self, who: &Identity) -> String {
        let organization = &self.config.organization;
        match who {
            Identity::Process => "ambient".to_owned(),
            Identity::ControlRole => organization.control_role_arn.clone(),
            Identity::TenantRole(target, role) => {
                let name = match role {
                    Role::Organization => organization.access_role_name.as_str(),
                    Role::Access => ACCESS_ROLE,
                    Role::Verify => VERIFY_ROLE,
                };
                format!("arn:aws:iam::{}:role/{name}", target.id())
            }
        }
    }
}

impl Audited {
    pub(super) fn new(audit_writer: AuditWriter, process: &str) -> Self {
        Self { audit_writer, process: process.to_owned() }
    }

    async fn begin(&self, aws_role: String, call: &'static str) -> Result<OpenEntry> {
        let work = RunningStep::current();
        let actor = Actor::Process { process: self.process.clone() };
        let entry = AuditEntry {
            operation_id: work.map(|work| work.operation),
            step: work.map(|work| work.step.to_string()),
            aws_role: Some(aws_role),
            ..AuditEntry::new(AuditKind::AwsCall, call, actor)
        };
        let tenant = work.map(|work| work.tenant);
        // A moment later the database may answer again.
        self.audit_writer.begin(&entry, tenant).await.map_err(|error| CloudError {
            kind: CloudErrorKind::NotYet,
            call,
            code: "NotOnRecord".to_owned(),
            message: error.to_string(),
            request_id: None,
        })
    }
}

fn outcome<T: RequestId>(answer: &Result<T>) -> AuditOutcome {
    match answer {
        Ok(answered) => AuditOutcome {
            aws_request_id: answered.request_id().map(str::to_owned),
            ..AuditOutcome::of(AuditResult::Succeeded)
        },
        Err(error) => AuditOutcome {
            code: Some(error.code.clone()),
            aws_request_id: error.request_id.clone(),
            ..AuditOutcome::of(if error.had_no_effect() { AuditResult::Refused } else { AuditResult::Failed })
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_is_not_on_record() {
        for call in [
            "organizations:CreateAccount",
            "sso:DeleteAccountAssignment",
            "account:EnableRegion",
            "cloudformation:ContinueUpdateRollback",
        ] {
            assert!(changes(call), "{call}");
        }
        for call in [
            "organizations:ListParents",
            "sso:DescribePermissionSet",
            "account:GetRegionOptStatus",
            "sts:AssumeRole",
            "lambda:InvokeFunctionUrl",
        ] {
            assert!(!changes(call), "{call}");
        }
    }
}
