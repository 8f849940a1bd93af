//! The shape of each tensor of a graph, or why it is not known.

use std::collections::HashMap;

use crate::{
    OnnxError,
    graph::{attribute, is_standard, label, outputs},
    proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto},
    rules,
};

/// More dimensions than any real tensor has. Shapes are copied from node to node, so a file must not set their size.
pub(crate) const MAX_RANK: usize = 64;

/// The longest list of values that is followed: shapes, axes and scales are short.
pub(crate) const MAX_VALUES: usize = 1024;

/// Dimensions, slowest first.
pub(crate) type Shape = Vec<u64>;

/// Shapes of the tensors seen so far. What is not known is kept as the error that a use of it is answered with.
pub(crate) struct Shapes<'a> {
    found: HashMap<&'a str, Result<Shape, OnnxError>>,
    /// The shapes that the graph declares for tensors between inputs and outputs.
    declared: HashMap<&'a str, Shape>,
    /// The values of few integers, which are other nodes' shapes.
    integers: HashMap<&'a str, Vec<i64>>,
    /// The values of few constant floats, which are other nodes' scales.
    floats: HashMap<&'a str, Vec<f32>>,
}

impl<'a> Shapes<'a> {
    /// The shapes of inputs and initializers, symbols having these values.
    pub(crate) fn new(graph: &'a GraphProto, symbols: &[(&str, i64)]) -> Self {
        let known = graph.value_info.iter().chain(&graph.output);
        let declared = known.filter_map(|info| Some((info.name(), declared(info, symbols).ok()?))).collect();
        let mut shapes =
            Self { found: HashMap::new(), declared, integers: HashMap::new(), floats: HashMap::new() };
        for input in &graph.input {
            shapes.found.insert(input.name(), self::declared(input, symbols));
        }
        for tensor in &graph.initializer {
            shapes.constant(tensor.name(), tensor);
        }
        for sparse in &graph.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", TensorProto::name);
            shapes.found.insert(name, dims(name, &sparse.dims));
        }
        shapes
    }

    /// Finds the shapes of the node's outputs from its inputs', or failing that from those the graph declares.
    pub(crate) fn infer(&mut self, node: &'a NodeProto) {
        let named = node.output.iter().map(String::as_str).enumerate().filter(|(_, name)| !name.is_empty());
        for (index, output) in named {
            let derived = self.derive(node, index);
            let shape = match (&derived, self.declared.get(output)) {
                (Err(_), Some(declared)) => Ok(declared.clone()),
                _ => derived,
            };
            self.found.insert(output, shape);
        }
        if is_standard(node)
            && let (Some(name), Some(values)) = (outputs(node).next(), rules::values::output(node, self))
        {
            self.integers.insert(name, values);
        }
    }

    /// The shape of the node's input of this index.
    pub(crate) fn input(&self, node: &NodeProto, index: usize) -> Result<&[u64], OnnxError> {
        let name = node.input.get(index).filter(|name| !name.is_empty()).ok_or_else(|| unknown(node))?;
        self.get(node, name)
    }

    /// The shape of the node's first output, once inferred.
    pub(crate) fn output(&self, node: &NodeProto) -> Result<&[u64], OnnxError> {
        let name = node.output.first().filter(|name| !name.is_empty()).ok_or_else(|| unknown(node))?;
        self.get(node, name)
    }

    /// The shape of a tensor, or why it is not known; `None` for one that nothing has defined so far.
    pub(crate) fn of(&self, tensor: &str) -> Option<&Result<Shape, OnnxError>> {
        self.found.get(tensor)
    }

    /// The values of the node's input of this index, if they are few constant floats.
    pub(crate) fn floats(&self, node: &NodeProto, index: usize) -> Option<&[f32]> {
        self.floats.get(node.input.get(index)?.as_str()).map(Vec::as_slice)
    }

    /// The values of the node's input of this index, if they are few and known integers.
    pub(crate) fn integers(&self, node: &NodeProto, index: usize) -> Option<&[i64]> {
        self.integers.get(node.input.get(index)?.as_str()).map(Vec::as_slice)
    }

    fn get(&self, node: &NodeProto, name: &str) -> Result<&[u64], OnnxError> {
        match self.found.get(name) {
            Some(Ok(shape)) => Ok(shape),
            Some(Err(error)) => Err(error.clone()),
            None => Err(OnnxError::UndefinedTensor { tensor: clipped(name), node: clipped(label(node)) }),
        }
    }

    fn derive(&mut self, node: &'a NodeProto, index: usize) -> Result<Shape, OnnxError> {
        if !is_standard(node) {
            return Err(unknown(node));
        }
        if index > 0 {
            return rules::later_output(node, index, self)?.ok_or_else(|| unknown(node));
        }
        if node.op_type() == "Constant" {
            return self.constant_node(node).ok_or_else(|| unknown(node))?;
        }
        rules::output(node, self)?.ok_or_else(|| unknown(node))
    }

    /// Notes a constant tensor's shape, and its values if they may be a shape.
    fn constant(&mut self, name: &'a str, tensor: &TensorProto) {
        self.found.insert(name, dims(name, &tensor.dims));
        if let Some(values) = rules::values::stored(tensor) {
            self.integers.insert(name, values);
        } else if let Some(values) = rules::values::stored_floats(tensor) {
            self.floats.insert(name, values);
        }
    }

    fn constant_node(&mut self, node: &'a NodeProto) -> Option<Result<Shape, OnnxError>> {
        let name = outputs(node).next()?;
        if let Some(tensor) = attribute(node, "value").and_then(|value| value.t.as_ref()) {
            self.constant(name, tensor);
            return self.found.get(name).cloned();
        }
        if let Some(list) = attribute(node, "value_ints") {
            self.integers.insert(name, list.ints.clone());
            return Some(Ok(vec![list.ints.len() as u64]));
        }
        if let Some(list) = attribute(node, "value_floats") {
            self.floats.insert(name, list.floats.clone());
            return Some(Ok(vec![list.floats.len() as u64]));
        }
        if let Some(value) = attribute(node, "value_int") {
            self.integers.insert(name, vec![value.i()]);
        }
        let scalar = ["value_int", "value_float"].iter().any(|kind| attribute(node, kind).is_some());
        scalar.then(|| Ok(Vec::new()))
    }
}

fn unknown(node: &NodeProto) -> OnnxError {
    OnnxError::UnknownShape { op: clipped(node.op_type()), node: clipped(label(node)) }
}

fn dims(name: &str, dims: &[i64]) -> Result<Shape, OnnxError> {
    let shape: Option<Shape> = dims.iter().map(|&dim| u64::try_from(dim).ok()).collect();
    let shape = shape.filter(|shape| shape.len() <= MAX_RANK);
    shape.ok_or_else(|| OnnxError::BadSize { name: clipped(name) })
}

fn declared(info: &ValueInfoProto, symbols: &[(&str, i64)]) -> Result<Shape, OnnxError> {
    let dims = declared_dims(info).ok_or_else(|| OnnxError::InputShape { tensor: clipped(info.name()) })?;
    let extents = dims.into_iter().map(|dim| match dim {
        DeclaredDim::Fixed(extent) => Ok(extent),
        DeclaredDim::Open(symbol) => {
            let bound = symbols.iter().find(|(name, _)| *name == symbol);
            bound.and_then(|(_, extent)| u64::try_from(*extent).ok()).ok_or_else(|| {
                OnnxError::UnboundSymbol { tensor: clipped(info.name()), symbol: clipped(&symbol) }
            })
        }
    });
    extents.collect()
}

/// One dimension as a model declares it.
pub(crate) enum DeclaredDim {
    /// Always this number.
    Fixed(u64),
    /// Any number. Its symbol, or `INPUT.AXIS` for one without a symbol of its own.
    Open(String),
}

/// The declared dimensions of a tensor; `None` where there are none, more than 64, or it is no tensor.
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
        // Some exporters write -1 or "?" for "any", and mean another one each time.
        _ => DeclaredDim::Open(format!("{}.{axis}", info.name())),
    });
    Some(dims.collect())
}

/// A name for a message. A file may hold one of any length, and an error goes with every tensor it concerns.
pub(crate) fn clipped(name: &str) -> String {
    match name.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
