//! The size of the parts of tiles that training sees.

use super::image_file::TILE_SIDE;
use crate::PhotoError;

/// Side of the square crops of tiles: a multiple of 16 from 16 to [`TILE_SIDE`] pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop(usize);

impl Crop {
    /// Checks a side in pixels.
    ///
    /// # Errors
    /// [`PhotoError::InvalidCrop`] when it is not a multiple of 16 from 16 to 256.
    pub fn new(side: usize) -> Result<Self, PhotoError> {
        if side.is_multiple_of(16) && (16..=TILE_SIDE).contains(&side) {
            Ok(Self(side))
        } else {
            Err(PhotoError::InvalidCrop { side })
        }
    }

    /// Returns the side in pixels.
    #[must_use]
    pub fn side(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_crop_is_a_whole_tile_and_impossible_ones_are_refused() {
        for side in [0, 8, 100, 272] {
            let error = Crop::new(side).unwrap_err();
            assert!(error.to_string().contains("multiple of 16"), "{error}");
        }
        assert_eq!(Crop::new(256).unwrap().side(), TILE_SIDE);
    }
}
