//! The quantiser of an image codec: feature maps to integers and back, at every quality.

use crate::LatentError;

use super::QUALITIES;

/// Fractions of a step in which coefficients are passed to a coder that chooses the integers itself.
pub(super) const SIXTEENTHS_PER_STEP: i16 = 16;

/// A uniform quantiser with a dead zone: `ŷ = sign(y)·⌊|y|·gain/step(q) + rounding⌋`, `y ≈ ŷ·step(q)/gain`.
///
/// It uses one multiplication, one addition and one truncation of 32-bit floats, so equal maps result in
/// equal integers on every host.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageCodecQuantiser {
    steps: Vec<f32>,
    gains: Vec<Vec<f32>>,
    rounding: Vec<f32>,
}

impl ImageCodecQuantiser {
    /// Creates a quantiser. `steps` are those of the 100 qualities, in units of the maps, in non-increasing
    /// order. `gains` has one list per layer, with one scale per channel. `rounding` has one value per layer,
    /// which is added before the fraction is cut off: 0.5 rounds to the nearest integer, less makes a dead
    /// zone around 0.
    ///
    /// # Errors
    /// Returns [`LatentError::BadGain`] for a step or gain that is not positive and finite or a rounding
    /// outside 0 to 0.5, [`LatentError::CountMismatch`] if there are not 100 steps or not one rounding per layer.
    pub fn new(steps: Vec<f32>, gains: Vec<Vec<f32>>, rounding: Vec<f32>) -> Result<Self, LatentError> {
        check_positive(steps.iter())?;
        check_positive(gains.iter().flatten())?;
        if let Some(index) = rounding.iter().position(|r| !(0.0..=0.5).contains(r)) {
            return Err(LatentError::BadGain { index, value: rounding[index].to_string() });
        }
        for (what, found, expected) in
            [("list of steps", steps.len(), QUALITIES), ("list of roundings", rounding.len(), gains.len())]
        {
            if found != expected {
                return Err(LatentError::CountMismatch { what, found, expected });
            }
        }
        Ok(Self { steps, gains, rounding })
    }

    /// Returns the steps of the 100 qualities, coarsest first.
    #[must_use]
    pub fn steps(&self) -> &[f32] {
        &self.steps
    }

    /// Returns the gains of each layer's channels.
    #[must_use]
    pub fn gains(&self) -> &[Vec<f32>] {
        &self.gains
    }

    /// Returns the value added before the fraction is cut off, one per layer.
    #[must_use]
    pub fn rounding(&self) -> &[f32] {
        &self.rounding
    }

    /// Quantises the maps of a layer, `[channels, …]`, to integers. Values beyond 16 bits saturate. `quality`
    /// is 0 to 99.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] if the maps are not whole planes, [`LatentError::NotFinite`] for NaN or
    /// infinity.
    pub fn quantise(&self, layer: usize, quality: usize, maps: &[f32]) -> Result<Vec<i16>, LatentError> {
        self.round_maps([layer, self.gains[layer].len()], quality, maps, 1.0, self.rounding[layer])
    }

    /// Quantises the first `channels` maps of a layer: to the nearest sixteenth of a step if `in_sixteenths`,
    /// otherwise to integers.
    pub(super) fn quantise_first(
        &self,
        layer: usize,
        channels: usize,
        quality: usize,
        maps: &[f32],
        in_sixteenths: bool,
    ) -> Result<Vec<i16>, LatentError> {
        let (units_per_step, rounding) =
            if in_sixteenths { (f32::from(SIXTEENTHS_PER_STEP), 0.5) } else { (1.0, self.rounding[layer]) };
        self.round_maps([layer, channels], quality, maps, units_per_step, rounding)
    }

    fn round_maps(
        &self,
        [layer, channels]: [usize; 2],
        quality: usize,
        maps: &[f32],
        parts: f32,
        rounding: f32,
    ) -> Result<Vec<i16>, LatentError> {
        let plane = plane_len(maps.len(), channels)?;
        check_finite(maps)?;
        let mut integers = Vec::with_capacity(maps.len());
        for (map, gain) in maps.chunks_exact(plane).zip(&self.gains[layer]) {
            let scale = gain / self.steps[quality] * parts;
            integers.extend(map.iter().map(|&value| round_scaled(value * scale, rounding)));
        }
        Ok(integers)
    }

    /// Returns the maps that a layer's integers represent. `quality` is 0 to 99.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] if the integers are not whole planes.
    pub fn dequantise(
        &self,
        layer: usize,
        quality: usize,
        integers: &[i16],
    ) -> Result<Vec<f32>, LatentError> {
        let plane = plane_len(integers.len(), self.gains[layer].len())?;
        let mut maps = Vec::with_capacity(integers.len());
        for (values, gain) in integers.chunks_exact(plane).zip(&self.gains[layer]) {
            let step = self.steps[quality] / gain;
            maps.extend(values.iter().map(|&value| f32::from(value) * step));
        }
        Ok(maps)
    }
}

/// Returns the number of values per plane.
fn plane_len(len: usize, channels: usize) -> Result<usize, LatentError> {
    if len > 0 && len.is_multiple_of(channels) {
        return Ok(len / channels);
    }
    Err(LatentError::CountMismatch { what: "list of coefficients", found: len, expected: channels })
}

/// Checks that all values are finite.
fn check_finite(maps: &[f32]) -> Result<(), LatentError> {
    // Without an early exit the loop compiles to a few vector instructions.
    let largest = maps.iter().fold(0, |largest: u32, value| largest.max(value.abs().to_bits()));
    if f32::from_bits(largest).is_finite() {
        return Ok(());
    }
    let index = maps.iter().position(|value| !value.is_finite()).unwrap_or_default();
    Err(LatentError::NotFinite { index, value: maps[index].to_string() })
}

/// Checks that all values are positive and finite.
fn check_positive<'a>(values: impl Iterator<Item = &'a f32>) -> Result<(), LatentError> {
    for (index, &value) in values.enumerate() {
        if !value.is_finite() || value <= 0.0 {
            return Err(LatentError::BadGain { index, value: value.to_string() });
        }
    }
    Ok(())
}

/// Rounds a scaled value; values that are too large saturate.
fn round_scaled(scaled: f32, rounding: f32) -> i16 {
    let magnitude = (scaled.abs() + rounding).min(f32::from(i16::MAX)) as i32;
    (if scaled < 0.0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantiser(rounding: f32) -> ImageCodecQuantiser {
        ImageCodecQuantiser::new(vec![0.5; 100], vec![vec![1.0, 2.0]], vec![rounding]).unwrap()
    }

    #[test]
    fn rounding_is_symmetric_with_a_dead_zone() {
        let integers = quantiser(0.25).quantise(0, 9, &[0.3, -0.3, 0.375, -0.375, 0.1, 1e9]).unwrap();
        assert_eq!(integers, [0, 0, 1, -1, 0, i16::MAX]);
        let integers = quantiser(0.5).quantise(0, 9, &[0.25, -0.25, 0.24, -0.24]).unwrap();
        assert_eq!(integers, [1, -1, 1, -1]);
    }

    #[test]
    fn large_values_saturate() {
        let maps = [1e4, -1e4, 1e15, -1e15, 1e30, -1e30, f32::MAX, f32::MIN];
        let expected = [20000, -20000, i16::MAX, -i16::MAX, i16::MAX, -i16::MAX, i16::MAX, -i16::MAX];
        let quantiser = ImageCodecQuantiser::new(vec![0.5; 100], vec![vec![1.0]], vec![0.5]).unwrap();
        assert_eq!(quantiser.quantise(0, 0, &maps).unwrap(), expected);
    }

    #[test]
    fn integers_stand_for_multiples_of_the_step() {
        assert_eq!(quantiser(0.5).dequantise(0, 0, &[3, -1]).unwrap(), [1.5, -0.25]);
    }

    #[test]
    fn invalid_parameters_are_refused() {
        assert!(ImageCodecQuantiser::new(vec![1.0; 99], vec![vec![1.0]], vec![0.5]).is_err());
        assert!(ImageCodecQuantiser::new(vec![0.0; 100], vec![vec![1.0]], vec![0.5]).is_err());
        assert!(ImageCodecQuantiser::new(vec![1.0; 100], vec![vec![1.0]], vec![0.6]).is_err());
        assert!(quantiser(0.5).quantise(0, 0, &[1.0]).is_err());
        assert!(quantiser(0.5).quantise(0, 0, &[f32::NAN, 0.0]).is_err());
    }
}
