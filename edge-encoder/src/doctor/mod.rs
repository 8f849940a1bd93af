//! The checks of `edge-encoder doctor`: everything that an agent needs, with a fix for each problem.

mod bridge;
mod cloud;
mod disk;
mod files;
mod machine;
mod probe;
mod programs;
mod running;
mod sources;
mod spool;
mod tail;
mod tls;
mod update;

use std::fmt::{self, Display, Formatter};

use lopside_bundle::{BundlePart, image_codec::AnyBundle};
use lopside_telemetry::printable::PrintableLines;
use serde::Serialize;

use crate::{EdgeError, agent::AgentSettings};

/// The result of all checks.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// Whether the agent can work.
    pub ok: bool,
    /// The findings, in the order of the checks.
    pub findings: Vec<Finding>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The subject of the check.
    pub what: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The observation.
    pub found: String,
    /// Advice for the operator; `null` if the verdict is good.
    pub fix: Option<String>,
}

/// The verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// There is nothing to fix.
    Good,
    /// The agent works, but not as well as it could.
    Poor,
    /// The agent cannot work.
    Bad,
}

/// Runs all checks for these settings.
pub async fn examine(bundle: &std::path::Path, settings: &AgentSettings) -> Diagnosis {
    let mut findings = vec![examine_bundle(bundle)];
    findings.extend(disk::examine(&settings.spool.folder, settings.spool.budget_bytes));
    findings.extend(spool::examine(&settings.spool.folder));
    findings.push(machine::examine(&settings.spool.machine_id_file));
    findings.extend(settings.sources.iter().map(sources::examine));
    findings.extend(running::examine(settings));
    findings.extend(files::examine(bundle, &settings.sources));
    findings.extend(tls::examine_certificates(&settings.security));
    findings.extend(cloud::examine_proxy(settings));
    findings.extend(cloud::examine(settings).await);
    findings.extend(cloud::examine_key(settings));
    findings.extend(update::examine(bundle, settings).await);
    let ok = findings.iter().all(|finding| finding.verdict != Verdict::Bad);
    Diagnosis { ok, findings }
}

/// Checks the bundle by loading it, which verifies every digest.
fn examine_bundle(folder: &std::path::Path) -> Finding {
    match AnyBundle::load(folder, BundlePart::Encoder) {
        Ok(_) => Finding::good("bundle", format!("{}: all digests are correct", folder.display())),
        Err(error) => Finding::bad(
            "bundle",
            error,
            "copy the bundle again, or select another one with --bundle or with bundle = … in the config file",
        ),
    }
}

impl Finding {
    fn new(subject: impl Display, verdict: Verdict, found: impl Display, fix: Option<&str>) -> Self {
        let fix = fix.map(str::to_owned);
        Self { what: subject.to_string(), verdict, found: found.to_string(), fix }
    }

    pub(super) fn good(subject: impl Display, found: impl Display) -> Self {
        Self::new(subject, Verdict::Good, found, None)
    }

    pub(super) fn poor(subject: impl Display, found: impl Display, fix: &str) -> Self {
        Self::new(subject, Verdict::Poor, found, Some(fix))
    }

    pub(super) fn bad(subject: impl Display, found: impl Display, fix: &str) -> Self {
        Self::new(subject, Verdict::Bad, found, Some(fix))
    }
}

impl Diagnosis {
    /// Returns an error if any finding is bad.
    ///
    /// # Errors
    /// [`EdgeError::FailedChecks`].
    pub fn check_verdicts(&self) -> Result<(), EdgeError> {
        let bad = self.findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
        if bad == 0 { Ok(()) } else { Err(EdgeError::FailedChecks { bad }) }
    }
}

impl Display for Diagnosis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut lines = PrintableLines::default();
        for Finding { what, verdict, found, fix } in &self.findings {
            let mark = match verdict {
                Verdict::Good => "good",
                Verdict::Poor => "POOR",
                Verdict::Bad => "BAD ",
            };
            writeln!(lines, "{mark}  {what}: {found}")?;
            if let Some(fix) = fix {
                writeln!(lines, "      fix: {fix}")?;
            }
        }
        f.write_str(&lines.into_text())
    }
}
