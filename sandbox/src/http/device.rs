//! The page `/-/device`, on which a person approves or denies a sign-in to the simulated access portal.
//!
//! Web pages of other sites must not approve a sign-in. A browser names the site of a form in the header Origin, and a
//! site that has changed its DNS record to loopback in the header Host.

use axum::http::{HeaderMap, Method, Uri};
use winterbaume_core::{MockResponse, xml_escape};

use super::faults::is_loopback_host;
use crate::access_portal::{Decision, DecisionError, SignInPerson};
use crate::world::{World, parse_form, set_header};

pub(super) const PATH: &str = "/-/device";

/// Handles a request for the page. Returns `None` for any other path.
pub(super) fn handle(
    world: &World,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<MockResponse> {
    if uri.path() != PATH {
        return None;
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = header("host").unwrap_or_default();
    let is_own_origin = header("origin").is_none_or(|origin| origin == format!("http://{host}"));
    if !is_loopback_host(host) || (headers.contains_key("origin") && header("origin").is_none()) || !is_own_origin {
        return Some(page(403, "<p>A sign-in can only be approved from this machine, on this page.</p>"));
    }
    Some(match *method {
        Method::GET => {
            let code = parse_form(uri.query().unwrap_or_default()).remove("user_code").unwrap_or_default();
            page(200, &form(world, &code))
        }
        Method::POST => {
            let fields = parse_form(&String::from_utf8_lossy(body));
            match decide(world, |name| fields.get(name).map(String::as_str).unwrap_or_default()) {
                Ok(text) => page(200, &format!("<p>{}</p>", xml_escape(&text))),
                Err((status, text)) => page(status, &format!("<p>{}</p>", xml_escape(&text))),
            }
        }
        _ => page(405, "<p>The method must be GET or POST.</p>"),
    })
}

/// Applies the decision in the fields of the form. Returns a text about the result, or the status and text of an error.
fn decide<'a>(world: &World, field: impl Fn(&str) -> &'a str) -> Result<String, (u16, String)> {
    let decision = match field("decision") {
        "deny" => Decision::Deny,
        "approve" if field("user").is_empty() => Decision::Approve(SignInPerson::Member {
            user_name: field("user_name").to_owned(),
            group: field("group").to_owned(),
        }),
        "approve" => Decision::Approve(SignInPerson::Existing(field("user").to_owned())),
        _ => return Err((400, "decision: must be approve or deny".to_owned())),
    };
    let code = field("user_code").trim().to_uppercase();
    match world.decide_sign_in(&code, decision) {
        Ok(Some(name)) => Ok(format!("{name} is signed in. You can close this page.")),
        Ok(None) => Ok("The sign-in is denied. You can close this page.".to_owned()),
        Err(error @ DecisionError::UnknownCode(_)) => Err((404, error.to_string())),
        Err(error) => Err((400, error.to_string())),
    }
}

fn form(world: &World, code: &str) -> String {
    let state = world.state();
    let store = &state.identity_store;
    let option =
        |(id, name): (&String, &String)| format!("<option value=\"{}\">{}</option>", xml_escape(id), xml_escape(name));
    let users: String = store.users.iter().map(|(id, user)| option((id, &user.user_name))).collect();
    let groups: String = store.groups.iter().map(|(id, group)| option((id, &group.display_name))).collect();
    let code = xml_escape(code);
    format!(
        "<p>A program asks to sign in to the simulated access portal. Approve it only if it shows this code.</p>\n\
         <form method=\"post\" action=\"{PATH}\">\n\
         <p><label>Code <input name=\"user_code\" value=\"{code}\" required></label></p>\n\
         <p><label>Sign in as <select name=\"user\"><option value=\"\">a member of a group</option>{users}</select>\
         </label></p>\n\
         <p><label>Member <input name=\"user_name\" value=\"you\"></label>\n\
         <label>of group <select name=\"group\">{groups}</select></label> (created if needed)</p>\n\
         <p><button name=\"decision\" value=\"approve\">Approve</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button></p>\n\
         </form>"
    )
}

fn page(status: u16, content: &str) -> MockResponse {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Sign-in</title></head>\n\
         <body>\n<h1>Simulated access portal</h1>\n{content}\n</body>\n</html>\n"
    );
    let mut response = MockResponse::rest_json(status, html);
    set_header(&mut response, "content-type", "text/html; charset=utf-8");
    let policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    set_header(&mut response, "content-security-policy", policy);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::testing::world;

    #[test]
    fn only_the_page_itself_on_this_machine_decides_a_sign_in() {
        let world = world();
        let status = |method: Method, headers: &[(&'static str, &str)], body: &str| {
            let headers = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
            let headers: HeaderMap = headers.collect();
            handle(&world, &method, &Uri::from_static("/-/device?user_code=%3Cb%3E"), &headers, body.as_bytes())
                .unwrap()
                .status
        };
        let deny = "decision=deny&user_code=AAAA-AAAA";
        let own = [("host", "127.0.0.1:4566"), ("origin", "http://127.0.0.1:4566")];
        assert_eq!(status(Method::POST, &own, deny), 404, "no sign-in waits for the code");
        for origin in ["null", "https://example.com", "http://127.0.0.1:80", "http://127.0.0.1:4566.example.com"] {
            assert_eq!(status(Method::POST, &[own[0], ("origin", origin)], deny), 403, "{origin}");
        }
        for host in ["", "rebound.example.com", "10.0.0.1:4566"] {
            assert_eq!(status(Method::POST, &[("host", host)], deny), 403, "{host}");
            assert_eq!(status(Method::GET, &[("host", host)], ""), 403, "{host}");
        }
        for body in ["", "decision=maybe&user_code=AAAA-AAAA"] {
            assert_eq!(status(Method::POST, &own, body), 400, "{body}");
        }
        assert_eq!(status(Method::DELETE, &own, ""), 405);
        assert!(!form(&world, "<b>\"").contains("<b>"), "a code is HTML");
    }
}
