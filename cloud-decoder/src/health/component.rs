use std::fmt;

/// A part of the server that can fail by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Component {
    /// The database of the archive, and the task that writes it.
    Archive,
    /// The task that scores archived frames.
    Scorer,
    /// The task that deletes old frames.
    Retention,
    /// The task that reads the figures of the archive for the metrics.
    Statistics,
    /// The file of API keys, and the task that watches it.
    Keys,
    /// The task that looks for changed bundles.
    Folders,
    /// The tasks that add changes of files to the audit log.
    Audit,
}

/// A part of the server that clients use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    /// Requests to heads.
    Decoder,
    /// Uploads of frames into the archive.
    Ingest,
    /// Encoders for devices.
    Channels,
}

impl Component {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Scorer => "scorer",
            Self::Retention => "retention",
            Self::Statistics => "statistics",
            Self::Keys => "keys",
            Self::Folders => "folders",
            Self::Audit => "audit",
        }
    }
}

impl Service {
    pub(crate) const ALL: [Self; 3] = [Self::Decoder, Self::Ingest, Self::Channels];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::Ingest => "ingest",
            Self::Channels => "channels",
        }
    }

    /// Returns the components without which the service does not work.
    pub(super) fn required_components(self) -> &'static [Component] {
        match self {
            Self::Decoder | Self::Channels => &[Component::Keys],
            Self::Ingest => &[Component::Keys, Component::Archive],
        }
    }

    /// Returns what a server without the service lacks.
    pub(super) fn missing_option(self) -> &'static str {
        match self {
            Self::Decoder => "this server does not decode",
            Self::Ingest => "this server does not have an archive: start it with --archive",
            Self::Channels => "this server does not have channels: start it with --channels",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
