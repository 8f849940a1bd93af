//! Reads the options of a request, its deadline and priority, from the HTTP headers or the gRPC metadata.
//!
//! | header | value |
//! |---|---|
//! | `grpc-timeout` | up to 8 digits and a unit, one of `H M S m u n`, as gRPC specifies |
//! | `lopside-timeout-ms` | milliseconds |
//! | `lopside-priority` | `high`, `normal` or `low` |
//!
//! If both timeouts are present, the shorter one applies; if none is, the server's default applies.

use std::time::Duration;

use axum::http::HeaderMap;
use lopside_decoder::{Priority, RequestOptions};

use crate::ServeError;

const GRPC_TIMEOUT: &str = "grpc-timeout";
const TIMEOUT: &str = "lopside-timeout-ms";
const PRIORITY: &str = "lopside-priority";

/// The options of requests that do not set their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DefaultOptions {
    /// Time from the arrival of a request to its deadline.
    pub(crate) timeout: Duration,
}

impl DefaultOptions {
    /// Returns the options of a request with these headers.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] for a header that cannot be parsed.
    pub(crate) fn read_headers(self, headers: &HeaderMap) -> Result<RequestOptions, ServeError> {
        let grpc_timeout = header_text(headers, GRPC_TIMEOUT)
            .map(|text| parse_grpc_timeout(text).ok_or_else(|| header_error(GRPC_TIMEOUT, text)));
        let header_timeout = header_text(headers, TIMEOUT).map(parse_timeout_ms);
        let timeout = [grpc_timeout.transpose()?, header_timeout.transpose()?].into_iter().flatten().min();
        let priority = header_text(headers, PRIORITY).map(parse_priority).transpose()?.unwrap_or_default();
        Ok(RequestOptions { priority, ..RequestOptions::with_timeout(timeout.unwrap_or(self.timeout)) })
    }
}

/// Returns the value of a header; an empty text if it is not printable ASCII.
fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn parse_timeout_ms(text: &str) -> Result<Duration, ServeError> {
    text.parse().map(Duration::from_millis).map_err(|_| header_error(TIMEOUT, text))
}

fn parse_priority(text: &str) -> Result<Priority, ServeError> {
    match text {
        "high" => Ok(Priority::High),
        "normal" => Ok(Priority::Normal),
        "low" => Ok(Priority::Low),
        _ => Err(header_error(PRIORITY, text)),
    }
}

fn parse_grpc_timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = number.parse().ok().filter(|_| number.len() <= 8)?;
    let unit = match unit {
        "H" => Duration::from_hours(1),
        "M" => Duration::from_mins(1),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    unit.checked_mul(number)
}

fn header_error(header: &str, text: &str) -> ServeError {
    let expected = match header {
        PRIORITY => "high, normal or low",
        TIMEOUT => "a whole number of milliseconds",
        _ => "up to 8 digits and one of H, M, S, m, u and n",
    };
    ServeError::InvalidRequest(format!(
        "the header {header} has the value {text:?}, but it must be {expected}"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const DEFAULTS: DefaultOptions = DefaultOptions { timeout: Duration::from_secs(9) };

    fn options(headers: &[(&'static str, &'static str)]) -> Result<RequestOptions, ServeError> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        DEFAULTS.read_headers(&headers.collect())
    }

    fn seconds(headers: &[(&'static str, &'static str)]) -> f64 {
        options(headers).unwrap().deadline.saturating_duration_since(Instant::now()).as_secs_f64()
    }

    #[test]
    fn timeouts_are_read_in_every_unit_and_the_shortest_counts() {
        for (text, expected) in
            [("2H", 7200.0), ("3M", 180.0), ("4S", 4.0), ("5000m", 5.0), ("60000000u", 60.0)]
        {
            let seconds = seconds(&[("grpc-timeout", text)]);
            assert!((expected - 1.0..=expected).contains(&seconds), "{text}: {seconds}");
        }
        assert!((8.0..=9.0).contains(&seconds(&[])));
        assert!(seconds(&[("grpc-timeout", "5S"), ("lopside-timeout-ms", "2000")]) <= 2.0);
    }

    #[test]
    fn an_invalid_value_is_refused_with_the_header_s_name() {
        for text in ["", "S", "1x", "-1S", "123456789S"] {
            let error = options(&[("grpc-timeout", text)]).unwrap_err().to_string();
            assert!(error.contains("grpc-timeout") && error.contains(text), "{error}");
        }
        assert!(options(&[("lopside-timeout-ms", "1s")]).is_err());
        assert!(options(&[("lopside-priority", "urgent")]).is_err());
        assert_eq!(options(&[("lopside-priority", "low")]).unwrap().priority, Priority::Low);
    }
}
