//! AWS client of the worker. No other module uses the AWS SDK.
//!
//! | AWS service | module with the methods of [`Aws`] |
//! |---|---|
//! | Organizations | `organizations`: accounts, tags; `ownership`: checks the tags of an account before it is changed |
//! | Organizations | `creations`: account requests; `ous`: OUs and guardrails |
//! | Account Management | `account`: opt-in regions |
//! | STS | `sts`: sessions, `check_role`; `access_check`: the credentials of the process |
//! | CloudFormation | `cloudformation`: stacks in tenant accounts, `read_in_region` |
//! | CloudFormation | `templates`: `validate_template`, the template of a stack |
//! | CloudWatch | `cloudwatch`: alarms in tenant accounts |
//! | Lambda | `stack_check`: the response of a tenant's stack, by Function URL or by invocation |
//! | IAM Identity Center | `ssoadmin`: permission sets, assignments; `identitystore`: users, groups, memberships |
//! | IAM Identity Center | `own_groups`: groups that Freehold has created, which alone are changed |
//! | access portal of IAM Identity Center | `portal`: sign-in and credentials of a person, for `freehold access` |
//! | for `freehold reconcile` | `reconcile_reads`: accounts, guardrails and assignments, page by page |
//! | for `freehold bootstrap` | `bootstrap`: organisation, guardrails, permission sets, contacts |
//!
//! Each method reads or changes one thing; none of them waits, retries or decides. A method that changes an account
//! takes a [`Target`](crate::cloud::Target), which cannot be created for a protected account. A failure is classified
//! by [`CloudErrorKind`](crate::cloud::CloudErrorKind); the steps determine the reaction.

mod access_check;
mod account;
mod audit;
mod bootstrap;
mod cache;
mod call;
mod change_sets;
mod cloudformation;
mod cloudwatch;
mod connection;
mod errors;
mod front_door_check;
mod identitystore;
mod organizations;
mod own_groups;
mod ownership;
mod portal;
mod reconcile_reads;
mod resumable_list;
mod signed_call;
mod ssoadmin;
mod stack_check;
mod sts;
mod templates;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use freehold_tenancy::audit::AuditWriter;
use freehold_tenancy::{AwsAccountId, Clock, Config, EnvironmentId, InstallationId};

pub use access_check::AccessError;
pub(crate) use bootstrap::{Contact, PERMISSION_SET_TAG, PermissionSetFacts};
pub use connection::{AccessKey, ConnectError, Connection, refuse_endpoint_override};
pub(crate) use own_groups::GROUP_NOT_OWN;
pub(crate) use ownership::{ACCOUNT_NOT_OWN, move_command};
pub use portal::Portal;
pub use ssoadmin::Instance;
pub use sts::Caller;
pub use templates::{TemplateLocation, ValidatedTemplate};

use crate::cloud::Creation;
use crate::limits::AwsRateLimiter;
use audit::CallAuditor;
use cache::Cache;
use resumable_list::ListCursors;
use sts::Sessions;

/// AWS client of one installation. Cloning is cheap, and all clones share sessions and caches.
#[derive(Clone)]
pub struct Aws {
    config: Arc<Config>,
    clock: Clock,
    limits: Option<Arc<AwsRateLimiter>>,
    connection: Connection,
    sessions: Arc<Sessions>,
    caches: Arc<Caches>,
    /// Installation whose tags an account must have before it is changed. `None` checks no tags.
    installation: Option<InstallationId>,
    session_name: &'static str,
    /// Whether calls on the organisation use the process's own credentials instead of the control role.
    uses_process_credentials: bool,
    audit: Option<CallAuditor>,
}

/// Caches of recent AWS responses. They save concurrent operations from repeating the same reads.
struct Caches {
    root: Cache<(), String>,
    ous: Cache<String, String>,
    guarded: Cache<String, ()>,
    /// Policies attached to each OU. They stay cached until their contents are also read, so that a check interrupted
    /// by a rate limit does not list them again.
    attached_policies: Cache<String, Vec<(String, String)>>,
    instance: Cache<(), Instance>,
    permission_sets: Cache<String, String>,
    permission_set_arns: Cache<(), Vec<String>>,
    permission_set_names: Mutex<HashMap<String, String>>,
    groups: Cache<String, String>,
    /// Ids of groups that Freehold has created.
    own_groups: Cache<String, ()>,
    /// Accounts with the tags of the installation and of this environment.
    own_accounts: Cache<(AwsAccountId, EnvironmentId), ()>,
    users: Cache<String, String>,
    /// Groups and users that were not found.
    missing: Cache<String, ()>,
    creation_searches: ListCursors<Creation>,
    account_searches: ListCursors<()>,
}

impl Aws {
    /// Creates a client without making a call. If `limits` is `None`, no rate limit applies; `freehold bootstrap` uses
    /// this when it runs without a database.
    pub fn connect(
        config: Arc<Config>,
        clock: Clock,
        limits: Option<Arc<AwsRateLimiter>>,
        connection: Connection,
    ) -> Self {
        Self {
            config,
            clock,
            limits,
            connection,
            sessions: Arc::new(Cache::new(sts::MAX_SESSIONS)),
            caches: Arc::new(Caches {
                root: Cache::new(1),
                ous: Cache::new(64),
                guarded: Cache::new(64),
                attached_policies: Cache::new(64),
                instance: Cache::new(1),
                permission_sets: Cache::new(256),
                permission_set_arns: Cache::new(1),
                permission_set_names: Mutex::default(),
                groups: Cache::new(256),
                own_groups: Cache::new(256),
                own_accounts: Cache::new(1_024),
                users: Cache::new(256),
                missing: Cache::new(256),
                creation_searches: ListCursors::default(),
                account_searches: ListCursors::default(),
            }),
            installation: None,
            session_name: sts::SESSION_NAME,
            uses_process_credentials: false,
            audit: None,
        }
    }

    /// Returns a client that writes every call that changes something to the audit trail, in the name of `process`.
    #[must_use]
    pub fn audited(self, audit_writer: AuditWriter, process: &str) -> Self {
        Self { audit: Some(CallAuditor::new(audit_writer, process)), ..self }
    }

    /// Returns a client that changes an account only if it has the tags of this installation and of its environment.
    #[must_use]
    pub fn for_installation(self, installation: InstallationId) -> Self {
        Self { installation: Some(installation), ..self }
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

fn to_chrono(time: &aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
