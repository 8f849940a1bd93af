//! Conversion between the archive's times, in Unix microseconds, and their text forms.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use serde::Deserialize;

/// The range that RFC 3339 can represent, years 0000 to 9999, in Unix microseconds.
const RFC3339_RANGE_US: std::ops::RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

/// Returns the current time in Unix microseconds.
pub(crate) fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

/// A time in a query: RFC 3339, or Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct QueryTime {
    /// Unix microseconds.
    pub(crate) us: i64,
}

impl TryFrom<String> for QueryTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let us = match text.parse::<i64>() {
            Ok(ms) => ms.checked_mul(1000),
            Err(_) => parse_rfc3339_us(&text),
        };
        us.map(|us| Self { us }).ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            format!(
                "{text:?} is not a time: give RFC 3339, such as 2026-07-01T12:00:00Z, or Unix milliseconds"
            )
        })
    }
}

/// Formats Unix microseconds as RFC 3339 in UTC with milliseconds. Times outside the years 0000 to 9999 are
/// clamped.
pub(crate) fn format_rfc3339(us: i64) -> String {
    let us = us.clamp(*RFC3339_RANGE_US.start(), *RFC3339_RANGE_US.end());
    let time = DateTime::from_timestamp_micros(us).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn parse_rfc3339_us(text: &str) -> Option<i64> {
    // An unescaped plus sign of an offset is decoded as a space.
    let plus_index = text.rfind(' ').filter(|&index| index > "2026-07-01".len());
    let text = plus_index
        .map_or_else(|| text.to_owned(), |index| format!("{}+{}", &text[..index], &text[index + 1..]));
    DateTime::parse_from_rfc3339(&text).ok().map(|time| time.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> Option<i64> {
        QueryTime::try_from(text.to_owned()).ok().map(|time| time.us)
    }

    #[test]
    fn a_time_is_read_as_text_and_as_milliseconds() {
        let expected = Some(1_782_907_200_250_000);
        for text in [
            "2026-07-01T12:00:00.25Z",
            "2026-07-01T14:00:00.250+02:00",
            "2026-07-01T14:00:00.250 02:00",
            "2026-07-01 12:00:00.25Z",
            "1782907200250",
        ] {
            assert_eq!(us(text), expected, "{text}");
        }
        assert_eq!(us("-1"), Some(-1000));
    }

    #[test]
    fn an_invalid_time_is_refused_with_the_expected_formats() {
        for text in ["", "yesterday", "2026-07-01", "2026-07-01T12:00:00", "9223372036854775807", "1.5"] {
            let error = QueryTime::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("RFC 3339"), "{text}: {error}");
        }
    }

    #[test]
    fn times_are_written_with_milliseconds_and_never_beyond_the_year_9999() {
        assert_eq!(format_rfc3339(1_782_907_200_250_999), "2026-07-01T12:00:00.250Z");
        assert_eq!(format_rfc3339(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(format_rfc3339(i64::MIN), "0000-01-01T00:00:00.000Z");
        assert_eq!(format_rfc3339(i64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
