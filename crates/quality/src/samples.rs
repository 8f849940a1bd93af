//! Synthetic images for the tests.

use std::f32::consts::TAU;

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};

/// Returns an image with smooth shading, one hard edge and a little noise, similar to a photograph.
pub(crate) fn natural_grey(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageLuma8(GrayImage::from_fn(width, height, |x, y| Luma([sample_level(x, y, 0)])))
}

/// Returns an RGB image like [`natural_grey`], with channels that differ.
pub(crate) fn natural_rgb(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
        Rgb([0, 1, 2].map(|channel| sample_level(x, y, channel)))
    }))
}

fn sample_level(x: u32, y: u32, channel: u32) -> u8 {
    let shading = 110.0 + 40.0 * sine_wave(41.0, x + 9 * channel) + 25.0 * sine_wave(23.0, y + 9 * channel);
    let edge = if (x + 2 * y) % 53 < 20 { 45.0 } else { 0.0 };
    // Knuth's multiplicative hash, whose high bits look random.
    let noise = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 28;
    (shading + edge + noise as f32).clamp(0.0, 255.0) as u8
}

fn sine_wave(period: f32, position: u32) -> f32 {
    (TAU * position as f32 / period).sin()
}
