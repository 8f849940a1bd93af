//! External tensors in every place of a model that can have one.

use lopside_onnx::{
    load_external_data,
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto,
        StringStringEntryProto, TensorProto, TrainingInfoProto,
        tensor_proto::{DataLocation, DataType},
    },
};

fn tensor(name: &str) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: vec![1],
        data_type: Some(DataType::Float.into()),
        data_location: Some(DataLocation::External.into()),
        external_data: vec![StringStringEntryProto {
            key: Some("location".into()),
            value: Some(name.into()),
        }],
        ..TensorProto::default()
    }
}

fn sparse(name: &str) -> SparseTensorProto {
    SparseTensorProto {
        values: Some(tensor(&format!("{name}.values"))),
        indices: Some(tensor(&format!("{name}.indices"))),
        ..SparseTensorProto::default()
    }
}

/// Returns an attribute with every kind of value that has tensors.
fn attribute(name: &str) -> AttributeProto {
    AttributeProto {
        t: Some(tensor(&format!("{name}.t"))),
        tensors: vec![tensor(&format!("{name}.tensors"))],
        sparse_tensor: Some(sparse(&format!("{name}.sparse"))),
        sparse_tensors: vec![sparse(&format!("{name}.sparses"))],
        ..AttributeProto::default()
    }
}

fn graph(name: &str, attributes: Vec<AttributeProto>) -> GraphProto {
    GraphProto {
        initializer: vec![tensor(&format!("{name}.initializer"))],
        sparse_initializer: vec![sparse(&format!("{name}.initializers"))],
        node: vec![NodeProto { attribute: attributes, ..NodeProto::default() }],
        ..GraphProto::default()
    }
}

#[test]
fn external_values_are_loaded_wherever_they_are() {
    let nested = AttributeProto {
        g: Some(graph("then", vec![attribute("then")])),
        graphs: vec![graph("else", Vec::new())],
        ..AttributeProto::default()
    };
    let function = FunctionProto {
        node: vec![NodeProto { attribute: vec![attribute("call")], ..NodeProto::default() }],
        attribute_proto: vec![attribute("default")],
        ..FunctionProto::default()
    };
    let training = TrainingInfoProto {
        initialization: Some(graph("start", Vec::new())),
        algorithm: Some(graph("step", Vec::new())),
        ..TrainingInfoProto::default()
    };
    let mut model = ModelProto {
        graph: Some(graph("main", vec![attribute("main"), nested])),
        functions: vec![function],
        training_info: vec![training],
        ..ModelProto::default()
    };
    let mut read = Vec::new();
    let count = load_external_data(&mut model, &mut |path, _, length| {
        read.push(path.to_owned());
        Ok(vec![7; length])
    });
    // Three tensors per graph of five, and six per attribute of four.
    assert_eq!((count, read.len()), (Ok(39), 39));
    read.sort();
    read.dedup();
    assert_eq!(read.len(), 39, "each tensor is read once");
    let again = load_external_data(&mut model, &mut |_, _, _| unreachable!("nothing is left to read"));
    assert_eq!(again, Ok(0));
}
