//! `cloud-decoder audit verify`: checks the chain of the audit log.

use std::fmt;

use futures_util::future::BoxFuture;
use lopside_archive::{Archive, ArchiveError};
use serde::Serialize;

/// The result of a check of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditCheck {
    /// Whether the chain is unbroken.
    pub ok: bool,
    /// Number of rows whose chain is unbroken.
    pub rows: u64,
    /// The hash of the last of these rows, as 64 hexadecimal digits.
    pub hash: String,
    /// The number of the first row that does not fit.
    pub broken_row: Option<u64>,
    /// The reason why it does not fit.
    pub problem: Option<String>,
}

/// Checks the audit log of the archive at a URL, which may be in use. The future is boxed, so that its code is compiled
/// only here.
///
/// # Errors
/// The error of an archive that cannot be read.
#[must_use]
pub fn verify_log(url: &str) -> BoxFuture<'_, Result<AuditCheck, ArchiveError>> {
    Box::pin(async move {
        let report = Archive::verify_audit(url).await?;
        Ok(AuditCheck {
            ok: report.fault.is_none(),
            rows: report.rows,
            hash: report.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            broken_row: report.fault.as_ref().map(lopside_archive::AuditFault::number),
            problem: report.fault.map(|fault| fault.to_string()),
        })
    })
}

impl fmt::Display for AuditCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, hash, problem, .. } = self;
        if let Some(problem) = problem {
            writeln!(formatter, "the audit log is broken: {problem}")?;
        } else {
            writeln!(formatter, "the audit log is unbroken")?;
        }
        write!(formatter, "{rows} rows fit; the last of them has the hash {hash}")
    }
}
