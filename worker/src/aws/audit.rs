//! What is asked of AWS that changes something goes into the audit trail: before it is asked, and with what came of it.

use aws_sdk_sts::operation::RequestId;
use freehold_tenancy::audit::{Actor, AuditKind, AuditResult, Begun, Deed, Outcome, Scribe};

use super::Aws;
use super::sts::{Session, Who};
use crate::cloud::{CloudError, Kind, Result, Role};
use crate::guardrail::{ACCESS_ROLE, VERIFY_ROLE};
use crate::runner::current_work;

/// Where calls are put on record, and in whose name.
#[derive(Debug, Clone)]
pub(super) struct Audited {
    scribe: Scribe,
    process: String,
}

/// What calls that change nothing begin with.
const READS: [&str; 3] = ["Describe", "List", "Get"];

/// Services none of whose calls changes anything: who assumes a role has changed nothing yet, and neither has who calls a
/// Function URL.
const ASKED_ONLY: [&str; 2] = ["sts", "lambda"];

/// Whether a call, such as `organizations:MoveAccount`, changes something.
fn changes(call: &str) -> bool {
    let (service, operation) = call.split_once(':').unwrap_or(("", call));
    !ASKED_ONLY.contains(&service) && !READS.iter().any(|read| operation.starts_with(read))
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
        audited.scribe.end(begun, &outcome(&answer)).await;
        answer
    }

    /// The role as which a call is made.
    fn role_of(&self, who: &Who) -> String {
        let organization = &self.config.organization;
        match who {
            Who::Ambient => "ambient".to_owned(),
            Who::Control => organization.control_role_arn.clone(),
            Who::Inside(target, role) => {
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
    pub(super) fn new(scribe: Scribe, process: &str) -> Self {
        Self { scribe, process: process.to_owned() }
    }

    async fn begin(&self, aws_role: String, call: &'static str) -> Result<Begun> {
        let work = current_work();
        let actor = Actor::Process { process: self.process.clone() };
        let deed = Deed {
            operation_id: work.map(|work| work.operation),
            step: work.map(|work| work.step.to_owned()),
            aws_role: Some(aws_role),
            ..Deed::new(AuditKind::AwsCall, call, actor)
        };
        let tenant = work.map(|work| work.tenant);
        // A moment later the database may answer again.
        self.scribe.begin(&deed, tenant).await.map_err(|error| CloudError {
            kind: Kind::Wait,
            call,
            code: "NotOnRecord".to_owned(),
            message: error.to_string(),
            request_id: None,
        })
    }
}

fn outcome<T: RequestId>(answer: &Result<T>) -> Outcome {
    match answer {
        Ok(answered) => {
            Outcome { aws_request_id: answered.request_id().map(str::to_owned), ..Outcome::of(AuditResult::Succeeded) }
        }
        Err(error) => Outcome {
            code: Some(error.code.clone()),
            aws_request_id: error.request_id.clone(),
            ..Outcome::of(if error.had_no_effect() { AuditResult::Refused } else { AuditResult::Failed })
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
