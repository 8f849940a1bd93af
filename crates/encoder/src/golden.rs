//! Check that an encoder produces the same latents here as where it was trained: its golden inputs are
//! encoded again.
//!
//! Floating-point results may differ in the last bit between machines. A value halfway between two integers
//! may then be rounded to either side, so some values may differ by one step; in an image codec, a neighbour
//! whose bit costs change with it may differ as well. An encoder that computes something else differs in more
//! values, and by more.

use std::path::Path;

use lopside_bundle::{GoldenInputSpec, image_codec::AnyBundle};

use crate::{AnyEncoder, EncodeError, EncodeOptions, InputError, source::EncoderInput};

/// One value in this many may differ. Last-bit differences change far fewer values, a different model nearly
/// all.
pub const VALUES_PER_DIFFERENCE: usize = 100;
/// Maximum difference of a value, in quantisation steps: last-bit differences only move a value between
/// adjacent integers.
pub const MAX_STEP_DIFFERENCE: u32 = 1;

/// Returns the encoder of the bundle in `folder` if it reproduces every golden input.
///
/// # Errors
/// [`EncodeError::NoGoldenInputs`] without golden inputs, [`EncodeError::GoldenMismatch`] with the differences
/// if a latent is not reproduced, and errors of the bundle, the inputs or the frames.
pub fn load_verified(
    folder: &Path,
    bundle: &AnyBundle,
    options: &EncodeOptions,
) -> Result<AnyEncoder, EncodeError> {
    let full = AnyEncoder::new(bundle, &EncodeOptions { use_fast: false, ..*options })?;
    if bundle.golden().is_empty() {
        return Err(EncodeError::NoGoldenInputs { bundle: full.name().to_owned() });
    }
    bundle.golden().iter().try_for_each(|golden| compare(folder, &full, golden))?;
    if !options.use_fast || matches!(full, AnyEncoder::FixedLatent(..)) {
        return Ok(full);
    }
    // A fast encoder computes fewer values than the frame has, so the check can only show that it runs.
    let fast = AnyEncoder::new(bundle, options)?;
    for golden in bundle.golden() {
        let (input, frame) = read(folder, &fast, golden)?;
        fast.encode_like(&input, &frame)?;
    }
    Ok(fast)
}

/// Returns the first input of a file.
///
/// # Errors
/// The reason why the file cannot be read.
pub fn first_input(encoder: &AnyEncoder, path: &Path) -> Result<EncoderInput, InputError> {
    let first = encoder.open_inputs(&[path.to_owned()])?.next();
    let first = first.ok_or_else(|| InputError::InvalidFile {
        path: path.to_owned(),
        reason: "it does not contain an input".into(),
    })?;
    Ok(first?.input)
}

fn read(
    folder: &Path,
    encoder: &AnyEncoder,
    golden: &GoldenInputSpec,
) -> Result<(EncoderInput, Vec<u8>), EncodeError> {
    let (path, frame) = golden.read_verified(folder)?;
    Ok((first_input(encoder, &path)?, frame))
}

fn compare(folder: &Path, encoder: &AnyEncoder, golden: &GoldenInputSpec) -> Result<(), EncodeError> {
    let (input, frame) = read(folder, encoder, golden)?;
    let found = encoder.encode_like(&input, &frame)?.frame;
    judge_integers(&golden.input.path, &encoder.decode_integers(&frame)?, &encoder.decode_integers(&found)?)
}

fn judge_integers(input: &str, expected: &[i32], found: &[i32]) -> Result<(), EncodeError> {
    let values = expected.len();
    let steps = expected.iter().zip(found).map(|(expected, found)| expected.abs_diff(*found));
    // An image of another size has another number of values.
    let missing = values.abs_diff(found.len());
    let differing = missing + steps.clone().filter(|steps| *steps > 0).count();
    let (largest, allowed) = (steps.max().unwrap_or(0), values / VALUES_PER_DIFFERENCE);
    if differing <= allowed && largest <= MAX_STEP_DIFFERENCE {
        return Ok(());
    }
    Err(EncodeError::GoldenMismatch { input: input.to_owned(), differing, values, largest, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_a_hundred_may_differ_by_one_step() {
        let expected: Vec<i32> = (0..200).collect();
        let judge_changed = |count: usize, delta: i32| {
            let mut found = expected.clone();
            found.iter_mut().take(count).for_each(|value| *value += delta);
            judge_integers("a.png", &expected, &found).map_err(|error| error.to_string())
        };
        assert_eq!(
            [judge_changed(0, 0), judge_changed(2, 1), judge_changed(2, -1)],
            [Ok(()), Ok(()), Ok(())]
        );
        let error = judge_changed(3, 1).unwrap_err();
        assert!(error.contains("a.png") && error.contains("3 of 200") && error.contains("up to 1 steps"));
        assert!(judge_changed(1, 2).unwrap_err().contains("up to 2 steps"));
        assert!(judge_integers("a.png", &expected, &expected[..190]).is_err());
    }

    #[test]
    fn among_few_values_none_may_differ() {
        assert!(judge_integers("a.png", &[1, 2, 3], &[1, 2, 3]).is_ok());
        assert!(judge_integers("a.png", &[1, 2, 3], &[1, 2, 4]).is_err());
    }
}
