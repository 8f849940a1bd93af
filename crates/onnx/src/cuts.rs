//! Finds the tensors at which a model can be cut, and the cost of each half.
//!
//! Nodes stand in topological order. A tensor crosses the place after node `i` if it is produced at or before
//! `i` and read after it; outputs are read after all nodes. Constants never cross, because each half has its
//! own copies. The place after `i` is a cut at one tensor exactly if one tensor crosses it: an edge past it
//! would be a path around the cut. One sweep counts the tensors that cross each place, and running sums yield
//! the costs of both halves, so the work is proportional to the number of nodes and edges.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    OnnxError,
    cost::{FunctionNames, count_macs, float_initializers, function_names, stored_parameters},
    fold::fold_shapes,
    graph::{Graph, Origin, checked_graph, node_bodies, node_label, node_outputs},
    proto::{ModelProto, ValueInfoProto},
    shape::checked_product,
    shape_inference::infer_node,
    shapes::{Shapes, clip_name},
    symbolic::{Extent, SymbolicShapes},
};

/// Maximum number of names that an error lists.
const MAX_LISTED_NAMES: usize = 10;

/// The cost of one half of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfCost {
    /// Number of elements of the stored float tensors that the half uses. A tensor that both halves use
    /// counts in both.
    pub parameters: u64,
    /// Multiply-accumulates of one run, as [`model_cost`](crate::model_cost) counts them, or the error that prevents
    /// the count.
    pub macs: Result<u64, OnnxError>,
}

/// A tensor that separates a model's inputs from its outputs, and at which [`split_model`](crate::split_model) can cut
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The tensor's name.
    pub tensor: String,
    /// The operator that computes the tensor.
    pub op: String,
    /// Dimensions, slowest first; `None` if not even their number is known.
    pub shape: Option<Vec<Extent>>,
    /// Number of elements of one latent; `None` if a dimension is unknown.
    pub element_count: Option<u64>,
    /// The cost of the part before the cut.
    pub encoder: HalfCost,
    /// The cost of the part after the cut.
    pub decoder: HalfCost,
}

impl Cut {
    /// Returns the size of one latent as `f32`, in bytes.
    #[must_use]
    pub fn latent_bytes(&self) -> Option<u64> {
        self.element_count?.checked_mul(4)
    }
}

/// Returns every tensor at which a model can be cut, in topological order. `symbols` holds the values of
/// symbolic dimensions, for example `[("batch", 1)]`. A dimension without a symbol, such as -1 or `?`, is
/// bound by its input's name and its axis: `("x.2", 48)`.
///
/// # Errors
/// [`OnnxError::NoCut`] when no single tensor separates the inputs from the outputs;
/// [`OnnxError::IndependentOutput`] when an output is computed from constants alone; [`OnnxError::InvalidSize`]
/// for stored tensors of negative size or beyond 64 bits; [`OnnxError::UnsupportedOpset`],
/// [`OnnxError::NoGraph`], [`OnnxError::NoOutput`], [`OnnxError::DuplicateTensor`] or
/// [`OnnxError::UndefinedTensor`] for a malformed model.
pub fn find_cuts(model: &ModelProto, symbols: &[(&str, i64)]) -> Result<Vec<Cut>, OnnxError> {
    let proto = fold_shapes(checked_graph(model)?);
    let graph = Graph::new(&proto)?;
    if proto.output.is_empty() {
        return Err(OnnxError::NoOutput);
    }
    let sweep = CrossingSweep::new(&graph)?;
    let candidates = sweep.cut_places();
    if candidates.is_empty() {
        return Err(sweep.no_cut_error());
    }
    let costs = HalfCosts::new(&sweep, &function_names(model), symbols)?;
    let tensors: Vec<&str> = candidates.iter().map(|&(_, tensor)| tensor).collect();
    let extents = SymbolicShapes::new(&proto, symbols, &tensors);
    let mut cuts = Vec::with_capacity(candidates.len());
    for (node, tensor) in candidates {
        let shape = extents.shape_of(tensor);
        cuts.push(Cut {
            tensor: tensor.to_owned(),
            op: proto.node[node].op_type().to_owned(),
            element_count: shape.as_deref().and_then(fixed_element_count),
            shape,
            encoder: costs.encoder[node].clone(),
            decoder: costs.decoder[node].clone(),
        });
    }
    Ok(cuts)
}

/// Returns the number of elements of a shape; `None` if a dimension is not fixed.
fn fixed_element_count(shape: &[Extent]) -> Option<u64> {
    let dims: Option<Vec<u64>> = shape.iter().map(Extent::fixed).collect();
    checked_product(&dims?)
}

/// The first and the last node that use a node's result or a tensor. It belongs to the encoder of every cut
/// after node `first` or a later one, and to the decoder of every cut before node `last`.
#[derive(Debug, Clone, Copy)]
struct UseRange {
    first: usize,
    last: usize,
}

impl UseRange {
    /// Extends the range so that it includes another one.
    fn widen(&mut self, other: Self) {
        *self = Self { first: self.first.min(other.first), last: self.last.max(other.last) };
    }
}

/// The uses of nodes and tensors, in the order of the nodes.
struct CrossingSweep<'g, 'a> {
    graph: &'g Graph<'a>,
    /// The place at which each node must run; `None` for a node that the outputs do not need. A node that
    /// depends on the inputs runs at its own position; any other node could run in either half and runs at
    /// the position of its first reader.
    node_uses: Vec<Option<UseRange>>,
    /// Whether each node depends on the inputs, directly or through other nodes.
    depends_on_inputs: Vec<bool>,
    /// The initializers in use.
    initializer_uses: HashMap<&'a str, UseRange>,
    /// The non-constant tensors in use, each with its first and last reader. The number of nodes stands for
    /// the outputs.
    tensor_uses: BTreeMap<&'a str, UseRange>,
    /// The number of tensors that cross the place after each node.
    crossing_counts: Vec<i64>,
}

impl<'g, 'a> CrossingSweep<'g, 'a> {
    fn new(graph: &'g Graph<'a>) -> Result<Self, OnnxError> {
        let count = graph.proto.node.len();
        let mut sweep = Self {
            graph,
            node_uses: vec![None; count],
            depends_on_inputs: Self::find_input_dependent(graph),
            initializer_uses: HashMap::new(),
            tensor_uses: BTreeMap::new(),
            crossing_counts: vec![0; count],
        };
        for output in &graph.proto.output {
            let independent = match graph.origin(output.name()) {
                Some(Origin::Node(node)) => !sweep.depends_on_inputs[node],
                Some(Origin::Input) => false,
                Some(Origin::Initializer) | None => true,
            };
            if independent {
                let (tensor, output) = ("the inputs".to_owned(), output.name().to_owned());
                return Err(OnnxError::IndependentOutput { tensor, output });
            }
            sweep.record_use(output.name(), count, count);
        }
        for node in (0..count).rev() {
            if let Some(span) = sweep.node_uses[node] {
                // A node that is not constant exists once, so its inputs are needed at the place at which it
                // runs.
                let last = if graph.is_constant(node) { span.last } else { span.first };
                for &tensor in graph.reads_of(node) {
                    sweep.record_use(tensor, span.first, last);
                }
            }
        }
        sweep.count_crossings();
        Ok(sweep)
    }

    fn find_input_dependent(graph: &Graph<'_>) -> Vec<bool> {
        let mut depends_on_inputs: Vec<bool> = Vec::with_capacity(graph.proto.node.len());
        for node in 0..graph.proto.node.len() {
            depends_on_inputs.push(graph.reads_of(node).iter().any(|tensor| match graph.origin(tensor) {
                Some(Origin::Input) => true,
                Some(Origin::Node(producer)) => depends_on_inputs[producer],
                Some(Origin::Initializer) | None => false,
            }));
        }
        depends_on_inputs
    }

    /// Records that a tensor is first needed at the node `first` and last needed at `last`.
    fn record_use(&mut self, tensor: &'a str, first: usize, last: usize) {
        let new_use = UseRange { first, last };
        match self.graph.origin(tensor) {
            Some(Origin::Initializer) => {
                self.initializer_uses.entry(tensor).and_modify(|span| span.widen(new_use)).or_insert(new_use);
            }
            Some(Origin::Node(node)) => {
                if self.depends_on_inputs[node] {
                    self.node_uses[node] = Some(UseRange { first: node, last: node });
                } else {
                    self.node_uses[node].get_or_insert(new_use).widen(new_use);
                }
                if !self.graph.is_constant(node) {
                    self.tensor_uses.entry(tensor).and_modify(|span| span.widen(new_use)).or_insert(new_use);
                }
            }
            Some(Origin::Input) => {
                self.tensor_uses.entry(tensor).and_modify(|span| span.widen(new_use)).or_insert(new_use);
            }
            None => {}
        }
    }

    fn count_crossings(&mut self) {
        let mut change = vec![0_i64; self.crossing_counts.len() + 1];
        for (tensor, span) in &self.tensor_uses {
            let available_from = self.first_available(tensor);
            change[available_from] += 1;
            change[span.last.max(available_from)] -= 1;
        }
        let mut crossing = 0;
        for (count, change) in self.crossing_counts.iter_mut().zip(change) {
            crossing += change;
            *count = crossing;
        }
    }

    /// Returns the first node after which the tensor exists; 0 for an input.
    fn first_available(&self, tensor: &str) -> usize {
        match self.graph.origin(tensor) {
            Some(Origin::Node(node)) => self.node_uses[node].map_or(node, |span| span.first),
            _ => 0,
        }
    }

    /// Returns the cuts: each is a node and the one tensor that crosses the place after it.
    fn cut_places(&self) -> Vec<(usize, &'a str)> {
        let outputs: HashSet<&str> = self.graph.proto.output.iter().map(ValueInfoProto::name).collect();
        let mut candidates = Vec::new();
        for (node, proto) in self.graph.proto.node.iter().enumerate() {
            if self.depends_on_inputs[node]
                && self.node_uses[node].is_some()
                && self.crossing_counts[node] == 1
            {
                candidates.extend(
                    node_outputs(proto)
                        .find(|tensor| self.tensor_uses.get(tensor).is_some_and(|span| span.last > node))
                        .filter(|tensor| !outputs.contains(tensor))
                        .map(|tensor| (node, tensor)),
                );
            }
        }
        candidates
    }

    /// Returns the error that lists the tensors at the place that the fewest tensors cross.
    fn no_cut_error(&self) -> OnnxError {
        let nodes = &self.graph.proto.node;
        let narrowest = (0..nodes.len())
            .filter(|&node| self.depends_on_inputs[node] && self.node_uses[node].is_some())
            .min_by_key(|&node| self.crossing_counts[node]);
        let names = narrowest.map_or(Vec::new(), |node| {
            self.tensor_uses
                .iter()
                .filter(|(tensor, span)| self.first_available(tensor) <= node && span.last > node)
                .map(|(tensor, _)| clip_name(tensor))
                .take(MAX_LISTED_NAMES)
                .collect()
        });
        let bodies = nodes.iter().filter(|node| node_bodies(node).next().is_some());
        OnnxError::NoCut {
            node: narrowest.map_or_else(String::new, |node| clip_name(node_label(&nodes[node]))),
            op: narrowest.map_or_else(String::new, |node| clip_name(nodes[node].op_type())),
            count: narrowest.map_or(0, |node| usize::try_from(self.crossing_counts[node]).unwrap_or(0)),
            crossing: names,
            bodies: bodies.map(|node| clip_name(node_label(node))).take(MAX_LISTED_NAMES).collect(),
        }
    }
}

/// Running sums of the costs; index `i` is the cut after node `i`.
struct HalfCosts {
    encoder: Vec<HalfCost>,
    decoder: Vec<HalfCost>,
}

impl HalfCosts {
    fn new(
        sweep: &CrossingSweep<'_, '_>,
        functions: &FunctionNames<'_>,
        symbols: &[(&str, i64)],
    ) -> Result<Self, OnnxError> {
        let proto = sweep.graph.proto;
        let mut shapes = Shapes::new(proto, symbols);
        let (mut starts, mut ends) = (vec![CostSum::default(); proto.node.len() + 1], Vec::new());
        ends.resize(proto.node.len() + 1, CostSum::default());
        for (index, node) in proto.node.iter().enumerate() {
            infer_node(&mut shapes, node);
            let Some(span) = sweep.node_uses[index] else { continue };
            let cost = CostSum {
                parameters: stored_parameters(node)?.into(),
                macs: count_macs(node, &shapes, functions).map(u128::from),
            };
            starts[span.first].add(&cost);
            ends[if sweep.graph.is_constant(index) { span.last } else { span.first }].add(&cost);
        }
        for (name, elements) in float_initializers(proto)? {
            if let Some(span) = sweep.initializer_uses.get(name) {
                let cost = CostSum { parameters: elements.into(), macs: Ok(0) };
                starts[span.first].add(&cost);
                ends[span.last].add(&cost);
            }
        }
        let mut sum = CostSum::default();
        let encoder = starts.iter().map(|cost| sum.add(cost).to_half_cost()).collect();
        let mut sum = CostSum::default();
        let mut decoder: Vec<HalfCost> =
            ends.iter().skip(1).rev().map(|cost| sum.add(cost).to_half_cost()).collect();
        decoder.reverse();
        Ok(Self { encoder, decoder })
    }
}

/// Sums that cannot overflow, because there are fewer than 2^64 terms of 64 bits.
#[derive(Debug, Clone)]
struct CostSum {
    parameters: u128,
    macs: Result<u128, OnnxError>,
}

impl Default for CostSum {
    fn default() -> Self {
        Self { parameters: 0, macs: Ok(0) }
    }
}

impl CostSum {
    fn add(&mut self, other: &Self) -> &Self {
        self.parameters += other.parameters;
        match (&mut self.macs, &other.macs) {
            (Ok(sum), Ok(other_macs)) => *sum += other_macs,
            (sum @ Ok(_), Err(unknown)) => *sum = Err(unknown.clone()),
            (Err(_), _) => {}
        }
        self
    }

    fn to_half_cost(&self) -> HalfCost {
        let macs = self.macs.clone().and_then(|sum| {
            u64::try_from(sum).map_err(|_| OnnxError::InvalidSize { name: "the sum of all nodes".to_owned() })
        });
        HalfCost { parameters: u64::try_from(self.parameters).unwrap_or(u64::MAX), macs }
    }
}
