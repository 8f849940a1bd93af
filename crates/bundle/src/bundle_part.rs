use std::path::Path;

use crate::{BundleError, FileRef, GoldenInputSpec, files, model_file::read_model};

/// The files of a bundle that a host needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundlePart {
    /// The encoder and the tables, for a device.
    Encoder,
    /// The heads and the tables, for the cloud.
    Heads,
    /// Everything, including the model card and the golden inputs.
    Whole,
}

impl BundlePart {
    /// Reads the encoder's model; empty if it is not needed.
    pub(crate) fn read_encoder(self, folder: &Path, model: &FileRef) -> Result<Vec<u8>, BundleError> {
        match self {
            Self::Encoder | Self::Whole => read_model(folder, model),
            Self::Heads => Ok(Vec::new()),
        }
    }

    /// Reads the heads with `read`; empty if they are not needed.
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

    /// Checks the model card and the golden inputs if they are needed.
    pub(crate) fn check_rest(
        self,
        folder: &Path,
        card: &FileRef,
        golden: &[GoldenInputSpec],
    ) -> Result<(), BundleError> {
        match self {
            Self::Whole => {
                files::read(folder, card)?;
                golden.iter().try_for_each(|golden| golden.read_verified(folder).map(drop))
            }
            Self::Encoder | Self::Heads => Ok(()),
        }
    }
}
