//! The statistics of models as JSON. The messages of gRPC are serialised; their schemas are here, and a test compares
//! both.

use lopside_proto::inference::ModelStatistics;
use serde::Serialize;
use utoipa::ToSchema;

/// The statistics of models, as Triton reports them.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelStatisticsList)]
pub(super) struct StatisticsBody {
    #[schema(value_type = Vec<ModelStatisticsSchema>)]
    pub(super) model_stats: Vec<ModelStatistics>,
}

/// The statistics of one version of a model since it was loaded.
#[derive(ToSchema)]
#[schema(as = ModelStatistics)]
#[allow(dead_code, reason = "the schema of a message")]
struct ModelStatisticsSchema {
    name: String,
    version: String,
    /// Time of the last inference, in Unix milliseconds.
    last_inference: u64,
    /// Number of inferences; a batch counts as its number of items.
    inference_count: u64,
    /// Number of runs of the model; a batch counts as one.
    execution_count: u64,
    inference_stats: InferStatisticsSchema,
    batch_stats: Vec<BatchStatisticsSchema>,
    memory_usage: Vec<MemoryUsageSchema>,
}

#[derive(ToSchema)]
#[schema(as = InferStatistics)]
#[allow(dead_code, reason = "the schema of a message")]
struct InferStatisticsSchema {
    success: DurationSchema,
    fail: DurationSchema,
    queue: DurationSchema,
    compute_input: DurationSchema,
    compute_infer: DurationSchema,
    compute_output: DurationSchema,
    /// Always null: responses are not cached.
    #[schema(required)]
    cache_hit: Option<DurationSchema>,
    /// Always null: responses are not cached.
    #[schema(required)]
    cache_miss: Option<DurationSchema>,
}

#[derive(ToSchema)]
#[schema(as = InferBatchStatistics)]
#[allow(dead_code, reason = "the schema of a message")]
struct BatchStatisticsSchema {
    batch_size: u64,
    compute_input: DurationSchema,
    compute_infer: DurationSchema,
    compute_output: DurationSchema,
}

/// The number of measurements and their total.
#[derive(ToSchema)]
#[schema(as = StatisticDuration)]
#[allow(dead_code, reason = "the schema of a message")]
struct DurationSchema {
    count: u64,
    /// The total in nanoseconds.
    ns: u64,
}

#[derive(ToSchema)]
#[schema(as = MemoryUsage)]
#[allow(dead_code, reason = "the schema of a message")]
struct MemoryUsageSchema {
    #[schema(rename = "type")]
    kind: String,
    id: i64,
    byte_size: u64,
}

#[cfg(test)]
mod tests {
    use lopside_proto::inference::{InferBatchStatistics, InferStatistics, MemoryUsage, StatisticDuration};

    use super::*;
    use crate::api::openapi_schemas::assert_same_properties;

    #[test]
    fn the_schemas_have_the_fields_of_the_messages() {
        assert_same_properties::<ModelStatisticsSchema>(&ModelStatistics::default());
        assert_same_properties::<InferStatisticsSchema>(&InferStatistics::default());
        assert_same_properties::<BatchStatisticsSchema>(&InferBatchStatistics::default());
        assert_same_properties::<DurationSchema>(&StatisticDuration::default());
        assert_same_properties::<MemoryUsageSchema>(&MemoryUsage::default());
    }
}
