use crate::LatentError;

/// Fractional bits of the fixed-point product that is rounded.
const FRACTION_BITS: u32 = 16;

/// A uniform quantiser: `ŷ = round(z · gain)`, step `1 / gain`. The values are divided into as many runs as
/// there are gains, all of equal length. Each run has its own gain; runs of one value mean one gain per
/// value.
///
/// The product of two `f32` is exact in `f64`; it is cut to 16 fractional bits and rounded half up on
/// integers, so equal latents result in equal integers on every host.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiser {
    gains: Vec<f32>,
}

impl Quantiser {
    /// Creates a quantiser with these gains, in steps per latent unit.
    ///
    /// # Errors
    /// Returns [`LatentError::BadGain`] for a gain that is not positive and finite.
    pub fn new(gains: Vec<f32>) -> Result<Self, LatentError> {
        match gains.iter().position(|gain| !(gain.is_finite() && *gain > 0.0)) {
            Some(index) => Err(LatentError::BadGain { index, value: gains[index].to_string() }),
            None => Ok(Self { gains }),
        }
    }

    /// Returns the gains, one per run.
    #[must_use]
    pub fn gains(&self) -> &[f32] {
        &self.gains
    }

    /// Quantises a latent `z` to integers. Values beyond `i32` saturate.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] if the values cannot be divided into runs of equal length,
    /// [`LatentError::NotFinite`] for NaN or infinity.
    pub fn quantise(&self, z: &[f32]) -> Result<Vec<i32>, LatentError> {
        let run_len = self.run_len("latent", z.len())?;
        if let Some(index) = z.iter().position(|value| !value.is_finite()) {
            return Err(LatentError::NotFinite { index, value: z[index].to_string() });
        }
        Ok(z.iter()
            .zip(self.gain_per_value(run_len))
            .map(|(&value, gain)| round_scaled(value, gain))
            .collect())
    }

    /// Returns the latent that these integers represent: `z ≈ ŷ / gain`.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] if the values cannot be divided into runs of equal length.
    pub fn dequantise(&self, integers: &[i32]) -> Result<Vec<f32>, LatentError> {
        let run_len = self.run_len("list of integers", integers.len())?;
        let values = integers.iter().zip(self.gain_per_value(run_len));
        Ok(values.map(|(&integer, gain)| (f64::from(integer) / f64::from(gain)) as f32).collect())
    }

    /// Returns the gain of every value.
    fn gain_per_value(&self, run_len: usize) -> impl Iterator<Item = f32> {
        self.gains.iter().flat_map(move |&gain| std::iter::repeat_n(gain, run_len))
    }

    /// Returns the number of values per run.
    fn run_len(&self, what: &'static str, found: usize) -> Result<usize, LatentError> {
        let expected = self.gains.len();
        let is_divisible = expected > 0 && found > 0 && found.is_multiple_of(expected);
        if is_divisible {
            Ok(found / expected)
        } else {
            Err(LatentError::CountMismatch { what, found, expected })
        }
    }
}

fn round_scaled(value: f32, gain: f32) -> i32 {
    let unit = 1_i64 << FRACTION_BITS;
    // A cast from float to integer saturates; halving the range keeps the addition below from overflowing.
    let fixed = ((f64::from(value) * f64::from(gain) * unit as f64) as i64).clamp(i64::MIN / 2, i64::MAX / 2);
    let rounded = (fixed + unit / 2) >> FRACTION_BITS;
    rounded.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounds_half_up_and_saturates() {
        let quantiser = Quantiser::new(vec![2.0; 6]).unwrap();
        let z = [0.25, -0.25, 0.24, -0.26, f32::MAX, f32::MIN];
        assert_eq!(quantiser.quantise(&z).unwrap(), [1, 0, 0, -1, i32::MAX, i32::MIN]);
    }

    #[test]
    fn values_that_cannot_be_quantised_are_refused() {
        assert!(matches!(Quantiser::new(vec![1.0, 0.0]), Err(LatentError::BadGain { index: 1, .. })));
        assert!(matches!(Quantiser::new(vec![f32::NAN]), Err(LatentError::BadGain { index: 0, .. })));
        let quantiser = Quantiser::new(vec![1.0; 2]).unwrap();
        assert!(matches!(quantiser.quantise(&[0.0, f32::NAN]), Err(LatentError::NotFinite { index: 1, .. })));
        assert!(matches!(
            quantiser.quantise(&[0.0]),
            Err(LatentError::CountMismatch { found: 1, expected: 2, .. })
        ));
        assert!(matches!(
            quantiser.dequantise(&[0; 3]),
            Err(LatentError::CountMismatch { found: 3, expected: 2, .. })
        ));
    }

    #[test]
    fn a_gain_serves_a_run_of_values() {
        let quantiser = Quantiser::new(vec![1.0, 10.0]).unwrap();
        assert_eq!(quantiser.quantise(&[1.0, 2.0, 3.0, 4.0]).unwrap(), [1, 2, 30, 40]);
        assert_eq!(quantiser.dequantise(&[1, 2, 30, 40]).unwrap(), [1.0, 2.0, 3.0, 4.0]);
    }

    proptest! {
        #[test]
        fn error_is_at_most_half_a_step(z in -1e3_f32..1e3, gain in 1e-2_f32..1e3) {
            let quantiser = Quantiser::new(vec![gain]).unwrap();
            let dequantised = quantiser.dequantise(&quantiser.quantise(&[z]).unwrap()).unwrap()[0];
            let step = 1.0 / f64::from(gain);
            // Half a step, the 16th fractional bit that is cut off, and the rounding of the f32 result.
            let bound = step * (0.5 + 1.0 / 65536.0) + f64::from(z.abs()) * 1e-6;
            prop_assert!((f64::from(dequantised) - f64::from(z)).abs() <= bound, "{z} → {dequantised}, step {step}");
        }
    }
}
