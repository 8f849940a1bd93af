/// What the bytes at hand begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// What cannot be told before there are more bytes.
    More,
    /// So many bytes that belong to no picture, at least one.
    Garbage(usize),
    /// A picture that is damaged; so many of its bytes, at least one, are certainly not part of another one.
    Damaged(usize),
    /// A picture of so many bytes.
    Whole(usize),
}

/// Finds where pictures begin and end. It is called with ever more bytes until it says something else than
/// [`Cut::More`], and then with what comes after that.
pub(crate) trait Cutter: Send {
    /// What the bytes begin with.
    fn cut(&mut self, bytes: &[u8]) -> Cut;

    /// There will not be more of the bytes that [`Cut::More`] was said of, which are some: they are
    /// [`Cut::Damaged`] or [`Cut::Garbage`].
    fn give_up(&mut self, bytes: &[u8]) -> Cut;
}
