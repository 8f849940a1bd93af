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
    cost::{Functions, functions, macs, parameters_of, stored_parameters},
    fold::folded,
    graph::{Graph, Origin, bodies, graph_of, label, outputs},
    proto::{ModelProto, ValueInfoProto},
    shapes::{Shapes, clipped},
    symbolic::{Extent, Extents},
};

/// Maximum number of names that an error lists.
const LISTED: usize = 10;

/// The cost of one half of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfCost {
    /// Number of elements of the stored float tensors that the half uses. A tensor that both halves use
    /// counts in both.
    pub parameters: u64,
    /// Multiply-accumulates of one run, as [`cost`](fn@crate::cost) counts them, or the error that prevents
    /// the count.
    pub macs: Result<u64, OnnxError>,
}

/// A tensor that separates a model's inputs from its outputs, and at which [`split`](fn@crate::split) can cut
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
    pub values: Option<u64>,
    /// The cost of the part before the cut.
    pub encoder: HalfCost,
    /// The cost of the part after the cut.
    pub decoder: HalfCost,
}

impl Cut {
    /// Returns the size of one latent as `f32`, in bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.values?.checked_mul(4)
    }
}

/// Returns every tensor at which a model can be cut, in topological order. `symbols` holds the values of
/// symbolic dimensions, for example `[("batch", 1)]`. A dimension without a symbol, such as -1 or `?`, is
/// bound by its input's name and its axis: `("x.2", 48)`.
///
/// # Errors
/// [`OnnxError::NoCut`] when no single tensor separates the inputs from the outputs;
/// [`OnnxError::IndependentOutput`] when an output is computed from constants alone; [`OnnxError::BadSize`]
/// for stored tensors of negative size or beyond 64 bits; [`OnnxError::OldOperators`],
/// [`OnnxError::NoGraph`], [`OnnxError::NoOutput`], [`OnnxError::DuplicateTensor`] or
/// [`OnnxError::UndefinedTensor`] for a malformed model.
pub fn cuts(model: &ModelProto, symbols: &[(&str, i64)]) -> Result<Vec<Cut>, OnnxError> {
    let proto = folded(graph_of(model)?);
    let graph = Graph::new(&proto)?;
    if proto.output.is_empty() {
        return Err(OnnxError::NoOutput);
    }
    let sweep = Sweep::new(&graph)?;
    let places = sweep.places();
    if places.is_empty() {
        return Err(sweep.no_cut());
    }
    let costs = Costs::new(&sweep, &functions(model), symbols)?;
    let tensors: Vec<&str> = places.iter().map(|&(_, tensor)| tensor).collect();
    let extents = Extents::new(&proto, symbols, &tensors);
    let cut = |(node, tensor): (usize, &str)| {
        let shape = extents.of(tensor);
        let fixed: Option<Vec<u64>> =
            shape.as_ref().and_then(|dims| dims.iter().map(Extent::fixed).collect());
        Cut {
            tensor: tensor.to_owned(),
            op: proto.node[node].op_type().to_owned(),
            values: fixed.and_then(|dims| crate::rules::product(&dims)),
            shape,
            encoder: costs.encoder[node].clone(),
            decoder: costs.decoder[node].clone(),
        }
    };
    Ok(places.into_iter().map(cut).collect())
}

/// The first and the last node that use a node's result or a tensor. It belongs to the encoder of every cut
/// after node `first` or a later one, and to the decoder of every cut before node `last`.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: usize,
    last: usize,
}

/// The uses of nodes and tensors, in the order of the nodes.
struct Sweep<'g, 'a> {
    graph: &'g Graph<'a>,
    /// The place at which each node must run; `None` for a node that the outputs do not need. A node that
    /// depends on the inputs runs at its own position; any other node could run in either half and runs at
    /// the position of its first reader.
    nodes: Vec<Option<Span>>,
    /// Whether each node depends on the inputs, directly or through other nodes.
    fed: Vec<bool>,
    /// The initializers in use.
    initializers: HashMap<&'a str, Span>,
    /// The non-constant tensors in use, each with its first and last reader. The number of nodes stands for
    /// the outputs.
    tensors: BTreeMap<&'a str, Span>,
    /// The number of tensors that cross the place after each node.
    crossing: Vec<i64>,
}

impl<'g, 'a> Sweep<'g, 'a> {
    fn new(graph: &'g Graph<'a>) -> Result<Self, OnnxError> {
        let count = graph.proto.node.len();
        let mut sweep = Self {
            graph,
            nodes: vec![None; count],
            fed: Self::fed(graph),
            initializers: HashMap::new(),
            tensors: BTreeMap::new(),
            crossing: vec![0; count],
        };
        for output in &graph.proto.output {
            let independent = match graph.origin(output.name()) {
                Some(Origin::Node(node)) => !sweep.fed[node],
                Some(Origin::Input) => false,
                Some(Origin::Initializer) | None => true,
            };
            if independent {
                let (tensor, output) = ("the inputs".to_owned(), output.name().to_owned());
                return Err(OnnxError::IndependentOutput { tensor, output });
            }
            sweep.read(output.name(), count, count);
        }
        for node in (0..count).rev() {
            if let Some(span) = sweep.nodes[node] {
                // A node that is not constant exists once, so its inputs are needed at the place at which it
                // runs.
                let last = if graph.is_constant(node) { span.last } else { span.first };
                for &tensor in graph.reads(node) {
                    sweep.read(tensor, span.first, last);
                }
            }
        }
        sweep.count();
        Ok(sweep)
    }

    fn fed(graph: &Graph<'_>) -> Vec<bool> {
        let mut fed: Vec<bool> = Vec::with_capacity(graph.proto.node.len());
        for node in 0..graph.proto.node.len() {
            fed.push(graph.reads(node).iter().any(|tensor| match graph.origin(tensor) {
                Some(Origin::Input) => true,
                Some(Origin::Node(before)) => fed[before],
                Some(Origin::Initializer) | None => false,
            }));
        }
        fed
    }

    /// Records that a tensor is first needed at the node `first` and last needed at `last`.
    fn read(&mut self, tensor: &'a str, first: usize, last: usize) {
        let widen =
            |span: &mut Span| *span = Span { first: span.first.min(first), last: span.last.max(last) };
        let fresh = Span { first, last };
        match self.graph.origin(tensor) {
            Some(Origin::Initializer) => {
                self.initializers.entry(tensor).and_modify(widen).or_insert(fresh);
            }
            Some(Origin::Node(node)) => {
                if self.fed[node] {
                    self.nodes[node] = Some(Span { first: node, last: node });
                } else {
                    widen(self.nodes[node].get_or_insert(fresh));
                }
                if !self.graph.is_constant(node) {
                    self.tensors.entry(tensor).and_modify(widen).or_insert(fresh);
                }
            }
            Some(Origin::Input) => {
                self.tensors.entry(tensor).and_modify(widen).or_insert(fresh);
            }
            None => {}
        }
    }

    fn count(&mut self) {
        let mut change = vec![0_i64; self.crossing.len() + 1];
        for (tensor, span) in &self.tensors {
            let made = self.made(tensor);
            change[made] += 1;
            change[span.last.max(made)] -= 1;
        }
        let mut crossing = 0;
        for (place, change) in self.crossing.iter_mut().zip(change) {
            crossing += change;
            *place = crossing;
        }
    }

    /// Returns the first node after which the tensor exists; 0 for an input.
    fn made(&self, tensor: &str) -> usize {
        match self.graph.origin(tensor) {
            Some(Origin::Node(node)) => self.nodes[node].map_or(node, |span| span.first),
            _ => 0,
        }
    }

    /// Returns the cuts: each is a node and the one tensor that crosses the place after it.
    fn places(&self) -> Vec<(usize, &'a str)> {
        let results: HashSet<&str> = self.graph.proto.output.iter().map(ValueInfoProto::name).collect();
        let mut places = Vec::new();
        for (node, proto) in self.graph.proto.node.iter().enumerate() {
            if self.fed[node] && self.nodes[node].is_some() && self.crossing[node] == 1 {
                let crosses = |tensor: &&str| self.tensors.get(tensor).is_some_and(|span| span.last > node);
                places.extend(
                    outputs(proto)
                        .find(crosses)
                        .filter(|tensor| !results.contains(tensor))
                        .map(|at| (node, at)),
                );
            }
        }
        places
    }

    /// Returns the error that lists the tensors at the place that the fewest tensors cross.
    fn no_cut(&self) -> OnnxError {
        let nodes = &self.graph.proto.node;
        let used = |node: &usize| self.fed[*node] && self.nodes[*node].is_some();
        let narrowest = (0..nodes.len()).filter(used).min_by_key(|&node| self.crossing[node]);
        let crosses = |node: usize| {
            move |(tensor, span): &(&&'a str, &Span)| self.made(tensor) <= node && span.last > node
        };
        let names = narrowest.map_or(Vec::new(), |node| {
            self.tensors
                .iter()
                .filter(crosses(node))
                .map(|(tensor, _)| clipped(tensor))
                .take(LISTED)
                .collect()
        });
        let bodies = nodes.iter().filter(|node| bodies(node).next().is_some());
        OnnxError::NoCut {
            node: narrowest.map_or_else(String::new, |node| clipped(label(&nodes[node]))),
            op: narrowest.map_or_else(String::new, |node| clipped(nodes[node].op_type())),
            count: narrowest.map_or(0, |node| usize::try_from(self.crossing[node]).unwrap_or(0)),
            crossing: names,
            bodies: bodies.map(|node| clipped(label(node))).take(LISTED).collect(),
        }
    }
}

/// Running sums of the costs; index `i` is the cut after node `i`.
struct Costs {
    encoder: Vec<HalfCost>,
    decoder: Vec<HalfCost>,
}

impl Costs {
    fn new(
        sweep: &Sweep<'_, '_>,
        functions: &Functions<'_>,
        symbols: &[(&str, i64)],
    ) -> Result<Self, OnnxError> {
        let proto = sweep.graph.proto;
        let mut shapes = Shapes::new(proto, symbols);
        let (mut starts, mut ends) = (vec![Tally::default(); proto.node.len() + 1], Vec::new());
        ends.resize(proto.node.len() + 1, Tally::default());
        for (index, node) in proto.node.iter().enumerate() {
            shapes.infer(node);
            let Some(span) = sweep.nodes[index] else { continue };
            let tally = Tally {
                parameters: stored_parameters(node)?.into(),
                macs: macs(node, &shapes, functions).map(u128::from),
            };
            starts[span.first].add(&tally);
            ends[if sweep.graph.is_constant(index) { span.last } else { span.first }].add(&tally);
        }
        for (name, elements) in parameters_of(proto)? {
            if let Some(span) = sweep.initializers.get(name) {
                let tally = Tally { parameters: elements.into(), macs: Ok(0) };
                starts[span.first].add(&tally);
                ends[span.last].add(&tally);
            }
        }
        let mut sum = Tally::default();
        let encoder = starts.iter().map(|tally| sum.add(tally).cost()).collect();
        let mut sum = Tally::default();
        let mut decoder: Vec<HalfCost> =
            ends.iter().skip(1).rev().map(|tally| sum.add(tally).cost()).collect();
        decoder.reverse();
        Ok(Self { encoder, decoder })
    }
}

/// Sums that cannot overflow, because there are fewer than 2^64 terms of 64 bits.
#[derive(Debug, Clone)]
struct Tally {
    parameters: u128,
    macs: Result<u128, OnnxError>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { parameters: 0, macs: Ok(0) }
    }
}

impl Tally {
    fn add(&mut self, other: &Self) -> &Self {
        self.parameters += other.parameters;
        match (&mut self.macs, &other.macs) {
            (Ok(sum), Ok(more)) => *sum += more,
            (sum @ Ok(_), Err(unknown)) => *sum = Err(unknown.clone()),
            (Err(_), _) => {}
        }
        self
    }

    fn cost(&self) -> HalfCost {
        let narrow = |sum: u128| {
            u64::try_from(sum).map_err(|_| OnnxError::BadSize { name: "the sum of all nodes".to_owned() })
        };
        HalfCost {
            parameters: u64::try_from(self.parameters).unwrap_or(u64::MAX),
            macs: self.macs.clone().and_then(narrow),
        }
    }
}
