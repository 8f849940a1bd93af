//! Whether an encoder makes here what it made where it was trained: its golden inputs, encoded again.
//!
//! Floats may end in another last bit on another machine. A value that lies between two integers falls to either side
//! then, so some may differ by one step, and in a photo model a neighbour that costs other bits by that. An encoder that
//! computes something else differs in more values, and by more.

use std::path::Path;

use lopside_bundle::{GoldenSpec, picture::AnyBundle};

use crate::{AnyEncoder, EdgeError, EncodeOptions, source::Input};

/// One value of so many may differ. Last bits change far fewer, another model's numbers nearly all.
pub const PER_DIFFERING: usize = 100;
/// By so many steps: a value that last bits move lies between two integers that follow each other.
pub const MAX_STEPS: u32 = 1;

/// The encoder of the bundle in `folder`, when it makes of every golden input what it should.
///
/// # Errors
/// [`EdgeError::NoGolden`] when there is none, [`EdgeError::Golden`] with the numbers when it makes something else, and
/// what is wrong with bundle, inputs or frames.
pub fn tried(folder: &Path, bundle: &AnyBundle, options: &EncodeOptions) -> Result<AnyEncoder, EdgeError> {
    let whole = AnyEncoder::new(bundle, &EncodeOptions { fast: false, ..*options })?;
    if bundle.golden().is_empty() {
        return Err(EdgeError::NoGolden { bundle: whole.name().to_owned() });
    }
    bundle.golden().iter().try_for_each(|golden| compare(folder, &whole, golden))?;
    if !options.fast || matches!(whole, AnyEncoder::Vector(..)) {
        return Ok(whole);
    }
    // A fast encoder makes less of an input than the frame has: that it runs is all that can be said.
    let fast = AnyEncoder::new(bundle, options)?;
    for golden in bundle.golden() {
        let (input, frame) = read(folder, &fast, golden)?;
        fast.encode_like(&input, &frame)?;
    }
    Ok(fast)
}

/// The first input of a file.
///
/// # Errors
/// What is wrong with the file.
pub fn first_input(encoder: &AnyEncoder, path: &Path) -> Result<Input, EdgeError> {
    let nothing = || EdgeError::File { path: path.to_owned(), reason: "it holds no input".into() };
    Ok(encoder.open(&[path.to_owned()])?.next().ok_or_else(nothing)??.input)
}

fn read(folder: &Path, encoder: &AnyEncoder, golden: &GoldenSpec) -> Result<(Input, Vec<u8>), EdgeError> {
    let (path, frame) = golden.read(folder)?;
    Ok((first_input(encoder, &path)?, frame))
}

fn compare(folder: &Path, encoder: &AnyEncoder, golden: &GoldenSpec) -> Result<(), EdgeError> {
    let (input, frame) = read(folder, encoder, golden)?;
    let found = encoder.encode_like(&input, &frame)?.frame;
    judge(&golden.input.path, &encoder.integers(&frame)?, &encoder.integers(&found)?)
}

fn judge(input: &str, expected: &[i32], found: &[i32]) -> Result<(), EdgeError> {
    let values = expected.len();
    let steps = expected.iter().zip(found).map(|(expected, found)| expected.abs_diff(*found));
    // A picture of another size has another number of values.
    let missing = values.abs_diff(found.len());
    let differing = missing + steps.clone().filter(|steps| *steps > 0).count();
    let (largest, allowed) = (steps.max().unwrap_or(0), values / PER_DIFFERING);
    if differing <= allowed && largest <= MAX_STEPS {
        return Ok(());
    }
    Err(EdgeError::Golden { input: input.to_owned(), differing, values, largest, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_a_hundred_may_differ_by_one_step() {
        let expected: Vec<i32> = (0..200).collect();
        let changed = |count: usize, by: i32| {
            let mut found = expected.clone();
            found.iter_mut().take(count).for_each(|value| *value += by);
            judge("a.png", &expected, &found).map_err(|error| error.to_string())
        };
        assert_eq!([changed(0, 0), changed(2, 1), changed(2, -1)], [Ok(()), Ok(()), Ok(())]);
        let error = changed(3, 1).unwrap_err();
        assert!(error.contains("a.png") && error.contains("3 of 200") && error.contains("up to 1 steps"));
        assert!(changed(1, 2).unwrap_err().contains("up to 2 steps"));
        assert!(judge("a.png", &expected, &expected[..190]).is_err());
    }

    #[test]
    fn of_few_values_none_may_differ() {
        assert!(judge("a.png", &[1, 2, 3], &[1, 2, 3]).is_ok());
        assert!(judge("a.png", &[1, 2, 3], &[1, 2, 4]).is_err());
    }
}
