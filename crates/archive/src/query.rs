use std::{fmt, str::FromStr};

use crate::{ArchiveError, FrameMeta};

/// Maximum number of frames per page.
pub const MAX_PAGE_FRAMES: u32 = 1000;

/// A filter for the list of frames, which is ordered by the [corrected time](FrameMeta::corrected_us) of capture, newest
/// first. Times are compared with a resolution of a millisecond.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FrameQuery {
    /// Only frames of this device.
    pub device: Option<String>,
    /// Only frames captured at this time or later, in microseconds since 1970.
    pub from_us: Option<i64>,
    /// Only frames captured before this time, in microseconds since 1970.
    pub to_us: Option<i64>,
    /// Only frames with at least this score.
    pub min_score: Option<f64>,
    /// Only frames of damaged inputs, or only frames of undamaged ones.
    pub damaged: Option<bool>,
    /// Number of frames per page, 1 to [`MAX_PAGE_FRAMES`]; other values are clamped to this range.
    pub limit: u32,
    /// The end of the previous page; `None` for the first page.
    pub after: Option<PageCursor>,
}

/// A page of the list of frames.
#[derive(Debug, Clone, PartialEq)]
pub struct FramePage {
    /// The frames, newest capture first.
    pub frames: Vec<FrameMeta>,
    /// The start of the next page; `None` if this is the last page.
    pub next: Option<PageCursor>,
}

/// The frames that were archived after a given frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FramesSince {
    /// The first of these frames.
    pub frames: Vec<FrameMeta>,
    /// Number of further frames after these.
    pub remaining: u64,
}

/// A position in the list. Its text is opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageCursor {
    time_ms: i64,
    id: i64,
}

impl FrameQuery {
    pub(crate) fn page_size(&self) -> u32 {
        self.limit.clamp(1, MAX_PAGE_FRAMES)
    }

    /// Returns the earliest time of the page, in milliseconds since 1970.
    pub(crate) fn start_ms(&self) -> i64 {
        self.from_us.map_or(i64::MIN, ceil_ms)
    }

    /// Returns the position before which all frames of the page lie, as time in milliseconds and id.
    pub(crate) fn before(&self) -> (i64, i64) {
        // Every id is larger than this, so frames captured exactly at `to_us` are excluded.
        let end = self.to_us.map(|to_us| PageCursor { time_ms: ceil_ms(to_us), id: i64::MIN });
        let latest = PageCursor { time_ms: i64::MAX, id: i64::MAX };
        let cursor = self.after.into_iter().chain(end).min().unwrap_or(latest);
        (cursor.time_ms, cursor.id)
    }

    /// Builds a page from frames that were queried with one more than the page size.
    pub(crate) fn build_page(&self, mut frames: Vec<FrameMeta>) -> FramePage {
        let has_more = frames.len() > self.page_size() as usize;
        frames.truncate(self.page_size() as usize);
        let last = frames.last().filter(|_| has_more);
        let next =
            last.map(|frame| PageCursor { time_ms: frame.corrected_us.div_euclid(1000), id: frame.id });
        FramePage { frames, next }
    }
}

impl PageCursor {
    fn parse_text(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let (time, id) = text.split_at_checked(16).filter(|(_, id)| digits && id.len() == 16)?;
        Some(Self { time_ms: parse_hex(time)?, id: parse_hex(id)? })
    }
}

impl fmt::Display for PageCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}{:016x}", self.time_ms, self.id)
    }
}

impl FromStr for PageCursor {
    type Err = ArchiveError;

    fn from_str(text: &str) -> Result<Self, ArchiveError> {
        Self::parse_text(text)
            .ok_or_else(|| ArchiveError::InvalidCursor { found: text.chars().take(40).collect() })
    }
}

/// Returns the first whole millisecond that is not earlier than a time in microseconds.
fn ceil_ms(us: i64) -> i64 {
    us.div_euclid(1000) + i64::from(us.rem_euclid(1000) != 0)
}

fn parse_hex(text: &str) -> Option<i64> {
    u64::from_str_radix(text, 16).ok().map(|number| number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form() {
        for (time_ms, id) in [(0, 1), (-1, i64::MAX), (i64::MIN, 7), (1_790_000_000_000, 12)] {
            let cursor = PageCursor { time_ms, id };
            assert_eq!(cursor.to_string().parse::<PageCursor>().unwrap(), cursor);
        }
    }

    #[test]
    fn a_range_of_microseconds_has_the_whole_milliseconds_in_it() {
        for (from_us, to_us, expected) in [
            (1000, 3000, (1, 3)),
            (1001, 3001, (2, 4)),
            (-1001, -1, (-1, 0)),
            (0, i64::MAX, (0, i64::MAX / 1000 + 1)),
        ] {
            let query = FrameQuery { from_us: Some(from_us), to_us: Some(to_us), ..FrameQuery::default() };
            assert_eq!((query.start_ms(), query.before()), (expected.0, (expected.1, i64::MIN)), "{from_us}");
        }
        let all = FrameQuery::default();
        assert_eq!((all.start_ms(), all.before()), (i64::MIN, (i64::MAX, i64::MAX)));
    }

    #[test]
    fn text_that_is_no_cursor_is_refused() {
        let valid = PageCursor { time_ms: 5, id: 6 }.to_string();
        let upper = valid.replace('6', "F");
        for text in ["", "5", &valid[1..], &format!("{valid}0"), &upper, &"é".repeat(16)] {
            let error = text.parse::<PageCursor>().unwrap_err();
            assert!(matches!(error, ArchiveError::InvalidCursor { .. }), "{text}: {error}");
        }
    }
}
