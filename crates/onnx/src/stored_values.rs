//! The values of small tensors that a model stores.

use crate::proto::{TensorProto, tensor_proto::DataType};

/// Maximum length of a list of values that is tracked: shapes, axes and scales are short.
pub(crate) const MAX_VALUES: usize = 1024;

/// Returns the values of a stored tensor of at most [`MAX_VALUES`] integers.
pub(crate) fn stored_integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    let values: Vec<i64> = match (DataType::try_from(tensor.data_type()).ok()?, tensor.raw_data()) {
        (DataType::Int64, []) => if_short(&tensor.int64_data)?.to_vec(),
        (DataType::Int64, raw) => {
            if_short(raw.as_chunks().0)?.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
        }
        (DataType::Int32 | DataType::Bool, []) => {
            if_short(&tensor.int32_data)?.iter().map(|&value| value.into()).collect()
        }
        (DataType::Int32, raw) => {
            if_short(raw.as_chunks().0)?.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect()
        }
        (DataType::Bool, raw) => if_short(raw)?.iter().map(|&byte| byte.into()).collect(),
        _ => return None,
    };
    Some(values)
}

/// Returns the values of a stored tensor of at most [`MAX_VALUES`] floats.
pub(crate) fn stored_floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type() != DataType::Float as i32 {
        return None;
    }
    match tensor.raw_data() {
        [] => if_short(&tensor.float_data).map(<[f32]>::to_vec),
        raw => if_short(raw.as_chunks().0)
            .map(|raw| raw.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
    }
}

fn if_short<T>(values: &[T]) -> Option<&[T]> {
    (values.len() <= MAX_VALUES).then_some(values)
}
