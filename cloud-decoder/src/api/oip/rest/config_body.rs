//! The configuration of a model as JSON, with enumerations by name.

use lopside_proto::inference::{
    ModelConfig, ModelDynamicBatching, ModelInput, ModelInstanceGroup, ModelOutput,
    model_config::SchedulingChoice,
};
use serde::Serialize;
use utoipa::ToSchema;

/// The configuration of a model, with the fields of Triton's `ModelConfig` that apply to heads.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelConfig)]
pub(super) struct ConfigBody {
    name: String,
    platform: String,
    backend: String,
    /// Maximum number of items of a request.
    max_batch_size: i32,
    input: Vec<InputBody>,
    output: Vec<OutputBody>,
    instance_group: Vec<InstanceGroupBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    dynamic_batching: Option<BatchingBody>,
    model_transaction_policy: TransactionPolicyBody,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelInput)]
struct InputBody {
    name: String,
    /// The type, such as `TYPE_FP32`.
    data_type: &'static str,
    /// The shape without the batch dimension; −1 for a dimension that the client chooses.
    dims: Vec<i64>,
    optional: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelOutput)]
struct OutputBody {
    name: String,
    /// The type, such as `TYPE_FP32`.
    data_type: &'static str,
    /// The shape without the batch dimension; −1 for a dimension that depends on the input.
    dims: Vec<i64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelInstanceGroup)]
struct InstanceGroupBody {
    name: String,
    /// The kind of device, such as `KIND_AUTO`.
    kind: &'static str,
    /// Number of instances.
    count: i32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelDynamicBatching)]
struct BatchingBody {
    max_queue_delay_microseconds: u64,
    /// Number of priorities; 1 is the highest.
    priority_levels: u64,
    default_priority_level: u64,
    default_queue_policy: QueuePolicyBody,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelQueuePolicy)]
struct QueuePolicyBody {
    /// The treatment of requests whose timeout passes in the queue, such as `REJECT`.
    timeout_action: &'static str,
    default_timeout_microseconds: u64,
    allow_timeout_override: bool,
    /// Maximum number of requests that wait.
    max_queue_size: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelTransactionPolicy)]
struct TransactionPolicyBody {
    /// Whether a request may have several responses.
    decoupled: bool,
}

impl From<ModelConfig> for ConfigBody {
    fn from(config: ModelConfig) -> Self {
        let batching = config.scheduling_choice;
        Self {
            name: config.name,
            platform: config.platform,
            backend: config.backend,
            max_batch_size: config.max_batch_size,
            input: config.input.into_iter().map(InputBody::from).collect(),
            output: config.output.into_iter().map(OutputBody::from).collect(),
            instance_group: config.instance_group.into_iter().map(InstanceGroupBody::from).collect(),
            dynamic_batching: batching.map(|SchedulingChoice::DynamicBatching(batching)| batching.into()),
            model_transaction_policy: TransactionPolicyBody { decoupled: false },
        }
    }
}

impl From<ModelInput> for InputBody {
    fn from(input: ModelInput) -> Self {
        let data_type = input.data_type().as_str_name();
        Self { name: input.name, data_type, dims: input.dims, optional: input.optional }
    }
}

impl From<ModelOutput> for OutputBody {
    fn from(output: ModelOutput) -> Self {
        let data_type = output.data_type().as_str_name();
        Self { name: output.name, data_type, dims: output.dims }
    }
}

impl From<ModelInstanceGroup> for InstanceGroupBody {
    fn from(group: ModelInstanceGroup) -> Self {
        let kind = group.kind().as_str_name();
        Self { name: group.name, kind, count: group.count }
    }
}

impl From<ModelDynamicBatching> for BatchingBody {
    fn from(batching: ModelDynamicBatching) -> Self {
        let queue = batching.default_queue_policy.unwrap_or_default();
        Self {
            max_queue_delay_microseconds: batching.max_queue_delay_microseconds,
            priority_levels: batching.priority_levels,
            default_priority_level: batching.default_priority_level,
            default_queue_policy: QueuePolicyBody {
                timeout_action: queue.timeout_action().as_str_name(),
                default_timeout_microseconds: queue.default_timeout_microseconds,
                allow_timeout_override: queue.allow_timeout_override,
                max_queue_size: queue.max_queue_size,
            },
        }
    }
}
