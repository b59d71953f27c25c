//! Error page of the console.

use askama::Template;

use super::{ApiError, Code};

/// Path below which errors are pages instead of problem responses.
pub(crate) const PAGES: &str = "/console";

/// Returns whether people read the errors of a path.
pub(crate) fn is_page_path(path: &str) -> bool {
    path.strip_prefix(PAGES).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[derive(Template)]
#[template(path = "console/error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    detail: &'a str,
    fields: Vec<String>,
    code: &'a str,
    request_id: &'a str,
    can_sign_in: bool,
    lacks_scope: bool,
}

/// Returns the page of an error as HTML.
pub(crate) fn error_page(error: &ApiError, request_id: &str) -> String {
    let problem = error.problem(request_id);
    let page = ErrorPage {
        title: &problem.title,
        detail: &problem.detail,
        fields: problem.errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect(),
        code: &problem.code,
        request_id,
        lacks_scope: error.code() == Code::InsufficientScope,
        can_sign_in: matches!(error.code(), Code::SignInFailed | Code::TokenExpired | Code::InsufficientScope),
    };
    page.render().unwrap_or_else(|_| "The page cannot be shown.".to_owned())
}
