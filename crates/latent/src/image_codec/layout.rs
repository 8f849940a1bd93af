//! The layout of an image's coefficients: layers, padding and stripes.

use std::ops::Range;

use crate::LatentError;

/// Rows of pixels that are coded together. A stripe does not depend on the one above it, so several threads
/// can code stripes, and memory is bounded on both sides.
pub const STRIPE_ROWS: u32 = 512;

/// One layer of a latent space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerShape {
    /// Number of feature maps, 1 to 4096.
    pub channels: u32,
    /// Pixels per coefficient in each direction: a power of two that divides [`STRIPE_ROWS`].
    pub stride: u32,
}

/// The layers of a latent space, coarsest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    layers: Vec<LayerShape>,
}

impl Layout {
    /// Creates a layout from layers of decreasing stride.
    ///
    /// # Errors
    /// Returns [`LatentError::BadLayout`] if a stride is not a power of two up to [`STRIPE_ROWS`] or not below the
    /// one before it, if a layer has zero or more than 4096 channels, or if there are zero or more than 8
    /// layers.
    pub fn new(layers: Vec<LayerShape>) -> Result<Self, LatentError> {
        if !(1..=8).contains(&layers.len()) {
            return Err(bad_layout("it must have 1 to 8 layers"));
        }
        if layers.iter().any(|layer| !(1..=4096).contains(&layer.channels)) {
            return Err(bad_layout("every layer must have 1 to 4096 channels"));
        }
        if layers.iter().any(|layer| !layer.stride.is_power_of_two() || layer.stride > STRIPE_ROWS) {
            return Err(bad_layout("every stride must be a power of two from 1 to 512"));
        }
        if layers.windows(2).any(|pair| pair[0].stride <= pair[1].stride) {
            return Err(bad_layout("each layer's stride must be smaller than that of the layer before it"));
        }
        Ok(Self { layers })
    }

    /// Returns the layers, coarsest first.
    #[must_use]
    pub fn layers(&self) -> &[LayerShape] {
        &self.layers
    }

    /// Returns the coarsest stride. The sides of an image are padded to multiples of it.
    #[must_use]
    pub fn alignment(&self) -> u32 {
        self.layers[0].stride
    }

    /// Returns the rows and columns of a layer for an image of these sides.
    #[must_use]
    pub fn dims(&self, layer: usize, width: u32, height: u32) -> [usize; 2] {
        let stride = self.layers[layer].stride;
        [height, width].map(|side| (side.next_multiple_of(self.alignment()) / stride) as usize)
    }

    /// Returns the number of coefficients of a layer for an image of these sides.
    #[must_use]
    pub fn elements(&self, layer: usize, width: u32, height: u32) -> usize {
        let [rows, columns] = self.dims(layer, width, height);
        self.layers[layer].channels as usize * rows * columns
    }

    /// Returns the number of pixels of an image of these sides after padding.
    pub(crate) fn padded_pixels(&self, width: u32, height: u32) -> u64 {
        [height, width].map(|side| u64::from(side.next_multiple_of(self.alignment()))).iter().product()
    }

    /// Returns the number of stripes of an image.
    pub(crate) fn stripe_count(&self, height: u32) -> usize {
        height.next_multiple_of(self.alignment()).div_ceil(STRIPE_ROWS) as usize
    }

    /// Returns the rows of a layer that belong to a stripe.
    pub(crate) fn stripe_rows(&self, layer: usize, height: u32, number: usize) -> Range<usize> {
        let stride = self.layers[layer].stride;
        let rows = (height.next_multiple_of(self.alignment()) / stride) as usize;
        let rows_per_stripe = (STRIPE_ROWS / stride) as usize;
        number * rows_per_stripe..((number + 1) * rows_per_stripe).min(rows)
    }
}

const fn bad_layout(reason: &'static str) -> LatentError {
    LatentError::BadLayout { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let layer = |channels, stride| LayerShape { channels, stride };
        Layout::new(vec![layer(16, 32), layer(20, 16), layer(90, 8)]).unwrap()
    }

    #[test]
    fn sides_are_padded_to_the_coarsest_stride() {
        assert_eq!(layout().dims(0, 1, 33), [2, 1]);
        assert_eq!(layout().dims(2, 1, 33), [8, 4]);
        assert_eq!(layout().elements(1, 100, 64), 20 * 4 * 8);
    }

    #[test]
    fn stripes_cover_every_row_of_every_layer() {
        let stripes = |layer| {
            let layout = layout();
            (0..layout.stripe_count(1200))
                .map(|number| layout.stripe_rows(layer, 1200, number))
                .collect::<Vec<_>>()
        };
        assert_eq!(stripes(2), [0..64, 64..128, 128..152]);
        assert_eq!(stripes(0), [0..16, 16..32, 32..38]);
        assert_eq!([1, 512, 513].map(|height| layout().stripe_count(height)), [1, 1, 2]);
    }

    #[test]
    fn impossible_layouts_are_refused() {
        let layer = |channels, stride| LayerShape { channels, stride };
        for layers in
            [vec![], vec![layer(0, 8)], vec![layer(1, 12)], vec![layer(1, 8); 2], vec![layer(1, 1024)]]
        {
            assert!(matches!(Layout::new(layers), Err(LatentError::BadLayout { .. })));
        }
    }
}
