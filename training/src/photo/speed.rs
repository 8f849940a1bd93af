//! Encoding times at the edge, of Lopside and of the baselines: CPU time on one core.

use std::num::NonZeroUsize;

use image::DynamicImage;
use lopside_latent::image_codec::Quality;
use lopside_quality::{EncodeJob, EncodeTime, TurboJpeg, Webp, measure_encode_times};
use serde::Serialize;

use super::{bundle_codec::BundleCodec, compare::mean_of};
use crate::TrainingError;

/// Qualities of Lopside: low, middle and high bit rates.
const QUALITIES: [u8; 3] = [25, 45, 65];
/// Quality of the baselines, with a bit rate between Lopside's middle and highest one.
const BASELINE_QUALITY: u8 = 75;
/// The default method of `cwebp`.
const WEBP_METHOD: u8 = 4;
/// Indices of the anchors among the jobs.
const JPEG_JOB: usize = 0;
const WEBP_JOB: usize = 1;
/// Number of times that every image is encoded; the median is used.
const ENCODE_RUNS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(6);

/// The cost of one codec at one setting, as means over the images.
#[derive(Debug, Clone, Serialize)]
pub struct EncodingTime {
    /// The codec and its setting.
    pub codec: String,
    /// Bits per pixel.
    pub bpp: f64,
    /// CPU time on one core, in milliseconds per megapixel.
    pub ms_per_megapixel: f64,
    /// The time as a multiple of libwebp's with the default method of `cwebp`.
    pub to_webp: f64,
    /// The time as a multiple of libjpeg-turbo's.
    pub to_jpeg: f64,
}

/// Measures the baselines and Lopside at three qualities, in turn on every image. AVIF is not measured: it
/// runs as a separate program, which has to start and to read and write files.
pub(crate) fn edge_times(
    codec: &BundleCodec,
    images: &[(String, DynamicImage)],
) -> Result<Vec<EncodingTime>, TrainingError> {
    let mut by_image = Vec::new();
    for (_, image) in images {
        by_image.push((
            pixel_count(image),
            measure_encode_times(pixel_count(image), ENCODE_RUNS, encode_jobs(codec, image)?)?,
        ));
    }
    Ok(mean_times(&by_image))
}

/// Returns the jobs for JPEG, WebP, Lopside and, if there is one, Lopside's fast encoder, in this order.
fn encode_jobs<'a>(
    codec: &'a BundleCodec,
    image: &'a DynamicImage,
) -> Result<Vec<EncodeJob<'a, TrainingError>>, TrainingError> {
    let jpeg = format!("libjpeg-turbo, quality {BASELINE_QUALITY}");
    let webp = format!("libwebp, method {WEBP_METHOD}, quality {BASELINE_QUALITY}");
    let mut jobs = vec![
        EncodeJob::for_baseline(jpeg, TurboJpeg::default(), image, BASELINE_QUALITY),
        EncodeJob::for_baseline(webp, Webp::with_method(WEBP_METHOD)?, image, BASELINE_QUALITY),
    ];
    jobs.extend(QUALITIES.into_iter().filter_map(Quality::new).map(|quality| {
        let name = format!("Lopside photo, quality {}", quality.get());
        EncodeJob::new(name, move || Ok(codec.encode(image, quality)?.len()))
    }));
    let fast = Quality::new(QUALITIES[0]).filter(|_| codec.has_fast());
    jobs.extend(fast.map(|quality| {
        let name = format!("Lopside photo, fast, quality {}", quality.get());
        EncodeJob::new(name, move || Ok(codec.encode_fast(image, quality)?.len()))
    }));
    Ok(jobs)
}

/// Returns the means over the images, each with its number of pixels and its times in the order of [`encode_jobs`].
fn mean_times(by_image: &[(u64, Vec<EncodeTime>)]) -> Vec<EncodingTime> {
    let Some((_, first)) = by_image.first() else { return Vec::new() };
    first
        .iter()
        .enumerate()
        .map(|(job, time)| {
            let ms = mean_ms(by_image, job);
            EncodingTime {
                codec: time.name.clone(),
                bpp: mean_of(by_image, |(pixels, times)| times[job].bytes as f64 * 8.0 / *pixels as f64),
                ms_per_megapixel: ms,
                to_webp: ms / mean_ms(by_image, WEBP_JOB),
                to_jpeg: ms / mean_ms(by_image, JPEG_JOB),
            }
        })
        .collect()
}

/// Returns the mean time of a job over the images, in milliseconds per megapixel.
fn mean_ms(by_image: &[(u64, Vec<EncodeTime>)], job: usize) -> f64 {
    mean_of(by_image, |(_, times)| times[job].ms_per_megapixel)
}

fn pixel_count(image: &DynamicImage) -> u64 {
    u64::from(image.width()) * u64::from(image.height())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_computed_from_mean_times() {
        let times = |jpeg, webp, ours| {
            [("jpeg", jpeg), ("webp", webp), ("ours", ours)]
                .map(|(name, ms_per_megapixel)| EncodeTime {
                    name: name.into(),
                    bytes: 100,
                    ms_per_megapixel,
                })
                .to_vec()
        };
        let found = mean_times(&[(400, times(4.0, 40.0, 20.0)), (800, times(6.0, 60.0, 30.0))]);
        let names: Vec<&str> = found.iter().map(|time| time.codec.as_str()).collect();
        assert_eq!(names, ["jpeg", "webp", "ours"]);
        let EncodingTime { bpp, ms_per_megapixel, to_webp, to_jpeg, .. } = found[2];
        for (found, expected) in [(bpp, 1.5), (ms_per_megapixel, 25.0), (to_webp, 0.5), (to_jpeg, 5.0)] {
            assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        }
        assert!(mean_times(&[]).is_empty());
    }
}
