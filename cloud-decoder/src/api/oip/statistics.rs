//! The statistics of models, as Triton describes them.

use lopside_decoder::{BatchTotals, HeadStats, TimingTotal};
use lopside_proto::inference::{InferBatchStatistics, InferStatistics, ModelStatistics, StatisticDuration};

use super::{OipService, model::OipModel};
use crate::ServeError;

impl OipService {
    /// Returns the statistics of a model; an empty name selects all models, an empty version all versions.
    ///
    /// # Errors
    /// See [`find_model`](Self::find_model).
    pub(super) fn statistics(&self, name: &str, version: &str) -> Result<Vec<ModelStatistics>, ServeError> {
        let models = if name.is_empty() { self.models() } else { vec![self.find_model(name, version)?] };
        let versions = models.iter().flat_map(|model| {
            let requested = (!version.is_empty()).then_some(vec![model.version]);
            requested.unwrap_or_else(|| model.versions()).into_iter().map(move |version| (model, version))
        });
        versions.map(|(model, version)| model_statistics(model, version)).collect()
    }
}

fn model_statistics(model: &OipModel, version: u32) -> Result<ModelStatistics, ServeError> {
    let stats = model.served.engine(&model.head, version)?.stats();
    let counts = stats.counts();
    Ok(ModelStatistics {
        name: model.name.clone(),
        version: version.to_string(),
        last_inference: counts.last_run_ms,
        inference_count: counts.items,
        execution_count: counts.runs,
        inference_stats: Some(inference_statistics(stats)),
        batch_stats: stats.batch_totals().into_iter().map(batch_statistics).collect(),
        memory_usage: Vec::new(),
    })
}

fn batch_statistics((size, totals): (usize, BatchTotals)) -> InferBatchStatistics {
    InferBatchStatistics {
        batch_size: size as u64,
        compute_input: Some(duration_of(totals.input)),
        compute_infer: Some(duration_of(totals.infer)),
        compute_output: Some(duration_of(totals.output)),
    }
}

fn inference_statistics(stats: &HeadStats) -> InferStatistics {
    InferStatistics {
        success: Some(duration_of(stats.success.total())),
        fail: Some(duration_of(stats.failure.total())),
        queue: Some(duration_of(stats.queue.total())),
        compute_input: Some(duration_of(stats.input.total())),
        compute_infer: Some(duration_of(stats.infer.total())),
        compute_output: Some(duration_of(stats.output.total())),
        cache_hit: None,
        cache_miss: None,
    }
}

fn duration_of(total: TimingTotal) -> StatisticDuration {
    StatisticDuration { count: total.count, ns: total.nanos }
}
