/// The error type of this crate. Each variant is one reason to refuse a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The bytes are not an ONNX protobuf.
    #[error("not an ONNX model ({reason}): check that the file is a complete .onnx file")]
    Decode {
        /// The parser's error.
        reason: prost::DecodeError,
    },
    /// The model does not contain a graph.
    #[error("the model has no graph: check that the file is a complete .onnx file")]
    NoGraph,
    /// The graph declares no output.
    #[error("the model's graph declares no output: declare at least one")]
    NoOutput,
    /// The model's operator set is older than version 7, the oldest that is supported here.
    #[error(
        "the model uses operator set {version}: convert it to 7 or newer, as `onnx.version_converter` does"
    )]
    UnsupportedOpset {
        /// The version of the standard operator set.
        version: i64,
    },
    /// The number of an initializer's values does not match its dimensions.
    #[error("initializer `{tensor}` has dimensions {dims:?} but {found} values: make them agree")]
    InitializerSizeMismatch {
        /// The initializer.
        tensor: String,
        /// The dimensions of the initializer.
        dims: Vec<i64>,
        /// The number of values that were given.
        found: usize,
    },
    /// Two definitions share one name.
    #[error("tensor `{tensor}` is defined twice: give each input, initializer and node output its own name")]
    DuplicateTensor {
        /// The name.
        tensor: String,
    },
    /// A node reads a tensor that no earlier node, input or initializer defines.
    #[error(
        "node `{node}` reads tensor `{tensor}`, which no earlier node defines: sort the nodes topologically and \
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
        /// The requested name.
        tensor: String,
    },
    /// The tensor to cut at is an input of the model.
    #[error("cannot cut at `{tensor}`, an input of the model: the encoder would be empty, cut further down")]
    CutAtInput {
        /// The requested name.
        tensor: String,
    },
    /// The tensor to cut at is an initializer, or is computed from initializers and constants alone.
    #[error("cannot cut at `{tensor}`: it is a constant and does not depend on the model's inputs")]
    CutAtConstant {
        /// The requested name.
        tensor: String,
    },
    /// The tensor to cut at is an output of the model.
    #[error("cannot cut at `{tensor}`: it is already an output of the model, cut further up")]
    CutAtOutput {
        /// The requested name.
        tensor: String,
    },
    /// The decoder half would need more tensors than those of the cut.
    #[error(
        "a cut at `{tensor}` does not separate the model: after it {} also needed{}; cut where one tensor carries \
         everything, or at all tensors that cross",
        list_with_verb(crossing),
        crossing_inputs_note(inputs)
    )]
    IncompleteCut {
        /// The requested name.
        tensor: String,
        /// The other tensors that cross the cut, in alphabetical order.
        crossing: Vec<String>,
        /// The crossing tensors that are inputs of the model, which the decoder cannot receive.
        inputs: Vec<String>,
    },
    /// A tensor is named twice.
    #[error("the cut names `{tensor}` twice: name each tensor once")]
    RepeatedCut {
        /// The requested name.
        tensor: String,
    },
    /// A tensor of the cut is superfluous: the other tensors suffice.
    #[error("after the cut no node reads `{tensor}`: leave it out, the other tensors are enough")]
    SuperfluousCut {
        /// The requested name.
        tensor: String,
    },
    /// No single tensor separates the inputs from the outputs.
    #[error(
        "no single tensor separates the model's inputs from its outputs: at the narrowest point, after node `{node}` \
         ({op}), {} cross: {}{}; cut at all of them if none is an input or an output of the model, or \
         export a part of the model",
        count,
        quote_names(crossing),
        uncut_bodies_note(bodies)
    )]
    NoCut {
        /// The node after which the fewest tensors cross, or its first output if it is unnamed.
        node: String,
        /// The operator of the node.
        op: String,
        /// The number of tensors that cross there.
        count: usize,
        /// The names of the crossing tensors, at most ten.
        crossing: Vec<String>,
        /// Nodes with subgraphs, which are never cut, at most ten.
        bodies: Vec<String>,
    },
    /// No cut keeps within the budget.
    #[error("none of the {candidates} cuts has {limit}: raise the limit{hint}")]
    NoCutWithinBudget {
        /// The requested limit, in words.
        limit: String,
        /// The number of cuts of the model.
        candidates: usize,
        /// A hint that ends the message; may be empty.
        hint: String,
    },
    /// The values of a tensor in an external file cannot be loaded.
    #[error("the values of tensor `{tensor}` are in another file, {location:?}: {reason}")]
    ExternalData {
        /// The tensor.
        tensor: String,
        /// The file that the tensor names.
        location: String,
        /// The reason.
        reason: String,
    },
    /// A node or a tensor cannot be converted to 16-bit floats.
    #[error("`{name}` cannot be converted to 16-bit floats: {reason}")]
    Fp16Unsupported {
        /// The node or tensor.
        name: String,
        /// The reason.
        reason: &'static str,
    },
    /// An output of the model is not computed from the tensor of the cut.
    #[error(
        "output `{output}` does not depend on `{tensor}`: cut at a tensor that all outputs depend on, or remove it \
         from the outputs"
    )]
    IndependentOutput {
        /// The requested name.
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
    /// An input declares no shape, or a shape with unknown dimensions or more than 64 dimensions.
    #[error(
        "input `{tensor}` declares no complete tensor shape of at most 64 dimensions: write it into the model"
    )]
    IncompleteInputShape {
        /// The input.
        tensor: String,
    },
    /// A shape that a count depends on cannot be derived.
    #[error(
        "the output shape of node `{node}` ({op}) cannot be derived: the operator has no shape rule, or its \
         inputs do not fit it; declare the shape in the graph's value_info"
    )]
    UnknownShape {
        /// The operator.
        op: String,
        /// The node, or its first output if it is unnamed.
        node: String,
    },
    /// A node contains multiplications that are not counted, because they are in a subgraph or in a function.
    #[error(
        "node `{node}` ({op}) runs a subgraph, whose multiply-accumulates are not counted: inline it into the \
         main graph"
    )]
    UncountedSubgraph {
        /// The operator.
        op: String,
        /// The node, or its first output if it is unnamed.
        node: String,
    },
    /// Dimensions are negative or more than 64, or a count exceeds 64 bits.
    #[error(
        "the dimensions at `{name}` are negative, more than 64, or have a product beyond 64 bits: export the model again"
    )]
    InvalidSize {
        /// The tensor or node.
        name: String,
    },
}

fn crossing_inputs_note(inputs: &[String]) -> String {
    match inputs {
        [] => String::new(),
        [name] => format!(" (`{name}` is an input of the model, which only the encoder receives)"),
        names => {
            format!(" ({} are inputs of the model, which only the encoder receives)", quote_names(names))
        }
    }
}

fn uncut_bodies_note(nodes: &[String]) -> String {
    if nodes.is_empty() {
        String::new()
    } else {
        format!(" (subgraphs of {} cannot be cut)", quote_names(nodes))
    }
}

fn quote_names(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn list_with_verb(names: &[String]) -> String {
    format!("{} {}", quote_names(names), if names.len() == 1 { "is" } else { "are" })
}
