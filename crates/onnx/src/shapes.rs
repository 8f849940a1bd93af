//! The shape of each tensor of a graph, or the reason why it is unknown.

use std::collections::HashMap;

use crate::{
    OnnxError,
    graph::{find_attribute, is_standard, node_label, node_outputs},
    proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto},
    rules,
};

/// Maximum number of dimensions, more than any real tensor has. Shapes are copied between nodes, so a file
/// must not determine their size.
pub(crate) const MAX_RANK: usize = 64;

/// Maximum length of a list of values that is tracked: shapes, axes and scales are short.
pub(crate) const MAX_VALUES: usize = 1024;

/// Dimensions, slowest first.
pub(crate) type Shape = Vec<u64>;

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
        let known = graph.value_info.iter().chain(&graph.output);
        let declared =
            known.filter_map(|info| Some((info.name(), declared_shape(info, symbols).ok()?))).collect();
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

    /// Derives the shapes of the node's outputs from its inputs' shapes, or failing that uses the declared
    /// shapes.
    pub(crate) fn infer_node(&mut self, node: &'a NodeProto) {
        let named = node.output.iter().map(String::as_str).enumerate().filter(|(_, name)| !name.is_empty());
        for (index, output) in named {
            let derived = self.derive_output(node, index);
            let shape = match (&derived, self.declared.get(output)) {
                (Err(_), Some(declared)) => Ok(declared.clone()),
                _ => derived,
            };
            self.known.insert(output, shape);
        }
        if is_standard(node)
            && let (Some(name), Some(values)) =
                (node_outputs(node).next(), rules::values::output_values(node, self))
        {
            self.integers.insert(name, values);
        }
    }

    /// Returns the shape of the node's input with this index.
    pub(crate) fn input_shape(&self, node: &NodeProto, index: usize) -> Result<&[u64], OnnxError> {
        let name =
            node.input.get(index).filter(|name| !name.is_empty()).ok_or_else(|| unknown_shape(node))?;
        self.look_up(node, name)
    }

    /// Returns the shape of the node's first output; [`infer_node`](Self::infer_node) must have run.
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

    fn look_up(&self, node: &NodeProto, name: &str) -> Result<&[u64], OnnxError> {
        match self.known.get(name) {
            Some(Ok(shape)) => Ok(shape),
            Some(Err(error)) => Err(error.clone()),
            None => {
                Err(OnnxError::UndefinedTensor { tensor: clip_name(name), node: clip_name(node_label(node)) })
            }
        }
    }

    fn derive_output(&mut self, node: &'a NodeProto, index: usize) -> Result<Shape, OnnxError> {
        if !is_standard(node) {
            return Err(unknown_shape(node));
        }
        if index > 0 {
            return rules::later_output(node, index, self)?.ok_or_else(|| unknown_shape(node));
        }
        if node.op_type() == "Constant" {
            return self.record_constant_node(node).ok_or_else(|| unknown_shape(node))?;
        }
        rules::output_shape(node, self)?.ok_or_else(|| unknown_shape(node))
    }

    /// Records a constant tensor's shape, and its values if they may serve as a shape or as scales.
    fn record_constant(&mut self, name: &'a str, tensor: &TensorProto) {
        self.known.insert(name, checked_dims(name, &tensor.dims));
        if let Some(values) = rules::values::stored_integers(tensor) {
            self.integers.insert(name, values);
        } else if let Some(values) = rules::values::stored_floats(tensor) {
            self.floats.insert(name, values);
        }
    }

    fn record_constant_node(&mut self, node: &'a NodeProto) -> Option<Result<Shape, OnnxError>> {
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
}

fn unknown_shape(node: &NodeProto) -> OnnxError {
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
            let bound = symbols.iter().find(|(name, _)| *name == symbol);
            bound.and_then(|(_, extent)| u64::try_from(*extent).ok()).ok_or_else(|| {
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
