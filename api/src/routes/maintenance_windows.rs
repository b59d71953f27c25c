//! Maintenance windows in requests and responses.

use std::fmt::Display;
use std::str::FromStr;

use freehold_tenancy::maintenance_window::{self, Day, MAX_MINUTES, MAX_WINDOWS, MIN_MINUTES, MaintenanceWindows};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::extract::{Fields, sanitize_field_name};

/// Weekly time in which updates of a tenant may start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceWindow {
    /// Days on which the window opens: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.
    #[schema(example = json!(["sat", "sun"]), min_items = 1, max_items = 7)]
    pub days: Vec<String>,
    /// Time of day at which the window opens, as HH:MM in the time zone of the window.
    #[schema(example = "22:00", pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub start: String,
    /// Length of the window in minutes. It may end on the next day.
    #[schema(example = 240, minimum = 15, maximum = 1440)]
    pub minutes: u16,
    /// Time zone of the IANA database. The window follows its daylight saving time.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
}

impl From<maintenance_window::MaintenanceWindow> for MaintenanceWindow {
    fn from(window: maintenance_window::MaintenanceWindow) -> Self {
        Self {
            days: window.days.iter().map(ToString::to_string).collect(),
            start: window.start.to_string(),
            minutes: window.minutes,
            time_zone: window.time_zone.to_string(),
        }
    }
}

/// Parses the field `maintenance_windows`. Returns `None` if the field is missing or invalid.
pub(super) fn parse_maintenance_windows(fields: &mut Fields) -> Option<MaintenanceWindows> {
    const NAME: &str = "maintenance_windows";
    if fields.take_null(NAME) {
        fields.error(NAME, "missing", "must be a list; [] allows updates at any time");
    }
    let Value::Array(values) = fields.take(NAME)? else {
        fields.error(NAME, "wrong_type", "must be a list of objects");
        return None;
    };
    if values.len() > MAX_WINDOWS {
        fields.error(NAME, "too_many", format!("must have at most {MAX_WINDOWS} windows"));
        return None;
    }
    let count = values.len();
    let windows = values.into_iter().enumerate().filter_map(|(index, value)| {
        let path = format!("{NAME}[{index}]");
        let Value::Object(value) = value else {
            fields.error(path, "wrong_type", "must be an object");
            return None;
        };
        WindowFields { fields, path, value }.parse()
    });
    let windows: Vec<_> = windows.collect();
    (windows.len() == count).then_some(MaintenanceWindows(windows))
}

/// Fields of one window that are not parsed yet.
struct WindowFields<'a> {
    fields: &'a mut Fields,
    path: String,
    value: Map<String, Value>,
}

impl WindowFields<'_> {
    fn parse(mut self) -> Option<maintenance_window::MaintenanceWindow> {
        let days = self.days();
        let start = self.text("start");
        let minutes = self.minutes();
        let time_zone = self.text("time_zone");
        let unknown: Vec<_> = self.value.keys().map(|name| sanitize_field_name(name)).collect();
        for name in &unknown {
            self.error(name, "unknown_field", "unknown field");
        }
        let window = maintenance_window::MaintenanceWindow {
            days: days?,
            start: start?,
            minutes: minutes?,
            time_zone: time_zone?,
        };
        unknown.is_empty().then_some(window)
    }

    fn error(&mut self, name: &str, code: &str, message: impl Into<String>) {
        self.fields.error(format!("{}.{name}", self.path), code, message);
    }

    /// Removes a field and returns its value. Records an error if the field is missing.
    fn required(&mut self, name: &str) -> Option<Value> {
        let value = self.value.shift_remove(name).filter(|value| !value.is_null());
        if value.is_none() {
            self.error(name, "missing", "this field is required");
        }
        value
    }

    fn text<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.required(name)?;
        let Some(text) = value.as_str() else {
            self.error(name, "wrong_type", "must be a string");
            return None;
        };
        text.parse().map_err(|error: T::Err| self.error(name, "invalid", error.to_string())).ok()
    }

    fn minutes(&mut self) -> Option<u16> {
        let value = self.required("minutes")?;
        let minutes = value.as_u64().and_then(|minutes| u16::try_from(minutes).ok());
        let minutes = minutes.filter(|minutes| (MIN_MINUTES..=MAX_MINUTES).contains(minutes));
        if minutes.is_none() {
            let message = format!("must be a whole number from {MIN_MINUTES} to {MAX_MINUTES}");
            self.error("minutes", "invalid", message);
        }
        minutes
    }

    fn days(&mut self) -> Option<Vec<Day>> {
        let Value::Array(values) = self.required("days")? else {
            self.error("days", "wrong_type", "must be a list of strings");
            return None;
        };
        if values.is_empty() {
            self.error("days", "invalid", "must have at least one day");
            return None;
        }
        let mut days: Vec<Day> = Vec::new();
        for (index, value) in values.iter().enumerate().take(Day::ALL.len() + 1) {
            let day = value.as_str().ok_or_else(|| "must be a string".to_owned()).and_then(str::parse);
            match day {
                Ok(day) if days.contains(&day) => {
                    self.error(&format!("days[{index}]"), "repeated", "each day must be named once");
                    return None;
                }
                Ok(day) => days.push(day),
                Err(message) => {
                    self.error(&format!("days[{index}]"), "invalid", message);
                    return None;
                }
            }
        }
        Some(days)
    }
}
