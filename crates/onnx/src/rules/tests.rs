use super::*;
use crate::{Attribute, Dim, GraphBuilder, testing};

/// Returns the output shape of one node that reads inputs with these shapes, followed by these constant
/// integers.
fn shape(
    op: &str,
    shapes: &[&[i64]],
    integers: Option<&[i64]>,
    attributes: &[(&str, Attribute)],
) -> Option<Shape> {
    let mut graph = GraphBuilder::new("one");
    let mut names = Vec::new();
    for (index, dims) in shapes.iter().enumerate() {
        let dims: Vec<Dim> = dims.iter().map(|&dim| dim.into()).collect();
        names.push(graph.add_input(&format!("x{index}"), &dims));
    }
    names.extend(integers.map(|data| graph.add_integers("integers", data)));
    let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
    graph.add_node(op, &inputs, "y", attributes);
    let model = graph.build();
    let graph = testing::graph(&model);
    let shapes = Shapes::new(graph, &[]);
    output_shape(&graph.node[0], &shapes).unwrap()
}

fn ints<'a>(name: &'a str, values: &[i64]) -> (&'a str, Attribute) {
    (name, Attribute::Ints(values.to_vec()))
}

fn one(name: &str, value: i64) -> (&str, Attribute) {
    (name, Attribute::Int(value))
}

#[test]
fn matrices_multiply() {
    assert_eq!(shape("Gemm", &[&[2, 3], &[3, 5]], None, &[]), Some(vec![2, 5]));
    let flags = [one("transA", 1), one("transB", 1)];
    assert_eq!(shape("Gemm", &[&[3, 2], &[5, 3]], None, &flags), Some(vec![2, 5]));
    assert_eq!(shape("Gemm", &[&[2, 3], &[4, 5]], None, &[]), None);
    assert_eq!(shape("Gemm", &[&[2, 3, 1], &[3, 5]], None, &[]), None);
}

#[test]
fn matmul_broadcasts_and_takes_vectors() {
    let matmul = |a: &[i64], b: &[i64]| shape("MatMul", &[a, b], None, &[]);
    assert_eq!(matmul(&[7, 1, 2, 3], &[6, 3, 5]), Some(vec![7, 6, 2, 5]));
    assert_eq!(matmul(&[3], &[3, 5]), Some(vec![5]));
    assert_eq!(matmul(&[2, 3], &[3]), Some(vec![2]));
    assert_eq!(matmul(&[3], &[3]), Some(vec![]));
    assert_eq!(matmul(&[4, 2, 3], &[5, 3, 1]), None);
    assert_eq!(matmul(&[], &[3]), None);
    assert_eq!(matmul(&[3], &[]), None);
}

#[test]
fn elementwise_operators_broadcast() {
    assert_eq!(shape("Add", &[&[4, 1, 3], &[2, 1]], None, &[]), Some(vec![4, 2, 3]));
    assert_eq!(shape("Mul", &[&[], &[2, 0]], None, &[]), Some(vec![2, 0]));
    assert_eq!(shape("Div", &[&[2], &[3]], None, &[]), None);
    assert_eq!(shape("Relu", &[&[2, 3]], None, &[]), Some(vec![2, 3]));
    assert_eq!(shape("NonZero", &[&[2, 3]], None, &[]), None);
}

#[test]
fn shapes_are_rearranged() {
    let reshape = |target: &[i64]| shape("Reshape", &[&[2, 3, 4]], Some(target), &[]);
    assert_eq!(reshape(&[0, -1]), Some(vec![2, 12]));
    assert_eq!(reshape(&[24]), Some(vec![24]));
    for invalid in [&[-1, -1][..], &[5, -1], &[23], &[-2, 12], &[24, 1, 1, 0], &[i64::MAX, i64::MAX]] {
        assert_eq!(reshape(invalid), None, "{invalid:?}");
    }
    assert_eq!(shape("Reshape", &[&[0, 3]], Some(&[0, -1]), &[]), None);
    assert!(shape("Reshape", &[&[1]], Some(&[1; 64]), &[]).is_some());
    assert_eq!(shape("Reshape", &[&[1]], Some(&[1; 65]), &[]), None);
    assert_eq!(shape("Flatten", &[&[2, 3, 4]], None, &[]), Some(vec![2, 12]));
    assert_eq!(shape("Flatten", &[&[2, 3, 4]], None, &[one("axis", 3)]), Some(vec![24, 1]));
    assert_eq!(shape("Flatten", &[&[2, 3, 4]], None, &[one("axis", -1)]), Some(vec![6, 4]));
    assert_eq!(shape("Flatten", &[&[2, 3, 4]], None, &[one("axis", i64::MIN)]), None);
}

#[test]
fn extents_are_concatenated_and_moved_between_axes() {
    let concat = |axis| shape("Concat", &[&[2, 3], &[2, 4]], None, &[one("axis", axis)]);
    assert_eq!((concat(1), concat(-1)), (Some(vec![2, 7]), Some(vec![2, 7])));
    for invalid in [0, 2, -3, i64::MAX, i64::MIN] {
        assert_eq!(concat(invalid), None, "axis {invalid}");
    }
    assert_eq!(shape("Concat", &[&[2, i64::MAX][..]; 3], None, &[one("axis", 1)]), None);
    let depth = |block| shape("DepthToSpace", &[&[1, 12, 5, 6]], None, &[one("blocksize", block)]);
    assert_eq!(depth(2), Some(vec![1, 3, 10, 12]));
    assert_eq!((depth(0), depth(5), depth(i64::MAX)), (None, None, None));
}

#[test]
fn axes_are_moved_dropped_and_added() {
    let transpose = |order: &[i64]| shape("Transpose", &[&[2, 3, 4]], None, &[ints("perm", order)]);
    assert_eq!(transpose(&[1, 0, 2]), Some(vec![3, 2, 4]));
    assert_eq!(shape("Transpose", &[&[2, 3, 4]], None, &[]), Some(vec![4, 3, 2]));
    for invalid in [&[0, 1][..], &[0, 0, 1], &[0, 1, 3], &[0, 1, -4]] {
        assert_eq!(transpose(invalid), None, "{invalid:?}");
    }
    let squeeze = |axes: &[i64]| shape("Squeeze", &[&[1, 3, 1]], Some(axes), &[]);
    assert_eq!((squeeze(&[0]), squeeze(&[-1, 0])), (Some(vec![3, 1]), Some(vec![3])));
    assert_eq!((squeeze(&[1]), squeeze(&[3]), squeeze(&[i64::MIN])), (None, None, None));
    assert_eq!(shape("Squeeze", &[&[1, 3, 1]], None, &[]), Some(vec![3]));
    let unsqueeze = |axes: &[i64]| shape("Unsqueeze", &[&[3, 4]], Some(axes), &[]);
    assert_eq!((unsqueeze(&[0]), unsqueeze(&[-1, 1])), (Some(vec![1, 3, 4]), Some(vec![3, 1, 4, 1])));
    assert_eq!((unsqueeze(&[0, 0]), unsqueeze(&[3]), unsqueeze(&[0; 64])), (None, None, None));
}

#[test]
fn recurrent_layers_keep_their_states() {
    let lstm = |attributes: &[_]| shape("LSTM", &[&[7, 2, 3], &[1, 20, 3], &[1, 20, 5]], None, attributes);
    assert_eq!(lstm(&[]), Some(vec![7, 1, 2, 5]));
    assert_eq!(lstm(&[one("layout", 1)]), Some(vec![7, 2, 1, 5]));
    assert_eq!(shape("GRU", &[&[7, 2], &[1, 15, 3], &[1, 15, 5]], None, &[]), None);
}

#[test]
fn convolutions_shrink_the_extents() {
    let conv = |attributes: &[_]| shape("Conv", &[&[1, 4, 28, 28], &[8, 4, 3, 3]], None, attributes);
    assert_eq!(conv(&[]), Some(vec![1, 8, 26, 26]));
    let strided = [ints("strides", &[2, 1]), ints("pads", &[1, 0, 1, 2])];
    assert_eq!(conv(&strided), Some(vec![1, 8, 14, 28]));
    assert_eq!(conv(&[ints("dilations", &[3, 3])]), Some(vec![1, 8, 22, 22]));
    let same = [("auto_pad", Attribute::Text("SAME_UPPER".into())), ints("strides", &[3, 3])];
    assert_eq!(conv(&same), Some(vec![1, 8, 10, 10]));
    let grouped = shape("Conv", &[&[1, 4, 5], &[8, 1, 3]], None, &[one("group", 4)]);
    assert_eq!(grouped, Some(vec![1, 8, 3]));
}

#[test]
fn transposed_convolutions_enlarge_the_extents() {
    let spread = |attributes: &[_]| shape("ConvTranspose", &[&[1, 8, 7, 7], &[8, 4, 4, 4]], None, attributes);
    let doubled = [ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
    assert_eq!(spread(&doubled), Some(vec![1, 4, 14, 14]));
    assert_eq!(spread(&[ints("output_padding", &[1, 0])]), Some(vec![1, 4, 11, 10]));
    assert_eq!(spread(&[ints("output_shape", &[9, 9]), one("group", 2)]), Some(vec![1, 8, 9, 9]));
    let same = [("auto_pad", Attribute::Text("SAME_LOWER".into())), ints("strides", &[2, 2])];
    assert_eq!(spread(&same), Some(vec![1, 4, 14, 14]));
}

#[test]
fn windows_that_do_not_fit_have_no_shape() {
    let extremes = [i64::MIN, -1, 0, i64::MAX];
    for op in ["Conv", "ConvTranspose"] {
        for value in extremes {
            for name in ["strides", "dilations", "pads", "output_padding"] {
                // Any result is accepted, as long as no arithmetic overflows.
                for size in [0, 1, i64::MAX] {
                    let list = ints(name, &[value, value]);
                    let _ = shape(op, &[&[1, 4, size], &[4, 4, size]], None, std::slice::from_ref(&list));
                    let _ = shape(op, &[&[1, 4, size], &[4, 4, 1]], None, &[list]);
                }
            }
        }
        for group in [i64::MIN, -1, 0, 3, i64::MAX] {
            let group = one("group", group);
            assert_eq!(shape(op, &[&[1, 4, 9], &[4, 4, 3]], None, &[group]).map(|_| op), None);
        }
        assert_eq!(shape(op, &[&[1, 4], &[4, 4]], None, &[]), None);
        assert_eq!(shape(op, &[&[1, 4, 9], &[4, 4, 3, 3]], None, &[]), None);
        assert_eq!(shape(op, &[&[1, 4, 9], &[4, 4, 3]], None, &[ints("strides", &[])]), None);
    }
    assert_eq!(shape("Conv", &[&[1, 4, 2], &[4, 4, 3]], None, &[]), None);
}
