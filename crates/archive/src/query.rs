use std::{fmt, str::FromStr};

use crate::{ArchiveError, FrameMeta};

/// Maximum number of frames per page.
pub const MAX_PAGE_FRAMES: u32 = 1000;

/// A filter for the list of frames, which is ordered by capture time, newest first.
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
    captured_us: i64,
    id: i64,
}

impl FrameQuery {
    pub(crate) fn page_size(&self) -> u32 {
        self.limit.clamp(1, MAX_PAGE_FRAMES)
    }

    /// Returns the position before which all frames of the page lie, as time and id.
    pub(crate) fn before(&self) -> (i64, i64) {
        // Every id is larger than this, so frames captured exactly at `to_us` are excluded.
        let end = self.to_us.map(|captured_us| PageCursor { captured_us, id: i64::MIN });
        let latest = PageCursor { captured_us: i64::MAX, id: i64::MAX };
        let cursor = self.after.into_iter().chain(end).min().unwrap_or(latest);
        (cursor.captured_us, cursor.id)
    }

    /// Builds a page from frames that were queried with one more than the page size.
    pub(crate) fn build_page(&self, mut frames: Vec<FrameMeta>) -> FramePage {
        let has_more = frames.len() > self.page_size() as usize;
        frames.truncate(self.page_size() as usize);
        let last = frames.last().filter(|_| has_more);
        let next = last.map(|frame| PageCursor { captured_us: frame.captured_us, id: frame.id });
        FramePage { frames, next }
    }
}

impl PageCursor {
    fn parse_text(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let (captured, id) = text.split_at_checked(16).filter(|(_, id)| digits && id.len() == 16)?;
        Some(Self { captured_us: parse_hex(captured)?, id: parse_hex(id)? })
    }
}

impl fmt::Display for PageCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}{:016x}", self.captured_us, self.id)
    }
}

impl FromStr for PageCursor {
    type Err = ArchiveError;

    fn from_str(text: &str) -> Result<Self, ArchiveError> {
        Self::parse_text(text)
            .ok_or_else(|| ArchiveError::InvalidCursor { found: text.chars().take(40).collect() })
    }
}

fn parse_hex(text: &str) -> Option<i64> {
    u64::from_str_radix(text, 16).ok().map(|number| number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form() {
        for (captured_us, id) in [(0, 1), (-1, i64::MAX), (i64::MIN, 7), (1_790_000_000_000_000, 12)] {
            let cursor = PageCursor { captured_us, id };
            assert_eq!(cursor.to_string().parse::<PageCursor>().unwrap(), cursor);
        }
    }

    #[test]
    fn text_that_is_no_cursor_is_refused() {
        let valid = PageCursor { captured_us: 5, id: 6 }.to_string();
        let upper = valid.replace('6', "F");
        for text in ["", "5", &valid[1..], &format!("{valid}0"), &upper, &"é".repeat(16)] {
            let error = text.parse::<PageCursor>().unwrap_err();
            assert!(matches!(error, ArchiveError::InvalidCursor { .. }), "{text}: {error}");
        }
    }
}
