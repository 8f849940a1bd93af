//! The API key file.
//!
//! ```toml
//! [[key]]
//! name = "line-3"                  # appears in logs; letters, digits, "-", "_" and "."
//! sha256 = "9f86…"                 # SHA-256 of the key, 64 hexadecimal digits
//! allow = ["infer", "metrics"]     # scopes: infer, ingest, archive, admin, metrics; default: ["infer"]
//! devices = ["gate-*"]             # devices that the key may speak for, with * as in globs; default: any device
//! requests_per_second = 50         # default: unlimited
//! burst = 100                      # requests at once after a pause; default: those of one second, at least 1
//! gmacs_per_minute = 2000          # computation, in 10⁹ multiply-accumulates; default: unlimited
//! requests_per_day = 100_000       # from midnight to midnight UTC; default: unlimited
//! expires = 2027-06-30             # the first day (UTC) or time at which the key is refused; default: never
//! disabled = true                  # default: false
//! ```
//! The file does not contain the keys themselves. Unknown fields are rejected: otherwise a misspelt limit would
//! be ignored.

use std::{
    collections::HashSet,
    fs::File,
    io::Read as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use toml::value::{Datetime, Offset};

use super::{
    Scope,
    device_patterns::DevicePatterns,
    keys::{ApiKey, ApiKeys, KeyDigest},
    usage::KeyLimits,
};
use crate::StartError;

/// Maximum size of the file in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;
const MAX_NAME_BYTES: usize = 64;
const SECONDS_PER_DAY: i64 = 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFileToml {
    #[serde(default)]
    key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    name: String,
    sha256: String,
    allow: Option<Vec<Scope>>,
    devices: Option<Vec<String>>,
    requests_per_second: Option<f64>,
    burst: Option<u32>,
    requests_per_day: Option<u64>,
    gmacs_per_minute: Option<f64>,
    expires: Option<Datetime>,
    #[serde(default)]
    disabled: bool,
}

/// The reason why the keys of a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileFault {
    /// The file does not exist or cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// The contents of the file are invalid.
    #[error("{0}")]
    Invalid(String),
    /// The file does not contain a key.
    #[error("the file has no key: `cloud-decoder key NAME` generates one and prints the lines to add")]
    Empty,
}

impl KeyFileFault {
    /// Returns the error for a start with this file.
    pub(crate) fn at_start(&self, path: &Path) -> StartError {
        StartError::ApiKeys { path: path.to_owned(), reason: self.to_string() }
    }
}

/// Reads the contents of the key file.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, KeyFileFault> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| KeyFileFault::Unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("the file is larger than {MAX_FILE_BYTES} bytes: delete old keys");
        return Err(KeyFileFault::Invalid(reason));
    }
    Ok(bytes)
}

/// Parses the contents of the key file.
pub(super) fn parse_file(bytes: &[u8]) -> Result<ApiKeys, KeyFileFault> {
    let text = str::from_utf8(bytes).map_err(|error| KeyFileFault::Invalid(error.to_string()))?;
    let keys = parse_keys(text).map_err(KeyFileFault::Invalid)?;
    if keys.count() == 0 { Err(KeyFileFault::Empty) } else { Ok(keys) }
}

/// Parses the keys of a file, which may also have none.
pub(super) fn parse_keys(text: &str) -> Result<ApiKeys, String> {
    let file: KeyFileToml = toml::from_str(text).map_err(|error| error.to_string())?;
    let keys: Vec<ApiKey> = file.key.into_iter().map(build_key).collect::<Result<_, _>>()?;
    let (mut names, mut digests) = (HashSet::new(), HashSet::new());
    for key in &keys {
        if !names.insert(&key.name) {
            return Err(format!("two keys are named {:?}: rename one", key.name));
        }
        if !digests.insert(key.digest) {
            return Err(format!("key {:?} is listed twice, under two names: delete one", key.name));
        }
    }
    Ok(ApiKeys::new(keys))
}

fn build_key(entry: KeyEntry) -> Result<ApiKey, String> {
    let name = entry.name;
    if !is_key_name(&name) {
        return Err(key_error(&name, "a name has 1 to 64 letters, digits, \"-\", \"_\" or \".\""));
    }
    let digest = parse_digest(&entry.sha256).ok_or_else(|| {
        key_error(&name, "sha256 is not 64 hexadecimal digits: `cloud-decoder key` prints them")
    })?;
    let devices = entry.devices.map(DevicePatterns::parse).transpose();
    let devices = devices.map_err(|reason| key_error(&name, &reason))?;
    let rate = check_positive(entry.requests_per_second, &name, "requests_per_second")?;
    if entry.burst.is_some() && rate.is_none() {
        return Err(key_error(&name, "burst has no effect without requests_per_second: give both"));
    }
    if entry.burst == Some(0) || entry.requests_per_day == Some(0) {
        return Err(key_error(
            &name,
            "burst and requests_per_day must be at least 1; disabled = true refuses all requests",
        ));
    }
    let expires = entry.expires.as_ref().map(|date| {
        to_system_time(date).ok_or_else(|| {
            key_error(&name, "expires must be a date such as 2027-06-30 or 2027-06-30T12:00:00Z")
        })
    });
    Ok(ApiKey {
        digest,
        scopes: entry.allow.unwrap_or_else(|| vec![Scope::Infer]),
        devices: devices.map(Arc::new),
        limits: KeyLimits {
            requests_per_second: rate,
            burst: entry.burst.map_or_else(|| rate.unwrap_or(1.0).ceil().max(1.0), f64::from),
            requests_per_day: entry.requests_per_day,
        },
        gmacs_per_minute: check_positive(entry.gmacs_per_minute, &name, "gmacs_per_minute")?,
        expires: expires.transpose()?,
        disabled: entry.disabled,
        usage: Arc::default(),
        name: name.into(),
    })
}

/// Returns a limit, unless nothing would ever be below it.
fn check_positive(limit: Option<f64>, name: &str, setting: &str) -> Result<Option<f64>, String> {
    if limit.is_some_and(|limit| !(limit.is_finite() && limit > 0.0)) {
        let reason = format!("{setting} must be above 0: omit it for no limit, or set disabled = true");
        return Err(key_error(name, &reason));
    }
    Ok(limit)
}

fn key_error(name: &str, reason: &str) -> String {
    format!("key {name:?}: {reason}")
}

/// Returns whether `name` is valid as the name of a key.
pub(super) fn is_key_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn parse_digest(hex: &str) -> Option<KeyDigest> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// Converts a date (midnight UTC), or a date and a time with an offset, to a system time. Returns `None` for a
/// time without an offset, which is ambiguous.
fn to_system_time(date_time: &Datetime) -> Option<SystemTime> {
    let date = date_time.date?;
    let days = days_since_1970(date.year.into(), date.month.into(), date.day.into());
    let seconds = match (date_time.time, date_time.offset) {
        (None, None) => 0,
        (Some(time), Some(offset)) => {
            let minutes = if let Offset::Custom { minutes } = offset { i64::from(minutes) } else { 0 };
            let minutes = i64::from(time.hour) * 60 + i64::from(time.minute) - minutes;
            minutes * 60 + i64::from(time.second.unwrap_or(0))
        }
        _ => return None,
    };
    let seconds = u64::try_from(days * SECONDS_PER_DAY + seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that a
/// leap day is the last day of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Month lengths from March on repeat the pattern 31, 30, 31, 30, 31.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn entry(more: &str) -> Result<ApiKeys, String> {
        parse_keys(&format!("[[key]]\nname = 'a'\nsha256 = '{DIGEST}'\n{more}"))
    }

    #[test]
    fn a_key_is_read_with_its_limits() {
        let limits = "requests_per_second = 2.5\nrequests_per_day = 7\ngmacs_per_minute = 9.5";
        let keys = entry(&format!("{limits}\nexpires = 2027-06-30")).unwrap();
        let key = keys.find_by_digest(&parse_digest(DIGEST).unwrap()).unwrap();
        assert_eq!(key.digest[..3], [0x9f, 0x86, 0xd0]);
        assert_eq!(
            key.limits,
            KeyLimits { requests_per_second: Some(2.5), burst: 3.0, requests_per_day: Some(7) }
        );
        assert_eq!((&key.scopes[..], &key.devices), (&[Scope::Infer][..], &None));
        assert_eq!(key.gmacs_per_minute, Some(9.5));
        let since = key.expires.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 1_814_313_600);
    }

    #[test]
    fn times_follow_the_calendar() {
        let seconds = |text: &str| {
            let time = to_system_time(&text.parse().unwrap()).unwrap();
            time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
        };
        assert_eq!(seconds("1970-01-01"), 0);
        assert_eq!(seconds("2000-02-29"), 951_782_400);
        assert_eq!(seconds("2000-03-01"), 951_868_800);
        assert_eq!(seconds("2024-12-31T23:59:59Z"), 1_735_689_599);
        assert_eq!(seconds("2025-01-01T01:00:00+01:00"), 1_735_689_600);
    }

    #[test]
    fn an_invalid_key_is_refused_with_its_problem() {
        for (more, expected) in [
            ("request_per_second = 1", "request_per_second"),
            ("requests_per_second = 0", "above 0"),
            ("requests_per_second = nan", "above 0"),
            ("gmacs_per_minute = 0", "gmacs_per_minute must be above 0"),
            ("gmacs_per_minute = -inf", "above 0"),
            ("burst = 3", "give both"),
            ("requests_per_day = 0", "at least 1"),
            ("expires = 2027-06-30T12:00:00", "2027-06-30T12:00:00Z"),
            ("allow = ['everything']", "everything"),
            ("disabled = 1", "boolean"),
            ("devices = []", "lists no device"),
            ("devices = ['gate 7']", "visible ASCII"),
            ("devices = 'gate-*'", "sequence"),
        ] {
            let error = entry(more).map(|_| ()).unwrap_err();
            assert!(error.contains(expected), "{more}: {error}");
        }
        let duplicate_error = |name: &str, digest: &str| {
            entry(&format!("[[key]]\nname = '{name}'\nsha256 = '{digest}'")).map(|_| ()).unwrap_err()
        };
        assert!(duplicate_error("a", &DIGEST.replace('9', "1")).contains("named"));
        assert!(duplicate_error("b", DIGEST).contains("twice"));
        assert!(duplicate_error("b", "9f").contains("64 hexadecimal digits"));
        assert!(duplicate_error("b c", DIGEST).contains("a name has"));
    }

    #[test]
    fn a_file_is_missing_or_empty_or_invalid() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        assert!(matches!(read_file(&path), Err(KeyFileFault::Unreadable(_))));
        assert!(matches!(read_file(folder.path()), Err(KeyFileFault::Unreadable(_))));
        let fault = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_file(&path).and_then(|bytes| parse_file(&bytes)).map(|keys| keys.count())
        };
        for empty in [&b""[..], b"# no keys\n", b"key = []\n"] {
            assert_eq!(fault(empty), Err(KeyFileFault::Empty));
        }
        for invalid in [&b"[[key]]"[..], b"\xff", &b"\n".repeat((4 << 20) + 1)] {
            assert!(matches!(fault(invalid), Err(KeyFileFault::Invalid(_))));
        }
        let key = format!("[[key]]\nname = 'a'\nsha256 = '{DIGEST}'\ndevices = ['gate-*']");
        assert_eq!(fault(key.as_bytes()), Ok(1));
    }
}
