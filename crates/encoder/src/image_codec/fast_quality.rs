//! The finest quality that is worth its bytes if an image was halved.
//!
//! The fast encoder does not see what halving removes, so its image cannot be better than the halved one. A step that is
//! far smaller than what was removed only describes the rest more exactly, at many bytes: at quality 90, a photograph with
//! fine detail (`samples/photo/blossom.png`) takes two and a half times the bytes of quality 50, and is 0.5 dB better.

use lopside_latent::image_codec::Quality;

/// The quality up to which a frame has the requested quality in any case. The mean loss of an image says nothing about
/// its smooth parts, and a coarser step would spoil these.
const ALWAYS_USEFUL: usize = 50;
/// The smallest useful step, as a multiple of the root mean square of what halving removes. With it, the photographs of
/// `samples/photo` are 0.5 and 1.6 dB below the best image of the fast encoder, at less than half its bytes.
const STEP_PER_REMOVED: f32 = 8.0;

/// Returns whether a frame has this quality whatever halving removed.
pub(super) fn is_always_useful(quality: Quality) -> bool {
    usize::from(quality.get()) <= ALWAYS_USEFUL
}

/// Returns the requested quality, or the finest useful one if that is coarser. `steps` are those of the 100 qualities,
/// coarsest first; `removed` is the root mean square of what halving removed, in the same unit.
pub(super) fn useful_quality(requested: Quality, steps: &[f32], removed: f32) -> Quality {
    let coarse_enough = steps.partition_point(|&step| step >= STEP_PER_REMOVED * removed);
    let finest = u8::try_from(coarse_enough.max(ALWAYS_USEFUL)).ok().and_then(Quality::new);
    finest.map_or(requested, |finest| requested.min(finest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps from 100 down to 1.
    fn steps() -> Vec<f32> {
        (1..=100_u8).rev().map(f32::from).collect()
    }

    fn useful(requested: u8, removed: f32) -> u8 {
        useful_quality(Quality::new(requested).unwrap(), &steps(), removed).get()
    }

    #[test]
    fn steps_below_what_was_removed_are_not_used() {
        // Quality 80 has the step 21, and 81 the step 20.
        assert_eq!([70, 80, 81, 100].map(|requested| useful(requested, 20.5 / 8.0)), [70, 80, 80, 80]);
    }

    #[test]
    fn nothing_is_capped_if_nothing_was_removed() {
        assert_eq!([1, 50, 100].map(|requested| useful(requested, 0.0)), [1, 50, 100]);
    }

    #[test]
    fn low_qualities_are_never_capped() {
        assert_eq!([1, 49, 50, 51, 100].map(|requested| useful(requested, 1e6)), [1, 49, 50, 50, 50]);
    }
}
