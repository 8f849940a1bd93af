/// Why a model was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The bytes are no ONNX protobuf.
    #[error("not an ONNX model ({reason}): check that the file is a complete .onnx file")]
    Decode {
        /// What the parser says.
        reason: prost::DecodeError,
    },
    /// The model holds no graph.
    #[error("the model has no graph: check that the file is a complete .onnx file")]
    NoGraph,
    /// The graph declares no output.
    #[error("the model's graph declares no output: declare at least one")]
    NoOutput,
    /// The model's operators are older than those known here.
    #[error(
        "the model speaks operator set {version}: convert it to 7 or newer, as `onnx.version_converter` does"
    )]
    OldOperators {
        /// The version of the standard operator set.
        version: i64,
    },
    /// An initializer's values do not fill its dimensions.
    #[error("initializer `{tensor}` has dimensions {dims:?} but {found} values: make them agree")]
    InitializerSize {
        /// The initializer.
        tensor: String,
        /// Its dimensions.
        dims: Vec<i64>,
        /// How many values were given.
        found: usize,
    },
    /// Two definitions share one name.
    #[error("tensor `{tensor}` is defined twice: give each input, initializer and node output its own name")]
    DuplicateTensor {
        /// The name.
        tensor: String,
    },
    /// A node reads what nothing before it defines.
    #[error(
        "node `{node}` reads tensor `{tensor}`, which nothing before it defines: sort the nodes topologically and \
         check the name"
    )]
    UndefinedTensor {
        /// The name that is read.
        tensor: String,
        /// The node that reads it.
        node: String,
    },
    /// The tensor to cut at does not exist.
    #[error("the graph has no tensor `{tensor}` to cut at: name an output of one of its nodes")]
    UnknownTensor {
        /// The name asked for.
        tensor: String,
    },
    /// The tensor to cut at is an input of the model.
    #[error("cannot cut at `{tensor}`, an input of the model: the encoder would be empty, cut further down")]
    CutAtInput {
        /// The name asked for.
        tensor: String,
    },
    /// The tensor to cut at is an initializer or computed from initializers and constants alone.
    #[error("cannot cut at `{tensor}`: it is a constant and does not depend on the model's inputs")]
    CutAtConstant {
        /// The name asked for.
        tensor: String,
    },
    /// The tensor to cut at is an output of the model.
    #[error("cannot cut at `{tensor}`: it is already an output of the model, cut further up")]
    CutAtOutput {
        /// The name asked for.
        tensor: String,
    },
    /// The decoder half would need more than the tensor of the cut.
    #[error(
        "a cut at `{tensor}` does not separate the model: beyond it {} also needed{}; cut where one tensor carries \
         everything, or at all tensors that cross",
        listed(crossing),
        named_inputs(inputs)
    )]
    CrossedCut {
        /// The name asked for.
        tensor: String,
        /// The other tensors that cross the cut, in alphabetical order.
        crossing: Vec<String>,
        /// Those of them that are inputs of the model, which the decoder has no way to get.
        inputs: Vec<String>,
    },
    /// A tensor is named twice.
    #[error("the cut names `{tensor}` twice: name each tensor once")]
    RepeatedCut {
        /// The name asked for.
        tensor: String,
    },
    /// A tensor of the cut that the others make superfluous.
    #[error("beyond the cut nothing reads `{tensor}`: leave it out, the other tensors suffice")]
    UnusedCut {
        /// The name asked for.
        tensor: String,
    },
    /// No single tensor separates the inputs from the outputs.
    #[error(
        "no single tensor separates the model's inputs from its outputs: at the narrowest place, after node `{node}` \
         ({op}), {} cross: {}{}; cut at all of them, where none is an input or an output of the model, or \
         export a part of the model",
        count,
        quoted(crossing),
        whole_bodies(bodies)
    )]
    NoCut {
        /// The node after which the fewest tensors cross, or its first output if it has no name.
        node: String,
        /// Its operator.
        op: String,
        /// How many tensors cross there.
        count: usize,
        /// Their names, at most ten.
        crossing: Vec<String>,
        /// Nodes with graphs of their own, which stay whole, at most ten.
        bodies: Vec<String>,
    },
    /// No cut keeps a budget.
    #[error("none of the {candidates} cuts has {limit}: raise the limit{hint}")]
    NoCutWithin {
        /// What was asked for.
        limit: String,
        /// How many cuts there are.
        candidates: usize,
        /// What else may help.
        hint: String,
    },
    /// A tensor's values in another file cannot be had.
    #[error("the values of tensor `{tensor}` are in another file, {location:?}: {reason}")]
    ExternalData {
        /// The tensor.
        tensor: String,
        /// The file that it names.
        location: String,
        /// Why.
        reason: String,
    },
    /// A node or a tensor has no form of 16-bit floats.
    #[error("`{name}` cannot be in 16-bit floats: {reason}")]
    NoFp16 {
        /// The node or tensor.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// An output of the model is not computed from the tensor of the cut.
    #[error(
        "output `{output}` does not depend on `{tensor}`: cut at a tensor that all outputs depend on, or remove it \
         from the outputs"
    )]
    IndependentOutput {
        /// The name asked for.
        tensor: String,
        /// The output.
        output: String,
    },
    /// A dimension is a symbol without a value.
    #[error("dimension `{symbol}` of input `{tensor}` has no value: bind the symbol to a number, 0 or more")]
    UnboundSymbol {
        /// The input.
        tensor: String,
        /// The symbol.
        symbol: String,
    },
    /// An input declares no shape, or one with unknown dimensions or more than 64.
    #[error(
        "input `{tensor}` declares no complete tensor shape of at most 64 dimensions: write it into the model"
    )]
    InputShape {
        /// The input.
        tensor: String,
    },
    /// A shape that a count depends on cannot be derived.
    #[error(
        "the output shape of node `{node}` ({op}) cannot be derived: the operator has no shape rule here or its \
         inputs do not fit; declare the shape in the graph's value_info"
    )]
    UnknownShape {
        /// The operator.
        op: String,
        /// The node, or its first output if it has no name.
        node: String,
    },
    /// Multiplications hidden where they are not counted.
    #[error(
        "node `{node}` ({op}) runs a graph of its own, whose multiplications are not counted: inline it into the \
         main graph"
    )]
    Nested {
        /// The operator.
        op: String,
        /// The node, or its first output if it has no name.
        node: String,
    },
    /// Dimensions that are negative or more than 64, or a count beyond 64 bits.
    #[error(
        "the dimensions at `{name}` are negative, more than 64, or multiply beyond 64 bits: export the model again"
    )]
    BadSize {
        /// The tensor or node.
        name: String,
    },
}

fn named_inputs(inputs: &[String]) -> String {
    match inputs {
        [] => String::new(),
        [one] => format!(" (`{one}` is an input of the model, which only the encoder gets)"),
        more => format!(" ({} are inputs of the model, which only the encoder gets)", quoted(more)),
    }
}

fn whole_bodies(nodes: &[String]) -> String {
    if nodes.is_empty() { String::new() } else { format!(" (graphs inside {} are not cut)", quoted(nodes)) }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn listed(names: &[String]) -> String {
    format!("{} {}", quoted(names), if names.len() == 1 { "is" } else { "are" })
}
