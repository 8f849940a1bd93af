//! What a model reads.

use std::collections::HashSet;

use crate::{
    OnnxError,
    builder::{Dim, float_value},
    proto::{ModelProto, TensorProto, type_proto},
    shapes::{DeclaredDim, declared_dims},
    symbolic::Extent,
    types::element_type,
};

/// An input that a caller must give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its element type, a number of ONNX's `TensorProto.DataType`: 1 for `f32`.
    pub element: i32,
    /// Its dimensions, slowest first; `None` when the model does not even declare their number.
    pub dims: Option<Vec<Extent>>,
}

/// The inputs of a model, symbolic dimensions having these values where they are listed. A dimension without a symbol
/// is called by its input's name and its axis, `x.2`. Inputs that are initializers too need not be given and are left
/// out.
///
/// # Errors
/// [`OnnxError::NoGraph`].
pub fn inputs(model: &ModelProto, symbols: &[(&str, i64)]) -> Result<Vec<Input>, OnnxError> {
    let graph = model.graph.as_ref().ok_or(OnnxError::NoGraph)?;
    let stored: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    let extent = |dim| match dim {
        DeclaredDim::Fixed(extent) => Extent::Fixed(extent),
        DeclaredDim::Open(symbol) => {
            let bound = symbols.iter().find(|(name, _)| *name == symbol);
            match bound.and_then(|(_, value)| u64::try_from(*value).ok()) {
                Some(value) => Extent::Fixed(value),
                None => Extent::Open { symbol, times: 1, over: 1, plus: 0 },
            }
        }
    };
    let given = graph.input.iter().filter(|input| !stored.contains(input.name()));
    Ok(given
        .map(|input| Input {
            name: input.name().to_owned(),
            element: element_type(input).unwrap_or_default(),
            dims: declared_dims(input).map(|dims| dims.into_iter().map(extent).collect()),
        })
        .collect())
}

/// Declares the dimensions of an input or output, whatever they were; its element type stays. Nothing happens to a model
/// without it.
pub fn set_dims(model: &mut ModelProto, name: &str, dims: &[Dim]) {
    let ends = model.graph.iter_mut().flat_map(|graph| graph.input.iter_mut().chain(&mut graph.output));
    for end in ends.filter(|end| end.name() == name) {
        let element = element_type(end);
        *end = float_value(name, Some(dims));
        if let Some(type_proto::Value::TensorType(tensor)) =
            end.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        {
            tensor.elem_type = element.or(tensor.elem_type);
        }
    }
}
