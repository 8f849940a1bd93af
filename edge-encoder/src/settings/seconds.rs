//! Durations from numbers of seconds.

use std::time::Duration;

use crate::SettingsError;

/// Returns the given number of seconds, or else the default; at least one second.
pub(super) fn positive_duration(seconds: Option<u64>, default: u64) -> Duration {
    Duration::from_secs(seconds.unwrap_or(default).max(1))
}

/// Returns the given number of seconds of the key `key`, or else the default.
///
/// # Errors
/// [`SettingsError::Invalid`] for a negative number, or one that is not finite or too large.
pub(super) fn duration_from_seconds(
    key: &str,
    seconds: Option<f64>,
    default: f64,
) -> Result<Duration, SettingsError> {
    let seconds = seconds.unwrap_or(default);
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        SettingsError::Invalid(format!("{key} = {seconds} is invalid: use a number of seconds, 0 or more"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_seconds_are_refused_with_their_key() {
        assert_eq!(duration_from_seconds("x", None, 0.5).unwrap(), Duration::from_millis(500));
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            let error = duration_from_seconds("settle_seconds", Some(wrong), 2.0).unwrap_err().to_string();
            assert!(error.contains("settle_seconds"), "{error}");
        }
        assert_eq!(positive_duration(Some(0), 30), Duration::from_secs(1));
        assert_eq!(positive_duration(None, 30), Duration::from_secs(30));
    }
}
