//! Formats the evaluation as Markdown tables and as JSON.

use super::{BdRateComparison, EncodingTime, PhotoEvaluation, compare::mean_of};
use crate::{TrainingError, json::to_json};

impl PhotoEvaluation {
    /// Returns all tables: BD-rates, costs and the edge's times. The times change from run to run.
    #[must_use]
    pub fn table(&self) -> String {
        let means = format!("means over {} images", self.pictures.len());
        format!(
            "BD-rates between 0.1 and 0.8 bits per pixel of the anchor, with the compared range of quality ({means}):\n\n{}\n\
             Costs, counted from the graphs:\n\n{}\n\
             Encoding on one core ({means}):\n\n{}{}",
            self.bd_rates(),
            self.costs(),
            self.times(),
            self.upscaling.as_ref().map_or_else(String::new, |upscaling| format!(
                "\nImages of twice the size that was sent ({means}):\n\n{}",
                upscaling.table()
            ))
        )
    }

    /// Returns the BD-rates of every codec against every anchor and the compared range of quality, as means
    /// over the images.
    #[must_use]
    pub fn bd_rates(&self) -> String {
        let header = "| codec | against | BD-rate, PSNR | from – to, dB | BD-rate, MS-SSIM | from – to, dB |\n\
                    |---|---|---|---|---|---|\n";
        header.to_owned() + &self.comparisons.iter().map(format_comparison).collect::<String>()
    }

    /// Returns the parameters and multiply-accumulates of both halves.
    #[must_use]
    pub fn costs(&self) -> String {
        let Self { encoder, decoder, .. } = self;
        format!(
            "| | encoder (edge) | decoder (cloud) |\n|---|---|---|\n\
             | parameters | {} | {} |\n| MAC per pixel | {:.0} | {:.0} |\n",
            encoder.parameters, decoder.parameters, encoder.macs_per_pixel, decoder.macs_per_pixel
        )
    }

    /// Returns the CPU times at the edge, which change from run to run.
    #[must_use]
    pub fn times(&self) -> String {
        let header = "| codec | bits per pixel | CPU ms per megapixel | × libwebp | × libjpeg-turbo |\n\
                    |---|---|---|---|---|\n";
        header.to_owned() + &self.edge_times.iter().map(format_time).collect::<String>()
    }

    /// Returns all figures as JSON.
    ///
    /// # Errors
    /// [`TrainingError::JsonEncoding`], which does not occur in practice.
    pub fn json(&self) -> Result<String, TrainingError> {
        to_json(self)
    }
}

/// Returns a row of the table of BD-rates.
fn format_comparison(comparison: &BdRateComparison) -> String {
    let BdRateComparison { codec, anchor, psnr_percent, ms_ssim_percent, .. } = comparison;
    let (psnr, ms_ssim) =
        (mean_range(&comparison.psnr_by_picture), mean_range(&comparison.ms_ssim_by_picture));
    format!("| {codec} | {anchor} | {psnr_percent:+.1} % | {psnr} | {ms_ssim_percent:+.1} % | {ms_ssim} |\n")
}

/// Returns a row of the table of encoding times.
fn format_time(time: &EncodingTime) -> String {
    let EncodingTime { codec, bpp, ms_per_megapixel, to_webp, to_jpeg } = time;
    format!("| {codec} | {bpp:.2} | {ms_per_megapixel:.1} | {to_webp:.2} | {to_jpeg:.2} |\n")
}

/// Returns the mean ends of the compared ranges.
fn mean_range(by_picture: &[(f64, f64, f64)]) -> String {
    format!("{:.1} – {:.1}", mean_of(by_picture, |value| value.1), mean_of(by_picture, |value| value.2))
}

#[cfg(test)]
pub(crate) mod tests {
    use lopside_bundle::image_codec::ImageCodecCost;

    use super::*;

    /// Returns invented figures.
    pub(crate) fn figures() -> PhotoEvaluation {
        PhotoEvaluation {
            pictures: vec!["one.png".into(), "two.png".into()],
            curves: Vec::new(),
            comparisons: vec![BdRateComparison {
                codec: "Lopside photo".into(),
                anchor: "JPEG 4:2:0".into(),
                psnr_percent: -55.44,
                psnr_by_picture: vec![(-50.0, 24.0, 34.0), (-60.88, 30.0, 38.0)],
                ms_ssim_percent: -51.1,
                ms_ssim_by_picture: vec![(-51.1, 8.0, 15.0), (-51.1, 10.0, 16.0)],
            }],
            encoder: ImageCodecCost { parameters: 77_076, macs_per_pixel: 1162.4 },
            decoder: ImageCodecCost { parameters: 1_681_514, macs_per_pixel: 25_823.0 },
            edge_times: vec![EncodingTime {
                codec: "Lopside photo, quality 45".into(),
                bpp: 0.456,
                ms_per_megapixel: 43.21,
                to_webp: 0.765,
                to_jpeg: 3.4,
            }],
            upscaling: None,
            illustrations: Vec::new(),
        }
    }

    #[test]
    fn the_report_has_rates_costs_and_times() {
        let table = figures().table();
        for line in [
            "| Lopside photo | JPEG 4:2:0 | -55.4 % | 27.0 – 36.0 | -51.1 % | 9.0 – 15.5 |",
            "| MAC per pixel | 1162 | 25823 |",
            "| Lopside photo, quality 45 | 0.46 | 43.2 | 0.77 | 3.40 |",
        ] {
            assert!(table.lines().any(|found| found == line), "{line} is not in\n{table}");
        }
    }

    #[test]
    fn the_json_has_the_range_of_each_image() {
        let json = figures().json().unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["comparisons"][0]["ms_ssim_by_picture"][1][2], 16.0);
        assert_eq!(value["edge_times"][0]["to_jpeg"], 3.4);
        assert_eq!(value["encoder"]["parameters"], 77_076);
    }
}
