use crate::CapturedImage;

/// The item at the front of the available bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SplitItem {
    /// The item cannot be determined without more bytes.
    NeedsMore,
    /// This many bytes, at least one, belong to no image.
    Garbage(usize),
    /// This many bytes, at least one, are the header of the stream.
    Header(usize),
    /// A damaged image; this many of its bytes, at least one, are certainly not part of another image.
    Damaged(usize),
    /// An image of this many bytes, whose end is missing. Whether it can be used is decided when it is decoded, as for
    /// a file that was cut off.
    Truncated(usize),
    /// An image of this many bytes.
    Complete(usize),
    /// The stream is of a known format and of a kind that is not supported, for this reason.
    Refused(&'static str),
}

/// Finds the boundaries of images. It is called with more and more bytes until it returns something other
/// than [`SplitItem::NeedsMore`], and then with the bytes after that item.
pub(crate) trait StreamSplitter: Send {
    /// Returns the item at the front of the bytes.
    fn split(&mut self, bytes: &[u8]) -> SplitItem;

    /// Called instead of a further [`split`](Self::split) if no more bytes will follow those for which it
    /// returned [`SplitItem::NeedsMore`]: the stream has ended, or the image is over the limit. There is at least one
    /// byte, and the result is [`SplitItem::Truncated`], [`SplitItem::Damaged`] or [`SplitItem::Garbage`].
    fn give_up(&mut self, bytes: &[u8], has_ended: bool) -> SplitItem;

    /// Returns the image of an item.
    fn image(&self, bytes: &[u8]) -> CapturedImage;
}

/// Skips the bytes before the first occurrence of `start`, or all bytes that cannot begin one.
pub(crate) fn skip_to(bytes: &[u8], start: &[u8]) -> SplitItem {
    let found = bytes.windows(start.len()).position(|window| window == start);
    let garbage = found.unwrap_or_else(|| {
        let beginning = (1..start.len()).rev().find(|&len| bytes.ends_with(&start[..len]));
        bytes.len() - beginning.unwrap_or(0)
    });
    if garbage == 0 { SplitItem::NeedsMore } else { SplitItem::Garbage(garbage) }
}
