//! Audit entries for AWS calls that change something. An entry is opened before the call and completed with the
//! outcome.

use aws_sdk_sts::operation::RequestId;
use freehold_tenancy::audit::{Actor, AuditEntry, AuditKind, AuditOutcome, AuditResult, AuditWriter, OpenEntry};

use super::Aws;
use super::sts::{Identity, Session};
use crate::cloud::{CloudError, CloudErrorKind, Result, Role};
use crate::current_step::RunningStep;
use crate::guardrail::{ACCESS_ROLE, VERIFY_ROLE};

/// Writer of the audit entries for AWS calls, with the name of the process that makes the calls.
#[derive(Debug, Clone)]
pub(super) struct CallAuditor {
    audit_writer: AuditWriter,
    process: String,
}

const READ_PREFIXES: [&str; 4] = ["Describe", "List", "Get", "Validate"];

/// Services that Freehold uses for reads only. Assuming a role and calling a Function URL do not change anything.
const READ_ONLY_SERVICES: [&str; 2] = ["sts", "lambda"];

/// Returns whether an AWS call, such as `organizations:MoveAccount`, changes something.
fn is_write(call: &str) -> bool {
    let (service, operation) = call.split_once(':').unwrap_or(("", call));
    !READ_ONLY_SERVICES.contains(&service) && !READ_PREFIXES.iter().any(|prefix| operation.starts_with(prefix))
}

impl Aws {
    /// Makes the AWS call `call`, with an audit entry if the call changes something. If the entry cannot be written,
    /// the call is not made.
    pub(super) async fn audited_call<T: RequestId>(
        &self,
        session: &Session,
        call: &'static str,
        response: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(audited) = self.audit.as_ref().filter(|_| is_write(call)) else { return response.await };
        let entry = audited.open_entry(self.role_of(&session.identity), call).await?;
        let response = response.await;
        audited.audit_writer.end(entry, &outcome(&response)).await;
        response
    }

    /// Returns the IAM role that makes the calls of `identity`, for the audit entry.
    fn role_of(&self, identity: &Identity) -> String {
        let organization = &self.config.organization;
        match identity {
            Identity::Process => "ambient".to_owned(),
            Identity::ControlRole => organization.control_role_arn.clone(),
            Identity::PeopleRole => organization.people_role_arn(),
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

impl CallAuditor {
    pub(super) fn new(audit_writer: AuditWriter, process: &str) -> Self {
        Self { audit_writer, process: process.to_owned() }
    }

    async fn open_entry(&self, aws_role: String, call: &'static str) -> Result<OpenEntry> {
        let work = RunningStep::current();
        let actor = Actor::Process { process: self.process.clone() };
        let entry = AuditEntry {
            operation_id: work.map(|work| work.operation),
            step: work.map(|work| work.step.to_string()),
            aws_role: Some(aws_role),
            ..AuditEntry::new(AuditKind::AwsCall, call, actor)
        };
        let tenant = work.map(|work| work.tenant);
        // This error is temporary, because the database may be available again soon.
        self.audit_writer.begin(&entry, tenant).await.map_err(|error| {
            let message = format!("the call was not made, because its audit entry cannot be written: {error}");
            CloudError::from_freehold(CloudErrorKind::NotYet, call, "NotOnRecord", message)
        })
    }
}

fn outcome<T: RequestId>(response: &Result<T>) -> AuditOutcome {
    match response {
        Ok(response) => AuditOutcome {
            aws_request_id: response.request_id().map(str::to_owned),
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
    fn only_calls_that_change_something_are_audited() {
        for call in [
            "organizations:CreateAccount",
            "sso:DeleteAccountAssignment",
            "account:EnableRegion",
            "cloudformation:ContinueUpdateRollback",
        ] {
            assert!(is_write(call), "{call}");
        }
        for call in [
            "organizations:ListParents",
            "sso:DescribePermissionSet",
            "account:GetRegionOptStatus",
            "sts:AssumeRole",
            "lambda:InvokeFunctionUrl",
            "cloudformation:ValidateTemplate",
        ] {
            assert!(!is_write(call), "{call}");
        }
    }
}
