//! Tests of the operator's template: a faulty template stops the fleet once, and a corrected file reaches every tenant
//! without a restart of the worker.

use chrono::TimeDelta;
use freehold_sandbox::Settings;
use freehold_sandbox::faults::{Fault, Rule};
use freehold_tenancy::db::fleet_holds;
use freehold_tenancy::fleet_hold::{FleetHold, HoldKind};
use freehold_tenancy::operation::OperationState;
use freehold_tenancy::step::StepName;
use freehold_tenancy::tenant::Tenant;
use freehold_tests::alerts::AlertCounter;
use freehold_tests::fixture::{CONFIG, Freehold};
use tempfile::NamedTempFile;

use super::fleet_holds::{assert_all_ready, sign_up};
use super::{MAX_SIMULATED_TIME, assert_ready, attention, calls, error, onboard, onboard_in, retry};

const TEMPLATE: &str = include_str!("../../../stacks/tenant.yaml");

/// Sample without its Function URL.
const TEMPLATE_WITHOUT_URL: &str = include_str!("../../../stacks/tenant-without-url.yaml");

/// Output of the sample with the Function URL.
const URL_OUTPUT: &str = "  FunctionUrl:
    Description: URL that freehold-verify calls with a signed request before the environment is ready.
    Value: !GetAtt Url.FunctionUrl
";

/// Template file of an installation.
struct TemplateFile(NamedTempFile);

impl TemplateFile {
    fn new(text: &str) -> Self {
        let file = Self(NamedTempFile::new().expect("a file"));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(self.0.path(), text).expect("the template");
    }

    /// Starts an installation that deploys this template. `stack` contains further lines of `[stack]`.
    async fn installation(&self, stack: &str) -> Freehold {
        Freehold::with(Settings::instant(), &self.config(stack)).await
    }

    /// Returns a configuration with this template.
    fn config(&self, stack: &str) -> String {
        let path = self.path();
        // The sample uses Function URLs, which one region of the configuration lacks.
        let accepted = "accepted_resource_types = [\"AWS::Lambda::Url\"]";
        format!("{CONFIG}\n[stack]\ntemplate = {path:?}\n{accepted}\n{stack}\n")
    }

    fn path(&self) -> String {
        self.0.path().display().to_string()
    }
}

/// Returns the sample template with one part replaced.
fn template_with(part: &str, replacement: &str) -> String {
    let changed = TEMPLATE.replace(part, replacement);
    assert_ne!(changed, TEMPLATE, "{part} is not in the template");
    changed
}

async fn active_holds(freehold: &Freehold) -> Vec<FleetHold> {
    fleet_holds::list_active(freehold.pool()).await.expect("the holds")
}

/// Asserts that the operations of all tenants wait for a corrected template because of `fault`.
async fn assert_all_wait_for_template(freehold: &Freehold, tenants: &[Tenant], fault: &str) {
    for tenant in tenants {
        let operation = freehold.operation_of(tenant).await;
        assert_eq!(operation.state, OperationState::Running, "{operation:#?}");
        let waits: Vec<_> = operation.steps.iter().filter_map(|step| step.waits_for.as_deref()).collect();
        let expected = "a corrected template of the tenant stack: ";
        assert!(waits.iter().any(|wait| wait.starts_with(expected) && wait.contains(fault)), "{waits:#?}");
    }
}

#[tokio::test]
async fn a_rejected_template_causes_one_hold_and_its_correction_lifts_it() {
    let (alerts, _listening) = AlertCounter::install();
    let file = TemplateFile::new(&template_with("Type: AWS::Logs::LogGroup", "Type: AWS::Logs::Group"));
    let freehold = file.installation("").await;
    let worker = freehold.worker("worker-1");
    let tenants = sign_up(&freehold, 5).await;
    freehold.run_until_idle(&worker, TimeDelta::minutes(30)).await;
    let fault = "Unrecognized resource types: [AWS::Logs::Group]";
    assert_all_wait_for_template(&freehold, &tenants, fault).await;
    let holds = active_holds(&freehold).await;
    assert_eq!((holds.len(), holds[0].kind, holds[0].waiting), (1, HoldKind::TemplateRejected, 5));
    assert_eq!(holds[0].quota, "stack-deployments");
    assert!(holds[0].message().contains(fault), "{}", holds[0].message());
    assert_eq!(alerts.count(), 1, "alerts");
    assert!(calls(&freehold, "cloudformation:CreateStack").1 <= 5, "each operation was refused at most once");

    // A file that is not valid does not replace the template, and the message of the hold names the problem.
    file.write("Resources: [");
    freehold.run_until_idle(&worker, TimeDelta::minutes(10)).await;
    let fault = "The changed file is not valid either: stack.template: must be YAML or JSON";
    assert!(active_holds(&freehold).await[0].message().contains(fault));

    file.write(TEMPLATE);
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_eq!(alerts.count(), 1, "alerts");
}

#[tokio::test]
async fn another_worker_with_a_corrected_template_lifts_the_hold() {
    let file = TemplateFile::new(&template_with(URL_OUTPUT, ""));
    let freehold = file.installation("").await;
    let tenants = sign_up(&freehold, 3).await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(10)).await;
    assert_all_wait_for_template(&freehold, &tenants, "The template has no output `FunctionUrl`").await;
    file.write(TEMPLATE);
    freehold.run_until_idle(&freehold.worker("worker-2"), MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    // The stacks that lacked the output were updated, not created again.
    let states: Vec<_> = freehold.world.stacks().into_iter().filter(|stack| stack.name == "freehold-tenant").collect();
    assert_eq!(states.len(), 3);
    assert!(states.iter().any(|stack| stack.status == "UPDATE_COMPLETE"), "{states:#?}");
}

#[tokio::test]
async fn a_rejected_template_stops_only_the_regions_that_use_it() {
    let (alerts, _listening) = AlertCounter::install();
    let file = TemplateFile::new(&template_with("Type: AWS::Logs::LogGroup", "Type: AWS::Logs::Group"));
    let other = TemplateFile::new(TEMPLATE_WITHOUT_URL);
    let freehold = file.installation(&format!("region_templates = {{eu-central-2 = {:?}}}", other.path())).await;
    let worker = freehold.worker("worker-1");
    let tenants = sign_up(&freehold, 2).await;
    freehold.run_until_idle(&worker, TimeDelta::minutes(10)).await;
    let fault = "Unrecognized resource types: [AWS::Logs::Group]";
    assert_all_wait_for_template(&freehold, &tenants, fault).await;
    let elsewhere = freehold.sign_up("Example", "eu-central-2", "standard").await;
    freehold.run_until_idle(&worker, TimeDelta::minutes(30)).await;
    assert_ready(&(freehold.reload_tenant(&elsewhere).await, freehold.operation_of(&elsewhere).await));
    assert_all_wait_for_template(&freehold, &tenants, fault).await;
    assert_eq!(alerts.count(), 1, "alerts");

    file.write(TEMPLATE);
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_eq!(alerts.count(), 1, "alerts");
}

#[tokio::test]
async fn a_template_for_one_region_lifts_the_hold_of_that_region_only() {
    let (alerts, _listening) = AlertCounter::install();
    let file = TemplateFile::new(&template_with("Type: AWS::Logs::LogGroup", "Type: AWS::Logs::Group"));
    let freehold = file.installation("").await;
    let tenants = sign_up(&freehold, 2).await;
    let elsewhere = freehold.sign_up("Example", "us-east-1", "standard").await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(10)).await;
    let fault = "Unrecognized resource types: [AWS::Logs::Group]";
    assert_all_wait_for_template(&freehold, &[&tenants[..], std::slice::from_ref(&elsewhere)].concat(), fault).await;

    let corrected = TemplateFile::new(TEMPLATE);
    let freehold =
        freehold.with_config(&file.config(&format!("region_templates = {{us-east-1 = {:?}}}", corrected.path())));
    let worker = freehold.worker("worker-2");
    freehold.run_until_idle(&worker, TimeDelta::minutes(30)).await;
    assert_ready(&(freehold.reload_tenant(&elsewhere).await, freehold.operation_of(&elsewhere).await));
    assert_all_wait_for_template(&freehold, &tenants, fault).await;
    assert_eq!(active_holds(&freehold).await[0].waiting, 2);
    file.write(TEMPLATE);
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
    assert_eq!(alerts.count(), 1, "alerts");
}

#[tokio::test]
async fn a_changed_kind_of_check_lifts_the_hold_at_once() {
    let file = TemplateFile::new(TEMPLATE_WITHOUT_URL);
    let freehold = file.installation("").await;
    let tenants = sign_up(&freehold, 2).await;
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(10)).await;
    assert_all_wait_for_template(&freehold, &tenants, "The template has no output `FunctionUrl`").await;
    let freehold = freehold.with_config(&file.config("check = {kind = \"invoke\"}"));
    freehold.run_until_idle(&freehold.worker("worker-2"), TimeDelta::minutes(10)).await;
    assert_all_ready(&freehold, &tenants).await;
}

#[tokio::test]
async fn a_resource_with_a_faulty_property_starts_the_hold() {
    let freehold = Freehold::instant().await;
    let fault = Fault::failed("Encountered unsupported property Runtim");
    freehold.world.inject(Rule::on("cloudformation", "AWS::Lambda::Function", fault));
    let tenants = sign_up(&freehold, 2).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::minutes(10)).await;
    assert_all_wait_for_template(&freehold, &tenants, "Encountered unsupported property Runtim").await;
    assert_eq!(active_holds(&freehold).await.len(), 1);
    // The same template is probed again, because the cause may be outside the template.
    freehold.world.clear_faults();
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
}

#[tokio::test]
async fn a_template_that_another_tenant_has_does_not_stop_the_fleet() {
    let freehold = Freehold::instant().await;
    assert_ready(&onboard(&freehold).await);
    for (aws_code, aws_message, expected) in [
        (
            "InsufficientCapabilitiesException",
            "Requires capabilities : [CAPABILITY_AUTO_EXPAND]",
            "stack_needs_capabilities",
        ),
        ("ValidationError", "Template format error: unsupported structure.", "stack_rejected"),
    ] {
        let rule =
            Rule::on("cloudformation", "CreateStack", error(aws_code, aws_message)).containing("TIER: !Ref Tier");
        freehold.world.inject(rule.nth(1));
        let (tenant, operation) = onboard(&freehold).await;
        let (code, message) = attention(&operation);
        assert_eq!(code, expected);
        assert!(message.contains(aws_message), "{message}");
        assert_eq!(active_holds(&freehold).await, []);
        assert_ready(&retry(&freehold, &tenant).await);
    }
}

#[tokio::test]
async fn a_corrected_template_updates_the_stack_on_retry() {
    let wrong = "          ENVIRONMENT_ID: !Ref EnvironmentName\n";
    let file = TemplateFile::new(&template_with("          ENVIRONMENT_ID: !Ref EnvironmentId\n", wrong));
    let freehold = file.installation("").await;
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_identity_mismatch");
    assert!(message.contains("/environment_id = production") && message.contains("then retry"), "{message}");
    // Without a correction, the retry changes nothing.
    let (tenant, operation) = retry(&freehold, &tenant).await;
    assert_eq!(attention(&operation).0, "stack_identity_mismatch");
    file.write(TEMPLATE);
    freehold.clock.advance(std::time::Duration::from_secs(1));
    assert_ready(&retry(&freehold, &tenant).await);
    let (all, refused) = calls(&freehold, "cloudformation:UpdateStack");
    assert_eq!((all, refused), (2, 1), "the first retry had nothing to update");
}

#[tokio::test]
async fn a_rolled_back_update_is_reported_with_its_cause() {
    let wrong = "          ENVIRONMENT_ID: !Ref EnvironmentName\n";
    let file = TemplateFile::new(&template_with("          ENVIRONMENT_ID: !Ref EnvironmentId\n", wrong));
    let freehold = file.installation("").await;
    let (tenant, _) = onboard(&freehold).await;
    let fault = Fault::failed("The function is being used");
    freehold.world.inject(Rule::on("cloudformation", "AWS::Lambda::Function", fault).nth(1));
    file.write(TEMPLATE);
    let (tenant, operation) = retry(&freehold, &tenant).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_failed");
    assert!(message.contains("Function: ") && message.contains("The function is being used"), "{message}");
    let deploy = operation.steps.iter().find(|step| step.name == StepName::DeployStack.as_str()).expect("the step");
    assert_ne!(deploy.state.as_str(), "done", "a rolled-back update is no success");
    freehold.world.clear_faults();
    assert_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn an_output_that_is_no_function_url_starts_the_hold() {
    let value = "Value: !GetAtt Url.FunctionUrl";
    let file = TemplateFile::new(&template_with(value, "Value: https://example.com/"));
    let freehold = file.installation("").await;
    let tenants = sign_up(&freehold, 2).await;
    let worker = freehold.worker("worker-1");
    freehold.run_until_idle(&worker, TimeDelta::minutes(10)).await;
    assert_all_wait_for_template(&freehold, &tenants, "must be a Function URL of eu-central-1").await;
    assert_eq!(calls(&freehold, "lambda:InvokeFunctionUrl").0, 0, "the signed request was sent elsewhere");
    file.write(TEMPLATE);
    freehold.run_until_idle(&worker, MAX_SIMULATED_TIME).await;
    assert_all_ready(&freehold, &tenants).await;
}

#[tokio::test]
async fn an_output_that_one_tenant_lacks_needs_attention() {
    let conditional = URL_OUTPUT.replace("    Value:", "    Condition: HomeRegionIsEmpty\n    Value:");
    let file = TemplateFile::new(&template_with(URL_OUTPUT, &conditional));
    let freehold = file.installation("").await;
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "stack_url_output_missing");
    assert!(message.contains("`FunctionUrl`") && message.contains("a retry reads the template again"), "{message}");
    assert_eq!(active_holds(&freehold).await, []);
    file.write(TEMPLATE);
    assert_ready(&retry(&freehold, &tenant).await);
}

#[tokio::test]
async fn the_check_of_the_stack_can_be_configured() {
    let file = TemplateFile::new(TEMPLATE);
    let check = "[stack.check]\npath = \"/health?tier={tier}\"\nbody_contains = \"{environment_id}\"\n\
                 [stack.check.json]\n\"/environment\" = \"production\"";
    let freehold = file.installation(check).await;
    assert_ready(&onboard(&freehold).await);

    for (check, expected) in [
        ("body_contains = \"down\"", "responds without the expected text `down`: {"),
        ("json = {\"/environment\" = \"staging\"}", "reports /environment = production, expected staging"),
        ("statuses = [204, 302]", "responds with status 200, expected status 204 or 302: {"),
    ] {
        let freehold = file.installation(&format!("[stack.check]\n{check}")).await;
        let (_, operation) = onboard(&freehold).await;
        let (code, message) = attention(&operation);
        assert_eq!(code, "stack_check_failed");
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn a_function_without_a_url_is_proved_by_an_invocation() {
    let file = TemplateFile::new(TEMPLATE_WITHOUT_URL);
    let freehold = file.installation("check = {kind = \"invoke\"}").await;
    assert_ready(&onboard(&freehold).await);
    assert_eq!((calls(&freehold, "lambda:Invoke"), calls(&freehold, "lambda:InvokeFunctionUrl").0), ((1, 0), 0));

    let file = TemplateFile::new(&TEMPLATE_WITHOUT_URL.replace("!Ref EnvironmentId", "!Ref EnvironmentName"));
    let freehold = file.installation("check = {kind = \"invoke\"}").await;
    let (_, operation) = onboard(&freehold).await;
    assert_eq!(attention(&operation).0, "stack_identity_mismatch");
}

#[tokio::test]
async fn a_region_without_function_urls_is_proved_by_an_invocation() {
    let file = TemplateFile::new(TEMPLATE_WITHOUT_URL);
    let freehold = file.installation("").await;
    assert_ready(&onboard_in(&freehold, "eu-central-2").await);
    assert_eq!(calls(&freehold, "lambda:Invoke"), (1, 0));
}

#[tokio::test]
async fn verify_waits_while_the_invoked_function_fails() {
    let file = TemplateFile::new(TEMPLATE_WITHOUT_URL);
    let freehold = file.installation("check = {kind = \"invoke\"}").await;
    freehold.world.inject(Rule::on("lambda", "Invoke", Fault::failed("the database is starting")).times(3));
    assert_ready(&onboard(&freehold).await);
    freehold.world.inject(Rule::on("lambda", "Invoke", Fault::failed("the database is gone")));
    let (tenant, operation) = onboard(&freehold).await;
    let (code, message) = attention(&operation);
    assert_eq!(code, "deadline_passed");
    assert!(message.contains("the function failed") && message.contains("the database is gone"), "{message}");
    freehold.world.clear_faults();
    assert_ready(&retry(&freehold, &tenant).await);
}
