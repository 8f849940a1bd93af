//! A violated rule, and the rules for single values: names, limits and weights.

/// A violated rule: the path in the definition, the problem and the fix.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RuleViolation {
    pub(super) path: String,
    pub(super) problem: String,
    pub(super) fix: String,
}

impl RuleViolation {
    pub(super) fn new(path: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into(), fix: fix.into() }
    }
}

/// Checks that a text has 1 to 64 of the characters a–z, 0–9 and -.
pub(super) fn check_name(path: &str, text: &str) -> Result<(), RuleViolation> {
    if (1..=64).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    {
        return Ok(());
    }
    let problem =
        format!("`{}` is not a valid name", text.chars().take(80).collect::<String>().escape_debug());
    Err(RuleViolation::new(path, problem, "use 1 to 64 characters from a–z, 0–9 and -"))
}

/// Checks that a number is between two limits, both included.
pub(super) fn check_limits(path: &str, found: usize, min: usize, max: usize) -> Result<(), RuleViolation> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(RuleViolation::new(path, format!("{found} is out of range"), format!("use {min} to {max}")))
}

/// Checks that a number is a weight: finite and not negative.
pub(super) fn check_weight(path: &str, found: f64) -> Result<(), RuleViolation> {
    if found.is_finite() && found >= 0.0 {
        return Ok(());
    }
    Err(RuleViolation::new(path, format!("{found} is not a valid weight"), "use a finite number, 0 or more"))
}

/// Checks that a number is finite and above 0.
pub(super) fn check_positive(path: &str, found: f64) -> Result<(), RuleViolation> {
    if found.is_finite() && found > 0.0 {
        return Ok(());
    }
    Err(RuleViolation::new(path, format!("{found} is not above 0"), "use a finite number above 0"))
}
