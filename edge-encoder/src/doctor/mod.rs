//! `edge-encoder doctor`: everything that an agent needs, looked at once, and for each thing that is wrong its fix.

mod cloud;
mod disk;
mod sources;
mod tls;
mod update;

use std::fmt::{self, Display, Formatter};

use lopside_bundle::{Part, picture::AnyBundle};
use serde::Serialize;

use crate::{EdgeError, agent::AgentSettings};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// Whether nothing keeps the agent from its work.
    pub ok: bool,
    /// What was looked at, in turn.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// The agent works, and not as well as it could.
    Poor,
    /// The agent does not work.
    Bad,
}

/// Looks at everything that these settings name.
pub async fn examine(bundle: &std::path::Path, settings: &AgentSettings) -> Diagnosis {
    let mut findings = vec![bundle_of(bundle)];
    findings.extend(disk::examine(&settings.spool, settings.budget));
    findings.extend(settings.sources.iter().map(sources::examine));
    findings.extend(tls::files(&settings.security));
    findings.extend(cloud::examine(settings).await);
    findings.extend(update::examine(bundle, settings).await);
    let ok = findings.iter().all(|finding| finding.verdict != Verdict::Bad);
    Diagnosis { ok, findings }
}

/// Loading a bundle checks every digest.
fn bundle_of(folder: &std::path::Path) -> Finding {
    match AnyBundle::load(folder, Part::Encoder) {
        Ok(_) => Finding::good("bundle", format!("{}: every digest is right", folder.display())),
        Err(error) => Finding::bad(
            "bundle",
            error,
            "copy the bundle anew, or name another one with --bundle or bundle = in the config file",
        ),
    }
}

impl Finding {
    fn new(what: impl Display, verdict: Verdict, found: impl Display, fix: Option<&str>) -> Self {
        let fix = fix.map(str::to_owned);
        Self { what: what.to_string(), verdict, found: found.to_string(), fix }
    }

    pub(super) fn good(what: impl Display, found: impl Display) -> Self {
        Self::new(what, Verdict::Good, found, None)
    }

    pub(super) fn poor(what: impl Display, found: impl Display, fix: &str) -> Self {
        Self::new(what, Verdict::Poor, found, Some(fix))
    }

    pub(super) fn bad(what: impl Display, found: impl Display, fix: &str) -> Self {
        Self::new(what, Verdict::Bad, found, Some(fix))
    }
}

impl Diagnosis {
    /// An error when something is bad.
    ///
    /// # Errors
    /// [`EdgeError::Unfit`].
    pub fn verdict(&self) -> Result<(), EdgeError> {
        let bad = self.findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
        if bad == 0 { Ok(()) } else { Err(EdgeError::Unfit { bad }) }
    }
}

impl Display for Diagnosis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for Finding { what, verdict, found, fix } in &self.findings {
            let mark = match verdict {
                Verdict::Good => "good",
                Verdict::Poor => "POOR",
                Verdict::Bad => "BAD ",
            };
            writeln!(f, "{mark}  {what}: {found}")?;
            if let Some(fix) = fix {
                writeln!(f, "      fix: {fix}")?;
            }
        }
        Ok(())
    }
}
