use std::path::Path;

use crate::{BundleError, FileRef, files};

/// Which files of a bundle a host needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The encoder and the tables: an edge.
    Encoder,
    /// The heads and the tables: a cloud.
    Heads,
    /// Everything, the model card included.
    Whole,
}

impl Part {
    /// The encoder's model; empty when it is not needed.
    pub(crate) fn read_encoder(self, folder: &Path, model: &FileRef) -> Result<Vec<u8>, BundleError> {
        match self {
            Self::Encoder | Self::Whole => files::read(folder, model),
            Self::Heads => Ok(Vec::new()),
        }
    }

    /// The heads of these specifications, made by `read`; none when they are not needed.
    pub(crate) fn read_heads<S, H>(
        self,
        specs: &[S],
        read: impl Fn(&S) -> Result<H, BundleError>,
    ) -> Result<Vec<H>, BundleError> {
        match self {
            Self::Heads | Self::Whole => specs.iter().map(read).collect(),
            Self::Encoder => Ok(Vec::new()),
        }
    }

    /// Checks the model card where it is needed.
    pub(crate) fn check_card(self, folder: &Path, card: &FileRef) -> Result<(), BundleError> {
        match self {
            Self::Whole => files::read(folder, card).map(drop),
            Self::Encoder | Self::Heads => Ok(()),
        }
    }
}
