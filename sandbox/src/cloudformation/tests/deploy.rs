//! Tests that deploy Freehold's baseline and tenant stacks and call the Function URL.

use serde_json::json;

use super::{ENVIRONMENT_ID, TENANT_TEMPLATE, install_baseline, tenant_parameters};
use crate::faults::{Fault, Rule};
use crate::testing::{TestClient, advance_clock, get_unsigned_status};
use crate::world::testing::world;

#[test]
fn the_function_url_of_deployed_stacks_returns_the_environment() {
    let world = world();
    let member = TestClient::member(&world);
    let (access, verify) = install_baseline(&member);
    let verify_role = format!("arn:aws:iam::{}:role/freehold-verify", member.account());

    access.create_stack("freehold-tenant", TENANT_TEMPLATE, &tenant_parameters(&verify_role)).unwrap();
    assert_eq!(access.stack_status("freehold-tenant"), "CREATE_IN_PROGRESS");
    advance_clock(&world, 600);
    assert_eq!(access.stack_status("freehold-tenant"), "CREATE_COMPLETE", "{}", access.events_xml("freehold-tenant"));

    let url = access.output("freehold-tenant", "FunctionUrl");
    assert!(url.starts_with("https://") && url.ends_with(".lambda-url.eu-central-1.on.aws/"), "{url}");
    let (status, response) = verify.get(&url);
    assert_eq!(status, 200, "{response}");
    assert_eq!(
        response,
        json!({
            "tenant_id": "ten_01jb0000000000000000000000",
            "environment_id": ENVIRONMENT_ID,
            "environment": "production",
            "region": "eu-central-1",
        })
    );
    assert_eq!(get_unsigned_status(&world, &url), 403);
    let unauthorized = TestClient::administrator(&world).get(&url);
    assert_eq!(unauthorized.0, 403);
    assert!(unauthorized.1["Message"].as_str().unwrap().starts_with("Forbidden"));

    // If the simulated AWS is served over HTTP, stack outputs contain the address of the HTTP server.
    world.set_base_url("http://127.0.0.1:4566");
    let url = access.output("freehold-tenant", "FunctionUrl");
    assert!(url.starts_with("http://127.0.0.1:4566/lambda-url/eu-central-1/"), "{url}");
    assert_eq!(verify.get(&url).0, 200);
}

#[test]
fn functions_can_be_listed_and_read() {
    let world = world();
    let member = TestClient::member(&world);
    let (access, _) = install_baseline(&member);
    let verify_role = format!("arn:aws:iam::{}:role/freehold-verify", member.account());
    assert_eq!(member.get_lambda("/2015-03-31/functions/"), (200, json!({ "Functions": [], "NextMarker": null })));
    access.create_stack("freehold-tenant", TENANT_TEMPLATE, &tenant_parameters(&verify_role)).unwrap();
    advance_clock(&world, 600);

    let (status, listed) = member.get_lambda("/2015-03-31/functions/?MaxItems=10");
    assert_eq!((status, &listed["Functions"][0]["FunctionName"]), (200, &json!("freehold-tenant")), "{listed}");
    let function = "/2015-03-31/functions/freehold-tenant";
    let (status, read) = member.get_lambda(function);
    assert_eq!((status, &read["Configuration"]["State"]), (200, &json!("Active")), "{read}");
    assert_eq!(read["Configuration"]["Environment"]["Variables"]["ENVIRONMENT_ID"], json!(ENVIRONMENT_ID));
    assert_eq!(
        member.get_lambda(&format!("{function}/configuration")).1["FunctionArn"],
        read["Configuration"]["FunctionArn"]
    );
    let (_, url) = member.get_lambda("/2021-10-31/functions/freehold-tenant/url");
    assert_eq!(url["FunctionUrl"], json!(access.output("freehold-tenant", "FunctionUrl")));
    assert!(
        member.get_lambda(&format!("{function}/policy")).1["Policy"].as_str().unwrap().contains("InvokeFunctionUrl")
    );

    let (status, missing) = member.get_lambda("/2015-03-31/functions/other");
    assert!(status == 404 && missing["message"].as_str().unwrap().starts_with("Function not found: arn:"), "{missing}");
    let (status, refused) = member.get_lambda("/2018-10-31/layers");
    assert!(status == 404 && refused["message"].as_str().unwrap().contains("GET /2018-10-31/layers"), "{refused}");
    let (status, denied) = access.get_lambda("/2015-03-31/functions/");
    assert!(status == 403 && denied["message"].as_str().unwrap().contains("lambda:ListFunctions"), "{denied}");
}

#[test]
fn an_invocation_returns_the_result_or_the_error_of_the_function() {
    let world = world();
    let member = TestClient::member(&world);
    let (access, verify) = install_baseline(&member);
    let verify_role = format!("arn:aws:iam::{}:role/freehold-verify", member.account());
    access.create_stack("freehold-tenant", TENANT_TEMPLATE, &tenant_parameters(&verify_role)).unwrap();
    advance_clock(&world, 600);
    let arn = format!("arn%3Aaws%3Alambda%3Aeu-central-1%3A{}%3Afunction%3Afreehold-tenant", member.account());
    for function in ["freehold-tenant", &arn] {
        let invoked = verify.invoke(function, "{}");
        assert_eq!((invoked.status, &invoked.error_code, &invoked.function_error), (200, &None, &None), "{invoked:?}");
        let body: serde_json::Value = serde_json::from_str(invoked.body["body"].as_str().unwrap()).unwrap();
        assert_eq!((&invoked.body["statusCode"], &body["environment_id"]), (&json!(200), &json!(ENVIRONMENT_ID)));
    }
    let code = |client: &TestClient, function: &str, payload: &str| {
        let invoked = client.invoke(function, payload);
        (invoked.status, invoked.error_code.unwrap_or_default())
    };
    let denied = (403, "AccessDeniedException".to_owned());
    assert_eq!(code(&verify, "freehold-tenant-2", ""), (404, "ResourceNotFoundException".to_owned()));
    assert_eq!(code(&verify, "another", ""), denied, "the role may not invoke other functions");
    assert_eq!(code(&TestClient::administrator(&world), &arn, ""), denied, "another account");
    assert_eq!(code(&verify, "freehold-tenant", "{"), (400, "InvalidRequestContentException".to_owned()));

    world.inject(Rule::on("lambda", "Invoke", Fault::failed("boom")));
    let failed = verify.invoke("freehold-tenant", "");
    assert_eq!((failed.status, failed.function_error.as_deref()), (200, Some("Unhandled")));
    assert_eq!(failed.body, json!({ "errorMessage": "boom", "errorType": "Error" }));
}

#[test]
fn resources_follow_dependencies_and_events_contain_the_token() {
    let world = world();
    let member = TestClient::member(&world);
    install_baseline(&member);
    let verify_role = format!("arn:aws:iam::{}:role/freehold-verify", member.account());
    let more = [("Capabilities.member.1", "CAPABILITY_NAMED_IAM"), ("ClientRequestToken", "attempt-1")];
    member.create_stack_with("freehold-tenant", TENANT_TEMPLATE, &tenant_parameters(&verify_role), &more).unwrap();
    advance_clock(&world, 600);
    let history = member.event_history("freehold-tenant");
    let at = |event: &str| history.iter().position(|seen| seen == event).unwrap_or_else(|| panic!("{history:#?}"));
    assert_eq!(at("freehold-tenant CREATE_IN_PROGRESS"), 0);
    assert!(at("Logs CREATE_COMPLETE") < at("Role CREATE_IN_PROGRESS"));
    assert!(at("Role CREATE_COMPLETE") < at("Function CREATE_IN_PROGRESS"));
    assert!(at("Function CREATE_COMPLETE") < at("Url CREATE_IN_PROGRESS"));
    assert_eq!(at("freehold-tenant CREATE_COMPLETE"), history.len() - 1);
    let events = member.events_xml("freehold-tenant");
    assert_eq!(events.matches("<ClientRequestToken>attempt-1<").count(), history.len());
    let busy = world.busy().into_iter().filter(|busy| busy.activity == "stack").count();
    assert_eq!(busy, 2, "one span per stack");
}

#[test]
fn polling_does_not_change_the_duration_of_a_stack_operation() {
    let done_at = |step: u64| {
        let world = world();
        let member = TestClient::member(&world);
        install_baseline(&member);
        let verify_role = format!("arn:aws:iam::{}:role/freehold-verify", member.account());
        member.create_stack("freehold-tenant", TENANT_TEMPLATE, &tenant_parameters(&verify_role)).unwrap();
        for _ in 0..600 / step {
            advance_clock(&world, step);
            member.stack_status("freehold-tenant");
        }
        let spans = world.busy();
        let span = spans.iter().rfind(|busy| busy.activity == "stack").unwrap().clone();
        span.until - span.from
    };
    assert_eq!(done_at(1), done_at(600));
}
