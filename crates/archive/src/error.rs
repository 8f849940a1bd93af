/// Why the archive did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// An address that names no database.
    #[error(
        "{url} is no archive's address: use sqlite:PATH, postgres://USER@HOST/NAME, or the path of a file"
    )]
    Url {
        /// What was given, without what follows its scheme.
        url: String,
    },
    /// The database does not answer, or cannot be opened.
    #[error(
        "the archive's database {place} cannot be reached: {cause}; see that its server runs or its folder is there, \
         and that this process may use it"
    )]
    Unreachable {
        /// Where it should be.
        place: String,
        /// What was heard.
        cause: String,
    },
    /// Somebody else holds the database's lock, or all connections are taken.
    #[error(
        "the archive {place} is locked: {cause}; look for another process that has a transaction open, or wait longer"
    )]
    Locked {
        /// Where it is.
        place: String,
        /// What was heard.
        cause: String,
    },
    /// There is no room.
    #[error(
        "the disk of the archive {place} is full: {cause}; make room there, or keep frames for a shorter time"
    )]
    Full {
        /// Where it is.
        place: String,
        /// What was heard.
        cause: String,
    },
    /// What is read is not what was written, or not an archive.
    #[error(
        "the archive {place} is damaged, or is no archive: {cause}; restore a backup, or give another path, and keep \
         the old files"
    )]
    Corrupt {
        /// Where it is.
        place: String,
        /// What was found.
        cause: String,
    },
    /// A newer program has changed the schema.
    #[error(
        "the archive {place} has schema {found}, and this program knows none after {known}: start a newer version of \
         it"
    )]
    TooNew {
        /// Where it is.
        place: String,
        /// The schema found.
        found: i64,
        /// The newest one known.
        known: i64,
    },
    /// A batch that no archive takes. Sending it again does not help.
    #[error("a batch of the device {device:?} is refused: {why}")]
    Refused {
        /// Who sent it.
        device: String,
        /// What is wrong with it.
        why: String,
    },
    /// The device has come on a newer connection than the one that a batch came on.
    #[error("the device {device:?} has come on a newer connection")]
    Displaced {
        /// Who.
        device: String,
    },
    /// A score that no archive takes.
    #[error("the score of frame {id} is refused: scores and quantiles are finite, labels are without NUL")]
    Score {
        /// The frame.
        id: i64,
    },
    /// A text that is no cursor.
    #[error("{found:?} is no cursor: give back what the page before it named as the next")]
    Cursor {
        /// What was given, cut short.
        found: String,
    },
    /// The archive has been closed.
    #[error("the archive is closed: the server is stopping")]
    Closed,
    /// Anything else that the database says.
    #[error("the archive {place} cannot {doing}: {cause}")]
    Database {
        /// Where it is.
        place: String,
        /// What was tried.
        doing: &'static str,
        /// What was heard.
        cause: String,
    },
}

/// What an error code of a database means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unreachable,
    Locked,
    Full,
    Corrupt,
    Other,
}

impl ArchiveError {
    /// A batch is refused. Of a long name the beginning is told.
    pub(crate) fn refused(device: &str, why: String) -> Self {
        Self::Refused { device: device.chars().take(128).collect(), why }
    }

    /// What sqlx has told of the database at `place`; `kind_of` knows its codes.
    pub(crate) fn told(
        place: &str,
        doing: &'static str,
        error: &sqlx::Error,
        kind_of: impl FnOnce(&str) -> Kind,
    ) -> Self {
        let kind = match error {
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => return Self::Closed,
            sqlx::Error::Database(error) => error.code().map_or(Kind::Other, |code| kind_of(&code)),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => Kind::Unreachable,
            sqlx::Error::PoolTimedOut => Kind::Locked,
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Kind::Corrupt,
            _ => Kind::Other,
        };
        let (place, cause) = (place.to_owned(), error.to_string());
        match kind {
            Kind::Unreachable => Self::Unreachable { place, cause },
            Kind::Locked => Self::Locked { place, cause },
            Kind::Full => Self::Full { place, cause },
            Kind::Corrupt => Self::Corrupt { place, cause },
            Kind::Other => Self::Database { place, doing, cause },
        }
    }

    /// Whether the next transaction would most likely fail in the same way.
    pub(crate) fn concerns_all(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Locked { .. } | Self::Full { .. } | Self::Closed)
    }
}
