//! Error page for people.

use askama::Template;

use crate::problem::{ApiError, Code};

#[derive(Template)]
#[template(path = "console/error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    detail: &'a str,
    fields: Vec<String>,
    code: &'a str,
    request_id: &'a str,
    can_sign_in: bool,
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
        can_sign_in: matches!(error.code(), Code::SignInFailed | Code::TokenExpired | Code::InsufficientScope),
    };
    page.render().unwrap_or_else(|_| problem.detail.clone())
}
