//! Maintenance windows: weekly times in which updates of a tenant may start.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, MappedLocalTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::string_enum::string_enum;

/// Maximum number of windows of a tenant.
pub const MAX_WINDOWS: usize = 20;

/// Minimum length of a window in minutes.
pub const MIN_MINUTES: u16 = 15;

/// Maximum length of a window in minutes. A longer one is several windows on consecutive days.
pub const MAX_MINUTES: u16 = 24 * 60;

/// Maximum number of minutes by which clocks are put forward at once: a country can skip a whole day.
const MAX_SKIPPED_MINUTES: i64 = 26 * 60;

string_enum! {
    /// Day of the week.
    Day {
        Monday = "mon",
        Tuesday = "tue",
        Wednesday = "wed",
        Thursday = "thu",
        Friday = "fri",
        Saturday = "sat",
        Sunday = "sun",
    }
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Self::Monday => Weekday::Mon,
            Self::Tuesday => Weekday::Tue,
            Self::Wednesday => Weekday::Wed,
            Self::Thursday => Weekday::Thu,
            Self::Friday => Weekday::Fri,
            Self::Saturday => Weekday::Sat,
            Self::Sunday => Weekday::Sun,
        }
    }
}

/// Time of day at which a window opens, as `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StartTime(NaiveTime);

impl FromStr for StartTime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `parse_from_str` also accepts single digits and signs.
        let has_form = text.len() == 5 && text.bytes().enumerate().all(|(i, byte)| (i == 2) || byte.is_ascii_digit());
        let time = has_form.then(|| NaiveTime::parse_from_str(text, "%H:%M").ok()).flatten();
        time.map(Self).ok_or("must be a time from 00:00 to 23:59, as HH:MM")
    }
}

impl fmt::Display for StartTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%H:%M"))
    }
}

/// Time zone of the IANA database, such as `Europe/Berlin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeZoneName(Tz);

impl FromStr for TimeZoneName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "must be a time zone of the IANA database, such as Europe/Berlin or UTC")
    }
}

impl fmt::Display for TimeZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

macro_rules! text_conversions {
    ($($name:ident)+) => {$(
        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )+};
}

text_conversions! { StartTime TimeZoneName }

/// Time of each week in which updates may start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceWindow {
    /// Days on which the window opens, in the time zone of the window.
    pub days: Vec<Day>,
    /// Time of day at which the window opens. A time that is skipped when clocks are put forward is the first moment
    /// after the skipped time; of a time that occurs twice when clocks are put back, the first one counts.
    pub start: StartTime,
    /// Length in minutes of elapsed time, also if clocks are changed meanwhile.
    pub minutes: u16,
    pub time_zone: TimeZoneName,
}

impl MaintenanceWindow {
    /// Returns whether the window is open at `now`.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        let length = TimeDelta::minutes(self.minutes.into());
        self.openings(now).any(|opening| opening <= now && now - opening < length)
    }

    /// Returns the next time after `now` at which the window opens.
    pub fn next_opening(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.openings(now).filter(|opening| *opening > now).min()
    }

    /// Returns the openings from two days before `now` to nine days after it.
    fn openings(&self, now: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let today = now.with_timezone(&self.time_zone.0).date_naive();
        let dates = today.checked_sub_days(Days::new(2)).into_iter().flat_map(|first| first.iter_days().take(12));
        let is_chosen = |date: &NaiveDate| self.days.iter().any(|day| day.weekday() == chrono::Datelike::weekday(date));
        dates.filter(is_chosen).filter_map(|date| self.opening(date))
    }

    /// Returns the time at which the window opens on a date.
    fn opening(&self, date: NaiveDate) -> Option<DateTime<Utc>> {
        let local = date.and_time(self.start.0);
        let later = |minutes| local.checked_add_signed(TimeDelta::minutes(minutes));
        (0..=MAX_SKIPPED_MINUTES).filter_map(later).find_map(|local| {
            match self.time_zone.0.from_local_datetime(&local) {
                MappedLocalTime::Single(time) | MappedLocalTime::Ambiguous(time, _) => Some(time.to_utc()),
                MappedLocalTime::None => None,
            }
        })
    }
}

impl fmt::Display for MaintenanceWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<_> = self.days.iter().map(|day| day.as_str()).collect();
        write!(f, "{} {} {} {}", days.join(","), self.start, self.minutes, self.time_zone)
    }
}

/// Maintenance windows of a tenant. Without any, updates may start at any time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaintenanceWindows(pub Vec<MaintenanceWindow>);

impl MaintenanceWindows {
    /// Returns whether updates may start at `now`.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.0.is_empty() || self.0.iter().any(|window| window.is_open(now))
    }

    /// Returns the next time after `now` at which a window opens, or `None` if there are no windows.
    pub fn next_opening(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.iter().filter_map(|window| window.next_opening(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Day], start: &str, minutes: u16, time_zone: &str) -> MaintenanceWindow {
        MaintenanceWindow {
            days: days.to_vec(),
            start: start.parse().unwrap(),
            minutes,
            time_zone: time_zone.parse().unwrap(),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}:00Z").parse().unwrap()
    }

    #[test]
    fn a_window_is_open_from_its_start_for_its_length() {
        // 2026-01-05 is a Monday; Berlin is one hour ahead of UTC.
        let window = window(&[Day::Monday], "09:00", 90, "Europe/Berlin");
        for (time, is_open) in [
            ("2026-01-05T07:59", false),
            ("2026-01-05T08:00", true),
            ("2026-01-05T09:29", true),
            ("2026-01-05T09:30", false),
            ("2026-01-06T08:30", false),
            ("2026-01-12T08:30", true),
        ] {
            assert_eq!(window.is_open(at(time)), is_open, "{time}");
        }
        assert_eq!(window.next_opening(at("2026-01-05T07:59")), Some(at("2026-01-05T08:00")));
        assert_eq!(window.next_opening(at("2026-01-05T08:00")), Some(at("2026-01-12T08:00")));
    }

    #[test]
    fn a_window_continues_after_midnight() {
        let window = window(&[Day::Sunday], "22:00", 240, "Europe/Berlin");
        assert!(window.is_open(at("2026-01-05T00:59")), "Monday, 01:59 in Berlin");
        assert!(!window.is_open(at("2026-01-05T01:00")));
        // The day is that of the time zone: Sunday 23:00 in Honolulu is Monday in UTC.
        let distant = super::tests::window(&[Day::Sunday], "23:00", 30, "Pacific/Honolulu");
        assert!(distant.is_open(at("2026-01-05T09:10")));
        assert!(!distant.is_open(at("2026-01-04T09:10")));
    }

    #[test]
    fn a_window_keeps_its_local_start_when_clocks_change() {
        let window = window(&[Day::Saturday, Day::Sunday], "10:00", 60, "Europe/Berlin");
        assert_eq!(window.next_opening(at("2026-03-28T00:00")), Some(at("2026-03-28T09:00")));
        assert_eq!(window.next_opening(at("2026-03-28T12:00")), Some(at("2026-03-29T08:00")));
        assert_eq!(window.next_opening(at("2026-10-24T00:00")), Some(at("2026-10-24T08:00")));
        assert_eq!(window.next_opening(at("2026-10-24T12:00")), Some(at("2026-10-25T09:00")));
    }

    #[test]
    fn a_skipped_start_opens_the_window_after_the_gap() {
        // Berlin skips 02:00 to 03:00 on 2026-03-29, at 01:00 UTC.
        let window = window(&[Day::Sunday], "02:30", 60, "Europe/Berlin");
        assert_eq!(window.next_opening(at("2026-03-28T12:00")), Some(at("2026-03-29T01:00")));
        assert!(window.is_open(at("2026-03-29T01:59")));
        assert!(!window.is_open(at("2026-03-29T02:00")));
        // Samoa skipped Friday 2011-12-30, from 10:00 UTC.
        let skipped_day = super::tests::window(&[Day::Friday], "08:00", 60, "Pacific/Apia");
        assert_eq!(skipped_day.next_opening(at("2011-12-29T12:00")), Some(at("2011-12-30T10:00")));
        assert!(skipped_day.is_open(at("2011-12-30T10:30")));
    }

    #[test]
    fn a_start_that_occurs_twice_opens_the_window_once() {
        // Berlin repeats 02:00 to 03:00 on 2026-10-25: 02:30 is 00:30 and 01:30 UTC.
        let window = window(&[Day::Sunday], "02:30", 30, "Europe/Berlin");
        assert!(window.is_open(at("2026-10-25T00:45")));
        assert!(!window.is_open(at("2026-10-25T01:45")));
        // The length is elapsed time: two hours from 01:30, in which the clock goes back.
        let across = super::tests::window(&[Day::Sunday], "01:30", 120, "Europe/Berlin");
        assert!(across.is_open(at("2026-10-25T01:29")));
        assert!(!across.is_open(at("2026-10-25T01:30")));
    }

    #[test]
    fn without_windows_updates_may_start_at_any_time() {
        let none = MaintenanceWindows::default();
        assert!(none.is_open(at("2026-01-05T07:59")));
        assert_eq!(none.next_opening(at("2026-01-05T07:59")), None);
        let two = MaintenanceWindows(vec![
            window(&[Day::Wednesday], "10:00", 60, "UTC"),
            window(&[Day::Tuesday], "10:00", 60, "Asia/Kolkata"),
        ]);
        assert!(!two.is_open(at("2026-01-05T10:30")));
        assert_eq!(two.next_opening(at("2026-01-05T10:30")), Some(at("2026-01-06T04:30")));
        assert!(two.is_open(at("2026-01-07T10:30")));
    }

    #[test]
    fn stored_windows_read_back_the_same() {
        let windows = MaintenanceWindows(vec![window(&[Day::Sunday, Day::Monday], "00:05", 15, "America/Sao_Paulo")]);
        let stored = serde_json::to_value(&windows).unwrap();
        let expected = serde_json::json!([
            { "days": ["sun", "mon"], "start": "00:05", "minutes": 15, "time_zone": "America/Sao_Paulo" },
        ]);
        assert_eq!(stored, expected);
        assert_eq!(serde_json::from_value::<MaintenanceWindows>(stored).unwrap(), windows);
    }

    #[test]
    fn other_forms_of_a_start_or_time_zone_are_refused() {
        for text in ["", "9:00", "24:00", "12:60", "12-30", "+1:00", "12:3é", "12:30:00", "é2:30"] {
            assert!(text.parse::<StartTime>().is_err(), "{text} was accepted as a start");
        }
        for text in ["", "Berlin", "europe/berlin", "+01:00", "Europe/Atlantis"] {
            assert!(text.parse::<TimeZoneName>().is_err(), "{text} was accepted as a time zone");
        }
    }
}
