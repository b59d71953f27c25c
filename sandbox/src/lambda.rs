//! Lambda functions: created by stacks, called through their Function URLs.
//!
//! The simulator runs no Python. A function answers what the inline code of `stacks/tenant.yaml` would: JSON of its own
//! environment variables `TENANT_ID`, `ENVIRONMENT_ID` and `ENVIRONMENT`, and the region that it is in. A function
//! without `TENANT_ID` fails as that code would, with 502.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use winterbaume_core::MockResponse;

use crate::policy::{Document, Keys, Question, Verdict, verdict};
use crate::world::{AwsError, Ctx, Request, State};

/// The functions of one region of one account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Functions(BTreeMap<String, Function>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Function {
    /// Name, unique within its account and region.
    pub name: String,
    /// `arn:aws:lambda:{region}:{account}:function:{name}`.
    pub arn: String,
    /// ARN of the role that it runs as.
    pub role: String,
    /// `python3.13`, …
    pub runtime: String,
    /// `index.handler`, …
    pub handler: String,
    pub environment: BTreeMap<String, String>,
    pub memory_mb: i64,
    /// For how long it may run, seconds.
    pub timeout_seconds: i64,
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Its URL, if it has one.
    pub url: Option<FunctionUrl>,
    pub permissions: Vec<Permission>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionUrl {
    /// The first label of its host name.
    pub id: String,
    /// `AWS_IAM` or `NONE`.
    pub auth_type: String,
}

impl FunctionUrl {
    /// The URL as it is in AWS; [`reachable`] says where the sandbox serves it.
    pub fn address(&self, region: &str) -> String {
        format!("https://{}.lambda-url.{region}.on.aws/", self.id)
    }
}

/// A statement of a function's resource policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Name, unique within the function.
    pub statement_id: String,
    /// `lambda:InvokeFunction`, …
    pub action: String,
    /// An ARN, an account id, a service or `*`.
    pub principal: String,
    /// The URL must have this AuthType.
    pub function_url_auth_type: Option<String>,
    /// Only for calls that come through the URL.
    pub invoked_via_function_url: bool,
    /// The resource on behalf of which a service calls.
    pub source_arn: Option<String>,
    /// The account of that resource.
    pub source_account: Option<String>,
}

impl Functions {
    /// The function of this name.
    pub fn get(&self, name: &str) -> Option<&Function> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.0.values()
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Function> {
        self.0.get_mut(name)
    }

    pub(crate) fn insert(&mut self, function: Function) {
        self.0.insert(function.name.clone(), function);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}

impl Function {
    /// Its resource policy as a document.
    fn policy(&self) -> Document {
        let statements: Vec<Value> =
            self.permissions.iter().map(|permission| permission.statement(&self.arn)).collect();
        Document::from_value(json!({ "Version": "2012-10-17", "Statement": statements })).unwrap_or_default()
    }

    /// What the code of the tenant's stack would answer.
    fn run(&self, region: &str) -> Result<Value, AwsError> {
        let variable = |name: &str| {
            self.environment.get(name).ok_or_else(|| {
                AwsError::new("InternalServerErrorException", "Internal Server Error")
                    .status(502)
                    .with("KeyError", name)
            })
        };
        Ok(json!({
            "tenant_id": variable("TENANT_ID")?,
            "environment_id": variable("ENVIRONMENT_ID")?,
            "environment": variable("ENVIRONMENT")?,
            "region": region,
        }))
    }
}

impl Permission {
    fn statement(&self, function: &str) -> Value {
        let principal = match self.principal.as_str() {
            "*" => json!("*"),
            service if service.ends_with(".amazonaws.com") => json!({ "Service": service }),
            arn_or_account => json!({ "AWS": arn_or_account }),
        };
        let mut condition = serde_json::Map::new();
        if let Some(auth_type) = &self.function_url_auth_type {
            condition.insert("StringEquals".into(), json!({ "lambda:FunctionUrlAuthType": auth_type }));
        }
        if self.invoked_via_function_url {
            condition.insert("Bool".into(), json!({ "lambda:InvokedViaFunctionUrl": "true" }));
        }
        json!({
            "Sid": self.statement_id,
            "Effect": "Allow",
            "Principal": principal,
            "Action": self.action,
            "Resource": function,
            "Condition": condition,
        })
    }
}

/// Answers a call of the Function URL `url_id` in `ctx.region`; `ctx.caller` may be anonymous.
pub fn invoke_url(state: &mut State, ctx: &Ctx, url_id: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let (account, function) = find(state, &ctx.region, url_id)
        .ok_or_else(|| AwsError::new("ResourceNotFoundException", "Function URL not found.").status(404))?;
    let auth_type = function.url.as_ref().map(|url| url.auth_type.as_str()).unwrap_or_default();
    let signed_elsewhere = request
        .signature
        .as_ref()
        .is_some_and(|signature| signature.service != "lambda" || signature.region != ctx.region);
    if signed_elsewhere {
        let message = format!("Credential should be scoped to a valid region and the service lambda, {}", ctx.region);
        return Err(forbidden(&message));
    }
    let may = |action: &str, key: &str, value: &str| {
        let keys = state.condition_keys(ctx).with(key, value);
        allowed(state, ctx, account, function, action, &keys)
    };
    // Since October 2025 a caller needs both, whatever the AuthType.
    if !may("lambda:InvokeFunctionUrl", "lambda:FunctionUrlAuthType", auth_type)
        || !may("lambda:InvokeFunction", "lambda:InvokedViaFunctionUrl", "true")
    {
        return Err(forbidden(
            "Forbidden. For troubleshooting Function URL authorization issues, see: \
             https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
        ));
    }
    Ok(MockResponse::rest_json(200, function.run(&ctx.region)?.to_string()))
}

/// Within an account the caller's policies or the function's have to allow it, across accounts both; a service control
/// policy above the caller's account can deny it in either case.
fn allowed(state: &State, ctx: &Ctx, owner: &str, function: &Function, action: &str, keys: &Keys) -> bool {
    let role_arn = ctx.caller.principal_arn();
    let principal = ctx.caller.as_principal(&role_arn);
    let question = Question { action, resource: &function.arn, principal, keys };
    let by_function = verdict([&function.policy()], &question);
    if ctx.caller.session.is_none() {
        return by_function == Verdict::Allow;
    }
    let guardrails = state.organization.effective_policies(&ctx.caller.account, ctx.now);
    if guardrails.iter().any(|level| verdict(level.iter().copied(), &question) != Verdict::Allow) {
        return false;
    }
    let by_caller = state.identity_verdict(&ctx.caller, &question);
    let verdicts = [by_caller, by_function];
    if verdicts.contains(&Verdict::ExplicitDeny) {
        return false;
    }
    if ctx.caller.account == owner {
        verdicts.contains(&Verdict::Allow)
    } else {
        verdicts.iter().all(|verdict| *verdict == Verdict::Allow)
    }
}

fn find<'a>(state: &'a State, region: &str, url_id: &str) -> Option<(&'a str, &'a Function)> {
    state.accounts.iter().find_map(|(account, held)| {
        let functions = &held.regions.get(region)?.functions;
        let function = functions.iter().find(|function| function.url.as_ref().is_some_and(|url| url.id == url_id))?;
        Some((account.as_str(), function))
    })
}

/// A Function URL says `Message` where other services say `message`.
fn forbidden(message: &str) -> AwsError {
    AwsError::new("AccessDeniedException", message).status(403).with("Message", message)
}

/// Where a text is the URL of a function, the place at which the sandbox serves it: a world that is served on loopback
/// may have moved to another port since the stack was created.
pub(crate) fn reachable(ctx: &Ctx, value: &str) -> String {
    let id = value
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_suffix(&format!(".lambda-url.{}.on.aws/", ctx.region)))
        .filter(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()));
    id.map_or_else(|| value.to_owned(), |id| ctx.function_url(id))
}
