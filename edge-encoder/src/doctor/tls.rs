use std::{
    fs,
    ops::Range,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use x509_parser::{pem::Pem, time::ASN1Time};

use super::Finding;
use crate::SecuritySettings;

/// Remaining validity below which a certificate should be renewed.
const RENEWAL_PERIOD: Duration = Duration::from_hours(14 * 24);

/// Checks whether the configured certificates are valid, and until when.
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
    match read_validity(&bytes) {
        Some(validity) => judge_validity(subject, path, &validity, SystemTime::now()),
        None => invalid_certificate(subject, path, "it does not contain a certificate"),
    }
}

/// Returns the time during which all certificates of a PEM file are valid; `None` if it does not contain any.
fn read_validity(pem: &[u8]) -> Option<Range<SystemTime>> {
    let validities = Pem::iter_from_buffer(pem).filter_map(|pem| {
        let pem = pem.ok()?;
        let certificate = pem.parse_x509().ok()?;
        let validity = certificate.validity();
        Some(system_time(validity.not_before)..system_time(validity.not_after))
    });
    validities.reduce(|all, next| all.start.max(next.start)..all.end.min(next.end))
}

fn system_time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

fn invalid_certificate(subject: &str, path: &Path, found: &str) -> Finding {
    Finding::bad(subject, format!("{}: {found}", path.display()), "put a PEM certificate into this file")
}

fn judge_validity(subject: &str, path: &Path, validity: &Range<SystemTime>, now: SystemTime) -> Finding {
    if now < validity.start {
        let found = format!("{}: it is not valid yet", path.display());
        return Finding::bad(subject, found, "check the clock of this machine, and the certificate");
    }
    let fix = "renew the certificate in this file; the agent reads it again whenever it connects";
    match validity.end.duration_since(now) {
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
        for (validity, verdict) in [
            (now - day..now + 30 * day, Verdict::Good),
            (now - day..now + 3 * day, Verdict::Poor),
            (now - 2 * day..now - day, Verdict::Bad),
            (now + day..now + 30 * day, Verdict::Bad),
        ] {
            assert_eq!(judge_validity("x", Path::new("y"), &validity, now).verdict, verdict, "{validity:?}");
        }
    }

    #[test]
    fn the_certificate_that_expires_first_counts() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = |first_year, last_year| {
            let mut params = rcgen::CertificateParams::new(vec!["gate-7".into()]).unwrap();
            params.not_before = rcgen::date_time_ymd(first_year, 1, 1);
            params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
            params.self_signed(&key).unwrap().pem()
        };
        let file = format!("{}{}", pem(2001, 2090), pem(2000, 2080));
        let validity = read_validity(file.as_bytes()).unwrap();
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        // The first of January 2001 and 2080.
        assert_eq!([validity.start, validity.end].map(seconds), [978_307_200, 3_471_292_800]);
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
