use half::f16;

use crate::{
    OnnxError,
    graph::element_count,
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
        TypeProto, ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType,
        tensor_shape_proto::Dimension, tensor_shape_proto::dimension, type_proto,
    },
};

/// The version of the standard operator set that built models use.
pub const OPSET: i64 = 17;
/// The version of the file format of built models, which was released together with [`OPSET`].
pub const IR_VERSION: i64 = 8;

const PRODUCER: &str = "lopside";

/// One dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Any extent at run time, the same for every dimension with this symbol.
    Symbol(String),
    /// A constant extent.
    Fixed(i64),
}

impl From<&str> for Dim {
    fn from(symbol: &str) -> Self {
        Self::Symbol(symbol.to_owned())
    }
}

impl From<i64> for Dim {
    fn from(extent: i64) -> Self {
        Self::Fixed(extent)
    }
}

/// A constant argument of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// One float.
    Float(f32),
    /// One integer.
    Int(i64),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A string.
    Text(String),
}

/// Builds a model with `f32` inputs and outputs, node by node.
///
/// Nodes are written in the order in which they are added, so the inputs of a node must be added before it.
/// The caller must keep names unique. The same calls produce the same model, byte for byte.
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    graph: GraphProto,
}

impl GraphBuilder {
    /// Creates an empty graph with this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { graph: GraphProto { name: Some(name.to_owned()), ..GraphProto::default() } }
    }

    /// Declares an input of the model and returns its name.
    pub fn add_input(&mut self, name: &str, dims: &[Dim]) -> String {
        self.graph.input.push(float_value_info(name, Some(dims)));
        name.to_owned()
    }

    /// Declares the output of a node as an output of the model. Outputs keep the order of the calls.
    pub fn add_output(&mut self, name: &str, dims: &[Dim]) {
        self.graph.output.push(float_value_info(name, Some(dims)));
    }

    /// Records the shape of an intermediate tensor, for a later [`split_model`](crate::split_model) at it.
    pub fn add_value_info(&mut self, name: &str, dims: &[Dim]) {
        self.graph.value_info.push(float_value_info(name, Some(dims)));
    }

    /// Adds a constant with these dimensions and row-major values, and returns its name.
    ///
    /// # Errors
    /// [`OnnxError::InitializerSizeMismatch`] when the number of values does not match the dimensions.
    pub fn add_initializer(&mut self, name: &str, dims: &[i64], data: &[f32]) -> Result<String, OnnxError> {
        check_size(name, dims, data)?;
        let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(self.push_tensor(name, dims, DataType::Float, bytes))
    }

    /// Adds a constant that is stored as 16-bit floats (11 bits of precision, magnitudes up to 65,504), in
    /// half the bytes. A `Cast` node converts it to the `f32` tensor that other nodes read, so they compute
    /// in `f32` as before; runtimes run the cast once, when they load the model.
    ///
    /// # Errors
    /// [`OnnxError::InitializerSizeMismatch`] as for [`add_initializer`](Self::add_initializer).
    pub fn add_half_initializer(
        &mut self,
        name: &str,
        dims: &[i64],
        data: &[f32],
    ) -> Result<String, OnnxError> {
        check_size(name, dims, data)?;
        let bytes = data.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        let half = self.push_tensor(&format!("{name}.half"), dims, DataType::Float16, bytes);
        Ok(self.add_node("Cast", &[&half], name, &[("to", Attribute::Int(DataType::Float as i64))]))
    }

    /// Adds a list of integers, such as the shape of a `Reshape`, and returns its name.
    pub fn add_integers(&mut self, name: &str, data: &[i64]) -> String {
        let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.push_tensor(name, &[data.len() as i64], DataType::Int64, bytes)
    }

    /// Adds a node with one output and returns the output's name, which is also the node's name. An empty
    /// input name leaves an optional input out.
    pub fn add_node(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        name: &str,
        attributes: &[(&str, Attribute)],
    ) -> String {
        self.add_node_with_outputs(op_type, inputs, &[name], name, attributes);
        name.to_owned()
    }

    /// Adds a node with several outputs. An empty output name leaves an optional output out.
    pub fn add_node_with_outputs(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        outputs: &[&str],
        name: &str,
        attributes: &[(&str, Attribute)],
    ) {
        self.graph.node.push(NodeProto {
            input: copy_names(inputs),
            output: copy_names(outputs),
            name: Some(name.to_owned()),
            op_type: Some(op_type.to_owned()),
            attribute: attributes.iter().map(|(name, value)| attribute_proto(name, value)).collect(),
            ..NodeProto::default()
        });
    }

    /// Adds a dense layer: `x [n, in] · weight [in, out] + bias [out]`, with output `[n, out]`.
    pub fn gemm(&mut self, x: &str, weight: &str, bias: &str, name: &str) -> String {
        let attributes = [
            ("alpha", Attribute::Float(1.0)),
            ("beta", Attribute::Float(1.0)),
            ("transB", Attribute::Int(0)),
        ];
        self.add_node("Gemm", &[x, weight, bias], name, &attributes)
    }

    /// Adds `max(x, 0)`, elementwise.
    pub fn relu(&mut self, x: &str, name: &str) -> String {
        self.add_node("Relu", &[x], name, &[])
    }

    /// Adds `1 / (1 + exp(-x))`, elementwise.
    pub fn sigmoid(&mut self, x: &str, name: &str) -> String {
        self.add_node("Sigmoid", &[x], name, &[])
    }

    /// Adds a softmax over the last dimension.
    pub fn softmax(&mut self, x: &str, name: &str) -> String {
        self.add_node("Softmax", &[x], name, &[("axis", Attribute::Int(-1))])
    }

    /// Adds a convolution of `x [n, in, h, w]` with `weight [out, in, k, k]` and `pad` zeros on every side.
    /// An empty `bias` name leaves the bias out.
    pub fn conv(&mut self, x: &str, weight: &str, bias: &str, stride: i64, pad: i64, name: &str) -> String {
        self.add_node("Conv", &with_bias(x, weight, bias), name, &window_attributes(stride, pad))
    }

    /// Adds a transposed convolution of `x [n, in, h, w]` with `weight [in, out, k, k]`, which crops `crop`
    /// samples on every side.
    pub fn conv_transpose(&mut self, x: &str, weight: &str, stride: i64, crop: i64, name: &str) -> String {
        self.add_node("ConvTranspose", &[x, weight], name, &window_attributes(stride, crop))
    }

    /// Reshapes `x [n, …]` to `[n, values]`, row-major.
    pub fn flatten(&mut self, x: &str, name: &str) -> String {
        self.add_node("Flatten", &[x], name, &[("axis", Attribute::Int(1))])
    }

    /// Reshapes `x` to these dimensions, row-major; the dimension −1 is inferred from the others.
    pub fn reshape(&mut self, x: &str, dims: &[i64], name: &str) -> String {
        let shape = self.add_integers(&format!("{name}.shape"), dims);
        self.add_node("Reshape", &[x, &shape], name, &[("allowzero", Attribute::Int(0))])
    }

    /// Permutes the axes of `x`: axis `i` of the result is axis `order[i]` of `x`.
    pub fn transpose(&mut self, x: &str, order: &[i64], name: &str) -> String {
        self.add_node("Transpose", &[x], name, &[("perm", Attribute::Ints(order.to_vec()))])
    }

    /// Removes an axis of extent 1 from `x`.
    pub fn squeeze(&mut self, x: &str, axis: i64, name: &str) -> String {
        let axes = self.add_integers(&format!("{name}.axes"), &[axis]);
        self.add_node("Squeeze", &[x, &axes], name, &[])
    }

    /// Joins tensors along an axis.
    pub fn concat(&mut self, parts: &[&str], axis: i64, name: &str) -> String {
        self.add_node("Concat", parts, name, &[("axis", Attribute::Int(axis))])
    }

    /// Takes the elements `start..end` along an axis. Negative indices count from the end; `i64::MAX` is the
    /// end.
    pub fn slice(&mut self, x: &str, axis: i64, start: i64, end: i64, name: &str) -> String {
        let starts = self.add_integers(&format!("{name}.start"), &[start]);
        let ends = self.add_integers(&format!("{name}.end"), &[end]);
        let axes = self.add_integers(&format!("{name}.axis"), &[axis]);
        self.add_node("Slice", &[x, &starts, &ends, &axes], name, &[])
    }

    /// Rearranges `[n, c·b², h, w]` to `[n, c, b·h, b·w]`: channel `c·b² + b·y + x` is pixel `(y, x)` of its
    /// block.
    pub fn depth_to_space(&mut self, x: &str, block: i64, name: &str) -> String {
        let mode = Attribute::Text("CRD".into());
        self.add_node("DepthToSpace", &[x], name, &[("blocksize", Attribute::Int(block)), ("mode", mode)])
    }

    /// Returns the model, with the versions [`IR_VERSION`] and [`OPSET`].
    #[must_use]
    pub fn build(self) -> ModelProto {
        ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some(PRODUCER.to_owned()),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
            ..ModelProto::default()
        }
    }

    fn push_tensor(&mut self, name: &str, dims: &[i64], data_type: DataType, bytes: Vec<u8>) -> String {
        self.graph.initializer.push(TensorProto {
            dims: dims.to_vec(),
            data_type: Some(data_type.into()),
            name: Some(name.to_owned()),
            raw_data: Some(bytes),
            ..TensorProto::default()
        });
        name.to_owned()
    }
}

fn check_size(name: &str, dims: &[i64], data: &[f32]) -> Result<(), OnnxError> {
    if element_count(dims) == Some(data.len() as u64) {
        return Ok(());
    }
    let (tensor, dims) = (name.to_owned(), dims.to_vec());
    Err(OnnxError::InitializerSizeMismatch { tensor, dims, found: data.len() })
}

fn copy_names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn with_bias<'a>(x: &'a str, weight: &'a str, bias: &'a str) -> Vec<&'a str> {
    if bias.is_empty() { vec![x, weight] } else { vec![x, weight, bias] }
}

fn window_attributes(stride: i64, pad: i64) -> [(&'static str, Attribute); 2] {
    [("strides", Attribute::Ints(vec![stride; 2])), ("pads", Attribute::Ints(vec![pad; 4]))]
}

/// Returns the description of an `f32` tensor with these dimensions; `None` leaves the shape undeclared.
pub(crate) fn float_value_info(name: &str, dims: Option<&[Dim]>) -> ValueInfoProto {
    let shape = dims.map(|dims| TensorShapeProto { dim: dims.iter().map(dimension_proto).collect() });
    let tensor = type_proto::Tensor { elem_type: Some(DataType::Float.into()), shape };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { value, ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

fn dimension_proto(dim: &Dim) -> Dimension {
    let value = match dim {
        Dim::Symbol(symbol) => dimension::Value::DimParam(symbol.clone()),
        Dim::Fixed(extent) => dimension::Value::DimValue(*extent),
    };
    Dimension { value: Some(value), ..Dimension::default() }
}

fn attribute_proto(name: &str, value: &Attribute) -> AttributeProto {
    let mut attribute = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
    match value {
        Attribute::Float(value) => {
            attribute.f = Some(*value);
            attribute.set_type(AttributeType::Float);
        }
        Attribute::Int(value) => {
            attribute.i = Some(*value);
            attribute.set_type(AttributeType::Int);
        }
        Attribute::Ints(values) => {
            attribute.ints.clone_from(values);
            attribute.set_type(AttributeType::Ints);
        }
        Attribute::Text(text) => {
            attribute.s = Some(text.as_bytes().to_vec());
            attribute.set_type(AttributeType::String);
        }
    }
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{encode_model, testing};

    #[test]
    fn versions_and_producer_are_set() {
        let model = testing::small_mlp();
        assert_eq!((model.ir_version(), model.producer_name()), (8, "lopside"));
        assert_eq!((model.opset_import[0].domain(), model.opset_import[0].version()), ("", 17));
        assert_eq!(testing::graph(&model).name(), "mlp");
    }

    #[test]
    fn a_gemm_is_written_out() {
        let model = testing::small_mlp();
        let gemm = &testing::graph(&model).node[0];
        assert_eq!((gemm.op_type(), gemm.name(), &gemm.output[..]), ("Gemm", "h1", &["h1".to_owned()][..]));
        assert_eq!(gemm.input, ["x", "w1", "b1"]);
        let named = |name: &str| gemm.attribute.iter().find(|attribute| attribute.name() == name).unwrap();
        assert_eq!((named("alpha").f(), named("beta").f(), named("transB").i()), (1.0, 1.0, 0));
        assert_eq!(named("alpha").r#type(), AttributeType::Float);
        assert_eq!(named("transB").r#type(), AttributeType::Int);
    }

    #[test]
    fn values_are_little_endian_and_typed() {
        let mut graph = GraphBuilder::new("g");
        graph.add_initializer("w", &[1, 2], &[1.0, -2.0]).unwrap();
        graph.add_integers("shape", &[-1, 2]);
        let model = graph.build();
        let [w, shape] = &testing::graph(&model).initializer[..] else { panic!() };
        assert_eq!(w.raw_data(), [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        assert_eq!((w.data_type(), &w.dims[..]), (DataType::Float as i32, &[1, 2][..]));
        assert_eq!(shape.raw_data(), [[0xff; 8], [2, 0, 0, 0, 0, 0, 0, 0]].concat());
        assert_eq!((shape.data_type(), &shape.dims[..]), (DataType::Int64 as i32, &[2][..]));
    }

    #[test]
    fn half_precision_initializers_are_cast_to_float() {
        let mut graph = GraphBuilder::new("g");
        let x = graph.add_input("x", &["n".into(), 2.into()]);
        let weight = graph.add_half_initializer("w", &[2, 1], &[1.0, -2.0]).unwrap();
        graph.add_node("MatMul", &[&x, &weight], "y", &[]);
        let model = graph.build();
        let graph = testing::graph(&model);
        assert_eq!(graph.initializer[0].raw_data(), [0, 0x3c, 0, 0xc0]);
        assert_eq!(
            (graph.node[0].op_type(), graph.node[0].attribute[0].i()),
            ("Cast", DataType::Float as i64)
        );
        let cost = crate::model_cost(&model, &[("n", 3)]).unwrap();
        assert_eq!((cost.parameters, cost.macs), (2, 6));
        assert!(GraphBuilder::new("g").add_half_initializer("w", &[2, 2], &[0.0; 3]).is_err());
    }

    #[test]
    fn a_short_initializer_is_refused() {
        let mut graph = GraphBuilder::new("g");
        let result = graph.add_initializer("w", &[2, 2], &[0.0; 3]);
        let expected = OnnxError::InitializerSizeMismatch { tensor: "w".into(), dims: vec![2, 2], found: 3 };
        assert_eq!(result, Err(expected));
        assert!(graph.add_initializer("w", &[-1, -3], &[0.0; 3]).is_err());
    }

    #[test]
    fn every_attribute_kind_has_its_type() {
        let text = attribute_proto("mode", &Attribute::Text("DCR".into()));
        assert_eq!((text.s(), text.r#type()), (&b"DCR"[..], AttributeType::String));
        let ints = attribute_proto("pads", &Attribute::Ints(vec![1, 2]));
        assert_eq!((&ints.ints[..], ints.r#type()), (&[1, 2][..], AttributeType::Ints));
    }

    #[test]
    fn the_same_calls_give_the_same_bytes() {
        assert_eq!(encode_model(&testing::small_mlp()), encode_model(&testing::small_mlp()));
    }
}
