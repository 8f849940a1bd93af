//! The rule about images of which a bundle keeps a small part only: it is probably not meant for them.

use lopside_bundle::ImageSpec;

/// A bundle for images of a thousandth of the pixels is probably not meant for an image.
const DRASTIC_REDUCTION: u64 = 1000;

/// Returns the size that an image of a width and a height is reduced to, if the image has over a thousand times as many
/// pixels as what the bundle takes.
#[must_use]
pub fn drastic_reduction(spec: &ImageSpec, [width, height]: [u32; 2]) -> Option<(u32, u32)> {
    let pixels = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let is_drastic = pixels(width, height) / DRASTIC_REDUCTION > pixels(spec.width, spec.height);
    is_drastic.then_some((spec.width, spec.height))
}

#[cfg(test)]
mod tests {
    use lopside_bundle::Channels;

    use super::*;

    #[test]
    fn a_reduction_to_less_than_a_thousandth_is_drastic() {
        let (low, high) = (vec![0.0], vec![1.0]);
        let spec = ImageSpec { width: 28, height: 28, channels: Channels::Grey, low, high };
        assert_eq!(drastic_reduction(&spec, [2560, 1600]), Some((28, 28)));
        assert_eq!(drastic_reduction(&spec, [800, 600]), None);
    }
}
