use crate::{ArchiveError, LatentSpaceKey};

/// A version of a head.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeadKey {
    /// The bundle that contains the head.
    pub bundle: String,
    /// The name of the head in the bundle.
    pub head: String,
    /// The version of the head.
    pub version: u32,
}

/// A frame that a head has not scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnscoredFrame {
    /// The id of the frame.
    pub id: i64,
    /// The latent space of the frame.
    pub latent_space: LatentSpaceKey,
    /// Time of archiving by the server's clock, in microseconds since 1970.
    pub received_us: i64,
    /// Whether the frame has a score of another head or of an older version, which is replaced.
    pub has_older_score: bool,
    /// The bytes of the frame.
    pub frame: Vec<u8>,
}

/// The score that a head computed for a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct NewScore {
    /// The id of the frame.
    pub id: i64,
    /// The anomaly score; larger is more unusual. `None` means that the head cannot read the frame, so that
    /// it is not scored again.
    pub score: Option<f64>,
    /// The share of normal samples that the score exceeds, 0 to 1.
    pub quantile: Option<f64>,
    /// The label of the recognised class.
    pub label: Option<String>,
}

impl NewScore {
    /// Refuses numbers that are not finite and labels that a database cannot store.
    pub(crate) fn check(&self) -> Result<(), ArchiveError> {
        let finite = [self.score, self.quantile].into_iter().flatten().all(f64::is_finite);
        let label = self.label.as_deref().is_none_or(|label| !label.contains('\0'));
        if finite && label { Ok(()) } else { Err(ArchiveError::InvalidScore { id: self.id }) }
    }
}
