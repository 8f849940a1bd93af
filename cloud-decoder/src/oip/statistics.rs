//! The statistics of models, in the terms of Triton.

use lopside_proto::inference::{InferBatchStatistics, InferStatistics, ModelStatistics, StatisticDuration};

use super::{Oip, model::Model};
use crate::{
    ServeError,
    batch::stats::{Stats, Total},
};

impl Oip {
    /// Returns the statistics of a model; an empty name selects all models, an empty version all versions.
    ///
    /// # Errors
    /// See [`model`](Self::model).
    pub(super) fn statistics(&self, name: &str, version: &str) -> Result<Vec<ModelStatistics>, ServeError> {
        let models = if name.is_empty() { self.models() } else { vec![self.model(name, version)?] };
        let versions = models.iter().flat_map(|model| {
            let only = (!version.is_empty()).then_some(vec![model.version]);
            only.unwrap_or_else(|| model.versions()).into_iter().map(move |version| (model, version))
        });
        versions.map(|(model, version)| of(model, version)).collect()
    }
}

fn of(model: &Model, version: u32) -> Result<ModelStatistics, ServeError> {
    let stats = model.served.engine(&model.head, version)?.stats();
    let counts = stats.counts();
    let batch = |(size, totals): (usize, crate::batch::stats::BatchTotals)| InferBatchStatistics {
        batch_size: size as u64,
        compute_input: Some(duration(totals.input)),
        compute_infer: Some(duration(totals.infer)),
        compute_output: Some(duration(totals.output)),
    };
    Ok(ModelStatistics {
        name: model.name.clone(),
        version: version.to_string(),
        last_inference: counts.last_millis,
        inference_count: counts.items,
        execution_count: counts.runs,
        inference_stats: Some(inference(stats)),
        batch_stats: stats.batches().into_iter().map(batch).collect(),
        memory_usage: Vec::new(),
    })
}

fn inference(stats: &Stats) -> InferStatistics {
    InferStatistics {
        success: Some(duration(stats.success.total())),
        fail: Some(duration(stats.failure.total())),
        queue: Some(duration(stats.queue.total())),
        compute_input: Some(duration(stats.input.total())),
        compute_infer: Some(duration(stats.infer.total())),
        compute_output: Some(duration(stats.output.total())),
        cache_hit: None,
        cache_miss: None,
    }
}

fn duration(total: Total) -> StatisticDuration {
    StatisticDuration { count: total.count, ns: total.nanos }
}
