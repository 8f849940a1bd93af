use std::fmt::Write as _;

use serde::Serialize;

use super::attack::Attack;
use crate::BenchError;

/// The figures of an attack.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AttackReport {
    pub(super) attack: Attack,
    /// The answers of the server to the attack.
    pub(super) answers: String,
    /// Duration of the attack.
    pub(super) seconds: f64,
    /// CPU time of the server during the attack, healthy calls included.
    pub(super) cpu_seconds: f64,
    /// Resident memory before the attack.
    pub(super) idle_mb: f64,
    pub(super) budget_mb: f64,
    /// Memory that the attack may take in addition to the idle server and the budget.
    pub(super) constant_mb: f64,
    /// Peak of the resident memory; `None` if the server has ended.
    pub(super) peak_mb: Option<f64>,
    pub(super) healthy_calls: u64,
    pub(super) healthy_failures: u64,
    pub(super) healthy_p99_ms: f64,
    pub(super) first_failure: Option<String>,
}

/// A verdict on one figure of an attack.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct AttackVerdict {
    what: String,
    passed: bool,
}

impl AttackReport {
    fn limit_mb(&self) -> f64 {
        self.idle_mb + self.budget_mb + self.constant_mb
    }

    fn verdicts(&self) -> [AttackVerdict; 2] {
        let (attack, limit) = (self.attack, self.limit_mb());
        let (idle, budget, constant) = (self.idle_mb, self.budget_mb, self.constant_mb);
        let peak = self.peak_mb.map_or_else(|| "the server ended".to_owned(), |peak| format!("{peak:.0} MB"));
        let memory = format!(
            "{attack:?}: peak RSS {peak} <= {limit:.0} MB = budget {budget:.0} + constant {constant:.0} + idle {idle:.0}"
        );
        let (calls, failures) = (self.healthy_calls, self.healthy_failures);
        let mut healthy =
            format!("{attack:?}: {failures} of {} healthy calls failed", calls.saturating_add(failures));
        if let Some(reason) = &self.first_failure {
            let _ = write!(healthy, "; the first: {reason}");
        }
        [
            AttackVerdict { what: memory, passed: self.peak_mb.is_some_and(|peak| peak <= limit) },
            AttackVerdict { what: healthy, passed: calls > 0 && failures == 0 },
        ]
    }
}

/// Prints the figures and the verdicts, for people or as JSON.
pub(super) fn print_reports(reports: &[AttackReport], json: bool) -> Result<(), BenchError> {
    let verdicts: Vec<AttackVerdict> = reports.iter().flat_map(AttackReport::verdicts).collect();
    if json {
        let output = serde_json::json!({ "measured": reports, "verdicts": verdicts });
        println!("{}", serde_json::to_string_pretty(&output)?);
        return Ok(());
    }
    for report in reports {
        println!(
            "{:?}: {:.1} s, {:.2} CPU seconds, p99 of healthy calls {:.1} ms; answers: {}",
            report.attack, report.seconds, report.cpu_seconds, report.healthy_p99_ms, report.answers
        );
    }
    for AttackVerdict { what, passed } in &verdicts {
        println!("{} {what}", if *passed { "pass" } else { "FAIL" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(peak_mb: Option<f64>, healthy_failures: u64) -> AttackReport {
        AttackReport {
            attack: Attack::Hellos,
            answers: String::new(),
            seconds: 1.0,
            cpu_seconds: 0.5,
            idle_mb: 50.0,
            budget_mb: 256.0,
            constant_mb: 64.0,
            peak_mb,
            healthy_calls: 9,
            healthy_failures,
            healthy_p99_ms: 1.0,
            first_failure: None,
        }
    }

    #[test]
    fn the_peak_may_reach_the_idle_memory_the_budget_and_the_constant() {
        let passed = |report: AttackReport| report.verdicts().map(|verdict| verdict.passed);
        assert_eq!(passed(report(Some(370.0), 0)), [true, true]);
        assert_eq!(passed(report(Some(371.0), 1)), [false, false]);
        assert_eq!(passed(report(None, 0)), [false, true]);
        let text = &report(Some(100.0), 0).verdicts()[0].what;
        assert_eq!(text, "Hellos: peak RSS 100 MB <= 370 MB = budget 256 + constant 64 + idle 50");
    }
}
