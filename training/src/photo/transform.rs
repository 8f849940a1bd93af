//! The linear parts: analysis at the edge and synthesis in the cloud, each the inverse of the other at the
//! start.

use burn::{
    module::{Module, Param},
    tensor::{
        Device, Tensor, TensorData,
        module::{conv_transpose2d, conv2d},
        ops::{ConvOptions, ConvTransposeOptions},
    },
};

use super::{
    lapped::{Parity, lapped_transform},
    mirror,
    spec::{COLOURS, PhotoSpec, REACH, STRIDE},
};

/// The filters of one half: the first transform `[c, 3, 16, 16]`, then one merge `[4·m, m, 4, 4]` per level.
#[derive(Module, Debug)]
pub struct LinearFilters {
    /// The filters of the first transform.
    pub bands: Param<Tensor<4>>,
    /// The filters of the merges, finest level first.
    pub merges: Vec<Param<Tensor<4>>>,
}

impl LinearFilters {
    /// Returns the lapped orthogonal transform.
    #[must_use]
    pub fn lapped(spec: &PhotoSpec, device: &Device) -> Self {
        let merges = spec.merges.iter().map(|&m| Param::from_tensor(lapped_merge(m, device))).collect();
        Self { bands: Param::from_tensor(lapped_bands(spec, device)), merges }
    }

    /// Returns the symmetrised filters of the first transform.
    pub(crate) fn symmetric_bands(&self, spec: &PhotoSpec) -> Tensor<4> {
        mirror::symmetrise_filters(self.bands.val(), &spec.parities(0))
    }

    /// Returns the symmetrised filters of a merge.
    pub(crate) fn symmetric_merge(&self, spec: &PhotoSpec, level: usize) -> Tensor<4> {
        symmetrise_merge(self.merges[level].val(), spec, level)
    }

    /// Transforms an image `[n, 3, h, w]`, whose sides are multiples of the spec's alignment, to its layers,
    /// coarsest first.
    #[must_use]
    pub fn analyse(&self, image: Tensor<4>, spec: &PhotoSpec) -> Vec<Tensor<4>> {
        let weight = self.symmetric_bands(spec);
        let image = mirror::extend(image, REACH);
        let mut bands = conv2d(image, weight, None, conv_options(STRIDE));
        let mut layers = Vec::new();
        for (level, &merged) in spec.merges.iter().enumerate() {
            let remaining = bands.dims()[1] - merged;
            layers.push(bands.clone().narrow(1, merged, remaining));
            let low = mirror::ring(bands.narrow(1, 0, merged), &spec.parities(level)[..merged]);
            bands = conv2d(low, self.symmetric_merge(spec, level), None, conv_options(2));
        }
        layers.push(bands);
        layers.reverse();
        layers
    }

    /// Converts layers, coarsest first, back to the bands of the first transform, `[n, c, h/8, w/8]`.
    #[must_use]
    pub fn unmerge(&self, layers: &[Tensor<4>], spec: &PhotoSpec) -> Tensor<4> {
        let mut layers = layers.iter();
        let mut bands = layers.next().cloned().unwrap_or_else(|| unreachable!("a spec has a level"));
        for (level, layer) in (0..spec.merges.len()).rev().zip(layers) {
            let low = mirror::ring(bands, &spec.parities(level + 1));
            let low = conv_transpose2d(low, self.merges[level].val(), None, transposed_options(2, 3));
            bands = Tensor::cat(vec![low, layer.clone()], 1);
        }
        bands
    }

    /// Converts bands of the first transform to an image `[n, 3, h, w]`.
    #[must_use]
    pub fn synthesise(&self, bands: Tensor<4>, spec: &PhotoSpec) -> Tensor<4> {
        let bands = mirror::ring(bands, &spec.parities(0));
        conv_transpose2d(bands, self.bands.val(), None, transposed_options(STRIDE, STRIDE + REACH))
    }
}

/// Symmetrises the filters of a merge: a pair of channels of opposite parity is mixed antisymmetrically.
fn symmetrise_merge(weight: Tensor<4>, spec: &PhotoSpec, level: usize) -> Tensor<4> {
    let device = weight.device();
    let (outer, inner) = (spec.parities(level + 1), spec.parities(level));
    let merged = &inner[..spec.merges[level]];
    (0..2).fold(weight, |w, axis| {
        let signs = merge_signs(&outer, merged, axis, &device);
        (w.clone() + w.flip([axis as isize + 2]) * signs) * 0.5
    })
}

/// Returns the sign of each pair of an outer and an inner channel, 1 or −1, `[outer, inner, 1, 1]`.
fn merge_signs(outer: &[[Parity; 2]], inner: &[[Parity; 2]], axis: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = outer
        .iter()
        .flat_map(|out| inner.iter().map(move |from| out[axis].compose(from[axis]).sign()))
        .collect();
    Tensor::from_data(TensorData::new(values, [outer.len(), inner.len(), 1, 1]), device)
}

fn lapped_bands(spec: &PhotoSpec, device: &Device) -> Tensor<4> {
    let (rows, size) = (lapped_transform(STRIDE), 2 * STRIDE);
    let values: Vec<f32> = spec
        .bands()
        .iter()
        .flat_map(|band| {
            let rows = &rows;
            (0..3 * size * size).map(move |i| {
                let (colour, y, x) = (i / (size * size), i / size % size, i % size);
                (COLOURS[band.colour][colour] * rows[(band.vertical, y)] * rows[(band.horizontal, x)]) as f32
            })
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [spec.channels(0), 3, size, size]), device)
}

/// Returns the filters of a merge that transforms every channel separately, two by two in both directions.
fn lapped_merge(merged: usize, device: &Device) -> Tensor<4> {
    let rows = lapped_transform(2);
    let mut values = vec![0.0_f32; 4 * merged * merged * 16];
    for (quarter, channel, y, x) in
        (0..4 * merged * 16).map(|i| (i / 16 / merged, i / 16 % merged, i / 4 % 4, i % 4))
    {
        let out = quarter * merged + channel;
        values[((out * merged + channel) * 4 + y) * 4 + x] =
            (rows[(quarter / 2, y)] * rows[(quarter % 2, x)]) as f32;
    }
    Tensor::from_data(TensorData::new(values, [4 * merged, merged, 4, 4]), device)
}

fn conv_options(stride: usize) -> ConvOptions<2> {
    ConvOptions::new([stride; 2], [0; 2], [1; 2], 1)
}

fn transposed_options(stride: usize, crop: usize) -> ConvTransposeOptions<2> {
    ConvTransposeOptions::new([stride; 2], [crop; 2], [0; 2], [1; 2], 1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    fn random_image(h: usize, w: usize) -> Tensor<4> {
        Tensor::random([1, 3, h, w], Distribution::Uniform(-0.5, 0.5), &Device::flex())
    }

    fn largest(x: Tensor<4>) -> f32 {
        x.abs().max().into_scalar::<f32>()
    }

    #[test]
    fn with_every_band_the_image_is_reconstructed_up_to_its_border() {
        let spec = PhotoSpec { luma: 64, chroma: 64, merges: vec![16, 6], width: 8, blocks: 1, scale: 1 };
        let filters = LinearFilters::lapped(&spec, &Device::flex());
        let image = random_image(64, 96);
        let layers = filters.analyse(image.clone(), &spec);
        let shapes: Vec<_> = layers.iter().map(Tensor::dims).collect();
        assert_eq!(shapes, [[1, 24, 2, 3], [1, 58, 4, 6], [1, 176, 8, 12]]);
        let restored = filters.synthesise(filters.unmerge(&layers, &spec), &spec);
        let error = largest(restored - image);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn the_initial_filters_are_already_symmetric() {
        let spec = PhotoSpec { luma: 64, chroma: 15, merges: vec![16, 6], width: 8, blocks: 1, scale: 1 };
        let filters = LinearFilters::lapped(&spec, &Device::flex());
        let bands = filters.bands.val();
        assert!(largest(mirror::symmetrise_filters(bands.clone(), &spec.parities(0)) - bands) < 1e-6);
        for (level, merge) in filters.merges.iter().enumerate() {
            assert!(largest(symmetrise_merge(merge.val(), &spec, level) - merge.val()) < 1e-6);
        }
    }
}
