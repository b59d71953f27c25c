//! Simulated Lambda functions. Stacks create the functions, and clients call them through Function URLs or invoke them.
//!
//! The sandbox does not run Python. A function returns the same response as the inline code of `stacks/tenant.yaml`: a
//! JSON object with the environment variables `TENANT_ID`, `ENVIRONMENT_ID` and `ENVIRONMENT`, and the region. As with
//! that code, the function fails if a variable is missing; the status of its Function URL is then 502.

mod read;
mod url;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use winterbaume_core::MockResponse;

use crate::faults::Fault;
use crate::policy::{AccessRequest, ConditionKeys, Decision, Document, evaluate};
use crate::world::{AwsError, Ctx, Request, State, set_header};

pub(crate) use read::operation;
pub use url::invoke_function_url;
pub(crate) use url::{UrlCaller, call_url, function_url_domain, local_function_url};

/// Lambda functions of one account in one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Functions(BTreeMap<String, Function>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Function {
    /// Function name, unique within the account and region.
    pub name: String,
    /// ARN of the function in the format `arn:aws:lambda:{region}:{account}:function:{name}`.
    pub arn: String,
    /// ARN of the execution role of the function.
    pub role: String,
    pub runtime: String,
    pub handler: String,
    pub environment: BTreeMap<String, String>,
    pub memory_mb: i64,
    pub timeout_seconds: i64,
    pub tags: BTreeMap<String, String>,
    pub created_at: DateTime<Utc>,
    pub url: Option<FunctionUrl>,
    pub permissions: Vec<Permission>,
}

impl Function {
    /// Sets a property of the function's configuration. Returns false for other properties and values.
    pub(crate) fn change(&mut self, property: &str, value: &Value) -> bool {
        let text = value.as_str().map(str::to_owned);
        match (property, text, value.as_i64()) {
            ("Handler", Some(handler), _) => self.handler = handler,
            ("Runtime", Some(runtime), _) => self.runtime = runtime,
            ("MemorySize", _, Some(memory)) => self.memory_mb = memory,
            ("Timeout", _, Some(timeout)) => self.timeout_seconds = timeout,
            ("Environment", ..) => {
                let variables = value.get("Variables").and_then(Value::as_object).into_iter().flatten();
                let variable = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
                self.environment = variables.filter_map(variable).collect();
            }
            _ => return false,
        }
        true
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionUrl {
    /// Id of the Function URL, which is the first label of its host name.
    pub id: String,
    /// Authentication type of the URL, either `AWS_IAM` or `NONE`.
    pub auth_type: String,
}

impl FunctionUrl {
    /// Returns the URL in AWS's format; [`local_function_url`] converts it to the URL at which the sandbox serves it.
    pub fn address(&self, region: &str) -> String {
        format!("https://{}.lambda-url.{region}.on.aws/", self.id)
    }
}

/// A statement in the resource policy of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Statement id, unique within the resource policy of the function.
    pub statement_id: String,
    /// IAM action such as `lambda:InvokeFunction`.
    pub action: String,
    /// Principal that may call the function: an ARN, an account id, an AWS service or `*`.
    pub principal: String,
    /// AuthType that the Function URL must have; `None` allows any AuthType.
    pub function_url_auth_type: Option<String>,
    /// True if the permission applies only to calls through the Function URL.
    pub invoked_via_function_url: bool,
    /// ARN of the resource for which an AWS service calls the function.
    pub source_arn: Option<String>,
    /// Account id of the resource in `source_arn`.
    pub source_account: Option<String>,
}

impl Functions {
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
    /// Returns the resource policy of the function.
    fn policy(&self) -> Document {
        let statements: Vec<Value> =
            self.permissions.iter().map(|permission| permission.statement(&self.arn)).collect();
        Document::from_value(json!({ "Version": "2012-10-17", "Statement": statements })).unwrap_or_default()
    }

    /// Returns the response body that the inline code of `stacks/tenant.yaml` would return. If a variable is missing,
    /// the error is its name.
    fn response_body(&self, region: &str) -> Result<Value, &'static str> {
        let variable = |name: &'static str| self.environment.get(name).ok_or(name);
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
        let equal_values =
            [("lambda:FunctionUrlAuthType", &self.function_url_auth_type), ("AWS:SourceAccount", &self.source_account)];
        let equal: serde_json::Map<String, Value> = equal_values
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.as_deref()?.into())))
            .collect();
        let mut condition = serde_json::Map::new();
        if !equal.is_empty() {
            condition.insert("StringEquals".into(), equal.into());
        }
        if let Some(source) = &self.source_arn {
            condition.insert("ArnLike".into(), json!({ "AWS:SourceArn": source }));
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

/// Handles a signed call of Lambda. Functions can be invoked and read; only stacks can change them.
pub(crate) fn call(state: &mut State, ctx: &Ctx, request: &Request) -> Result<MockResponse, AwsError> {
    let function = read::function_of_path(&request.path).unwrap_or_default();
    match ctx.operation.as_str() {
        "Invoke" => invoke(state, ctx, &function, request),
        "ListFunctions" => read::list_functions(state, ctx, request),
        "" => {
            let call = format!("{} {}", request.method, request.path);
            Err(AwsError::unknown_operation(&call).status(404))
        }
        _ => read::get(state, ctx, &function),
    }
}

/// Handles Invoke. `name_or_arn` is the function of the caller's account, or the ARN of any function in the region.
fn invoke(state: &State, ctx: &Ctx, name_or_arn: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let arn = if name_or_arn.starts_with("arn:") {
        name_or_arn.to_owned()
    } else {
        format!("arn:aws:lambda:{}:{}:function:{name_or_arn}", ctx.region, ctx.caller.account)
    };
    let owner = arn.split(':').nth(4).unwrap_or_default();
    let region = state.accounts.get(owner).and_then(|account| account.regions.get(&ctx.region));
    let function = region.and_then(|region| region.functions.iter().find(|function| function.arn == arn));
    let Some(function) = function else {
        // AWS checks the caller's permission first, so that the existence of a function is not disclosed.
        state.authorize(ctx, "lambda:InvokeFunction", &arn)?;
        return Err(function_not_found(&arn));
    };
    if !is_authorized(state, ctx, owner, function, "lambda:InvokeFunction", &state.condition_keys(ctx)) {
        state.authorize(ctx, "lambda:InvokeFunction", &arn)?;
        let message = format!(
            "User: {} is not authorized to perform: lambda:InvokeFunction on resource: {arn} because no \
             resource-based policy allows the lambda:InvokeFunction action",
            ctx.caller.arn
        );
        return Err(AwsError::new("AccessDeniedException", message).status(403));
    }
    if !request.body.is_empty() && serde_json::from_slice::<Value>(&request.body).is_err() {
        let message = "Could not parse request body into json: Could not parse payload into json";
        return Err(AwsError::new("InvalidRequestContentException", message).with("Type", "User"));
    }
    let result = match &ctx.fault {
        Some(Fault::FailedState { reason }) => Err(json!({ "errorMessage": reason, "errorType": "Error" })),
        _ => function
            .response_body(&ctx.region)
            .map_err(|variable| json!({ "errorMessage": format!("'{variable}'"), "errorType": "KeyError" })),
    };
    let mut response = match &result {
        // The inline code returns a response in the format of a Function URL.
        Ok(body) => {
            let headers = json!({ "content-type": "application/json" });
            let payload = json!({ "statusCode": 200, "headers": headers, "body": body.to_string() });
            MockResponse::rest_json(200, payload.to_string())
        }
        Err(error) => MockResponse::rest_json(200, error.to_string()),
    };
    set_header(&mut response, "x-amz-executed-version", "$LATEST");
    if result.is_err() {
        set_header(&mut response, "x-amz-function-error", "Unhandled");
    }
    Ok(response)
}

/// Returns whether the caller may call the function. Within an account, the caller's policies or the function's policy
/// must allow the action; across accounts, both must. A service control policy can deny the action in either case.
fn is_authorized(
    state: &State,
    ctx: &Ctx,
    owner: &str,
    function: &Function,
    action: &str,
    keys: &ConditionKeys,
) -> bool {
    let role_arn = ctx.caller.principal_arn();
    let principal = ctx.caller.as_principal(&role_arn);
    let access_request = AccessRequest { action, resource: &function.arn, principal, keys };
    let by_function = evaluate([&function.policy()], &access_request);
    if ctx.caller.session.is_none() {
        return by_function == Decision::Allow;
    }
    let guardrails = state.organization.effective_policies(&ctx.caller.account, ctx.now);
    if guardrails.iter().any(|level| evaluate(level.iter().copied(), &access_request) != Decision::Allow) {
        return false;
    }
    if ctx.caller.evaluate_session_policies(&access_request) != Decision::Allow {
        return false;
    }
    let by_caller = state.evaluate_identity_policies(&ctx.caller, &access_request);
    let decisions = [by_caller, by_function];
    if decisions.contains(&Decision::ExplicitDeny) {
        return false;
    }
    if ctx.caller.account == owner {
        decisions.contains(&Decision::Allow)
    } else {
        decisions.iter().all(|decision| *decision == Decision::Allow)
    }
}

fn function_not_found(arn: &str) -> AwsError {
    let message = format!("Function not found: {arn}");
    AwsError::new("ResourceNotFoundException", message).status(404).with("Type", "User")
}
