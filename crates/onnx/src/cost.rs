//! The cost of storing and running a model.

use std::collections::HashSet;

use crate::{
    OnnxError,
    graph::{element_count, find_attribute, is_standard, node_bodies, node_label},
    proto::{GraphProto, ModelProto, NodeProto, tensor_proto::DataType},
    shape::checked_product,
    shape_inference::infer_node,
    shapes::{Shapes, clip_name},
};

/// Operators whose multiplications are counted.
const COUNTED_OPS: [&str; 7] = ["Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "RNN"];

/// The cost of a model.
///
/// A MAC is one multiply-accumulate: one use of one weight for one element of an output. `Gemm`, `MatMul`,
/// `Conv`, `ConvTranspose`, `GRU`, `LSTM` and `RNN` are counted; biases, activations, normalisation and all
/// other operators are not. A convolution counts as if its padding were data, and a transposed convolution as
/// if nothing were cropped: each element of its input meets each weight of its channel. A recurrent layer
/// uses each weight of its two matrices once per step. The count covers one run, so with the batch symbol
/// bound to 1 it is the count for one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Number of elements of the main graph's float initializers and of the float tensors that `Constant`
    /// nodes hold. Zeros that a sparse initializer omits are not counted.
    pub parameters: u64,
    /// Multiply-accumulates of one run.
    pub macs: u64,
}

/// Computes the cost of a model with values for its symbolic dimensions, for example `[("batch", 1)]`.
///
/// Shapes are derived from those of the inputs and initializers through the operators of common vision and
/// speech networks, even if a shape is itself computed from shapes. The shapes after other operators are
/// taken from `value_info`.
///
/// # Errors
/// [`OnnxError::UnknownShape`], [`OnnxError::UnboundSymbol`] or [`OnnxError::IncompleteInputShape`] with the name of
/// the node or input at fault when the shapes at a counted operator cannot be derived;
/// [`OnnxError::UndefinedTensor`] when the operator reads an undefined tensor; [`OnnxError::UncountedSubgraph`] for
/// control flow around counted operators and for calls of functions that the model defines;
/// [`OnnxError::InvalidSize`] for negative or more than 64 dimensions and for counts beyond 64 bits;
/// [`OnnxError::NoGraph`] for a model without a graph.
pub fn model_cost(model: &ModelProto, symbols: &[(&str, i64)]) -> Result<Cost, OnnxError> {
    let graph = model.graph.as_ref().ok_or(OnnxError::NoGraph)?;
    let functions = function_names(model);
    let mut shapes = Shapes::new(graph, symbols);
    let (mut macs, mut parameters) = (0_u64, count_parameters(graph)?);
    for node in &graph.node {
        infer_node(&mut shapes, node);
        macs = macs.checked_add(count_macs(node, &shapes, &functions)?).ok_or_else(|| size_error(node))?;
        parameters = parameters.checked_add(stored_parameters(node)?).ok_or_else(|| size_error(node))?;
    }
    Ok(Cost { parameters, macs })
}

/// Returns the multiply-accumulates of one node, whose shapes have been inferred.
pub(crate) fn count_macs(
    node: &NodeProto,
    shapes: &Shapes<'_>,
    functions: &FunctionNames<'_>,
) -> Result<u64, OnnxError> {
    if hides_counted(node, functions) {
        return Err(OnnxError::UncountedSubgraph {
            op: clip_name(node.op_type()),
            node: clip_name(node_label(node)),
        });
    }
    if !is_counted(node) {
        return Ok(0);
    }
    counted_node_macs(node, shapes)?
        .ok_or_else(|| OnnxError::InvalidSize { name: clip_name(node_label(node)) })
}

/// Returns the number of float elements that a `Constant` node holds; 0 for any other node.
pub(crate) fn stored_parameters(node: &NodeProto) -> Result<u64, OnnxError> {
    let stored = find_attribute(node, "value").and_then(|value| value.t.as_ref());
    let is_constant = is_standard(node) && node.op_type() == "Constant";
    match stored.filter(|tensor| is_constant && is_float(tensor.data_type())) {
        Some(tensor) => element_count(&tensor.dims)
            .ok_or_else(|| OnnxError::InvalidSize { name: clip_name(node_label(node)) }),
        None => Ok(0),
    }
}

/// Returns the float initializers, each with its name and number of elements.
pub(crate) fn float_initializers(graph: &GraphProto) -> Result<Vec<(&str, u64)>, OnnxError> {
    let sparse = graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref());
    let floats = graph.initializer.iter().chain(sparse).filter(|tensor| is_float(tensor.data_type()));
    let sized = floats.map(|tensor| {
        let count = element_count(&tensor.dims)
            .ok_or_else(|| OnnxError::InvalidSize { name: clip_name(tensor.name()) })?;
        Ok((tensor.name(), count))
    });
    sized.collect()
}

/// Returns the error for a sum that exceeds 64 bits at this node.
fn size_error(node: &NodeProto) -> OnnxError {
    OnnxError::InvalidSize { name: node_label(node).to_owned() }
}

fn count_parameters(graph: &GraphProto) -> Result<u64, OnnxError> {
    float_initializers(graph)?.into_iter().try_fold(0_u64, |sum, (name, count)| {
        sum.checked_add(count).ok_or_else(|| OnnxError::InvalidSize { name: clip_name(name) })
    })
}

fn is_float(data_type: i32) -> bool {
    use DataType as T;
    let Ok(data_type) = T::try_from(data_type) else {
        return false;
    };
    let is_wide = matches!(data_type, T::Float | T::Float16 | T::Double | T::Bfloat16);
    #[rustfmt::skip]
    let is_narrow = matches!(
        data_type,
        T::Float8e4m3fn | T::Float8e4m3fnuz | T::Float8e5m2 | T::Float8e5m2fnuz | T::Float8e8m0
        | T::Float6e2m3 | T::Float6e3m2 | T::Float4e2m1
    );
    is_wide || is_narrow
}

fn is_counted(node: &NodeProto) -> bool {
    is_standard(node) && COUNTED_OPS.contains(&node.op_type())
}

/// Names and domains of the functions that the model defines.
pub(crate) type FunctionNames<'a> = HashSet<(&'a str, &'a str)>;

pub(crate) fn function_names(model: &ModelProto) -> FunctionNames<'_> {
    model.functions.iter().map(|function| (function.name(), function.domain())).collect()
}

fn hides_counted(node: &NodeProto, functions: &FunctionNames<'_>) -> bool {
    functions.contains(&(node.op_type(), node.domain()))
        || node_bodies(node)
            .flat_map(|body| &body.node)
            .any(|inner| is_counted(inner) || hides_counted(inner, functions))
}

/// Returns the multiply-accumulates of a counted node; `None` beyond 64 bits.
fn counted_node_macs(node: &NodeProto, shapes: &Shapes<'_>) -> Result<Option<u64>, OnnxError> {
    if matches!(node.op_type(), "GRU" | "LSTM" | "RNN") {
        let steps = shapes.input_shape(node, 0)?.get(..2).and_then(checked_product);
        let weights =
            checked_product(shapes.input_shape(node, 1)?).zip(checked_product(shapes.input_shape(node, 2)?));
        let weights = weights.and_then(|(input_weights, recurrent)| input_weights.checked_add(recurrent));
        return Ok(steps.zip(weights).and_then(|(steps, weights)| steps.checked_mul(weights)));
    }
    let output = shapes.output_shape(node)?;
    let (uses, weights) = match node.op_type() {
        "ConvTranspose" => (shapes.input_shape(node, 0)?, weights_per_channel(shapes.input_shape(node, 1)?)),
        "Conv" => (output, weights_per_channel(shapes.input_shape(node, 1)?)),
        "Gemm" => {
            let transposed = find_attribute(node, "transA").is_some_and(|flag| flag.i() != 0);
            (output, shapes.input_shape(node, 0)?.get(usize::from(!transposed)).copied())
        }
        _ => (output, shapes.input_shape(node, 0)?.last().copied()),
    };
    Ok(checked_product(uses).zip(weights).and_then(|(uses, weights)| uses.checked_mul(weights)))
}

fn weights_per_channel(weight: &[u64]) -> Option<u64> {
    checked_product(weight.get(1..)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attribute, GraphBuilder,
        proto::{AttributeProto, FunctionProto},
        split_model, testing,
    };

    fn error(op: &str, node: &str) -> OnnxError {
        OnnxError::UnknownShape { op: op.into(), node: node.into() }
    }

    #[test]
    fn an_mlp_costs_its_weights() {
        let weights = 784 * 256 + 256 * 32 + 32 * 128 + 128 * 256 + 256 * 784;
        let biases = 256 + 32 + 128 + 256 + 784;
        let model = testing::mlp();
        let full = model_cost(&model, &[("batch", 1)]).unwrap();
        assert_eq!((weights, biases), (446_464, 1_456));
        assert_eq!(full, Cost { parameters: weights + biases, macs: weights });
        assert_eq!(model_cost(&model, &[("batch", 3)]).unwrap().macs, 3 * weights);

        let (encoder, decoder) = split_model(&model, "latent").unwrap();
        let encoder = model_cost(&encoder, &[("batch", 1)]).unwrap();
        let decoder = model_cost(&decoder, &[("batch", 1)]).unwrap();
        assert_eq!(encoder.macs, 784 * 256 + 256 * 32);
        assert_eq!(encoder.macs + decoder.macs, full.macs);
        assert_eq!(encoder.parameters + decoder.parameters, full.parameters);
    }

    #[test]
    fn convolutions_count_each_use_of_a_weight() {
        let mut graph = GraphBuilder::new("conv");
        graph.add_input("x", &["n".into(), 1.into(), 28.into(), 28.into()]);
        graph.add_initializer("w1", &[8, 1, 3, 3], &[0.0; 72]).unwrap();
        let downsampling =
            [("strides", Attribute::Ints(vec![2, 2])), ("pads", Attribute::Ints(vec![1, 1, 1, 1]))];
        graph.add_node("Conv", &["x", "w1"], "c", &downsampling);
        graph.relu("c", "a");
        graph.add_initializer("w2", &[8, 4, 2, 2], &[0.0; 128]).unwrap();
        graph.add_node("ConvTranspose", &["a", "w2"], "t", &[("strides", Attribute::Ints(vec![2, 2]))]);
        graph.add_node("DepthToSpace", &["t"], "d", &[("blocksize", Attribute::Int(2))]);
        graph.add_integers("shape", &[0, -1]);
        graph.add_node("Reshape", &["d", "shape"], "flat", &[]);
        graph.add_initializer("w3", &[3136, 2], &vec![0.0; 6272]).unwrap();
        graph.add_node("MatMul", &["flat", "w3"], "y", &[]);
        let found = model_cost(&graph.build(), &[("n", 1)]).unwrap();
        let (conv, transposed, matmul) = (8 * 14 * 14 * 9, 8 * 14 * 14 * 4 * 4, 3136 * 2);
        assert_eq!(found, Cost { parameters: 72 + 128 + 6272, macs: conv + transposed + matmul });
    }

    #[test]
    fn a_recurrent_layer_uses_its_weights_once_a_step() {
        let mut graph = GraphBuilder::new("gru");
        graph.add_input("x", &["n".into(), 7.into(), 2.into()]);
        graph.transpose("x", &[1, 0, 2], "t");
        graph.add_initializer("w", &[1, 15, 2], &[0.0; 30]).unwrap();
        graph.add_initializer("r", &[1, 15, 5], &[0.0; 75]).unwrap();
        let units = [("hidden_size", Attribute::Int(5))];
        graph.add_node_with_outputs("GRU", &["t", "w", "r"], &["", "last"], "gru", &units);
        graph.squeeze("last", 0, "state");
        graph.add_initializer("d", &[5, 3], &[0.0; 15]).unwrap();
        graph.add_node("MatMul", &["state", "d"], "y", &[]);
        let found = model_cost(&graph.build(), &[("n", 2)]).unwrap();
        assert_eq!(found, Cost { parameters: 120, macs: 2 * (7 * 105 + 15) });
    }

    /// Returns a model in which `x [n, 2]` passes through `op` and a dense layer.
    fn before_gemm(op: &str) -> GraphBuilder {
        let mut graph = GraphBuilder::new("g");
        graph.add_input("x", &["n".into(), 2.into()]);
        graph.add_node(op, &["x"], "mystery", &[]);
        graph.relu("mystery", "a");
        graph.add_initializer("w", &[2, 2], &[0.0; 4]).unwrap();
        graph.add_initializer("b", &[2], &[0.0; 2]).unwrap();
        graph.gemm("a", "w", "b", "y");
        graph
    }

    #[test]
    fn an_unknown_operator_matters_where_it_feeds_a_counted_one() {
        let model = before_gemm("NonZero").build();
        assert_eq!(model_cost(&model, &[("n", 1)]), Err(error("NonZero", "mystery")));
        let mut graph = before_gemm("NonZero");
        graph.add_value_info("mystery", &["n".into(), 2.into()]);
        assert_eq!(model_cost(&graph.build(), &[("n", 1)]), Ok(Cost { parameters: 6, macs: 4 }));
        let mut graph = before_gemm("Relu");
        graph.add_node("NonZero", &["y"], "after", &[]);
        assert_eq!(model_cost(&graph.build(), &[("n", 1)]).unwrap().macs, 4);
    }

    #[test]
    fn inputs_without_a_size_are_named() {
        let model = before_gemm("Relu").build();
        let unbound = OnnxError::UnboundSymbol { tensor: "x".into(), symbol: "n".into() };
        assert_eq!(model_cost(&model, &[]), Err(unbound.clone()));
        assert_eq!(model_cost(&model, &[("n", -1)]), Err(unbound));
        let mut model = model;
        model.graph.as_mut().unwrap().input[0].r#type = None;
        assert_eq!(model_cost(&model, &[]), Err(OnnxError::IncompleteInputShape { tensor: "x".into() }));
        model.graph.as_mut().unwrap().input.clear();
        let undefined = OnnxError::UndefinedTensor { tensor: "x".into(), node: "mystery".into() };
        assert_eq!(model_cost(&model, &[]), Err(undefined));
        model.graph = None;
        assert_eq!(model_cost(&model, &[]), Err(OnnxError::NoGraph));
    }

    #[test]
    fn inner_sizes_that_differ_are_refused() {
        let mut graph = GraphBuilder::new("g");
        graph.add_input("x", &[1.into(), 3.into()]);
        graph.add_initializer("w", &[2, 2], &[0.0; 4]).unwrap();
        graph.add_node("MatMul", &["x", "w"], "y", &[]);
        assert_eq!(model_cost(&graph.build(), &[]), Err(error("MatMul", "y")));
    }

    #[test]
    fn counts_beyond_64_bits_are_refused() {
        let mut graph = GraphBuilder::new("g");
        graph.add_input("x", &[i64::MAX.into(), i64::MAX.into()]);
        graph.add_node("MatMul", &["x", "x"], "y", &[]);
        let mut model = graph.build();
        assert_eq!(model_cost(&model, &[]), Err(OnnxError::InvalidSize { name: "y".into() }));
        let graph = model.graph.as_mut().unwrap();
        graph.node.clear();
        for dims in [vec![-1], vec![i64::MAX, 4]] {
            let data_type = Some(DataType::Float16 as i32);
            let name = Some("w".to_owned());
            graph.initializer =
                vec![crate::proto::TensorProto { dims, data_type, name, ..Default::default() }];
            let model = ModelProto { graph: Some(graph.clone()), ..ModelProto::default() };
            assert_eq!(model_cost(&model, &[]), Err(OnnxError::InvalidSize { name: "w".into() }));
        }
    }

    #[test]
    fn only_float_initializers_are_parameters() {
        let mut graph = GraphBuilder::new("g");
        graph.add_integers("shape", &[1, 2, 3]);
        graph.add_initializer("w", &[2, 3], &[0.0; 6]).unwrap();
        graph.add_initializer("scalar", &[], &[1.0]).unwrap();
        assert_eq!(model_cost(&graph.build(), &[]), Ok(Cost { parameters: 7, macs: 0 }));
    }

    #[test]
    fn hidden_multiplications_are_refused() {
        let mut model = before_gemm("Custom").build();
        let nested = |op: &str| Err(OnnxError::UncountedSubgraph { op: op.into(), node: "mystery".into() });
        let name = Some("Custom".to_owned());
        model.functions.push(FunctionProto { name, ..FunctionProto::default() });
        assert_eq!(model_cost(&model, &[("n", 1)]), nested("Custom"));

        let mut model = before_gemm("Loop").build();
        let body = before_gemm("Relu").build().graph;
        let node = &mut model.graph.as_mut().unwrap().node[0];
        node.attribute.push(AttributeProto { g: body, ..AttributeProto::default() });
        assert_eq!(model_cost(&model, &[("n", 1)]), nested("Loop"));
    }

    #[test]
    fn constant_nodes_have_shapes() {
        let mut graph = GraphBuilder::new("g");
        graph.add_input("x", &[2.into(), 6.into()]);
        graph.add_node("Constant", &[], "shape", &[("value_ints", Attribute::Ints(vec![4, 3]))]);
        graph.add_node("Reshape", &["x", "shape"], "r", &[]);
        graph.add_node("Constant", &[], "two", &[("value_float", Attribute::Float(2.0))]);
        graph.add_node("Mul", &["r", "two"], "scaled", &[]);
        graph.add_initializer("w", &[3, 5], &[0.0; 15]).unwrap();
        graph.add_node("MatMul", &["scaled", "w"], "y", &[]);
        assert_eq!(model_cost(&graph.build(), &[]).unwrap().macs, 4 * 3 * 5);
    }
}
