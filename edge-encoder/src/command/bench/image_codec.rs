use lopside_encoder::ImageCodecOptions;
use serde::Serialize;

use super::{Measurements, TimingStage, peak_rss_mib, print_peak_rss};
use crate::EdgeError;

/// Default number of times that each image is encoded.
pub(super) const DEFAULT_RUNS: u32 = 10;

/// The figures of an image codec.
#[derive(Serialize)]
pub(super) struct ImageCodecFigures {
    pictures: usize,
    runs_a_picture: u32,
    quality: u8,
    /// Mean quality of the frames, which is lower if the fast encoder could not use the requested one.
    mean_quality: f64,
    threads: usize,
    mean_megapixels: f64,
    median_preprocess_ms_per_megapixel: f64,
    median_model_ms_per_megapixel: f64,
    median_code_ms_per_megapixel: f64,
    median_total_ms_per_megapixel: f64,
    megapixels_per_second: f64,
    mean_frame_bytes: f64,
    mean_bits_per_pixel: f64,
    /// `null` if the system does not report it.
    peak_rss_mib: Option<f64>,
}

impl ImageCodecFigures {
    pub(super) fn new(runs: &Measurements, options: &ImageCodecOptions) -> Self {
        let total = runs.median(|encoding| encoding.elapsed.as_secs_f64() * 1e3 / encoding.megapixels);
        Self {
            pictures: runs.input_count,
            runs_a_picture: runs.runs_per_input,
            quality: options.quality.get(),
            mean_quality: runs.qualities.iter().map(|&quality| f64::from(quality)).sum::<f64>()
                / runs.qualities.len().max(1) as f64,
            threads: options.threads,
            mean_megapixels: runs.mean(|encoding| encoding.megapixels),
            median_preprocess_ms_per_megapixel: median_stage_ms(runs, |timing| timing.preprocess),
            median_model_ms_per_megapixel: median_stage_ms(runs, |timing| timing.model),
            median_code_ms_per_megapixel: median_stage_ms(runs, |timing| timing.coding),
            median_total_ms_per_megapixel: total,
            megapixels_per_second: 1e3 / total,
            mean_frame_bytes: runs.mean(|encoding| encoding.frame_bytes as f64),
            mean_bits_per_pixel: runs
                .mean(|encoding| 8.0 * encoding.frame_bytes as f64 / encoding.megapixels / 1e6),
            peak_rss_mib: peak_rss_mib(),
        }
    }

    pub(super) fn report(&self, json: bool) -> Result<(), EdgeError> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let Self { pictures, runs_a_picture, mean_megapixels, quality, threads, .. } = self;
        println!("images       {pictures} of {mean_megapixels:.2} megapixels × {runs_a_picture} runs");
        println!("options      quality {quality}, {threads} threads");
        if self.mean_quality < f64::from(*quality) {
            println!(
                "             quality {:.1} in the frames (mean), the finest that --fast can use: omit it for finer ones",
                self.mean_quality
            );
        }
        println!("preprocess   {:>9.2} ms per megapixel (median)", self.median_preprocess_ms_per_megapixel);
        println!("encoder      {:>9.2} ms per megapixel", self.median_model_ms_per_megapixel);
        println!("latent coder {:>9.2} ms per megapixel", self.median_code_ms_per_megapixel);
        println!("total        {:>9.2} ms per megapixel", self.median_total_ms_per_megapixel);
        println!("throughput   {:>9.2} megapixels per second", self.megapixels_per_second);
        println!(
            "frame        {:>9.0} bytes, {:.3} bits per pixel (mean)",
            self.mean_frame_bytes, self.mean_bits_per_pixel
        );
        print_peak_rss(self.peak_rss_mib);
        Ok(())
    }
}

/// Returns the median time of a stage, in milliseconds per megapixel.
fn median_stage_ms(runs: &Measurements, stage: TimingStage) -> f64 {
    runs.median(|encoding| stage(&encoding.timing).as_secs_f64() * 1e3 / encoding.megapixels)
}
