//! The dependencies between the nodes and tensors of a graph.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    OnnxError,
    proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto},
};

/// Standard operators that return different values on every run, so that two copies of one node disagree.
const RANDOM_OPS: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// The origin of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The caller.
    Input,
    /// An initializer, including one that the caller may override.
    Initializer,
    /// The node with this index.
    Node(usize),
}

/// The nodes and tensors that some tensors are computed from.
pub(crate) struct RequiredSubgraph<'a> {
    /// One flag per node.
    pub(crate) nodes: Vec<bool>,
    /// The requested tensors and all tensors that the nodes read.
    pub(crate) tensors: BTreeSet<&'a str>,
}

/// A graph with checked names: each is defined once, before it is read.
pub(crate) struct Graph<'a> {
    pub(crate) proto: &'a GraphProto,
    origins: HashMap<&'a str, Origin>,
    node_reads: Vec<Vec<&'a str>>,
    is_constant: Vec<bool>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(proto: &'a GraphProto) -> Result<Self, OnnxError> {
        let mut graph =
            Self { proto, origins: HashMap::new(), node_reads: Vec::new(), is_constant: Vec::new() };
        for name in initializer_names(proto) {
            graph.define_tensor(name, Origin::Initializer)?;
        }
        for input in &proto.input {
            if graph.origin(input.name()) != Some(Origin::Initializer) {
                graph.define_tensor(input.name(), Origin::Input)?;
            }
        }
        for (index, node) in proto.node.iter().enumerate() {
            graph.add_node(index, node)?;
        }
        Ok(graph)
    }

    pub(crate) fn origin(&self, tensor: &str) -> Option<Origin> {
        self.origins.get(tensor).copied()
    }

    /// Returns whether the node computes the same outputs on every run.
    pub(crate) fn is_constant(&self, node: usize) -> bool {
        self.is_constant[node]
    }

    /// Returns the nodes and tensors that `outputs` is computed from. Nodes flagged in `available` are left
    /// out, together with the nodes that only they need.
    pub(crate) fn required_by(
        &self,
        outputs: impl Iterator<Item = &'a str>,
        available: &[bool],
    ) -> RequiredSubgraph<'a> {
        let mut required =
            RequiredSubgraph { nodes: vec![false; self.node_reads.len()], tensors: outputs.collect() };
        for (index, node) in self.proto.node.iter().enumerate().rev() {
            let is_available = available.get(index).is_some_and(|&is_available| is_available);
            if !is_available && node_outputs(node).any(|output| required.tensors.contains(output)) {
                required.nodes[index] = true;
                required.tensors.extend(&self.node_reads[index]);
            }
        }
        required
    }

    /// Returns the tensors that the node reads: its inputs and the tensors that its bodies capture.
    pub(crate) fn reads_of(&self, node: usize) -> &[&'a str] {
        &self.node_reads[node]
    }

    /// Returns these tensors and all tensors that are computed from them.
    pub(crate) fn dependent_tensors(&self, tensors: &[&'a str]) -> HashSet<&'a str> {
        let mut dependent: HashSet<&str> = tensors.iter().copied().collect();
        for (node, reads) in self.proto.node.iter().zip(&self.node_reads) {
            if reads.iter().any(|tensor| dependent.contains(tensor)) {
                dependent.extend(node_outputs(node));
            }
        }
        dependent
    }

    fn add_node(&mut self, index: usize, node: &'a NodeProto) -> Result<(), OnnxError> {
        let reads = reads(node);
        let mut is_constant = !is_random(node);
        for &tensor in &reads {
            is_constant &= match self.origin(tensor) {
                Some(Origin::Initializer) => true,
                Some(Origin::Node(node)) => self.is_constant[node],
                Some(Origin::Input) => false,
                None => {
                    let node = node_label(node).to_owned();
                    return Err(OnnxError::UndefinedTensor { tensor: tensor.to_owned(), node });
                }
            };
        }
        self.node_reads.push(reads);
        self.is_constant.push(is_constant);
        node_outputs(node).try_for_each(|output| self.define_tensor(output, Origin::Node(index)))
    }

    fn define_tensor(&mut self, tensor: &'a str, origin: Origin) -> Result<(), OnnxError> {
        match self.origins.insert(tensor, origin) {
            Some(_) => Err(OnnxError::DuplicateTensor { tensor: tensor.to_owned() }),
            None => Ok(()),
        }
    }
}

/// Returns the graph of a model with operator set 7 or newer: that version made broadcasting implicit, and
/// operators have kept their meaning since.
pub(crate) fn checked_graph(model: &ModelProto) -> Result<&GraphProto, OnnxError> {
    let standard = model.opset_import.iter().find(|opset| matches!(opset.domain(), "" | "ai.onnx"));
    match standard.and_then(|opset| opset.version) {
        Some(version @ ..7) => Err(OnnxError::UnsupportedOpset { version }),
        _ => model.graph.as_ref().ok_or(OnnxError::NoGraph),
    }
}

/// Returns the node's name, or the name of its first output if it is unnamed.
pub(crate) fn node_label(node: &NodeProto) -> &str {
    if node.name().is_empty() { node.output.first().map_or("", String::as_str) } else { node.name() }
}

/// Returns the names of the node's outputs, except outputs that are left out.
pub(crate) fn node_outputs(node: &NodeProto) -> impl Iterator<Item = &str> {
    node.output.iter().map(String::as_str).filter(|name| !name.is_empty())
}

/// Returns the graphs in the node's attributes: the branches of an `If`, the body of a `Loop`.
pub(crate) fn node_bodies(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// Returns the node's attribute with this name.
pub(crate) fn find_attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name() == name)
}

/// Returns the integer of the node's attribute with this name, or the default if the attribute is left out.
pub(crate) fn int_attribute(node: &NodeProto, name: &str, default: i64) -> i64 {
    find_attribute(node, name).map_or(default, AttributeProto::i)
}

/// Returns whether the node's operator is one of ONNX's standard operators.
pub(crate) fn is_standard(node: &NodeProto) -> bool {
    matches!(node.domain(), "" | "ai.onnx")
}

/// Returns the number of elements; `None` if a dimension is negative or the product exceeds 64 bits.
pub(crate) fn element_count(dims: &[i64]) -> Option<u64> {
    dims.iter().try_fold(1_u64, |product, &dim| product.checked_mul(u64::try_from(dim).ok()?))
}

/// Returns the tensors that the node reads from its graph: its inputs and the tensors that its bodies
/// capture.
fn reads(node: &NodeProto) -> Vec<&str> {
    let inputs = node.input.iter().map(String::as_str).filter(|name| !name.is_empty());
    inputs.chain(node_bodies(node).flat_map(captured_names)).collect()
}

/// Returns the names that a body uses without defining them.
fn captured_names(body: &GraphProto) -> Vec<&str> {
    let local: HashSet<&str> = initializer_names(body)
        .chain(body.input.iter().map(ValueInfoProto::name))
        .chain(body.node.iter().flat_map(node_outputs))
        .collect();
    let results = body.output.iter().map(ValueInfoProto::name).filter(|name| !name.is_empty());
    body.node.iter().flat_map(reads).chain(results).filter(|name| !local.contains(name)).collect()
}

fn initializer_names(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let sparse = graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref());
    graph.initializer.iter().chain(sparse).map(TensorProto::name)
}

pub(crate) fn is_random(node: &NodeProto) -> bool {
    let is_random_op = is_standard(node) && RANDOM_OPS.contains(&node.op_type());
    is_random_op || node_bodies(node).any(|body| body.node.iter().any(is_random))
}
