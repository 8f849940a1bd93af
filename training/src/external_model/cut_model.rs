use std::path::Path;

use super::{VerifiedHalves, tensor::NamedTensor};

/// An external model that was cut and is to be turned into a bundle.
pub(super) struct CutModel<'a> {
    /// Path of the model.
    pub(super) path: &'a Path,
    /// The tensors of the cut.
    pub(super) at: &'a [String],
    /// The halves and their verification.
    pub(super) halves: &'a VerifiedHalves,
    /// The encoder's only input, with bound dimensions.
    pub(super) input: NamedTensor,
    /// The command line, for the model card.
    pub(super) command: &'a str,
}
