use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest distance from UTC, in minutes.
const MAX_MINUTES: i16 = 14 * 60;

/// The zone of times that do not name one: a fixed distance from UTC, written as `UTC`, `+01:00` or `-04:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeZone {
    /// Minutes that the zone is ahead of UTC.
    minutes_ahead: i16,
}

impl TimeZone {
    /// Returns the seconds that the zone is ahead of UTC.
    #[must_use]
    pub fn seconds_ahead(self) -> f64 {
        f64::from(self.minutes_ahead) * 60.0
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "UTC" {
            return Some(Self { minutes_ahead: 0 });
        }
        let (sign, rest) = match text.split_at_checked(1)? {
            ("+", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) = rest.split_once(':')?;
        let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
        let minutes_ahead = sign * (hours * 60 + minutes);
        (minutes < 60 && minutes_ahead.abs() <= MAX_MINUTES).then_some(Self { minutes_ahead })
    }
}

impl TryFrom<String> for TimeZone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| {
            format!(
                "{text:?} is not a time zone: write UTC, or the distance from UTC, such as +01:00. A logger that changes \
                 between summer and winter time should write UTC"
            )
        })
    }
}

impl From<TimeZone> for String {
    fn from(zone: TimeZone) -> Self {
        zone.to_string()
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, minutes) = (if self.minutes_ahead < 0 { '-' } else { '+' }, self.minutes_ahead.abs());
        match minutes {
            0 => formatter.write_str("UTC"),
            minutes => write!(formatter, "{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        }
    }
}

fn two_digits(text: &str) -> Option<i16> {
    let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_utc_or_a_distance_from_it() {
        for (text, seconds) in [("UTC", 0.0), ("+01:00", 3600.0), ("-04:30", -16_200.0), ("+14:00", 50_400.0)]
        {
            let zone = TimeZone::try_from(text.to_owned()).unwrap();
            assert_eq!((zone.seconds_ahead(), zone.to_string()), (seconds, text.to_owned()));
        }
        assert_eq!(TimeZone::try_from("-00:00".to_owned()).unwrap().to_string(), "UTC");
        for text in
            ["", "Z", "utc", "CET", "Europe/Berlin", "+1:00", "+0100", "+01:60", "+15:00", "01:00", "é"]
        {
            let error = TimeZone::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("such as +01:00"), "{error}");
        }
    }
}
