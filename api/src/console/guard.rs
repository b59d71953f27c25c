//! Checks of each request to the console, and the security headers of each response.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::problem::{ApiError, Code};

/// Policy without inline scripts and styles, and without content of other sites.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                       connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                                       base-uri 'none'";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses requests that change something and come from another site (cross-site request forgery).
pub(super) async fn refuse_other_sites(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let own = app.config.console.url.as_deref().unwrap_or_default();
    if request.method().is_safe() || is_from_own_site(request.headers(), own) {
        return Ok(next.run(request).await);
    }
    Err(ApiError::new(Code::CrossSiteRequest, "This request comes from another site; nothing was changed."))
}

/// Returns whether the browser says that a page of the console sends the request. Another port of the same host is
/// another site too.
fn is_from_own_site(headers: &HeaderMap, own: &str) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    headers.get(header::ORIGIN).is_some_and(|origin| origin == own)
}

/// Adds the security headers.
pub(super) async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    // With `no-referrer`, browsers would send `Origin: null` with forms of the console itself.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn only_requests_of_the_own_site_change_something() {
        let own = "https://freehold.example.com";
        for (sent, is_own) in [
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "https://freehold.example.com")], true),
            (vec![("sec-fetch-site", "same-site"), ("origin", "https://freehold.example.com")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "none")], false),
            (vec![("origin", "https://freehold.example.com:8443")], false),
            (vec![("origin", "null")], false),
            (vec![], false),
        ] {
            assert_eq!(is_from_own_site(&headers(&sent), own), is_own, "{sent:?}");
        }
    }
}
