//! Form that creates a tenant, with the dry run of the API beside it.

use askama::Template;
use axum::Form;
use axum::extract::State as AppState;
use axum::http::HeaderName;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::auth::insufficient_scope;
use crate::console::inputs::{Refusal, refusal_of};
use crate::console::labels::Instant;
use crate::console::layout::{Layout, html};
use crate::console::session::{Visitor, random_text};
use crate::problem::{ApiError, Code};
use crate::routes::regions::AwsRegionList;
use crate::routes::schema::operation::Queue;
use crate::routes::schema::tenant::Tenant;
use crate::routes::tenants::SignupPreview;
use crate::scope::Scope;

const PAGE: &str = "/console/sign-up";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Fields of the form, with the names of the API.
const FIELDS: [&str; 9] = [
    "company_name",
    "admin_email",
    "home_region",
    "replica_regions",
    "front_door",
    "tier",
    "external_id",
    "environments",
    "labels",
];

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::console) struct SignUpForm {
    company_name: String,
    admin_email: String,
    home_region: String,
    /// Regions, separated by commas.
    replica_regions: String,
    /// `true`, `false`, or empty for the default of the plan.
    front_door: String,
    tier: String,
    external_id: String,
    /// Names, separated by commas.
    environments: String,
    /// A line `name=value` for each label.
    labels: String,
    /// Idempotency key that was made with the form.
    key: String,
}

#[derive(Template)]
#[template(path = "console/sign_up.html")]
struct SignUp {
    layout: Layout,
    form: SignUpForm,
    refusal: Refusal,
    tiers: Vec<String>,
    /// Regions that can be a home, by residency; empty if the person may not read them.
    residencies: Vec<(String, Vec<RegionOption>)>,
    preview: Option<Preview>,
}

struct RegionOption {
    code: String,
    label: String,
}

struct Preview {
    signup: SignupPreview,
    exhausted_until: Option<Instant>,
    environments: Vec<(String, String)>,
}

impl SignUpForm {
    /// Returns the request to the API. An empty field has its default.
    fn to_request(&self) -> Result<Value, ApiError> {
        let mut request = Map::new();
        let texts = [
            ("company_name", &self.company_name),
            ("admin_email", &self.admin_email),
            ("home_region", &self.home_region),
            ("tier", &self.tier),
            ("external_id", &self.external_id),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.trim().is_empty()) {
            request.insert(name.to_owned(), json!(text.trim()));
        }
        for (name, text) in [("replica_regions", &self.replica_regions), ("environments", &self.environments)] {
            let values: Vec<_> = text.split(',').map(str::trim).filter(|value| !value.is_empty()).collect();
            if !values.is_empty() {
                request.insert(name.to_owned(), json!(values));
            }
        }
        if let Ok(front_door) = self.front_door.parse::<bool>() {
            request.insert("front_door".to_owned(), json!(front_door));
        }
        let mut labels = Map::new();
        for line in self.labels.lines().filter(|line| !line.trim().is_empty()) {
            let Some((name, value)) = line.split_once('=') else {
                let message = format!("must have a line name=value for each label; `{}` has no `=`", line.trim());
                return Err(ApiError::invalid_field("labels", "invalid", message));
            };
            labels.insert(name.trim().to_owned(), json!(value.trim()));
        }
        if !labels.is_empty() {
            request.insert("labels".to_owned(), Value::Object(labels));
        }
        Ok(Value::Object(request))
    }
}

pub(in crate::console) async fn show(AppState(app): AppState<App>, visitor: Visitor) -> Result<Response, ApiError> {
    let form = SignUpForm { key: random_text()?, ..SignUpForm::default() };
    show_with(&app, &visitor, form, Refusal::default(), None).await
}

async fn show_with(
    app: &App,
    visitor: &Visitor,
    form: SignUpForm,
    refusal: Refusal,
    preview: Option<SignupPreview>,
) -> Result<Response, ApiError> {
    if !visitor.has_scope(Scope::TenantsWrite) {
        return Err(insufficient_scope(Scope::TenantsWrite));
    }
    let page = SignUp {
        layout: Layout::of(visitor, PAGE, "Sign up a customer").await?.without_stream(),
        form,
        refusal,
        tiers: app.config.tiers.iter().map(|tier| tier.name.to_string()).collect(),
        residencies: read_residencies(visitor).await?,
        preview: preview.map(preview_of),
    };
    html(&page)
}

/// Returns the regions that can be a home, by residency.
async fn read_residencies(visitor: &Visitor) -> Result<Vec<(String, Vec<RegionOption>)>, ApiError> {
    if !visitor.has_scope(Scope::TenantsRead) {
        return Ok(Vec::new());
    }
    let list: AwsRegionList = visitor.api.get("/v1/regions?offered=true").await?;
    let mut residencies: Vec<(String, Vec<RegionOption>)> = Vec::new();
    for region in list.regions.into_iter().filter(|region| region.offered_as.iter().any(|role| role == "home")) {
        let slow = if region.opt_in_required { ", opt-in: minutes to hours" } else { "" };
        let label = format!("{} {}{slow}", region.region, region.place);
        let residency = region.residency.unwrap_or_default();
        let option = RegionOption { code: region.region, label };
        match residencies.iter_mut().find(|(name, _)| *name == residency) {
            Some((_, regions)) => regions.push(option),
            None => residencies.push((residency, vec![option])),
        }
    }
    Ok(residencies)
}

fn preview_of(preview: SignupPreview) -> Preview {
    let place = |queue: Option<&Queue>| match queue {
        None => "waits until a fleet hold ends".to_owned(),
        Some(queue) => match queue.estimated_ready_at {
            Some(at) => format!("number {} in the queue, ready at about {}", queue.position, Instant::of(at).text),
            None => format!("number {} in the queue; no estimate while accounts are not created", queue.position),
        },
    };
    Preview {
        exhausted_until: preview.signups_exhausted_until.map(Instant::of),
        environments: preview.environments.iter().map(|one| (one.name.clone(), place(one.queue.as_ref()))).collect(),
        signup: preview,
    }
}

/// Shows the form with the result of the dry run.
pub(in crate::console) async fn check(
    AppState(app): AppState<App>,
    visitor: Visitor,
    Form(form): Form<SignUpForm>,
) -> Result<Response, ApiError> {
    let preview = match form.to_request() {
        Ok(request) => visitor.api.post_with("/v1/tenants?dry_run=true", &[], Some(&request)).await,
        Err(error) => Err(error),
    };
    match refusal_of(preview, &FIELDS)? {
        Ok(preview) => show_with(&app, &visitor, form, Refusal::default(), Some(preview)).await,
        Err(refusal) => show_with(&app, &visitor, form, refusal, None).await,
    }
}

/// Creates the tenant. A form that is sent twice creates one tenant, because its key is the same.
pub(in crate::console) async fn create(
    AppState(app): AppState<App>,
    visitor: Visitor,
    Form(mut form): Form<SignUpForm>,
) -> Result<Response, ApiError> {
    let created: Result<Tenant, _> = match form.to_request() {
        Ok(request) => visitor.api.post_with("/v1/tenants", &[(IDEMPOTENCY_KEY, &form.key)], Some(&request)).await,
        Err(error) => Err(error),
    };
    // The form was sent before with other values; with a new key it can be sent again.
    let is_key_used = created.as_ref().is_err_and(|error| error.code() == Code::IdempotencyKeyReused);
    if is_key_used {
        form.key = random_text()?;
    }
    match refusal_of(created, &FIELDS)? {
        Ok(tenant) => Ok(Redirect::to(&format!("/console/tenants/{}", tenant.id)).into_response()),
        Err(mut refusal) => {
            if is_key_used {
                "This form has created a tenant with other values already. Check the list of tenants; send the form \
                 again only to create another one."
                    .clone_into(&mut refusal.message);
            }
            show_with(&app, &visitor, form, refusal, None).await
        }
    }
}
