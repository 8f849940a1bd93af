use std::fs;

use super::*;
use crate::{Attribute, Dim, GraphBuilder, decode_model};

const LAYER: TiledTensor<'static> = TiledTensor { name: "layer", cells_per_block: 2 };

fn dims() -> [Dim; 4] {
    ["n".into(), 3.into(), "h".into(), "w".into()]
}

/// Returns the margin of a graph from [`LAYER`] to `y`, whose output has this number of cells per block.
fn margin(cells_per_block: u32, add_nodes: impl FnOnce(&mut GraphBuilder, &str)) -> Option<u32> {
    let mut graph = GraphBuilder::new("tiled");
    let layer = graph.add_input("layer", &dims());
    graph.add_input("quality", &["n".into(), 1.into()]);
    add_nodes(&mut graph, &layer);
    graph.add_output("y", &dims());
    tile_margin(&graph.build(), &[LAYER], TiledTensor { name: "y", cells_per_block })
}

fn weight(graph: &mut GraphBuilder, name: &str, kernel: i64) -> String {
    graph.add_initializer(name, &[3, 3, kernel, kernel], &vec![0.5; (9 * kernel * kernel) as usize]).unwrap()
}

#[test]
fn convolutions_add_up_and_pointwise_operators_do_not() {
    let depth = |convolutions: usize| {
        margin(2, move |graph, layer| {
            let weight = weight(graph, "weight", 3);
            let scale = graph.reshape("quality", &[-1, 1, 1, 1], "scale");
            let mut x = layer.to_owned();
            for number in 0..convolutions {
                let y = graph.conv(&x, &weight, "", 1, 1, &format!("conv{number}"));
                let y = graph.add_node("Mul", &[&y, &scale], &format!("scaled{number}"), &[]);
                let y = graph.relu(&y, &format!("relu{number}"));
                x = graph.add_node("Add", &[&x, &y], &format!("sum{number}"), &[]);
            }
            graph.add_node("Clip", &[&x], "y", &[]);
        })
    };
    assert_eq!([0, 1, 2, 3, 4, 5].map(depth), [0, 1, 1, 2, 2, 3].map(Some));
}

#[test]
fn mirrored_rings_and_enlargement_are_followed() {
    let found = margin(16, |graph, layer| {
        let mut ring = layer.to_owned();
        for axis in [2, 3] {
            let first = graph.slice(&ring, axis, 0, 1, &format!("first{axis}"));
            let last = graph.slice(&ring, axis, -1, i64::MAX, &format!("last{axis}"));
            ring = graph.concat(&[&first, &ring, &last], axis, &format!("ring{axis}"));
        }
        let weight = weight(graph, "weight", 8);
        let pixels = graph.conv_transpose(&ring, &weight, 4, 6, "pixels");
        let pads = graph.add_integers("pads", &[0, 0, 1, 1, 0, 0, 1, 1]);
        let mode = ("mode", Attribute::Text("edge".into()));
        let padded = graph.add_node("Pad", &[&pixels, &pads], "padded", &[mode]);
        let channels = graph.add_initializer("phases", &[12, 1, 3, 3], &[0.1; 108]).unwrap();
        let group = ("group", Attribute::Int(3));
        let phases = graph.add_node("Conv", &[&padded, &channels], "phased", &[group]);
        graph.depth_to_space(&phases, 2, "y");
    });
    // One cell of the ring, then 2 pixels, then 3, then 6 of 16 per block.
    assert_eq!(found, Some(1));
}

#[test]
fn the_shipped_heads_have_known_margins() {
    for (head, scale, expected) in [("reconstruct", 1, 6), ("upscale", 2, 5)] {
        let path = format!("{}/../../bundles/photo/heads/{head}-1.onnx", env!("CARGO_MANIFEST_DIR"));
        let model = decode_model(&fs::read(path).unwrap()).unwrap();
        let layers = [("layer32", 1), ("layer16", 2), ("layer8", 4)]
            .map(|(name, cells_per_block)| TiledTensor { name, cells_per_block });
        let output = TiledTensor { name: "reconstruction", cells_per_block: 32 * scale };
        assert_eq!(tile_margin(&model, &layers, output), Some(expected), "{head}");
    }
}

#[test]
fn graphs_that_depend_on_the_whole_image_are_refused() {
    let none = |add_nodes: fn(&mut GraphBuilder, &str)| assert_eq!(margin(2, add_nodes), None);
    none(|graph, layer| {
        let mean = graph.add_node("GlobalAveragePool", &[layer], "mean", &[]);
        graph.add_node("Sub", &[layer, &mean], "y", &[]);
    });
    none(|graph, layer| {
        graph.add_node("InstanceNormalization", &[layer], "y", &[]);
    });
    none(|graph, layer| {
        graph.transpose(layer, &[0, 1, 3, 2], "y");
    });
    // A border that is repeated along the axis, and one that is joined to the other end.
    none(|graph, layer| {
        let first = graph.slice(layer, 2, 0, 1, "first");
        graph.add_node("Add", &[layer, &first], "y", &[]);
    });
    none(|graph, layer| {
        let last = graph.slice(layer, 2, -1, i64::MAX, "last");
        let joined = graph.concat(&[&last, layer], 2, "joined");
        graph.slice(&joined, 2, 1, i64::MAX, "y");
    });
    // Another size than the one that is expected.
    none(|graph, layer| {
        graph.depth_to_space(layer, 2, "y");
    });
    none(|graph, layer| {
        let weight = weight(graph, "weight", 3);
        graph.conv(layer, &weight, "", 1, 0, "y");
    });
    // A constant with more dimensions moves the rows and columns to other axes.
    none(|graph, layer| {
        let five = graph.add_initializer("five", &[1; 5], &[1.0]).unwrap();
        graph.add_node("Mul", &[layer, &five], "y", &[]);
    });
}
