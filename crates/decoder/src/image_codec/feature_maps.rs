//! The coefficients of an image, from which the inputs of a head are cut, tile by tile.

use std::{ops::Range, sync::Arc};

use lopside_latent::{
    LatentError,
    image_codec::{ImageCodecHeader, ImageCodecQuantiser},
};

/// The feature maps of an image. Those of a frame stay integers, in half the memory, until a tile needs them.
#[derive(Debug)]
pub struct FeatureMaps {
    /// The frame's header, which describes its image.
    pub header: ImageCodecHeader,
    pub(super) layers: MapLayers,
}

/// The layers of feature maps, coarsest first, each `[channels, rows, columns]`.
#[derive(Debug)]
pub(super) enum MapLayers {
    /// The integers of a frame; layers that the frame lacks are zeros.
    Integers(Vec<Vec<i16>>),
    /// Dequantised values, of all layers.
    Values(Vec<Arc<Vec<f32>>>),
}

/// The cells of a layer, and the part of them that is cut out.
pub(super) struct LayerCut {
    /// Channels, rows and columns of the layer.
    pub(super) shape: [usize; 3],
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl FeatureMaps {
    /// Returns the dequantised values of a part of layer `number`. A whole layer of values is not copied.
    ///
    /// # Errors
    /// [`LatentError::CountMismatch`] if the layer does not fit the image.
    pub(super) fn cut_layer(
        &self,
        quantiser: &ImageCodecQuantiser,
        number: usize,
        cut: &LayerCut,
    ) -> Result<Arc<Vec<f32>>, LatentError> {
        match &self.layers {
            MapLayers::Values(layers) => match layers.get(number) {
                Some(values) if cut.is_whole() => Ok(Arc::clone(values)),
                Some(values) => cut.copy(values).map(Arc::new),
                None => Ok(Arc::new(vec![0.0; cut.len()])),
            },
            MapLayers::Integers(layers) => {
                let quality = self.header.quality.index();
                let dequantise =
                    |integers: &[i16]| quantiser.dequantise(number, quality, integers).map(Arc::new);
                match layers.get(number) {
                    Some(integers) if cut.is_whole() => dequantise(integers),
                    Some(integers) => dequantise(&cut.copy(integers)?),
                    None => Ok(Arc::new(vec![0.0; cut.len()])),
                }
            }
        }
    }
}

impl LayerCut {
    fn is_whole(&self) -> bool {
        let [_, rows, columns] = self.shape;
        self.rows == (0..rows) && self.columns == (0..columns)
    }

    /// Returns the number of values of the part.
    fn len(&self) -> usize {
        self.shape[0] * self.rows.len() * self.columns.len()
    }

    /// Returns the shape of the part as a tensor with one item.
    pub(super) fn tensor_shape(&self) -> Vec<usize> {
        vec![1, self.shape[0], self.rows.len(), self.columns.len()]
    }

    /// Copies the part out of the values of the layer.
    fn copy<T: Copy>(&self, values: &[T]) -> Result<Vec<T>, LatentError> {
        let [channels, rows, columns] = self.shape;
        let (found, expected) = (values.len(), channels * rows * columns);
        if found != expected {
            return Err(LatentError::CountMismatch { what: "layer", found, expected });
        }
        let mut part = Vec::with_capacity(self.len());
        for plane in values.chunks_exact((rows * columns).max(1)) {
            for row in self.rows.clone() {
                part.extend_from_slice(&plane[row * columns..][self.columns.clone()]);
            }
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_same_rows_and_columns_of_every_channel() {
        let cut = LayerCut { shape: [2, 3, 4], rows: 1..3, columns: 2..4 };
        let values: Vec<u8> = (0..24).collect();
        assert_eq!(cut.copy(&values).unwrap(), [6, 7, 10, 11, 18, 19, 22, 23]);
        assert_eq!((cut.len(), cut.tensor_shape(), cut.is_whole()), (8, vec![1, 2, 2, 2], false));
        assert!(LayerCut { rows: 0..3, columns: 0..4, ..cut }.is_whole());
    }

    #[test]
    fn values_of_another_image_are_refused() {
        let cut = LayerCut { shape: [2, 3, 4], rows: 1..3, columns: 2..4 };
        assert!(matches!(
            cut.copy(&[0; 23]),
            Err(LatentError::CountMismatch { found: 23, expected: 24, .. })
        ));
    }
}
