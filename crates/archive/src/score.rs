use crate::{ArchiveError, LatentSpace};

/// A version of a head.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeadKey {
    /// The bundle that it is in.
    pub bundle: String,
    /// Its name there.
    pub head: String,
    /// Its version.
    pub version: u32,
}

/// A frame that a head has not scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unscored {
    /// Its id.
    pub id: i64,
    /// Its latent space.
    pub latent_space: LatentSpace,
    /// The frame.
    pub frame: Vec<u8>,
}

/// What a head says of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct NewScore {
    /// The frame's id.
    pub id: i64,
    /// The larger, the more unusual. None when the head cannot read the frame: then it is not asked again.
    pub score: Option<f64>,
    /// The share of normal samples that it exceeds, 0 to 1.
    pub quantile: Option<f64>,
    /// The label of the class that was seen.
    pub label: Option<String>,
}

impl NewScore {
    /// Refuses what has no order and what no database holds.
    pub(crate) fn check(&self) -> Result<(), ArchiveError> {
        let finite = [self.score, self.quantile].into_iter().flatten().all(f64::is_finite);
        let label = self.label.as_deref().is_none_or(|label| !label.contains('\0'));
        if finite && label { Ok(()) } else { Err(ArchiveError::Score { id: self.id }) }
    }
}
