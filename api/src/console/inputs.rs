//! Texts that people type into forms, and the errors that the API returns for them.

use chrono::{NaiveDate, NaiveDateTime, SecondsFormat};

use crate::problem::{ApiError, Code, FieldError};

/// Formats of a time in UTC that a form accepts besides that of the API.
const TIME_FORMATS: [&str; 4] = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];

/// Reason why the API refused a form, with the errors of its fields.
#[derive(Default)]
pub(super) struct Refusal {
    /// Sentence for the whole form; empty if each error belongs to a field.
    pub(super) message: String,
    errors: Vec<FieldError>,
}

impl Refusal {
    /// Returns the error of a field or of one of its values; `None` if the field is valid.
    pub(super) fn of(&self, field: &str) -> Option<&str> {
        let is_part = |rest: &str| rest.is_empty() || rest.starts_with(['[', '.']);
        let belongs = |error: &&FieldError| error.field.strip_prefix(field).is_some_and(is_part);
        self.errors.iter().find(belongs).map(|error| error.message.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.message.is_empty() && self.errors.is_empty()
    }

    /// Returns the refusal of one field.
    pub(super) fn of_field(field: &str, message: impl Into<String>) -> Self {
        let error = FieldError { field: field.to_owned(), code: "invalid".to_owned(), message: message.into() };
        Self { message: String::new(), errors: vec![error] }
    }

    /// Returns the refusal of a form that has the given fields. Errors of other fields become part of the sentence.
    fn new(error: &ApiError, fields: &[&str]) -> Self {
        let problem = error.problem("");
        let mut refusal = Self { message: String::new(), errors: problem.errors };
        let unknown: Vec<String> = {
            let is_shown = |error: &FieldError| {
                let name = error.field.split(['[', '.']).next().unwrap_or_default();
                fields.contains(&name)
            };
            refusal.errors.iter().filter(|error| !is_shown(error)).map(|error| error.message.clone()).collect()
        };
        if refusal.errors.is_empty() || !unknown.is_empty() {
            refusal.message = std::iter::once(problem.detail).chain(unknown).collect::<Vec<_>>().join(" ");
        }
        refusal
    }
}

/// Separates refusals, which a form with these fields shows, from errors that need a page of their own.
pub(super) fn refusal_of<T>(result: Result<T, ApiError>, fields: &[&str]) -> Result<Result<T, Refusal>, ApiError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error)
            if matches!(error.code(), Code::InsufficientScope | Code::TenantNotFound | Code::WebhookNotFound) =>
        {
            Err(error)
        }
        Err(error) if error.status().is_client_error() => Ok(Err(Refusal::new(&error, fields))),
        Err(error) => Err(error),
    }
}

/// Returns a time in UTC in the format of the API. Returns another text as it is; the API refuses it.
pub(super) fn api_time(text: &str) -> String {
    let text = text.trim();
    let plain = text.strip_suffix("UTC").map_or(text, str::trim_end);
    let time = TIME_FORMATS.iter().find_map(|format| NaiveDateTime::parse_from_str(plain, format).ok());
    let midnight = || NaiveDate::parse_from_str(plain, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    time.or_else(midnight)
        .map_or_else(|| text.to_owned(), |time| time.and_utc().to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_accepted_as_people_write_them() {
        for (text, time) in [
            ("2026-10-31", "2026-10-31T00:00:00Z"),
            (" 2026-10-31 14:05 ", "2026-10-31T14:05:00Z"),
            ("2026-10-31 14:05:09 UTC", "2026-10-31T14:05:09Z"),
            ("2026-10-31T14:05", "2026-10-31T14:05:00Z"),
            ("2026-10-31T14:05:09Z", "2026-10-31T14:05:09Z"),
            ("2026-10-31T14:05:09+02:00", "2026-10-31T14:05:09+02:00"),
            ("yesterday", "yesterday"),
            ("2026-02-30", "2026-02-30"),
        ] {
            assert_eq!(api_time(text), time);
        }
    }

    #[test]
    fn errors_belong_to_their_fields() {
        let error = |field: &str| FieldError {
            field: field.to_owned(),
            code: "invalid".to_owned(),
            message: format!("{field} is wrong"),
        };
        let errors = vec![error("environments[1]"), error("tier"), error("other")];
        let refused = ApiError::new(Code::ValidationFailed, "3 fields are invalid.").with_errors(errors);
        let refusal = Refusal::new(&refused, &["environments", "tier"]);
        assert_eq!(refusal.of("environments"), Some("environments[1] is wrong"));
        assert_eq!(refusal.of("env"), None);
        assert_eq!(refusal.message, "3 fields are invalid. other is wrong");
    }
}
