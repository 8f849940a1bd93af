//! Rate–distortion curves: bit rate and quality of a codec at each of its settings, for one image or several.

use image::DynamicImage;

use crate::{
    Baseline, ImageShape, QualityError, RatePoint, baselines::in_colours_of, image_view::ImageView, ms_ssim,
    ms_ssim_db, psnr,
};

/// The first line of [`format_rd_csv`].
const CSV_HEADER: &str = "codec,setting,bpp,psnr_db,ms_ssim,ms_ssim_db\n";

/// One setting of a codec, on one image or as the mean over several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RdPoint {
    /// The setting, on the codec's own scale.
    pub quality_setting: u32,
    /// Bits per pixel of the whole file, headers included.
    pub bpp: f64,
    /// PSNR over all channels, in dB; infinity when every sample is equal.
    pub psnr: f64,
    /// MS-SSIM, 0 to 1; `None` if an image is too small for it (see
    /// [`MS_SSIM_MIN_SIDE`](crate::MS_SSIM_MIN_SIDE)).
    pub ms_ssim: Option<f64>,
}

impl RdPoint {
    /// Measures a file of `bytes` bytes that a codec encoded with `original` as input and decoded as
    /// `decoded`. A grey original is compared with the luma of an RGB image, an RGB original with grey in all channels.
    ///
    /// # Errors
    /// [`QualityError::UnsupportedColour`] or [`QualityError::EmptyImage`] for an unsupported image, [`QualityError::ShapeMismatch`]
    /// when the two images have different sizes or channels.
    pub fn measure(
        quality_setting: u32,
        bytes: usize,
        original: &DynamicImage,
        decoded: DynamicImage,
    ) -> Result<Self, QualityError> {
        let decoded = in_colours_of(original, decoded);
        let ms_ssim = match ms_ssim(original, &decoded) {
            Ok(similarity) => Some(similarity),
            Err(QualityError::ImageTooSmall { .. }) => None,
            Err(error) => return Err(error),
        };
        let bpp = bits_per_pixel(bytes, ImageView::new(original)?.shape);
        Ok(Self { quality_setting, bpp, psnr: psnr(original, &decoded)?, ms_ssim })
    }
}

/// The rate–distortion points of a codec, one per setting.
#[derive(Debug, Clone, PartialEq)]
pub struct RdCurve {
    /// The name of the codec in tables and legends.
    pub codec: String,
    /// The points, in the order of the settings.
    pub points: Vec<RdPoint>,
}

impl RdCurve {
    /// Measures a baseline codec at each of the settings on one image.
    ///
    /// # Errors
    /// The errors of [`Baseline::encode`], [`Baseline::decode`] and [`RdPoint::measure`].
    pub fn of_baseline(
        baseline: &dyn Baseline,
        image: &DynamicImage,
        settings: &[u8],
    ) -> Result<Self, QualityError> {
        let mut points = Vec::with_capacity(settings.len());
        for &quality in settings {
            let file = baseline.encode(image, quality)?;
            points.push(RdPoint::measure(u32::from(quality), file.len(), image, baseline.decode(&file)?)?);
        }
        Ok(Self { codec: baseline.name(), points })
    }

    /// Returns the mean over several images of one codec's curves, setting by setting: of the bits per pixel,
    /// of the PSNR in dB, and of MS-SSIM before its conversion to dB. Every image has the same weight. A
    /// point has MS-SSIM only if all curves have it there. The name is that of the first curve.
    ///
    /// # Errors
    /// [`QualityError::NoPoints`] without a curve, [`QualityError::SettingsMismatch`] when two curves have different
    /// settings.
    pub fn mean(curves: &[Self]) -> Result<Self, QualityError> {
        let first = curves.first().ok_or(QualityError::NoPoints)?;
        let expected = first.settings();
        if let Some(other) = curves.iter().find(|curve| curve.settings() != expected) {
            return Err(QualityError::SettingsMismatch {
                codec: other.codec.clone(),
                expected,
                found: other.settings(),
            });
        }
        let points = (0..expected.len()).map(|index| mean_point(curves, index)).collect();
        Ok(Self { codec: first.codec.clone(), points })
    }

    /// Returns the curve with PSNR in dB as quality, for [`bd_rate`](crate::bd_rate()).
    #[must_use]
    pub fn psnr_points(&self) -> Vec<RatePoint> {
        self.points.iter().map(|point| RatePoint { bpp: point.bpp, quality: point.psnr }).collect()
    }

    /// Returns the curve with MS-SSIM in dB as quality, for [`bd_rate`](crate::bd_rate()). Points without
    /// MS-SSIM are left out.
    #[must_use]
    pub fn ms_ssim_points(&self) -> Vec<RatePoint> {
        self.points
            .iter()
            .filter_map(|point| Some(RatePoint { bpp: point.bpp, quality: ms_ssim_db(point.ms_ssim?) }))
            .collect()
    }

    fn settings(&self) -> Vec<u32> {
        self.points.iter().map(|point| point.quality_setting).collect()
    }
}

/// Formats curves as a CSV file (RFC 4180) with the columns `codec,setting,bpp,psnr_db,ms_ssim,ms_ssim_db`
/// and one line per point. The last two columns are empty without MS-SSIM. An infinite value is written as
/// `inf`.
#[must_use]
pub fn format_rd_csv(curves: &[RdCurve]) -> String {
    let lines =
        curves.iter().flat_map(|curve| curve.points.iter().map(|point| csv_line(&curve.codec, point)));
    std::iter::once(CSV_HEADER.to_owned()).chain(lines).collect()
}

fn csv_line(codec: &str, point: &RdPoint) -> String {
    let RdPoint { quality_setting, bpp, psnr, ms_ssim } = point;
    let similarity = ms_ssim.map_or(",".to_owned(), |value| format!("{value:.6},{:.4}", ms_ssim_db(value)));
    format!("{},{quality_setting},{bpp:.5},{psnr:.4},{similarity}\n", csv_field(codec))
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn mean_point(curves: &[RdCurve], index: usize) -> RdPoint {
    let points: Vec<&RdPoint> = curves.iter().map(|curve| &curve.points[index]).collect();
    let count = curves.len() as f64;
    let similarities: Option<f64> = points.iter().map(|point| point.ms_ssim).sum();
    RdPoint {
        quality_setting: curves[0].points[index].quality_setting,
        bpp: points.iter().map(|point| point.bpp).sum::<f64>() / count,
        psnr: points.iter().map(|point| point.psnr).sum::<f64>() / count,
        ms_ssim: similarities.map(|sum| sum / count),
    }
}

fn bits_per_pixel(bytes: usize, shape: ImageShape) -> f64 {
    8.0 * bytes as f64 / shape.pixel_count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn curve(codec: &str, points: &[(u32, f64, f64, Option<f64>)]) -> RdCurve {
        let point = |&(quality_setting, bpp, psnr, ms_ssim)| RdPoint { quality_setting, bpp, psnr, ms_ssim };
        RdCurve { codec: codec.to_owned(), points: points.iter().map(point).collect() }
    }

    /// Keeps the upper `quality` bits of every sample. The file still stores 8 bits per sample, after one
    /// byte for the quality.
    struct UpperBits;

    impl Baseline for UpperBits {
        fn name(&self) -> String {
            "upper bits".to_owned()
        }

        fn qualities(&self) -> std::ops::RangeInclusive<u8> {
            1..=8
        }

        fn encode(&self, image: &DynamicImage, quality: u8) -> Result<Vec<u8>, QualityError> {
            let mut file = vec![quality];
            file.extend_from_slice(image.as_bytes());
            Ok(file)
        }

        fn decode(&self, file: &[u8]) -> Result<DynamicImage, QualityError> {
            let samples = file[1..].iter().flat_map(|sample| [sample & (0xff << (8 - file[0])); 3]).collect();
            Ok(image::RgbImage::from_raw(180, 176, samples).unwrap().into())
        }
    }

    #[test]
    fn a_baseline_is_measured_at_every_setting() {
        let image = samples::natural_grey(180, 176);
        let curve = RdCurve::of_baseline(&UpperBits, &image, &[2, 5, 8]).unwrap();
        assert_eq!((curve.codec.as_str(), curve.settings()), ("upper bits", vec![2, 5, 8]));
        let bpp = 8.0 + 8.0 / (180.0 * 176.0);
        assert!(curve.points.iter().all(|point| (point.bpp - bpp).abs() < 1e-12));
        assert!(curve.points.is_sorted_by(|a, b| a.psnr < b.psnr && a.ms_ssim < b.ms_ssim));
        assert!(curve.points[2].psnr.is_infinite());
    }

    #[test]
    fn an_image_without_colour_may_come_back_as_grey() {
        let grey = samples::natural_grey(180, 176);
        let original = DynamicImage::from(grey.to_rgb8());
        let point = RdPoint::measure(7, 98, &original, grey).unwrap();
        assert!(point.psnr.is_infinite());
    }

    #[test]
    fn small_images_have_no_ms_ssim() {
        let image = samples::natural_rgb(28, 28);
        let point = RdPoint::measure(7, 98, &image, image.clone()).unwrap();
        assert_eq!((point.ms_ssim, point.quality_setting), (None, 7));
        assert!((point.bpp - 1.0).abs() < 1e-12);
        let error = RdPoint::measure(7, 98, &image, DynamicImage::new_rgb8(28, 27)).unwrap_err();
        assert!(matches!(error, QualityError::ShapeMismatch { .. }));
    }

    #[test]
    fn means_are_computed_per_setting() {
        let curves = [
            curve("a", &[(10, 0.2, 30.0, Some(0.9)), (20, 0.4, 32.0, Some(0.95))]),
            curve("a", &[(10, 0.4, 31.0, Some(0.8)), (20, 0.8, 35.0, None)]),
        ];
        let mean = RdCurve::mean(&curves).unwrap();
        let expected = curve("a", &[(10, 0.3, 30.5, Some(0.85)), (20, 0.6, 33.5, None)]);
        assert_eq!(mean.codec, "a");
        for (found, expected) in mean.points.iter().zip(&expected.points) {
            assert!((found.bpp - expected.bpp).abs() < 1e-12 && (found.psnr - expected.psnr).abs() < 1e-12);
            assert_eq!(found.ms_ssim.is_some(), expected.ms_ssim.is_some());
        }
        assert!((mean.points[0].ms_ssim.unwrap() - 0.85).abs() < 1e-12);
        assert_eq!(mean.ms_ssim_points().len(), 1);
        assert_eq!(mean.psnr_points()[1].quality.to_bits(), mean.points[1].psnr.to_bits());
    }

    #[test]
    fn curves_over_other_settings_have_no_mean() {
        assert_eq!(RdCurve::mean(&[]), Err(QualityError::NoPoints));
        let curves = [
            curve("a", &[(10, 0.2, 30.0, None)]),
            curve("a", &[(10, 0.2, 30.0, None), (20, 0.4, 32.0, None)]),
        ];
        let error = RdCurve::mean(&curves).unwrap_err().to_string();
        assert!(error.contains("[10, 20]") && error.contains("[10]"), "{error}");
    }

    #[test]
    fn the_csv_file_has_one_line_per_point() {
        let curves = [
            curve("WebP, method 6", &[(75, 0.123_456_7, 31.5, Some(0.99))]),
            curve("ours", &[(1, 2.0, f64::INFINITY, None)]),
        ];
        let expected = "codec,setting,bpp,psnr_db,ms_ssim,ms_ssim_db\n\
            \"WebP, method 6\",75,0.12346,31.5000,0.990000,20.0000\n\
            ours,1,2.00000,inf,,\n";
        assert_eq!(format_rd_csv(&curves), expected);
        assert_eq!(format_rd_csv(&[]), CSV_HEADER);
    }
}
