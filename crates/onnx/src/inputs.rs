//! The inputs of a model.

use std::collections::HashSet;

use crate::{
    OnnxError,
    builder::{Dim, float_value_info},
    proto::{ModelProto, TensorProto, type_proto},
    shapes::{DeclaredDim, declared_dims},
    symbolic::Extent,
    types::element_type,
};

/// An input that the caller must supply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInput {
    /// The name of the input.
    pub name: String,
    /// Element type, as a number of ONNX's `TensorProto.DataType`: 1 for `f32`.
    pub element_type: i32,
    /// Dimensions, slowest first; `None` if the model does not declare even their number.
    pub dims: Option<Vec<Extent>>,
}

/// Returns the inputs of a model, with the listed values substituted for symbolic dimensions. A dimension
/// without a symbol is called by its input's name and its axis, `x.2`. Inputs that are also initializers are
/// optional and are left out.
///
/// # Errors
/// [`OnnxError::NoGraph`] for a model without a graph.
pub fn model_inputs(model: &ModelProto, symbols: &[(&str, i64)]) -> Result<Vec<ModelInput>, OnnxError> {
    let graph = model.graph.as_ref().ok_or(OnnxError::NoGraph)?;
    let stored: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    let inputs = graph.input.iter().filter(|input| !stored.contains(input.name()));
    Ok(inputs
        .map(|input| ModelInput {
            name: input.name().to_owned(),
            element_type: element_type(input).unwrap_or_default(),
            dims: declared_dims(input)
                .map(|dims| dims.into_iter().map(|dim| bind_symbol(dim, symbols)).collect()),
        })
        .collect())
}

/// Returns the extent of a dimension, with the value of its symbol if that is listed.
fn bind_symbol(dim: DeclaredDim, symbols: &[(&str, i64)]) -> Extent {
    match dim {
        DeclaredDim::Fixed(extent) => Extent::Fixed(extent),
        DeclaredDim::Open(symbol) => {
            let binding = symbols.iter().find(|(name, _)| *name == symbol);
            match binding.and_then(|(_, value)| u64::try_from(*value).ok()) {
                Some(value) => Extent::Fixed(value),
                None => Extent::Linear { symbol, numerator: 1, denominator: 1, offset: 0 },
            }
        }
    }
}

/// Replaces the declared dimensions of an input or output and keeps its element type. A model without an
/// input or output of this name is left unchanged.
pub fn set_dims(model: &mut ModelProto, name: &str, dims: &[Dim]) {
    let infos = model.graph.iter_mut().flat_map(|graph| graph.input.iter_mut().chain(&mut graph.output));
    for info in infos.filter(|info| info.name() == name) {
        let element = element_type(info);
        *info = float_value_info(name, Some(dims));
        if let Some(type_proto::Value::TensorType(tensor)) =
            info.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        {
            tensor.elem_type = element.or(tensor.elem_type);
        }
    }
}
