use std::fmt;

use crate::LatentError;

/// Maximum number of dimensions of a latent.
const MAX_RANK: usize = 4;
/// Maximum extent of one dimension.
const MAX_EXTENT: u32 = 1 << 24;

/// The shape of one latent, without the batch: 1 to 4 dimensions, each 1 to 2²⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    rank: u8,
    extents: [u32; MAX_RANK],
}

impl Shape {
    /// Creates a shape with these dimensions, slowest first.
    ///
    /// # Errors
    /// Returns [`LatentError::BadShape`] for an empty list, more than 4 dimensions, or an extent
    /// outside 1..=2²⁴.
    pub fn new(dims: &[u32]) -> Result<Self, LatentError> {
        let is_valid =
            (1..=MAX_RANK).contains(&dims.len()) && dims.iter().all(|d| (1..=MAX_EXTENT).contains(d));
        if !is_valid {
            return Err(LatentError::BadShape { found: dims.iter().copied().take(MAX_RANK + 1).collect() });
        }
        let mut extents = [1; MAX_RANK];
        extents[..dims.len()].copy_from_slice(dims);
        Ok(Self { rank: dims.len() as u8, extents })
    }

    /// Returns the dimensions, slowest first.
    #[must_use]
    pub fn dims(&self) -> &[u32] {
        &self.extents[..usize::from(self.rank)]
    }

    /// Returns the number of values. The product cannot overflow, because four extents have 96 bits at most.
    #[must_use]
    pub fn elements(&self) -> u128 {
        self.dims().iter().map(|&d| u128::from(d)).product()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.dims().iter().map(u32::to_string).collect();
        write!(f, "[{}]", dims.join("×"))
    }
}
