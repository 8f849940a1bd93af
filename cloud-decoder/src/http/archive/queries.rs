//! Query parameters, each with a type of its own, so that an invalid value is rejected with the parameter's
//! name.

use lopside_archive::{Cursor, MAX_PAGE, Query};
use serde::Deserialize;

use crate::archive::times::Time;

/// Frames per page, 1 to [`MAX_PAGE`].
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct Limit(pub(super) u32);

/// A minimum score; finite.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Least(pub(super) f64);

/// The position at which the previous page ended.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct After(pub(super) Cursor);

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        let fits = (1..=MAX_PAGE).contains(&limit);
        fits.then_some(Self(limit)).ok_or_else(|| format!("a page has 1 to {MAX_PAGE} frames, not {limit}"))
    }
}

impl TryFrom<f64> for Least {
    type Error = String;

    fn try_from(score: f64) -> Result<Self, String> {
        score
            .is_finite()
            .then_some(Self(score))
            .ok_or_else(|| format!("{score} is not a score: give a finite number"))
    }
}

impl TryFrom<String> for After {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: lopside_archive::ArchiveError| error.to_string())
    }
}

/// Builds the query for all frames that match these filters.
pub(super) fn fitting(device: Option<String>, [from, to]: [Option<Time>; 2], least: Option<Least>) -> Query {
    Query {
        device,
        from_us: from.map(|time| time.us),
        to_us: to.map(|time| time.us),
        min_score: least.map(|Least(score)| score),
        ..Query::default()
    }
}
