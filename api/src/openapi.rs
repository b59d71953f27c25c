//! Parts of the OpenAPI 3.1 document that the routes share.

mod webhooks;

use freehold_tenancy::feed::{FeedEvent, FeedEventData, TEST_EVENT_TYPE};
use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, Object, ObjectBuilder, OpenApi, OpenApiBuilder, Ref,
    RefOr, Required, Response, ResponseBuilder, Type, tag::TagBuilder,
};

use crate::problem::{Code, FieldError, MEDIA_TYPE, Problem};
use crate::route_policy::{ResourceScope, RoutePolicy};
use crate::routes::events::schema::{schemas_by_event_type, test_event_schema};
use crate::scope::Scope;

/// Name of the security scheme in the OpenAPI document.
const BEARER_SCHEME: &str = "bearer";

const DESCRIPTION: &str = "\
Freehold gives every customer of a SaaS an AWS account of its own. A signup returns `202` at once and starts an \
*operation* for each environment, which creates the account and reports its progress step by step.

Ids are strings with a prefix (`ten_…`, `env_…`, `op_…`); AWS account ids are strings of 12 digits. Times are RFC 3339 \
in UTC. Lists are paginated: send `next_page_token` as `page_token`, with the same filters, until it is `null`. Every \
error is a problem (RFC 9457) with a `request_id`, which identifies its entries in the log, and one of these codes. A \
code keeps its meaning; more codes may be added.

| status | code | meaning |
|---|---|---|
";

/// Returns the OpenAPI operation id of a route. Each route has exactly one operation.
pub(crate) fn route_operation_id(paths: &Paths) -> String {
    operations(paths).find_map(|operation| operation.operation_id.clone()).unwrap_or_default()
}

/// Returns the names of the query parameters that the route declares.
pub(crate) fn query_parameters(paths: &Paths) -> Vec<String> {
    let parameters = operations(paths).flat_map(|operation| operation.parameters.iter().flatten());
    let names = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        _ => None,
    });
    names.collect()
}

fn operations(paths: &Paths) -> impl Iterator<Item = &Operation> {
    paths.paths.values().flat_map(|item| {
        [&item.get, &item.post, &item.put, &item.patch, &item.delete].into_iter().filter_map(Option::as_ref)
    })
}

/// Returns the OpenAPI document without routes.
pub(crate) fn base_document() -> OpenApi {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let codes: Vec<_> = Code::ALL
        .iter()
        .map(|code| format!("| {} | `{}` | {} |", code.status().as_u16(), code.as_str(), code.title()))
        .collect();
    let info = InfoBuilder::new()
        .title("Freehold")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(format!("{DESCRIPTION}{}", codes.join("\n"))))
        .license(Some(license))
        .build();
    let scopes = Scope::ALL.map(|scope| format!("`{scope}`"));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(format!(
            "An access token of the configured issuer. Scopes: {}. A token with the scope `fleet` can access every \
             tenant. A token with the claim `tenant_id` can access only that tenant; other tenants appear not to \
             exist, and the fields whose description says so are not sent, even if they are listed as required. A \
             token with neither is refused.",
            scopes.join(", ")
        )))
        .build();
    let components = COMMON_RESPONSES
        .iter()
        .fold(ComponentsBuilder::new(), |components, common| components.response(common.name, common.response()))
        .security_scheme(BEARER_SCHEME, SecurityScheme::Http(bearer))
        .schema_from::<Problem>()
        .schema_from::<FieldError>()
        .schema_from::<FeedEvent>()
        .schema_from::<FeedEventData>()
        .schemas_from_iter(schemas_by_event_type())
        .schema(TEST_EVENT_TYPE, test_event_schema())
        .build();
    let tags = [
        ("tenants", "Customers and their environments."),
        ("regions", "Regions of AWS, and which of them are offered."),
        ("releases", "Versions of the tenant stack, and updates of environments to them."),
        ("operations", "Long-running work on an environment, step by step."),
        ("rollouts", "Updates of many environments, wave by wave, and the change freeze."),
        ("findings", "Differences between AWS and the database."),
        ("account-mappings", "Current and former owners of each AWS account."),
        ("events", "Ordered feed of events."),
        ("webhooks", "Delivery of the events of the feed to your URL, according to Standard Webhooks 1.0."),
        ("audit", "Chained record of all changes and their callers."),
        ("access-review", "Current and former access to the accounts."),
        ("service", "Health, metrics and OpenAPI document of the API. These routes need no token."),
    ];
    let tags = tags.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    OpenApiBuilder::new()
        .info(info)
        .webhooks(Some(webhooks::webhooks()))
        .components(Some(components))
        .tags(Some(tags))
        .build()
}

/// Error response that many routes share.
struct CommonResponse {
    name: &'static str,
    description: &'static str,
    example: Code,
    headers: &'static [(&'static str, &'static str)],
    applies_to: fn(&Operation, Option<RoutePolicy>) -> bool,
}

const CHALLENGE_HEADER: (&str, &str) = ("WWW-Authenticate", "Reason for the refusal (RFC 6750).");
const RETRY_AFTER_HEADER: (&str, &str) = ("Retry-After", "Seconds after which to retry.");

const COMMON_RESPONSES: [CommonResponse; 13] = [
    CommonResponse {
        name: "BadRequest",
        description: "The query, a header or the body is malformed.",
        example: Code::InvalidQuery,
        headers: &[],
        applies_to: |operation, _| {
            operation.request_body.is_some()
                || has_parameter_in(operation, ParameterIn::Query)
                || has_parameter_in(operation, ParameterIn::Header)
        },
    },
    CommonResponse {
        name: "Unauthorized",
        description: "The token is missing, expired or invalid.",
        example: Code::TokenMissing,
        headers: &[CHALLENGE_HEADER],
        applies_to: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "Forbidden",
        description: "The token lacks the scope, or has no tenant scope.",
        example: Code::InsufficientScope,
        headers: &[CHALLENGE_HEADER],
        applies_to: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "NotFound",
        description: "The resource does not exist, or the token has no access to it.",
        example: Code::TenantNotFound,
        headers: &[],
        applies_to: |operation, _| has_parameter_in(operation, ParameterIn::Path),
    },
    CommonResponse {
        name: "Conflict",
        description: "The same request is still running; retry.",
        example: Code::IdempotencyKeyInFlight,
        headers: &[RETRY_AFTER_HEADER],
        applies_to: |operation, _| accepts_idempotency_key(operation),
    },
    CommonResponse {
        name: "RequestTimeout",
        description: "The body did not arrive in time. Nothing was changed.",
        example: Code::BodyTimeout,
        headers: &[],
        applies_to: |operation, _| {
            operation.request_body.is_some() || accepts_idempotency_key(operation) || accepts_if_match(operation)
        },
    },
    CommonResponse {
        name: "ContentTooLarge",
        description: "The body is larger than 65536 bytes.",
        example: Code::BodyTooLarge,
        headers: &[],
        applies_to: |operation, _| {
            operation.request_body.is_some() || accepts_idempotency_key(operation) || accepts_if_match(operation)
        },
    },
    CommonResponse {
        name: "UnsupportedMediaType",
        description: "The body is not `application/json`.",
        example: Code::UnsupportedMediaType,
        headers: &[],
        applies_to: |operation, _| operation.request_body.is_some(),
    },
    CommonResponse {
        name: "UnprocessableContent",
        description: "Invalid fields, all listed in `errors`; or an Idempotency-Key that was used with another body.",
        example: Code::ValidationFailed,
        headers: &[],
        applies_to: |operation, _| operation.request_body.is_some() || accepts_idempotency_key(operation),
    },
    CommonResponse {
        name: "TooManyRequests",
        description: "The client has exceeded its rate limit, its daily limit of accounts, or its number of open \
            streams; or another support bundle is being created.",
        example: Code::TooManyRequests,
        headers: &[RETRY_AFTER_HEADER],
        applies_to: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "InternalServerError",
        description: "Internal server error.",
        example: Code::InternalError,
        headers: &[],
        applies_to: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "ServiceUnavailable",
        description: "The database or the token issuer is unavailable, or the server has too many connections, streams \
            or exports. Nothing was changed.",
        example: Code::DatabaseUnavailable,
        headers: &[RETRY_AFTER_HEADER],
        applies_to: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "GatewayTimeout",
        description: "The response was not ready in time.",
        example: Code::Timeout,
        headers: &[],
        applies_to: |_, policy| policy.is_some(),
    },
];

impl CommonResponse {
    fn response(&self) -> Response {
        let problem = Problem {
            r#type: format!("urn:freehold:problem:{}", self.example.as_str()),
            title: self.example.title().to_owned(),
            status: self.example.status().as_u16(),
            detail: self.description.to_owned(),
            code: self.example.as_str().to_owned(),
            request_id: "0199aa5b6c1e7d3f8a9b0c1d2e3f4a5b".to_owned(),
            errors: if self.example == Code::ValidationFailed {
                vec![FieldError {
                    field: "environments[1]".to_owned(),
                    code: "repeated".to_owned(),
                    message: "each environment must have a different name".to_owned(),
                }]
            } else {
                Vec::new()
            },
            operation_id: None,
        };
        let content =
            ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).example(Some(json!(problem))).build();
        let text = || Object::with_type(Type::String);
        self.headers
            .iter()
            .fold(ResponseBuilder::new(), |response, (name, description)| {
                response
                    .header(*name, HeaderBuilder::new().schema(Some(text())).description(Some(*description)).build())
            })
            .description(self.description)
            .content(MEDIA_TYPE, content)
            .build()
    }
}

fn has_parameter_in(operation: &Operation, place: ParameterIn) -> bool {
    operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == place,
        RefOr::Ref(_) => false,
    })
}

/// Adds the security requirement, the idempotency key and the common error responses to the routes in `paths`.
pub(crate) fn with_common_responses(mut paths: Paths, policy: Option<RoutePolicy>) -> Paths {
    for item in paths.paths.values_mut() {
        if let Some(post) = &mut item.post {
            add_idempotency_key(post);
        }
        for operation in
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
        {
            operation.security =
                Some(policy.iter().map(|policy| SecurityRequirement::new(BEARER_SCHEME, scopes(*policy))).collect());
            for common in &COMMON_RESPONSES {
                if !(common.applies_to)(operation, policy) {
                    continue;
                }
                let reference = Ref::new(format!("#/components/responses/{}", common.name));
                let status = common.example.status().as_u16().to_string();
                operation.responses.responses.entry(status).or_insert(RefOr::Ref(reference));
            }
        }
    }
    paths
}

fn has_parameter(operation: &Operation, header: &str) -> bool {
    let is_header = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == header);
    operation.parameters.iter().flatten().any(is_header)
}

/// Returns whether the route accepts `If-Match`.
fn accepts_if_match(operation: &Operation) -> bool {
    has_parameter(operation, "If-Match")
}

fn accepts_idempotency_key(operation: &Operation) -> bool {
    has_parameter(operation, "Idempotency-Key")
}

/// Adds the `Idempotency-Key` parameter to a POST that does not declare it itself.
fn add_idempotency_key(post: &mut Operation) {
    if !accepts_idempotency_key(post) {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Idempotency key, to make retries safe. For seven days, a repeated request with the same key and body \
                 gets the stored first response, without the secrets in it. Error responses are not stored.",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,255}$"))))
            .example(Some(json!("7f3a0f1e-4c1c-4a51-9e0b-0d5d3b1f6b57")))
            .build();
        post.parameters.get_or_insert_default().push(RefOr::T(key));
    }
}

/// Returns the scopes that a route requires. A route for the whole fleet also requires `fleet`; on other routes, a
/// token of the tenant is enough.
fn scopes(RoutePolicy { scope, further_scope, resource, .. }: RoutePolicy) -> Vec<&'static str> {
    let mut scopes = match resource {
        ResourceScope::Fleet => vec![scope.as_str(), Scope::Fleet.as_str()],
        ResourceScope::Tenant | ResourceScope::Operation | ResourceScope::List => vec![scope.as_str()],
    };
    scopes.extend(further_scope.map(Scope::as_str));
    scopes
}
