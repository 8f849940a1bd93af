//! Models for the tests of several modules.

use crate::{
    GraphBuilder,
    proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto},
};

/// Returns an autoencoder 784-256-32-128-256-784. The outputs of its five Gemm nodes are `h1`, `latent` (32
/// values), `h3`, `h4` and `h5`; `a1`, `a3` and `a4` are activations, and `y` is the output.
pub(crate) fn mlp() -> ModelProto {
    sized_mlp([784, 256, 32, 128, 256, 784]).build()
}

/// Returns the same graph with layers small enough to damage byte by byte.
pub(crate) fn small_mlp() -> ModelProto {
    sized_mlp([4, 3, 2, 2, 3, 4]).build()
}

pub(crate) fn sized_mlp(sizes: [i64; 6]) -> GraphBuilder {
    let mut graph = GraphBuilder::new("mlp");
    let x = graph.add_input("x", &["batch".into(), sizes[0].into()]);
    let h1 = add_layer(&mut graph, &x, 1, &sizes, "h1");
    let a1 = graph.relu(&h1, "a1");
    let latent = add_layer(&mut graph, &a1, 2, &sizes, "latent");
    graph.add_value_info("latent", &["batch".into(), sizes[2].into()]);
    let h3 = add_layer(&mut graph, &latent, 3, &sizes, "h3");
    let a3 = graph.relu(&h3, "a3");
    let h4 = add_layer(&mut graph, &a3, 4, &sizes, "h4");
    let a4 = graph.relu(&h4, "a4");
    let h5 = add_layer(&mut graph, &a4, 5, &sizes, "h5");
    let y = graph.sigmoid(&h5, "y");
    graph.add_output(&y, &["batch".into(), sizes[5].into()]);
    graph
}

fn add_layer(graph: &mut GraphBuilder, x: &str, index: usize, sizes: &[i64; 6], name: &str) -> String {
    let (input_size, output_size) = (sizes[index - 1], sizes[index]);
    let weight = graph.add_initializer(
        &format!("w{index}"),
        &[input_size, output_size],
        &vec![0.5; (input_size * output_size) as usize],
    );
    let bias = graph.add_initializer(&format!("b{index}"), &[output_size], &vec![0.0; output_size as usize]);
    graph.gemm(x, &weight.unwrap(), &bias.unwrap(), name)
}

pub(crate) fn graph(model: &ModelProto) -> &GraphProto {
    model.graph.as_ref().unwrap()
}

/// Returns the names of the nodes, which the builder takes from their outputs.
pub(crate) fn node_names(model: &ModelProto) -> Vec<&str> {
    graph(model).node.iter().map(NodeProto::name).collect()
}

pub(crate) fn initializer_names(model: &ModelProto) -> Vec<&str> {
    graph(model).initializer.iter().map(TensorProto::name).collect()
}

pub(crate) fn input_names(model: &ModelProto) -> Vec<&str> {
    graph(model).input.iter().map(ValueInfoProto::name).collect()
}

pub(crate) fn output_names(model: &ModelProto) -> Vec<&str> {
    graph(model).output.iter().map(ValueInfoProto::name).collect()
}
