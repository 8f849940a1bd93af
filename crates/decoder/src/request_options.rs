//! The deadline and the priority of a request.

use std::time::{Duration, Instant};

use serde::Deserialize;

/// Time limit of a request whose own time limit is too large for the clock.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);

/// The deadline and the priority of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestOptions {
    /// The time after which the response is useless.
    pub deadline: Instant,
    /// The priority class.
    pub priority: Priority,
}

impl RequestOptions {
    /// Returns options of normal priority with a deadline `time` from now.
    #[must_use]
    pub fn with_timeout(time: Duration) -> Self {
        let now = Instant::now();
        Self { deadline: now.checked_add(time).unwrap_or(now + MAX_TIMEOUT), priority: Priority::Normal }
    }
}

/// The priority class of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before all other classes.
    High,
    /// The default class.
    #[default]
    Normal,
    /// After all other classes; limited to half of a queue.
    Low,
}
