//! Query parameters, each with a type of its own, so that an invalid value is rejected with the parameter's
//! name.

use lopside_archive::{
    AuditCursor, DeviceCursor, FrameQuery, MAX_PAGE_AUDIT_ENTRIES, MAX_PAGE_DEVICES, MAX_PAGE_FRAMES,
    PageCursor,
};
use serde::Deserialize;

use super::super::flag::Flag;
use crate::archive::times::QueryTime;

/// Entries per page of a list, 1 to [`MAX_PAGE_FRAMES`].
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct PageLimit(pub(super) u32);

/// A minimum score; finite.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct MinScore(pub(super) f64);

/// The position at which the previous page ended.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PageCursorParam(pub(super) PageCursor);

/// The position at which the previous page of devices ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct DeviceCursorParam(pub(super) DeviceCursor);

/// The position at which the previous page of the audit log ended.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct AuditCursorParam(pub(super) AuditCursor);

// The pages of all lists have the same limit.
const _: () = assert!(MAX_PAGE_DEVICES == MAX_PAGE_FRAMES && MAX_PAGE_AUDIT_ENTRIES == MAX_PAGE_FRAMES);

impl Default for PageLimit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u32> for PageLimit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        let is_valid = (1..=MAX_PAGE_FRAMES).contains(&limit);
        is_valid
            .then_some(Self(limit))
            .ok_or_else(|| format!("a page has 1 to {MAX_PAGE_FRAMES} entries, not {limit}"))
    }
}

impl TryFrom<f64> for MinScore {
    type Error = String;

    fn try_from(score: f64) -> Result<Self, String> {
        score
            .is_finite()
            .then_some(Self(score))
            .ok_or_else(|| format!("{score} is not a score: give a finite number"))
    }
}

impl TryFrom<String> for PageCursorParam {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: lopside_archive::ArchiveError| error.to_string())
    }
}

impl TryFrom<String> for DeviceCursorParam {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: lopside_archive::ArchiveError| error.to_string())
    }
}

impl TryFrom<String> for AuditCursorParam {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: lopside_archive::ArchiveError| error.to_string())
    }
}

/// Builds the query for all frames that match these filters.
pub(super) fn frame_query(
    device: Option<String>,
    [from, to]: [Option<QueryTime>; 2],
    min_score: Option<MinScore>,
    damaged: Option<Flag>,
) -> FrameQuery {
    FrameQuery {
        device,
        from_us: from.map(|time| time.us),
        to_us: to.map(|time| time.us),
        min_score: min_score.map(|MinScore(score)| score),
        damaged: damaged.map(|Flag(damaged)| damaged),
        ..FrameQuery::default()
    }
}
