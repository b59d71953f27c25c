//! Front door of an environment, deployed as a stack of its own, and the requests of its viewers.

use std::collections::BTreeMap;
use std::time::Duration;

use freehold_tenancy::Region;
use freehold_tenancy::config::Capability;
use freehold_tenancy::environment::Environment;
use freehold_worker::cloud::{NewStack, Role, StackState, Tags, Target};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::fixture::Freehold;

/// Maximum real time of a request, which waits only for the simulated clock.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Region of CloudFront's control plane, in which the stack is deployed.
fn control_region() -> Region {
    "us-east-1".parse().expect("a region")
}

/// Deploys the template of a front door by hand, for an environment that is ready in its regions. The name of the
/// stack ends with `access_control`, the name of its origin access control. Returns the stack, whose deployment can
/// have failed.
pub async fn deploy_front_door(
    freehold: &Freehold,
    environment: &Environment,
    access_control: &str,
    template: &str,
) -> StackState {
    let name = format!("freehold-by-hand-{access_control}");
    let target = target(freehold, environment);
    let mut parameters = BTreeMap::from([
        ("EnvironmentId".to_owned(), environment.id.to_string()),
        ("AccessControlName".to_owned(), access_control.to_owned()),
    ]);
    let replica = environment.replicas.first().map(|replica| replica.region);
    for (parameter, region) in [("HomeDomain", Some(environment.home_region)), ("ReplicaDomain", replica)] {
        if let Some(region) = region {
            parameters.insert(parameter.to_owned(), function_domain(freehold, target.id().as_str(), region));
        }
    }
    let stack = NewStack {
        name: name.clone(),
        template: template.to_owned(),
        template_url: None,
        capabilities: vec![Capability::NamedIam],
        parameters,
        tags: Tags::from([("freehold:environment".to_owned(), environment.id.to_string())]),
        token: format!("{name}-1"),
    };
    let (aws, region) = (freehold.aws(None), control_region());
    let id = aws.create_stack(&target, Role::Access, region, &stack).await.expect("a stack");
    aws.stack(&target, Role::Access, region, &id).await.expect("a response").expect("the stack")
}

/// Returns the reason of the failed deployment of a front door, or an empty text if nothing failed.
pub async fn front_door_failure(freehold: &Freehold, environment: &Environment, stack: &StackState) -> String {
    let (aws, target) = (freehold.aws(None), target(freehold, environment));
    let failure = aws.stack_failure(&target, Role::Access, control_region(), &stack.id).await.expect("a response");
    failure.map(|failure| failure.reason).unwrap_or_default()
}

fn target(freehold: &Freehold, environment: &Environment) -> Target {
    let account = environment.aws_account_id.clone().expect("an account");
    Target::new(account, environment.id, &freehold.config.organization).expect("a target")
}

/// Returns the domain name of the function URL of an account in a region.
fn function_domain(freehold: &Freehold, account: &str, region: Region) -> String {
    let stacks = freehold.world.stacks().into_iter();
    let mut of_region = stacks.filter(|stack| stack.account == account && stack.region == region.as_str());
    let url = of_region.find_map(|stack| stack.outputs.get("FunctionUrl").cloned()).expect("a function URL");
    url.trim_start_matches("https://").trim_end_matches('/').to_owned()
}

/// Response that a viewer has got: its status, and the region that has answered.
pub type Viewed = (u16, Option<String>);

/// Sends a request of a viewer to a front door, while the clock advances.
pub async fn view(
    freehold: &Freehold,
    url: &str,
    method: Method,
    adapt: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Viewed {
    let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build().expect("an HTTP client");
    let request = adapt(http.request(method, url));
    let send = async {
        let response = request.send().await.expect("a response");
        let status = response.status().as_u16();
        let body: Value = serde_json::from_slice(&response.bytes().await.expect("a body")).unwrap_or_default();
        (status, body["region"].as_str().map(str::to_owned))
    };
    tokio::select! {
        viewed = send => viewed,
        () = freehold.run_clock() => unreachable!("the clock runs until the response"),
    }
}
