//! The times of rows, in seconds. Their differences decide about gaps, so a time without a zone is taken as it is there. As
//! the time of capture, it needs a zone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lopside_bundle::{TimeFormat, TimeZone};

/// The largest number that counts as seconds if the form of the time is not declared: the year 5138. Larger ones are
/// more likely milliseconds, or digits of a date.
const MAX_GUESSED_SECONDS: f64 = 1e11;
const DAY_SECONDS: f64 = 86_400.0;

/// The order of the numbers of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DateOrder {
    Ymd,
    Dmy,
    Mdy,
}

/// The time of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ParsedTime {
    /// Seconds since some moment; since 1970 for a date.
    pub(super) seconds: f64,
    kind: TimeKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeKind {
    /// A number, whose beginning is unknown.
    Number,
    /// A date, with or without a time of day, in an unknown zone.
    Local,
    /// A date and a time of day in a zone that the text names; the seconds are those of UTC.
    Zoned,
    /// A time of day.
    Clock,
}

impl ParsedTime {
    /// Returns the moment, if it is known with this zone for times that do not name one. With a zone, numbers count from
    /// 1970-01-01 in UTC. A time of day alone is no moment.
    pub(super) fn moment(self, zone: Option<TimeZone>) -> Option<SystemTime> {
        let seconds = match self.kind {
            TimeKind::Number => zone.map(|_| self.seconds),
            TimeKind::Local => zone.map(|zone| self.seconds - zone.seconds_ahead()),
            TimeKind::Zoned => Some(self.seconds),
            TimeKind::Clock => None,
        };
        UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds?).ok()?)
    }
}

/// Parses the time of a row. Without a declared form, a date must have only one meaning: its year comes first, or points
/// separate day, month and year.
pub(super) fn parse_time(text: &str, format: Option<TimeFormat>) -> Option<ParsedTime> {
    let number = |units_per_second: f64| {
        let seconds = parse_number(text)? / units_per_second;
        Some(ParsedTime { seconds, kind: TimeKind::Number })
    };
    match format {
        Some(TimeFormat::Seconds) => number(1.0),
        Some(TimeFormat::Milliseconds) => number(1e3),
        Some(TimeFormat::Microseconds) => number(1e6),
        Some(TimeFormat::Nanoseconds) => number(1e9),
        Some(TimeFormat::Ymd) => parse_date_time(text, Some(DateOrder::Ymd)),
        Some(TimeFormat::Dmy) => parse_date_time(text, Some(DateOrder::Dmy)),
        Some(TimeFormat::Mdy) => parse_date_time(text, Some(DateOrder::Mdy)),
        None => number(1.0)
            .filter(|time| time.seconds.abs() < MAX_GUESSED_SECONDS)
            .or_else(|| parse_date_time(text, None))
            .or_else(|| {
                let (seconds, _) = parse_clock(text)?;
                Some(ParsedTime { seconds, kind: TimeKind::Clock })
            }),
    }
}

fn parse_number(text: &str) -> Option<f64> {
    text.replacen(',', ".", 1).parse().ok().filter(|number: &f64| number.is_finite())
}

/// Parses a date, alone or followed by a time of day.
fn parse_date_time(text: &str, order: Option<DateOrder>) -> Option<ParsedTime> {
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, Some(clock.trim_start())),
        None => (text, None),
    };
    let (seconds, has_zone) = clock.map_or(Some((0.0, false)), parse_clock)?;
    let seconds = parse_date(date, order)? as f64 * DAY_SECONDS + seconds;
    Some(ParsedTime { seconds, kind: if has_zone { TimeKind::Zoned } else { TimeKind::Local } })
}

/// Parses a date; returns its days since 1970.
fn parse_date(text: &str, order: Option<DateOrder>) -> Option<i64> {
    let separator = text.chars().find(|character| !character.is_ascii_digit())?;
    if !matches!(separator, '-' | '/' | '.') {
        return None;
    }
    let mut parts = text.split(separator);
    let fields = [parts.next()?, parts.next()?, parts.next()?];
    if parts.next().is_some() {
        return None;
    }
    let guessed = match (separator, fields[0].len()) {
        (_, 4) => Some(DateOrder::Ymd),
        ('.', _) => Some(DateOrder::Dmy),
        _ => None,
    };
    let [year, month, day] = match order.or(guessed)? {
        DateOrder::Ymd => fields,
        DateOrder::Dmy => [fields[2], fields[1], fields[0]],
        DateOrder::Mdy => [fields[2], fields[0], fields[1]],
    };
    let century = if year.len() == 2 { 2000 } else { 0 };
    days_since_epoch(century + parse_digits(year, 4)?, parse_digits(month, 2)?, parse_digits(day, 2)?)
}

/// Parses `hours:minutes`, with or without seconds, AM or PM, and a zone; returns the seconds since midnight, and whether
/// it is midnight in UTC because there is a zone.
fn parse_clock(text: &str) -> Option<(f64, bool)> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | ':' | '.' | ',')).unwrap_or(text.len());
    let (clock, suffix) = text.split_at(end);
    let mut fields = clock.split(':');
    let (hours, minutes) = (parse_digits(fields.next()?, 2)?, parse_digits(fields.next()?, 2)?);
    let seconds = fields.next().map_or(Some(0.0), parse_number)?;
    let is_valid = hours < 24 && minutes < 60 && (0.0..61.0).contains(&seconds) && fields.next().is_none();
    let (hours, zone_minutes) = apply_suffix(hours, suffix.trim())?;
    let minutes = hours * 60 + minutes - zone_minutes.unwrap_or(0);
    is_valid.then_some((minutes as f64 * 60.0 + seconds, zone_minutes.is_some()))
}

/// Returns the hour of the day and the minutes that the zone is ahead of UTC, if there is one.
fn apply_suffix(hours: i64, suffix: &str) -> Option<(i64, Option<i64>)> {
    match suffix.to_ascii_uppercase().as_str() {
        "" => Some((hours, None)),
        "Z" | "UTC" | "GMT" => Some((hours, Some(0))),
        "AM" if (1..=12).contains(&hours) => Some((hours % 12, None)),
        "PM" if (1..=12).contains(&hours) => Some((hours % 12 + 12, None)),
        zone => Some((hours, Some(parse_zone(zone)?))),
    }
}

/// Parses `+hh`, `+hhmm` or `+hh:mm`; returns minutes.
fn parse_zone(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let minutes = if minutes.is_empty() { 0 } else { parse_digits(minutes, 2)? };
    Some(sign * (parse_digits(hours, 2)? * 60 + minutes))
}

fn parse_digits(text: &str, max_digits: usize) -> Option<i64> {
    let is_number = (1..=max_digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar; `None` if the date does not exist.
fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(is_leap),
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=month_days).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is the last day of a year. An era has 400 years.
    let year = if month < 3 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_form_are_parsed() {
        for (text, format, expected) in [
            ("12.5", None, 12.5),
            ("1700000000", None, 1.7e9),
            ("1700000000500", Some(TimeFormat::Milliseconds), 1_700_000_000.5),
            ("7", Some(TimeFormat::Microseconds), 7e-6),
            ("7", Some(TimeFormat::Nanoseconds), 7e-9),
            ("7,5", Some(TimeFormat::Seconds), 7.5),
            ("2024-02-29T00:00:01Z", None, 1_709_164_801.0),
            ("2024-02-29 01:00:01.5+01:00", None, 1_709_164_801.5),
            ("2024-02-29 00:00:01,5", None, 1_709_164_801.5),
            ("2024/2/29 00:00", None, 1_709_164_800.0),
            ("2024-02-28 19:30 -0430", None, 1_709_164_800.0),
            ("29.02.2024 00:00:01", None, 1_709_164_801.0),
            ("29/02/24", Some(TimeFormat::Dmy), 1_709_164_800.0),
            ("02/29/2024 12:00:01 AM", Some(TimeFormat::Mdy), 1_709_164_801.0),
            ("02/28/2024 11:59:59 PM", Some(TimeFormat::Mdy), 1_709_164_799.0),
            ("1970-01-01", Some(TimeFormat::Ymd), 0.0),
            ("1969-12-31 23:59:59", None, -1.0),
            ("23:59:59.25", None, 86_399.25),
        ] {
            assert_eq!(parse_time(text, format).map(|time| time.seconds), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_time_is_a_moment_only_with_a_zone() {
        let east = TimeZone::try_from("+01:00".to_owned()).ok();
        for (text, format, without, with) in [
            ("2024-02-29T00:00:01Z", None, Some(1_709_164_801), Some(1_709_164_801)),
            ("2024-02-29 01:00:01 +0100", None, Some(1_709_164_801), Some(1_709_164_801)),
            ("2024-02-29 00:00:01", None, None, Some(1_709_161_201)),
            ("29.02.2024", None, None, Some(1_709_161_200)),
            ("02/29/2024 12:00:01 AM", Some(TimeFormat::Mdy), None, Some(1_709_161_201)),
            ("1709164801000", Some(TimeFormat::Milliseconds), None, Some(1_709_164_801)),
            ("12.0", None, None, Some(12)),
            ("23:59:59Z", None, None, None),
            ("1960-01-01T00:00Z", None, None, None),
            ("1e300", Some(TimeFormat::Seconds), None, None),
        ] {
            let time = parse_time(text, format).unwrap();
            let moment = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(time.moment(None), without.map(moment), "{text}");
            assert_eq!(time.moment(east), with.map(moment), "{text}");
        }
    }

    #[test]
    fn a_time_without_one_meaning_is_refused() {
        for (text, format) in [
            ("01/02/2024 00:00", None),
            ("01-02-24", None),
            ("1700000000000", None),
            ("20240229120000", None),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("2024-01-01 24:00", None),
            ("2024-01-01 13:00 PM", None),
            ("2024-01-01 10:00 CET", None),
            ("2024-01-01-01", None),
            ("+5:00", None),
            ("", None),
            ("nan", None),
            ("x", Some(TimeFormat::Seconds)),
            ("2024-01-01", Some(TimeFormat::Dmy)),
            ("é", None),
        ] {
            assert_eq!(parse_time(text, format), None, "{text}");
        }
    }
}
