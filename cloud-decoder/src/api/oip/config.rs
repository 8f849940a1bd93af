//! The configuration of a model, as Triton describes it.

use lopside_decoder::{BatchSettings, MAX_FRAMES};
use lopside_proto::inference::{
    DataType as Kind, ModelConfig, ModelDynamicBatching, ModelInput, ModelInstanceGroup, ModelOutput,
    ModelQueuePolicy, ModelTransactionPolicy, model_config::SchedulingChoice, model_instance_group,
};

use super::{
    OipService, PLATFORM,
    model::{OipModel, TensorInfo},
    tensor::DataType,
};

/// The number of priorities: high, normal and low.
const PRIORITY_COUNT: u64 = 3;
const NORMAL_PRIORITY: u64 = 2;

impl OipService {
    /// Returns the configuration of a model.
    pub(super) fn describe_config(&self, model: &OipModel) -> ModelConfig {
        let batching = self.registry().batching();
        ModelConfig {
            name: model.name.clone(),
            platform: PLATFORM.to_owned(),
            backend: "onnxruntime".to_owned(),
            // The limit per request; the limit on frames is the narrower one.
            max_batch_size: MAX_FRAMES as i32,
            input: model.inputs().into_iter().map(input_message).collect(),
            output: model.outputs().into_iter().map(output_message).collect(),
            instance_group: vec![ModelInstanceGroup {
                name: model.name.clone(),
                count: batching.instances as i32,
                gpus: Vec::new(),
                kind: model_instance_group::Kind::Auto.into(),
            }],
            scheduling_choice: Some(SchedulingChoice::DynamicBatching(self.batching_config(batching))),
            model_transaction_policy: Some(ModelTransactionPolicy { decoupled: false }),
            ..ModelConfig::default()
        }
    }

    fn batching_config(&self, batching: BatchSettings) -> ModelDynamicBatching {
        let policy = ModelQueuePolicy {
            default_timeout_microseconds: self.default_options.timeout.as_micros() as u64,
            allow_timeout_override: true,
            max_queue_size: batching.max_jobs as u32,
            ..ModelQueuePolicy::default()
        };
        ModelDynamicBatching {
            max_queue_delay_microseconds: batching.max_delay.as_micros() as u64,
            priority_levels: PRIORITY_COUNT,
            default_priority_level: NORMAL_PRIORITY,
            default_queue_policy: Some(policy),
            ..ModelDynamicBatching::default()
        }
    }
}

fn input_message(info: TensorInfo) -> ModelInput {
    let data_type = kind_of(info.datatype).into();
    ModelInput { dims: dims_of(&info), name: info.name, data_type, ..ModelInput::default() }
}

fn output_message(info: TensorInfo) -> ModelOutput {
    let data_type = kind_of(info.datatype).into();
    ModelOutput { dims: dims_of(&info), name: info.name, data_type, ..ModelOutput::default() }
}

/// Returns the dimensions without the batch dimension.
fn dims_of(info: &TensorInfo) -> Vec<i64> {
    info.shape[1..].to_vec()
}

fn kind_of(datatype: DataType) -> Kind {
    match datatype {
        DataType::Bool => Kind::TypeBool,
        DataType::Fp32 => Kind::TypeFp32,
        DataType::Bytes => Kind::TypeString,
    }
}
