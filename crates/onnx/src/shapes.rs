//! The shape of each tensor of a graph, or the reason why it is unknown.

use std::collections::HashMap;

use crate::{
    OnnxError,
    graph::{find_attribute, node_label, node_outputs},
    proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto},
    shape::{MAX_RANK, Shape},
    stored_values::{stored_floats, stored_integers},
};

/// Shapes of the tensors seen so far. An unknown shape is stored as the error that a use of it returns.
pub(crate) struct Shapes<'a> {
    known: HashMap<&'a str, Result<Shape, OnnxError>>,
    /// The shapes that the graph declares for intermediate tensors and outputs.
    declared: HashMap<&'a str, Shape>,
    /// The values of short integer tensors, which other nodes use as shapes.
    integers: HashMap<&'a str, Vec<i64>>,
    /// The values of short constant float tensors, which other nodes use as scales.
    floats: HashMap<&'a str, Vec<f32>>,
}

impl<'a> Shapes<'a> {
    /// Collects the shapes of inputs and initializers, with these values for symbolic dimensions.
    pub(crate) fn new(graph: &'a GraphProto, symbols: &[(&str, i64)]) -> Self {
        let declared_infos = graph.value_info.iter().chain(&graph.output);
        let declared = declared_infos
            .filter_map(|info| Some((info.name(), declared_shape(info, symbols).ok()?)))
            .collect();
        let mut shapes =
            Self { known: HashMap::new(), declared, integers: HashMap::new(), floats: HashMap::new() };
        for input in &graph.input {
            shapes.known.insert(input.name(), self::declared_shape(input, symbols));
        }
        for tensor in &graph.initializer {
            shapes.record_constant(tensor.name(), tensor);
        }
        for sparse in &graph.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", TensorProto::name);
            shapes.known.insert(name, checked_dims(name, &sparse.dims));
        }
        shapes
    }

    /// Records the shape of one of a node's outputs. A declared shape takes the place of one that cannot be
    /// derived.
    pub(crate) fn record_output(&mut self, output: &'a str, derived: Result<Shape, OnnxError>) {
        let shape = match (&derived, self.declared.get(output)) {
            (Err(_), Some(declared)) => Ok(declared.clone()),
            _ => derived,
        };
        self.known.insert(output, shape);
    }

    /// Records the values of a short integer tensor.
    pub(crate) fn record_integers(&mut self, tensor: &'a str, values: Vec<i64>) {
        self.integers.insert(tensor, values);
    }

    /// Records the values of a `Constant` node, and returns the shape of its output; `None` for a kind of
    /// value that is not supported.
    pub(crate) fn record_constant_node(&mut self, node: &'a NodeProto) -> Option<Result<Shape, OnnxError>> {
        let name = node_outputs(node).next()?;
        if let Some(tensor) = find_attribute(node, "value").and_then(|value| value.t.as_ref()) {
            self.record_constant(name, tensor);
            return self.known.get(name).cloned();
        }
        if let Some(list) = find_attribute(node, "value_ints") {
            self.integers.insert(name, list.ints.clone());
            return Some(Ok(vec![list.ints.len() as u64]));
        }
        if let Some(list) = find_attribute(node, "value_floats") {
            self.floats.insert(name, list.floats.clone());
            return Some(Ok(vec![list.floats.len() as u64]));
        }
        if let Some(value) = find_attribute(node, "value_int") {
            self.integers.insert(name, vec![value.i()]);
        }
        let scalar = ["value_int", "value_float"].iter().any(|kind| find_attribute(node, kind).is_some());
        scalar.then(|| Ok(Vec::new()))
    }

    /// Returns the shape of the node's input with this index.
    pub(crate) fn input_shape(&self, node: &NodeProto, index: usize) -> Result<&[u64], OnnxError> {
        let name =
            node.input.get(index).filter(|name| !name.is_empty()).ok_or_else(|| unknown_shape(node))?;
        self.look_up(node, name)
    }

    /// Returns the shape of the node's first output; [`infer_node`](crate::shape_inference::infer_node) must have run.
    pub(crate) fn output_shape(&self, node: &NodeProto) -> Result<&[u64], OnnxError> {
        let name = node.output.first().filter(|name| !name.is_empty()).ok_or_else(|| unknown_shape(node))?;
        self.look_up(node, name)
    }

    /// Returns the shape of a tensor or the reason why it is unknown; `None` for a tensor that has not been
    /// defined so far.
    pub(crate) fn shape_of(&self, tensor: &str) -> Option<&Result<Shape, OnnxError>> {
        self.known.get(tensor)
    }

    /// Returns the values of the node's input with this index if it is a short constant float tensor.
    pub(crate) fn input_floats(&self, node: &NodeProto, index: usize) -> Option<&[f32]> {
        self.floats.get(node.input.get(index)?.as_str()).map(Vec::as_slice)
    }

    /// Returns the values of the node's input with this index if they are known and it is a short integer
    /// tensor.
    pub(crate) fn input_integers(&self, node: &NodeProto, index: usize) -> Option<&[i64]> {
        self.integers.get(node.input.get(index)?.as_str()).map(Vec::as_slice)
    }

    /// Records a constant tensor's shape, and its values if they may serve as a shape or as scales.
    fn record_constant(&mut self, name: &'a str, tensor: &TensorProto) {
        self.known.insert(name, checked_dims(name, &tensor.dims));
        if let Some(values) = stored_integers(tensor) {
            self.integers.insert(name, values);
        } else if let Some(values) = stored_floats(tensor) {
            self.floats.insert(name, values);
        }
    }

    fn look_up(&self, node: &NodeProto, name: &str) -> Result<&[u64], OnnxError> {
        match self.known.get(name) {
            Some(Ok(shape)) => Ok(shape),
            Some(Err(error)) => Err(error.clone()),
            None => {
                Err(OnnxError::UndefinedTensor { tensor: clip_name(name), node: clip_name(node_label(node)) })
            }
        }
    }
}

/// Returns the error for a node with shapes that no rule determines.
pub(crate) fn unknown_shape(node: &NodeProto) -> OnnxError {
    OnnxError::UnknownShape { op: clip_name(node.op_type()), node: clip_name(node_label(node)) }
}

fn checked_dims(name: &str, dims: &[i64]) -> Result<Shape, OnnxError> {
    let shape: Option<Shape> = dims.iter().map(|&dim| u64::try_from(dim).ok()).collect();
    let shape = shape.filter(|shape| shape.len() <= MAX_RANK);
    shape.ok_or_else(|| OnnxError::InvalidSize { name: clip_name(name) })
}

fn declared_shape(info: &ValueInfoProto, symbols: &[(&str, i64)]) -> Result<Shape, OnnxError> {
    let dims = declared_dims(info)
        .ok_or_else(|| OnnxError::IncompleteInputShape { tensor: clip_name(info.name()) })?;
    let extents = dims.into_iter().map(|dim| match dim {
        DeclaredDim::Fixed(extent) => Ok(extent),
        DeclaredDim::Open(symbol) => {
            let binding = symbols.iter().find(|(name, _)| *name == symbol);
            binding.and_then(|(_, extent)| u64::try_from(*extent).ok()).ok_or_else(|| {
                OnnxError::UnboundSymbol { tensor: clip_name(info.name()), symbol: clip_name(&symbol) }
            })
        }
    });
    extents.collect()
}

/// One dimension as a model declares it.
pub(crate) enum DeclaredDim {
    /// A constant extent.
    Fixed(u64),
    /// Any extent. Holds the dimension's symbol, or `INPUT.AXIS` for a dimension without a symbol.
    Open(String),
}

/// Returns the declared dimensions of a tensor; `None` if it declares no shape or more than 64 dimensions, or
/// is not a tensor.
pub(crate) fn declared_dims(info: &ValueInfoProto) -> Option<Vec<DeclaredDim>> {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref()?.value.as_ref() else {
        return None;
    };
    let shape = tensor.shape.as_ref().filter(|shape| shape.dim.len() <= MAX_RANK)?;
    let dims = shape.dim.iter().enumerate().map(|(axis, dim)| match &dim.value {
        Some(dimension::Value::DimValue(extent @ 0..)) => DeclaredDim::Fixed(extent.unsigned_abs()),
        Some(dimension::Value::DimParam(symbol)) if !matches!(symbol.as_str(), "" | "?") => {
            DeclaredDim::Open(symbol.clone())
        }
        // Some exporters write -1 or "?" for any extent and mean a different extent each time.
        _ => DeclaredDim::Open(format!("{}.{axis}", info.name())),
    });
    Some(dims.collect())
}

/// Returns a name for a message, shortened to 200 characters. Names in a file may have any length, and an
/// error is stored for every tensor that it concerns.
pub(crate) fn clip_name(name: &str) -> String {
    match name.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
