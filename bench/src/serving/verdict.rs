use serde::Serialize;

/// A ratio and its limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// The name of the ratio.
    pub(crate) what: String,
    pub(crate) ratio: f64,
    pub(crate) limit: RatioLimit,
    /// Whether the ratio meets the limit.
    pub(crate) passed: bool,
}

/// The limit of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RatioLimit {
    AtMost(f64),
    AtLeast(f64),
}

impl Verdict {
    pub(crate) fn new(name: String, ratio: f64, limit: RatioLimit) -> Self {
        let passed = match limit {
            RatioLimit::AtMost(max) => ratio <= max,
            RatioLimit::AtLeast(min) => ratio >= min,
        };
        Self { what: name, ratio, limit, passed }
    }
}
