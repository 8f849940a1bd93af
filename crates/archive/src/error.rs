use lopside_delivery::Class;

/// Errors of the archive.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The address does not name a database.
    #[error(
        "{url} is not the address of an archive: use sqlite:PATH, postgres://USER@HOST/NAME, or the path of a file"
    )]
    InvalidUrl {
        /// The given address, without the part after its scheme.
        url: String,
    },
    /// The database does not answer, or cannot be opened.
    #[error(
        "the archive's database {place} cannot be reached: {cause}; check that its server runs or its folder exists, \
         and that this process may use it"
    )]
    Unreachable {
        /// Location of the database.
        place: String,
        /// The underlying error message.
        cause: String,
    },
    /// The file system of the database is read-only, or permissions are missing.
    #[error(
        "the archive {place} cannot be written: {cause}; check that its file system is mounted writable, that the system \
         log has no errors of the disk, and that this process may write to the file and to its folder"
    )]
    NotWritable {
        /// Location of the database.
        place: String,
        /// The underlying error message.
        cause: String,
    },
    /// Another process holds the database's lock, or all connections are taken.
    #[error(
        "the archive {place} is locked: {cause}; look for another process with an open transaction, or try again later"
    )]
    Locked {
        /// Location of the database.
        place: String,
        /// The underlying error message.
        cause: String,
    },
    /// The disk of the database is full.
    #[error(
        "the disk of the archive {place} is full: {cause}; free some space, or keep frames for a shorter time"
    )]
    Full {
        /// Location of the database.
        place: String,
        /// The underlying error message.
        cause: String,
    },
    /// The disk of the database cannot be read or written.
    #[error(
        "the disk of the archive {place} fails: {cause}; check the disk and its file system, and restore a backup if \
         the archive is damaged afterwards"
    )]
    DiskFailed {
        /// Location of the database.
        place: String,
        /// The underlying error message.
        cause: String,
    },
    /// The path of the database no longer names the open file. Whatever is written to the open file would be lost
    /// at the end of the process.
    #[error(
        "the files of the archive {place} were moved, deleted or replaced while it was open: {cause}; put them back, or, \
         to start with other files, stop the server and delete {place}-wal and {place}-shm first"
    )]
    Replaced {
        /// Location of the database.
        place: String,
        /// The path and what it names now.
        cause: String,
    },
    /// The stored data is damaged, or the database is not an archive.
    #[error(
        "the archive {place} is damaged or is not an archive: {cause}; restore a backup or use another path, and keep \
         the old files"
    )]
    Corrupt {
        /// Location of the database.
        place: String,
        /// The underlying error message, or a description of the damage.
        cause: String,
    },
    /// A newer program has changed the schema.
    #[error(
        "the archive {place} has schema {found}, but this program supports schemas up to {known}: start a newer version \
         of the program"
    )]
    TooNew {
        /// Location of the database.
        place: String,
        /// The schema version found.
        found: i64,
        /// The newest known schema version.
        known: i64,
    },
    /// The batch is invalid for every archive. Sending it again does not help.
    #[error("a batch of device {device:?} is refused: {why}")]
    Refused {
        /// The name of the device.
        device: String,
        /// The reason for the refusal.
        why: String,
    },
    /// A record of the batch has the identity of an archived record with another digest. Nothing of the batch was
    /// applied.
    #[error(
        "frame {number} of class {class} of device {device:?} (epoch {epoch:016x}) is archived with other contents: look \
         for a second device with this name, or for a spool that was copied or set back to an earlier state; give each \
         device its own name, and empty the spool's folder"
    )]
    Conflict {
        /// The name of the device.
        device: String,
        /// The class of the record.
        class: Class,
        /// The epoch of the record.
        epoch: u64,
        /// The number of the record.
        number: u64,
    },
    /// The device has opened a newer connection than the one on which the batch arrived.
    #[error("device {device:?} has opened a newer connection, which replaces this one")]
    Superseded {
        /// The name of the device.
        device: String,
    },
    /// The score is invalid for every archive.
    #[error(
        "the score of frame {id} is refused: scores and quantiles must be finite, and labels must not contain NUL"
    )]
    InvalidScore {
        /// The id of the frame.
        id: i64,
    },
    /// The text is not a valid cursor.
    #[error("{found:?} is not a valid cursor: use the cursor that the previous page returned")]
    InvalidCursor {
        /// The given text, truncated.
        found: String,
    },
    /// The task that writes has ended by a fault of this program.
    #[error("the archive's writer has failed: {cause}; restart the server, and report this fault")]
    WriterFailed {
        /// The reason of its end.
        cause: String,
    },
    /// The archive has been closed.
    #[error("the archive is closed: the server is stopping")]
    Closed,
    /// Any other error of the database.
    #[error("the archive {place} cannot {doing}: {cause}")]
    Database {
        /// Location of the database.
        place: String,
        /// The operation that failed, as in "the archive cannot …".
        doing: &'static str,
        /// The underlying error message.
        cause: String,
    },
}

/// The meaning of a database's error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    Unreachable,
    NotWritable,
    Locked,
    Full,
    DiskFailed,
    Replaced,
    Corrupt,
    Other,
}

impl ArchiveError {
    /// Creates an [`ArchiveError::Refused`] with the first 128 characters of the device name.
    pub(crate) fn refused_batch(device: &str, why: String) -> Self {
        Self::Refused { device: device.chars().take(128).collect(), why }
    }

    /// Converts an error of sqlx for the database at `place`; `kind_of` maps the database's error codes.
    pub(crate) fn from_sqlx(
        place: &str,
        doing: &'static str,
        error: &sqlx::Error,
        kind_of: impl FnOnce(&str) -> ErrorKind,
    ) -> Self {
        let kind = match error {
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => return Self::Closed,
            sqlx::Error::Database(error) => error.code().map_or(ErrorKind::Other, |code| kind_of(&code)),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => {
                ErrorKind::Unreachable
            }
            sqlx::Error::PoolTimedOut => ErrorKind::Locked,
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::Other,
        };
        let (place, cause) = (place.to_owned(), error.to_string());
        match kind {
            ErrorKind::Unreachable => Self::Unreachable { place, cause },
            ErrorKind::NotWritable => Self::NotWritable { place, cause },
            ErrorKind::Locked => Self::Locked { place, cause },
            ErrorKind::Full => Self::Full { place, cause },
            ErrorKind::DiskFailed => Self::DiskFailed { place, cause },
            ErrorKind::Replaced => Self::Replaced { place, cause },
            ErrorKind::Corrupt => Self::Corrupt { place, cause },
            ErrorKind::Other => Self::Database { place, doing, cause },
        }
    }

    /// Returns whether the next transaction would most likely fail in the same way.
    pub(crate) fn is_shared_failure(&self) -> bool {
        self.is_outage() || matches!(self, Self::Closed)
    }

    /// Returns whether the database does not store anything at present, whatever is written.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::NotWritable { .. }
                | Self::Locked { .. }
                | Self::Full { .. }
                | Self::DiskFailed { .. }
                | Self::Replaced { .. }
        )
    }
}
