//! The description of the API, OpenAPI 3.1, made from the routes themselves.

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
use crate::routes::events::schema::{FeedEvent, FeedEventData, of_each_type};
use crate::scope::Scope;

/// What the token's scheme is called.
const BEARER: &str = "bearer";

const DESCRIPTION: &str = "\
Freehold gives every customer of a SaaS an AWS account of its own. A signup is answered at once with `202`; what follows \
is an *operation* for each environment, whose steps can be watched.

Ids are texts with a prefix (`ten_…`, `env_…`, `op_…`); AWS account ids are texts of 12 digits. Times are RFC 3339 in UTC. \
Lists come in pages: hand `next_page_token` back as `page_token`, with the same filters, until it is `null`. Whatever goes \
wrong is answered as a problem (RFC 9457) with the `request_id` that finds it in the log and one of these codes, which \
keep their meaning; others may be added.

| status | code | meaning |
|---|---|---|
";

/// What a route does: the id of its one operation.
pub(crate) fn action(paths: &Paths) -> String {
    operations(paths).find_map(|operation| operation.operation_id.clone()).unwrap_or_default()
}

/// Whether the route says of something that it may stand behind the question mark.
pub(crate) fn takes_query(paths: &Paths) -> bool {
    operations(paths).any(|operation| takes(operation, ParameterIn::Query))
}

fn operations(paths: &Paths) -> impl Iterator<Item = &Operation> {
    paths.paths.values().flat_map(|item| {
        [&item.get, &item.post, &item.put, &item.patch, &item.delete].into_iter().filter_map(Option::as_ref)
    })
}

/// Everything but the routes.
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
            "An access token of the configured issuer. Scopes: {}. A token with the scope `fleet` sees every tenant; one with \
             the claim `tenant_id` sees that tenant, and the others are not there for it; one with neither sees nothing.",
            scopes.join(", ")
        )))
        .build();
    let components = REFUSALS
        .iter()
        .fold(ComponentsBuilder::new(), |components, refusal| components.response(refusal.name, refusal.described()))
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .schema_from::<Problem>()
        .schema_from::<FieldError>()
        .schema_from::<FeedEvent>()
        .schema_from::<FeedEventData>()
        .schemas_from_iter(of_each_type())
        .build();
    let tags = [
        ("tenants", "The customers and their environments."),
        ("operations", "Long-running work on an environment, step by step."),
        ("findings", "What in AWS is not as it should be."),
        ("account-mappings", "Which AWS account belongs to which tenant, and did."),
        ("events", "What happens, in order, for those who have to keep up."),
        ("webhooks", "The feed, sent to a URL of yours as Standard Webhooks 1.0."),
        ("audit", "Who did what, in one chain."),
        ("service", "The API itself. These need no token."),
    ];
    let tags = tags.map(|(name, what)| TagBuilder::new().name(name).description(Some(what)).build());
    OpenApiBuilder::new().info(info).components(Some(components)).tags(Some(tags)).build()
}

/// A refusal that many routes have in common.
struct CommonResponse {
    name: &'static str,
    description: &'static str,
    example: Code,
    /// The headers that come with it.
    headers: &'static [(&'static str, &'static str)],
    /// Which routes have it.
    when: fn(&Operation, Option<RoutePolicy>) -> bool,
}

const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "What a token must be (RFC 6750).");
const RETRY_AFTER: (&str, &str) = ("Retry-After", "Seconds after which to ask again.");

const REFUSALS: [CommonResponse; 12] = [
    CommonResponse {
        name: "BadRequest",
        description: "The query, a header or the body cannot be understood.",
        example: Code::InvalidQuery,
        headers: &[],
        when: |operation, _| {
            operation.request_body.is_some()
                || takes(operation, ParameterIn::Query)
                || takes(operation, ParameterIn::Header)
        },
    },
    CommonResponse {
        name: "Unauthorized",
        description: "The token is missing, has expired or is not accepted.",
        example: Code::TokenMissing,
        headers: &[CHALLENGE],
        when: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "Forbidden",
        description: "The token lacks the scope, or does not say whom it may see.",
        example: Code::InsufficientScope,
        headers: &[CHALLENGE],
        when: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "NotFound",
        description: "There is no such thing.",
        example: Code::TenantNotFound,
        headers: &[],
        when: |operation, _| takes(operation, ParameterIn::Path),
    },
    CommonResponse {
        name: "Conflict",
        description: "The same request is being worked on; send it again.",
        example: Code::IdempotencyKeyInFlight,
        headers: &[RETRY_AFTER],
        when: |operation, _| is_keyed(operation),
    },
    CommonResponse {
        name: "ContentTooLarge",
        description: "The body is larger than 65536 bytes.",
        example: Code::BodyTooLarge,
        headers: &[],
        when: |operation, _| operation.request_body.is_some() || is_keyed(operation) || is_conditional(operation),
    },
    CommonResponse {
        name: "UnsupportedMediaType",
        description: "The body is not `application/json`.",
        example: Code::UnsupportedMediaType,
        headers: &[],
        when: |operation, _| operation.request_body.is_some(),
    },
    CommonResponse {
        name: "UnprocessableContent",
        description: "Fields that do not fit, each named in `errors`; or an Idempotency-Key that came with another body.",
        example: Code::ValidationFailed,
        headers: &[],
        when: |operation, _| operation.request_body.is_some() || is_keyed(operation),
    },
    CommonResponse {
        name: "TooManyRequests",
        description: "The client asks too often, or has signed up as many as it may in a day.",
        example: Code::TooManyRequests,
        headers: &[RETRY_AFTER],
        when: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "InternalServerError",
        description: "Something went wrong on our side.",
        example: Code::InternalError,
        headers: &[],
        when: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "ServiceUnavailable",
        description: "The database, or the issuer of tokens, cannot be reached. Nothing was changed.",
        example: Code::DatabaseUnavailable,
        headers: &[RETRY_AFTER],
        when: |_, policy| policy.is_some(),
    },
    CommonResponse {
        name: "GatewayTimeout",
        description: "The answer was not ready in time.",
        example: Code::Timeout,
        headers: &[],
        when: |_, policy| policy.is_some(),
    },
];

impl CommonResponse {
    fn described(&self) -> Response {
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
                    message: "each environment needs a name of its own".to_owned(),
                }]
            } else {
                Vec::new()
            },
        };
        let content =
            ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).example(Some(json!(problem))).build();
        let text = || Object::with_type(Type::String);
        self.headers
            .iter()
            .fold(ResponseBuilder::new(), |response, (name, what)| {
                response.header(*name, HeaderBuilder::new().schema(Some(text())).description(Some(*what)).build())
            })
            .description(self.description)
            .content(MEDIA_TYPE, content)
            .build()
    }
}

fn takes(operation: &Operation, place: ParameterIn) -> bool {
    operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == place,
        RefOr::Ref(_) => false,
    })
}

/// Adds to the routes in `paths` what they have in common: what they need of a token and how they refuse.
pub(crate) fn with_common_responses(mut paths: Paths, policy: Option<RoutePolicy>) -> Paths {
    for item in paths.paths.values_mut() {
        if let Some(post) = &mut item.post {
            with_key(post);
        }
        for operation in
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
        {
            operation.security =
                Some(policy.iter().map(|policy| SecurityRequirement::new(BEARER, scopes(*policy))).collect());
            for refusal in &REFUSALS {
                if !(refusal.when)(operation, policy) {
                    continue;
                }
                let reference = Ref::new(format!("#/components/responses/{}", refusal.name));
                let status = refusal.example.status().as_u16().to_string();
                operation.responses.responses.entry(status).or_insert(RefOr::Ref(reference));
            }
        }
    }
    paths
}

fn names(operation: &Operation, header: &str) -> bool {
    let is_it = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == header);
    operation.parameters.iter().flatten().any(is_it)
}

/// Whether it changes something that has an ETag.
fn is_conditional(operation: &Operation) -> bool {
    names(operation, "If-Match")
}

fn is_keyed(operation: &Operation) -> bool {
    names(operation, "Idempotency-Key")
}

/// Every POST takes a key; those that need one say so themselves.
fn with_key(post: &mut Operation) {
    if !is_keyed(post) {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Makes it happen once however often it is sent: the answer is kept for seven days and given again, without a \
                 secret that it had. What was refused or has failed is not kept.",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,255}$"))))
            .example(Some(json!("7f3a0f1e-4c1c-4a51-9e0b-0d5d3b1f6b57")))
            .build();
        post.parameters.get_or_insert_default().push(RefOr::T(key));
    }
}

/// A route that is not about one tenant needs the scope that sees all of them; for any other a token will do that is for
/// the one tenant.
fn scopes(RoutePolicy { scope, resource, .. }: RoutePolicy) -> Vec<&'static str> {
    match resource {
        ResourceScope::Fleet => vec![scope.as_str(), Scope::Fleet.as_str()],
        ResourceScope::Tenant | ResourceScope::Operation | ResourceScope::List => vec![scope.as_str()],
    }
}
