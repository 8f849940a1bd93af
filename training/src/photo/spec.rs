//! The shape of the photo model, which determines weights, graphs and costs.
//!
//! ```text
//! image ───analysis─► 1/8 bands ──────────────► fine     [n, c₀ − m₁, h/8, w/8]
//!                       └first m₁─merge─► 1/16 ► middle   [n, 4·m₁ − m₂, h/16, w/16]
//!                                          └first m₂─merge─► coarse [n, 4·m₂, h/32, w/32]
//! ```
//! The lowest bands of a level are transformed again, two by two, because neighbouring blocks are still
//! correlated at 1/8 resolution. The remaining bands of each level form one layer of a frame, coarsest first.

use super::lapped::Parity;

/// Stride of the first transform, in pixels.
pub const STRIDE: usize = 8;
/// Number of samples by which the functions of the first transform extend over each side of a block.
pub const REACH: usize = STRIDE / 2;

/// One basis function of the first transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasisFunction {
    /// The colour axis, a row of [`COLOURS`].
    pub colour: usize,
    /// The vertical frequency, 0 to 7.
    pub vertical: usize,
    /// The horizontal frequency, 0 to 7.
    pub horizontal: usize,
}

/// The colour axes, grey and two colour differences, in terms of red, green and blue: approximately the
/// principal axes of natural images, orthonormal so that an error in them is as large as in the image.
pub const COLOURS: [[f64; 3]; 3] = [
    [0.577_350_269_189_625_8, 0.577_350_269_189_625_8, 0.577_350_269_189_625_8],
    [std::f64::consts::FRAC_1_SQRT_2, 0.0, -std::f64::consts::FRAC_1_SQRT_2],
    [0.408_248_290_463_863, -0.816_496_580_927_726, 0.408_248_290_463_863],
];

/// The shape of a photo model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhotoSpec {
    /// Number of grey bands, lowest first, 1 to 64.
    pub luma: usize,
    /// Number of bands of each colour difference, 1 to 64.
    pub chroma: usize,
    /// Number of lowest bands that are merged into the next level, for each level.
    pub merges: Vec<usize>,
    /// Channels of the decoder's residual network.
    pub width: usize,
    /// Blocks of the decoder's residual network.
    pub blocks: usize,
    /// Size of the decoder's image relative to the encoder's, per dimension: 1 or 2.
    pub scale: usize,
}

impl PhotoSpec {
    /// Returns the bands of the first transform, lowest frequency first. A band of a colour difference is
    /// sorted with the grey bands of twice its frequency, because it matters less and is as smooth.
    #[must_use]
    pub fn bands(&self) -> Vec<BasisFunction> {
        let mut bands: Vec<BasisFunction> = (0..3)
            .flat_map(|colour| Self::colour_bands(colour, if colour == 0 { self.luma } else { self.chroma }))
            .collect();
        bands.sort_by_key(|band| (band.sort_weight(), band.colour, band.vertical));
        bands
    }

    fn colour_bands(colour: usize, count: usize) -> impl Iterator<Item = BasisFunction> {
        let mut bands: Vec<BasisFunction> = (0..STRIDE * STRIDE)
            .map(|i| BasisFunction { colour, vertical: i / STRIDE, horizontal: i % STRIDE })
            .collect();
        bands.sort_by_key(|band| (band.frequency(), band.vertical));
        bands.into_iter().take(count)
    }

    /// Returns vertical and horizontal parity of every channel of level `level` before the lowest ones are
    /// merged; level 0 is the first transform.
    #[must_use]
    pub fn parities(&self, level: usize) -> Vec<[Parity; 2]> {
        let mut parities: Vec<[Parity; 2]> = self
            .bands()
            .iter()
            .map(|b| [Parity::of_band(b.vertical), Parity::of_band(b.horizontal)])
            .collect();
        for &merged in &self.merges[..level] {
            parities = (0..4 * merged)
                .map(|i| {
                    let [vertical, horizontal] = parities[i % merged];
                    let quarter = i / merged;
                    [
                        Parity::of_band(quarter / 2).compose(vertical),
                        Parity::of_band(quarter % 2).compose(horizontal),
                    ]
                })
                .collect();
        }
        parities
    }

    /// Returns the number of channels of level `level` before the lowest ones are merged.
    #[must_use]
    pub fn channels(&self, level: usize) -> usize {
        if level == 0 { self.luma + 2 * self.chroma } else { 4 * self.merges[level - 1] }
    }

    /// Returns the number of levels.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.merges.len() + 1
    }

    /// Returns the number of channels of the layer that remains at `level`.
    #[must_use]
    pub fn layer_channels(&self, level: usize) -> usize {
        self.channels(level) - self.merges.get(level).copied().unwrap_or(0)
    }

    /// Returns the stride of level `level`, in pixels.
    #[must_use]
    pub fn stride(&self, level: usize) -> usize {
        STRIDE << level
    }

    /// Returns the multiple of pixels that the sides of an image are padded to.
    #[must_use]
    pub fn alignment(&self) -> usize {
        self.stride(self.levels() - 1)
    }
}

impl BasisFunction {
    /// Returns the square of the frequency.
    fn frequency(self) -> usize {
        self.vertical * self.vertical + self.horizontal * self.horizontal
    }

    fn sort_weight(self) -> usize {
        // The lowest colour bands are sorted after the lowest grey band and before all others.
        if self.colour == 0 { 2 * self.frequency() } else { 8 * self.frequency() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> PhotoSpec {
        PhotoSpec { luma: 64, chroma: 15, merges: vec![16, 6], width: 8, blocks: 1, scale: 1 }
    }

    #[test]
    fn layers_hold_every_coefficient_once() {
        let spec = spec();
        assert_eq!((0..3).map(|l| spec.layer_channels(l)).collect::<Vec<_>>(), [78, 58, 24]);
        let per_block: usize = (0..3).map(|l| (spec.layer_channels(l) * 16) >> (2 * l)).sum();
        assert_eq!(per_block, 94 * 16);
        assert_eq!((spec.alignment(), spec.channels(0), spec.channels(2)), (32, 94, 24));
    }

    #[test]
    fn the_lowest_bands_come_first() {
        let bands = spec().bands();
        assert!(bands[..3].iter().all(|b| (b.vertical, b.horizontal) == (0, 0)));
        assert!(bands.windows(2).all(|pair| pair[0].sort_weight() <= pair[1].sort_weight()));
        assert_eq!(bands.iter().filter(|b| b.colour == 2).count(), 15);
    }

    #[test]
    fn parities_multiply_from_level_to_level() {
        let spec = spec();
        let (bands, merged) = (spec.bands(), spec.parities(1));
        // Channel 16 + 3 is the horizontally odd transform of band 3.
        let band = bands[3];
        assert_eq!(merged[16 + 3][0], Parity::of_band(band.vertical));
        assert_eq!(merged[16 + 3][1], Parity::Odd.compose(Parity::of_band(band.horizontal)));
    }
}
