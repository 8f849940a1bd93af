use lopside_encoder::EncodeTiming;
use serde::Serialize;

use super::{Measurements, TimingStage, peak_rss_mib, print_peak_rss};
use crate::EdgeError;

/// Default number of times that each input is encoded.
pub(super) const DEFAULT_RUNS: u32 = 1000;

/// The figures of a fixed-latent model.
#[derive(Serialize)]
pub(super) struct FixedLatentFigures {
    inputs: usize,
    runs_an_input: u32,
    median_preprocess_us: f64,
    median_model_us: f64,
    median_code_us: f64,
    median_total_us: f64,
    mean_frame_bytes: f64,
    /// `null` if the system does not report it.
    peak_rss_mib: Option<f64>,
}

impl FixedLatentFigures {
    pub(super) fn new(runs: &Measurements) -> Self {
        Self {
            inputs: runs.input_count,
            runs_an_input: runs.runs_per_input,
            median_preprocess_us: median_stage_us(runs, |timing| timing.preprocess),
            median_model_us: median_stage_us(runs, |timing| timing.model),
            median_code_us: median_stage_us(runs, |timing| timing.coding),
            median_total_us: median_stage_us(runs, EncodeTiming::total),
            mean_frame_bytes: runs.mean(|encoding| encoding.frame_bytes as f64),
            peak_rss_mib: peak_rss_mib(),
        }
    }

    pub(super) fn report(&self, json: bool) -> Result<(), EdgeError> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!("inputs       {} × {} runs", self.inputs, self.runs_an_input);
        println!("preprocess   {:>9.1} µs (median)", self.median_preprocess_us);
        println!("encoder      {:>9.1} µs", self.median_model_us);
        println!("latent coder {:>9.1} µs", self.median_code_us);
        println!("total        {:>9.1} µs", self.median_total_us);
        println!("frame        {:>9.1} bytes (mean)", self.mean_frame_bytes);
        print_peak_rss(self.peak_rss_mib);
        Ok(())
    }
}

/// Returns the median time of a stage, in microseconds.
fn median_stage_us(runs: &Measurements, stage: TimingStage) -> f64 {
    runs.median(|encoding| stage(&encoding.timing).as_secs_f64() * 1e6)
}
