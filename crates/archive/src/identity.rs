/// The identity of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveIdentity {
    /// A random number, which was drawn when the archive was created. A copy of the archive has the same one.
    pub id: u64,
    /// Number of times that the archive was opened to write. An archive that was set back to an earlier state counts
    /// from there again.
    pub generation: u64,
}
