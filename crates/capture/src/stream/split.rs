/// The item at the front of the available bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SplitItem {
    /// The item cannot be determined without more bytes.
    NeedsMore,
    /// This many bytes, at least one, belong to no image.
    Garbage(usize),
    /// A damaged image; this many of its bytes, at least one, are certainly not part of another image.
    Damaged(usize),
    /// An image of this many bytes.
    Complete(usize),
}

/// Finds the boundaries of images. It is called with more and more bytes until it returns something other
/// than [`SplitItem::NeedsMore`], and then with the bytes after that item.
pub(crate) trait StreamSplitter: Send {
    /// Returns the item at the front of the bytes.
    fn split(&mut self, bytes: &[u8]) -> SplitItem;

    /// Called instead of a further [`split`](Self::split) if no more bytes will follow those for which it
    /// returned [`SplitItem::NeedsMore`]. There is at least one byte, and the result is [`SplitItem::Damaged`] or
    /// [`SplitItem::Garbage`].
    fn give_up(&mut self, bytes: &[u8]) -> SplitItem;
}
