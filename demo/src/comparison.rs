//! Compares photographs in our frames with JPEG and WebP files of the same size.

use image::DynamicImage;
use lopside_quality::{
    Baseline as _, Fitting, LabelledSheet, QualityError, Webp, fitting, group_digits, jpeg_fitting, psnr,
};
use serde::Serialize;

use crate::{Result, sent::SentImage};

/// One photograph in one codec.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CodecRow {
    pub(crate) picture: String,
    pub(crate) codec: String,
    /// Size of the whole file or frame.
    pub(crate) bytes: usize,
    pub(crate) bits_per_pixel: f64,
    /// PSNR over the three RGB channels.
    pub(crate) psnr_db: f64,
}

/// The figures of all photographs, and a sheet with one row per photograph.
pub(crate) struct Comparison {
    pub(crate) rows: Vec<CodecRow>,
    pub(crate) sheet: LabelledSheet,
}

impl Comparison {
    /// Images per row: the original and three codecs.
    const COLUMNS: u32 = 4;

    pub(crate) fn new() -> Result<Self> {
        let sheet = LabelledSheet::new(Self::COLUMNS).map_err(|error| error.to_string())?;
        Ok(Self { rows: Vec::new(), sheet })
    }

    /// Adds a photograph, with the best JPEG and WebP files that are not larger than its frame.
    pub(crate) fn add(&mut self, sent: &SentImage) -> Result<()> {
        self.measure_codecs(sent).map_err(|error| format!("{}: {error}", sent.name))
    }

    fn measure_codecs(&mut self, sent: &SentImage) -> std::result::Result<(), QualityError> {
        let SentImage { name, original, reconstruction, frame_bytes } = sent;
        self.sheet.push(&format!("{name}, original"), original)?;
        self.push(sent, "Lopside", *frame_bytes, psnr(original, reconstruction)?, reconstruction)?;
        let webp = Webp::default();
        let codecs = [
            ("JPEG 4:2:0".to_owned(), jpeg_fitting(original, *frame_bytes)?),
            (webp.name(), fitting(&webp, original, *frame_bytes)?),
        ];
        for (codec, Fitting { point, picture: image }) in codecs {
            self.push(sent, &codec, point.bytes, point.psnr, &image)?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        sent: &SentImage,
        codec: &str,
        bytes: usize,
        psnr_db: f64,
        image: &DynamicImage,
    ) -> std::result::Result<(), QualityError> {
        let pixels = f64::from(sent.original.width()) * f64::from(sent.original.height());
        self.rows.push(CodecRow {
            picture: sent.name.clone(),
            codec: codec.to_owned(),
            bytes,
            bits_per_pixel: 8.0 * bytes as f64 / pixels,
            psnr_db,
        });
        self.sheet.push(&format!("{codec}: {} B, {psnr_db:.2} dB", group_digits(bytes as u64)), image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    #[test]
    fn baselines_fit_the_frame_size_and_all_images_are_shown() {
        let wave = |x: u32, y: u32| (120.0 + 90.0 * (x as f32 / 9.0).sin() * (y as f32 / 7.0).cos()) as u8;
        let test_image = |step: u8| -> DynamicImage {
            RgbImage::from_fn(160, 90, |x, y| Rgb([wave(x, y) / step * step; 3])).into()
        };
        let sent = |name: &str| SentImage {
            name: name.into(),
            original: test_image(1),
            reconstruction: test_image(4),
            frame_bytes: 1500,
        };
        let mut comparison = Comparison::new().unwrap();
        for name in ["lake", "hill"] {
            comparison.add(&sent(name)).unwrap();
        }
        let codecs: Vec<&str> = comparison.rows.iter().map(|row| row.codec.as_str()).collect();
        assert_eq!(codecs, ["Lopside", "JPEG 4:2:0", "WebP, method 6"].repeat(2));
        assert!(comparison.rows.iter().all(|row| row.bytes <= 1500 && row.psnr_db > 20.0));
        assert!((comparison.rows[0].bits_per_pixel - 8.0 * 1500.0 / 14_400.0).abs() < 1e-12);
        let row_height = comparison.sheet.render().height() / 2;
        assert!(row_height > 90, "{row_height}");
    }
}
