//! Writes layers as ONNX nodes.
//!
//! Examples of node and tensor names: `encoder.0.linear` and `encoder.0.relu` for the encoder's layer 0,
//! `encoder.0.weight` and `encoder.0.bias` for its weights, `encoder.1.2.0.conv` for layer 0 in block 2 of
//! residual layer 1.

use burn::{
    module::Param,
    nn::{
        GateController, Linear,
        conv::{Conv2d, ConvTranspose2d},
    },
    tensor::Tensor,
};
use lopside_onnx::{Attribute, GraphBuilder};

use super::{
    names::tap_name,
    stack::{Stack, Weights, map_sides},
    window::{same_padding, transposed_crop},
};
use crate::{
    ModelError, TrainingError,
    definition::{Activation, Operation, RecurrentCell, Stage},
};

/// Name prefix of a part's tensors, and the name of its last tensor.
#[derive(Clone, Copy)]
pub(super) struct TensorNames<'a> {
    pub(super) prefix: &'a str,
    pub(super) last: &'a str,
}

/// Writes the nodes of a stack with input tensor `x`.
pub(super) fn write_stack(
    graph: &mut GraphBuilder,
    stack: &Stack,
    x: &str,
    names: TensorNames<'_>,
) -> Result<(), TrainingError> {
    let main_path = stack.layers().enumerate().filter(|(_, (stage, _))| !stage.is_tap());
    let last = main_path.last().map(|(index, _)| index);
    let mut x = x.to_owned();
    for (index, (stage, weights)) in stack.layers().enumerate() {
        let prefix = match &stage.operation {
            Operation::Tap(name) => tap_name(name),
            _ => format!("{}.{index}", names.prefix),
        };
        let name = match &stage.operation {
            Operation::Tap(_) => Some(prefix.as_str()),
            _ => (Some(index) == last).then_some(names.last),
        };
        let y = LayerWriter { graph, stage, prefix: &prefix, required_name: name }.nodes(weights, &x)?;
        if !stage.is_tap() {
            x = y;
        }
    }
    Ok(())
}

/// A layer to write.
struct LayerWriter<'a> {
    graph: &'a mut GraphBuilder,
    stage: &'a Stage,
    prefix: &'a str,
    /// Required name of the layer's last tensor; `None` derives it from the prefix.
    required_name: Option<&'a str>,
}

impl LayerWriter<'_> {
    fn nodes(&mut self, weights: Option<&Weights>, x: &str) -> Result<String, TrainingError> {
        let y = match (weights, &self.stage.operation) {
            (Some(Weights::Dense(linear)), _) => self.dense(linear, x)?,
            (Some(Weights::Conv(conv)), _) => self.conv(conv, x)?,
            (Some(Weights::ConvTranspose(conv)), _) => self.conv_transpose(conv, x)?,
            (Some(Weights::Residual(blocks)), _) => self.residual(blocks, x)?,
            (Some(Weights::Gru(layers)), _) => {
                let gates = layers.iter().map(|gru| vec![&gru.update_gate, &gru.reset_gate, &gru.new_gate]);
                self.recurrent(RecurrentCell::Gru, &gates.collect::<Vec<_>>(), x)?
            }
            (Some(Weights::Lstm(layers)), _) => {
                let gates = layers.iter().map(|lstm| {
                    let gates = [Some(&lstm.input_gate), Some(&lstm.output_gate), lstm.forget_gate.as_ref()];
                    gates.into_iter().flatten().chain([&lstm.cell_gate]).collect()
                });
                self.recurrent(RecurrentCell::Lstm, &gates.collect::<Vec<_>>(), x)?
            }
            (None, Operation::Flatten) => self.graph.flatten(x, &self.result_name("flatten")),
            (None, Operation::Reshape) => {
                let dims = self.stage.output.dims().into_iter().map(|dim| dim as i64);
                let dims: Vec<i64> = std::iter::once(-1).chain(dims).collect();
                self.graph.reshape(x, &dims, &self.result_name("reshape"))
            }
            (None, Operation::Join(tap)) => {
                self.graph.concat(&[x, &tap_name(tap)], 1, &self.result_name("join"))
            }
            (None, _) => x.to_owned(),
        };
        self.activation(y)
    }

    fn dense(&mut self, linear: &Linear, x: &str) -> Result<String, TrainingError> {
        let weight = self.write_tensor("weight", linear.weight.val())?;
        let bias = self.write_tensor("bias", bias_of(linear))?;
        let name = self.result_name("linear");
        Ok(self.graph.gemm(x, &weight, &bias, &name))
    }

    /// Writes a convolution, followed by the rearrangement of pixels for a sub-pixel layer.
    fn conv(&mut self, conv: &Conv2d, x: &str) -> Result<String, TrainingError> {
        let weight = self.write_tensor("weight", conv.weight.val())?;
        let bias = self.write_bias("bias", conv.bias.as_ref())?;
        let (kernel, stride) = (conv.kernel_size[0], conv.stride[0]);
        let pads = map_sides(self.stage.input).map(|side| same_padding(side, kernel, stride));
        let factor = match self.stage.operation {
            Operation::SubPixel { factor, .. } => Some(factor as i64),
            _ => None,
        };
        let name = if factor.is_some() { self.tensor_name("conv") } else { self.result_name("conv") };
        let y = self.graph.add_node("Conv", &[x, &weight, &bias], &name, &window_attributes(stride, pads));
        Ok(match factor {
            Some(factor) => self.graph.depth_to_space(&y, factor, &self.result_name("pixels")),
            None => y,
        })
    }

    fn conv_transpose(&mut self, conv: &ConvTranspose2d, x: &str) -> Result<String, TrainingError> {
        let weight = self.write_tensor("weight", conv.weight.val())?;
        let bias = self.write_bias("bias", conv.bias.as_ref())?;
        let (kernel, stride) = (conv.kernel_size[0], conv.stride[0]);
        let attributes = window_attributes(stride, [transposed_crop(kernel, stride); 2]);
        let name = self.result_name("conv");
        Ok(self.graph.add_node("ConvTranspose", &[x, &weight, &bias], &name, &attributes))
    }

    /// Writes residual blocks, each added to its own input.
    fn residual(&mut self, blocks: &[Stack], x: &str) -> Result<String, TrainingError> {
        let mut x = x.to_owned();
        for (index, block) in blocks.iter().enumerate() {
            let prefix = format!("{}.{index}", self.prefix);
            let last = format!("{prefix}.residual");
            write_stack(self.graph, block, &x, TensorNames { prefix: &prefix, last: &last })?;
            let sum =
                if index + 1 == blocks.len() { self.result_name("sum") } else { format!("{prefix}.sum") };
            x = self.graph.add_node("Add", &[&x, &last], &sum, &[]);
        }
        Ok(x)
    }

    /// Writes recurrent layers, which map series `[n, steps, channels]` to the last state `[n, units]` of the
    /// last layer. The gates of each layer are in ONNX's order: z r h for a GRU, i o f c for an LSTM.
    fn recurrent(
        &mut self,
        cell: RecurrentCell,
        layers: &[Vec<&GateController>],
        x: &str,
    ) -> Result<String, TrainingError> {
        let op = match cell {
            RecurrentCell::Gru => "GRU",
            RecurrentCell::Lstm => "LSTM",
        };
        let attributes = [("hidden_size", Attribute::Int(self.stage.output.width() as i64))];
        // ONNX expects the steps first.
        let mut x = self.graph.transpose(x, &[1, 0, 2], &self.tensor_name("steps"));
        for (index, gates) in layers.iter().enumerate() {
            let input_matrices = gates.iter().map(|gate| &gate.input_transform);
            let weight = self.gates(&format!("{index}.weight"), input_matrices)?;
            let state_matrices = gates.iter().map(|gate| &gate.hidden_transform);
            let recurrent = self.gates(&format!("{index}.recurrent"), state_matrices)?;
            let bias = self.biases(&format!("{index}.bias"), gates)?;
            let inputs = [&x, &weight, &recurrent, &bias].map(String::as_str);
            let node = self.tensor_name(&format!("{index}.{}", cell.name()));
            let states = self.tensor_name(&format!("{index}.states"));
            if index + 1 == layers.len() {
                self.graph.add_node_with_outputs(op, &inputs, &["", &states], &node, &attributes);
                x = self.graph.squeeze(&states, 0, &self.result_name("last"));
            } else {
                self.graph.add_node_with_outputs(op, &inputs, &[&states], &node, &attributes);
                x = self.graph.squeeze(&states, 1, &self.tensor_name(&format!("{index}.series")));
            }
        }
        Ok(x)
    }

    /// Concatenates matrices `[in, units]` into one tensor `[1, gates · units, in]`.
    fn gates<'a>(
        &mut self,
        part: &str,
        matrices: impl Iterator<Item = &'a Linear>,
    ) -> Result<String, TrainingError> {
        let matrices = matrices.map(|linear| linear.weight.val().transpose()).collect();
        self.write_tensor(part, Tensor::cat(matrices, 0).unsqueeze::<3>())
    }

    /// Concatenates the input biases of all gates and then the state biases into one tensor
    /// `[1, 2 · gates · units]`.
    fn biases(&mut self, part: &str, gates: &[&GateController]) -> Result<String, TrainingError> {
        let input_transforms = gates.iter().map(|gate| &gate.input_transform);
        let biases = input_transforms.chain(gates.iter().map(|gate| &gate.hidden_transform)).map(bias_of);
        self.write_tensor(part, Tensor::cat(biases.collect(), 0).unsqueeze::<2>())
    }

    fn activation(&mut self, x: String) -> Result<String, TrainingError> {
        let Some(activation) = self.stage.activation else { return Ok(x) };
        let name = self.required_name.map_or_else(|| self.tensor_name(activation.name()), ToOwned::to_owned);
        Ok(match activation {
            Activation::Relu => self.graph.relu(&x, &name),
            Activation::Sigmoid => self.graph.sigmoid(&x, &name),
            Activation::Tanh => self.graph.add_node("Tanh", &[&x], &name, &[]),
            Activation::Gelu => self.gelu(&x, &name)?,
        })
    }

    /// Writes x · (1 + erf(x / √2)) / 2; the operator set does not have `Gelu` yet.
    fn gelu(&mut self, x: &str, name: &str) -> Result<String, TrainingError> {
        let parts =
            ["scale", "scaled", "erf", "one", "plus", "half", "halved"].map(|part| self.tensor_name(part));
        let [scale, scaled, erf, one, plus, half, halved] = parts.each_ref().map(String::as_str);
        for (name, value) in [(scale, std::f32::consts::FRAC_1_SQRT_2), (one, 1.0), (half, 0.5)] {
            self.graph.add_initializer(name, &[], &[value])?;
        }
        self.graph.add_node("Mul", &[x, scale], scaled, &[]);
        self.graph.add_node("Erf", &[scaled], erf, &[]);
        self.graph.add_node("Add", &[erf, one], plus, &[]);
        self.graph.add_node("Mul", &[x, half], halved, &[]);
        Ok(self.graph.add_node("Mul", &[halved, plus], name, &[]))
    }

    /// Returns the name of a tensor of this layer.
    fn tensor_name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    /// Returns the name of the layer's result before its activation.
    fn result_name(&self, part: &str) -> String {
        match self.required_name {
            Some(name) if self.stage.activation.is_none() => name.to_owned(),
            _ => self.tensor_name(part),
        }
    }

    fn write_bias(&mut self, part: &str, bias: Option<&Param<Tensor<1>>>) -> Result<String, TrainingError> {
        bias.map_or_else(|| Ok(String::new()), |bias| self.write_tensor(part, bias.val()))
    }

    fn write_tensor<const D: usize>(
        &mut self,
        part: &str,
        tensor: Tensor<D>,
    ) -> Result<String, TrainingError> {
        let (name, dims) = (self.tensor_name(part), tensor.dims().map(|dim| dim as i64));
        let values = tensor.into_data().try_to_vec::<f32>().map_err(|error| {
            ModelError::UnreadableWeights { name: name.clone(), reason: format!("{error:?}") }
        })?;
        Ok(self.graph.add_initializer(&name, &dims, &values)?)
    }
}

fn bias_of(linear: &Linear) -> Tensor<1> {
    let weight = linear.weight.val();
    linear.bias.as_ref().map_or_else(|| Tensor::zeros([weight.dims()[1]], &weight.device()), Param::val)
}

/// Returns the attributes for strides and for pads (or crops) before and after rows and columns.
fn window_attributes(stride: usize, [rows, columns]: [[usize; 2]; 2]) -> [(&'static str, Attribute); 2] {
    let pads = [rows[0], columns[0], rows[1], columns[1]].map(|pad| pad as i64).to_vec();
    [("strides", Attribute::Ints(vec![stride as i64; 2])), ("pads", Attribute::Ints(pads))]
}
