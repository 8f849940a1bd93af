use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use x509_parser::pem::Pem;

use super::Finding;
use crate::SecuritySettings;

/// Remaining validity below which a certificate should be renewed.
const RENEWAL_PERIOD: Duration = Duration::from_hours(14 * 24);

/// Checks until when the configured certificates are valid.
pub(super) fn examine_certificates(security: &SecuritySettings) -> Vec<Finding> {
    let client = security.client.as_ref().map(|(cert, _)| cert);
    let certificates = [("authorities", security.ca.as_ref()), ("client's certificate", client)];
    certificates
        .into_iter()
        .filter_map(|(subject, path)| path.map(|path| examine_certificate(subject, path)))
        .collect()
}

fn examine_certificate(subject: &str, path: &Path) -> Finding {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return invalid_certificate(subject, path, &error.to_string()),
    };
    let ends = Pem::iter_from_buffer(&bytes).filter_map(|pem| {
        let pem = pem.ok()?;
        let end = pem.parse_x509().ok()?.validity().not_after.timestamp();
        Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(end).unwrap_or(0)))
    });
    match ends.min() {
        Some(end) => judge_expiry(subject, path, end, SystemTime::now()),
        None => invalid_certificate(subject, path, "it does not contain a certificate"),
    }
}

fn invalid_certificate(subject: &str, path: &Path, found: &str) -> Finding {
    Finding::bad(subject, format!("{}: {found}", path.display()), "put a PEM certificate into this file")
}

fn judge_expiry(subject: &str, path: &Path, end: SystemTime, now: SystemTime) -> Finding {
    let fix = "renew the certificate, and restart the agent so that it reads the new file";
    match end.duration_since(now) {
        Err(_) => Finding::bad(subject, format!("{}: it has expired", path.display()), fix),
        Ok(remaining) => {
            let found =
                format!("{}: it is valid for {} more days", path.display(), remaining.as_secs() / 86_400);
            if remaining < RENEWAL_PERIOD {
                Finding::poor(subject, found, fix)
            } else {
                Finding::good(subject, found)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_certificate_is_good_until_two_weeks_before_its_end() {
        let now = UNIX_EPOCH + Duration::from_hours(1000 * 24);
        let day = Duration::from_hours(24);
        for (end, verdict) in
            [(now + 30 * day, Verdict::Good), (now + 3 * day, Verdict::Poor), (now - day, Verdict::Bad)]
        {
            assert_eq!(judge_expiry("x", Path::new("y"), end, now).verdict, verdict);
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_bad() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(&path, "nothing").unwrap();
        let security = SecuritySettings { ca: Some(path), ..SecuritySettings::default() };
        let findings = examine_certificates(&security);
        assert_eq!((findings.len(), findings[0].verdict), (1, Verdict::Bad));
    }
}
