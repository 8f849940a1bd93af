//! Exports the weights as the two ONNX models of a photo bundle.
//!
//! ```text
//! encoder   picture [n, 3, h + 8, w + 8] ─► bands ─► layer32, layer16, layer8
//! head      layer32, layer16, layer8, quality [n, 1] ─► reconstruction [n, 3, scale·h, scale·w]
//! ```
//! The layers are named after their strides. Quantiser and entropy coder are between the two models.

use burn::{
    nn::{Linear, conv::Conv2d},
    tensor::Tensor,
};
use lopside_onnx::{Attribute, Dim, GraphBuilder, proto::ModelProto};

use super::{
    double,
    lapped::Parity,
    model::{COARSEST_OCTAVE, FINEST_OCTAVE, PhotoModel},
    residual_network::{ResidualNetwork, SOFT_CLIP_STEPS},
    spec::{PhotoSpec, REACH, STRIDE},
    transform::LinearFilters,
};
use crate::{ModelError, TrainingError};

/// Name of the encoder's input, `[n, 3, h + 8, w + 8]`, samples −0.5 to 0.5.
pub(crate) const INPUT_NAME: &str = "picture";
/// Name of the tensor up to which strips of the image can be computed independently.
pub(crate) const BANDS_NAME: &str = "bands";
/// Name of the head's quality input, `[n, 1]`, 1 to 100.
pub(crate) const QUALITY_NAME: &str = "quality";
/// Name of the head's output, `[n, 3, scale·h, scale·w]`, samples −0.5 to 0.5.
pub(crate) const OUTPUT_NAME: &str = "reconstruction";

/// Returns the name of a layer's tensor.
pub(crate) fn layer_name(spec: &PhotoSpec, level: usize) -> String {
    format!("layer{}", spec.stride(level))
}

/// Returns the graph of the encoder.
pub(crate) fn encoder_graph(model: &PhotoModel, spec: &PhotoSpec) -> Result<ModelProto, TrainingError> {
    let mut graph = PhotoGraph::new("photo-encoder", spec);
    let image = graph.builder.add_input(INPUT_NAME, &feature_map_dims(3, "h", "w"));
    let weight = graph.weight("analysis", model.analysis.symmetric_bands(spec))?;
    let mut bands = graph.builder.conv(&image, &weight, "", STRIDE as i64, 0, BANDS_NAME);
    for (level, &merged) in spec.merges.iter().enumerate() {
        let low = graph.builder.slice(&bands, 1, 0, merged as i64, &format!("low{level}"));
        graph.builder.slice(&bands, 1, merged as i64, i64::MAX, &layer_name(spec, level));
        let ring = graph.ring(&low, &spec.parities(level)[..merged])?;
        let weight = graph.weight(&format!("merge{level}"), model.analysis.symmetric_merge(spec, level))?;
        let last = level + 1 == spec.merges.len();
        let name = if last { layer_name(spec, level + 1) } else { format!("merged{level}") };
        bands = graph.builder.conv(&ring, &weight, "", 2, 0, &name);
    }
    for level in (0..spec.levels()).rev() {
        let (h, w) = side_symbols(spec, level);
        graph
            .builder
            .add_output(&layer_name(spec, level), &feature_map_dims(spec.layer_channels(level), &h, &w));
    }
    Ok(graph.builder.build())
}

/// Returns the graph of the head that makes images at the spec's scale. The weights of an upscaling head are
/// stored in half the bytes, because it is never a bundle's only head.
pub(crate) fn head_graph(model: &PhotoModel, spec: &PhotoSpec) -> Result<ModelProto, TrainingError> {
    let mut graph =
        PhotoGraph::new(if spec.scale == 1 { "photo-reconstruct" } else { "photo-upscale" }, spec);
    graph.uses_half_floats = spec.scale > 1;
    let layers: Vec<String> = (0..spec.levels())
        .rev()
        .map(|level| {
            let (h, w) = side_symbols(spec, level);
            graph
                .builder
                .add_input(&layer_name(spec, level), &feature_map_dims(spec.layer_channels(level), &h, &w))
        })
        .collect();
    let quality = graph.builder.add_input(QUALITY_NAME, &[Dim::from("n"), Dim::Fixed(1)]);
    let condition = graph.affine(&quality, "condition", -2.0 / 99.0, 1.0 + 2.0 / 99.0)?;
    let octave = graph.affine(
        &condition,
        "octave",
        (COARSEST_OCTAVE - FINEST_OCTAVE) / 2.0,
        f32::midpoint(COARSEST_OCTAVE, FINEST_OCTAVE),
    )?;
    let nats = graph.affine(&octave, "nats", std::f32::consts::LN_2, -255.0_f32.ln())?;
    let exp = graph.builder.add_node("Exp", &[&nats], "exp", &[]);
    let step = graph.reshape(&exp, 1, "step");
    let bands = graph.unmerge(&model.synthesis, &layers)?;
    let mut linear = graph.synthesise(&model.synthesis, &bands)?;
    if spec.scale > 1 {
        linear = graph.doubled(&linear, "enlarged")?;
    }
    let in_steps = graph.builder.add_node("Div", &[&bands, &step], "in_steps", &[]);
    let residual = graph.trunk(&model.trunk, &in_steps, &condition)?;
    let residual = graph.builder.add_node("Mul", &[&residual, &step], "residual", &[]);
    let sum = graph.builder.add_node("Add", &[&linear, &residual], "sum", &[]);
    let (low, high) = (graph.scalar("low", -0.5)?, graph.scalar("high", 0.5)?);
    graph.builder.add_node("Clip", &[&sum, &low, &high], OUTPUT_NAME, &[]);
    let (h, w) = if spec.scale == 1 { ("h", "w") } else { ("2h", "2w") };
    graph.builder.add_output(OUTPUT_NAME, &feature_map_dims(3, h, w));
    Ok(graph.builder.build())
}

fn side_symbols(spec: &PhotoSpec, level: usize) -> (String, String) {
    (format!("h{}", spec.stride(level)), format!("w{}", spec.stride(level)))
}

/// Returns the dimensions of a batch of feature maps.
pub(crate) fn feature_map_dims(channels: usize, h: &str, w: &str) -> [Dim; 4] {
    [Dim::from("n"), Dim::Fixed(channels as i64), Dim::from(h), Dim::from(w)]
}

struct PhotoGraph<'a> {
    builder: GraphBuilder,
    spec: &'a PhotoSpec,
    ring_count: usize,
    /// Whether weights are stored as 16-bit floats.
    uses_half_floats: bool,
}

impl<'a> PhotoGraph<'a> {
    fn new(name: &str, spec: &'a PhotoSpec) -> Self {
        Self { builder: GraphBuilder::new(name), spec, ring_count: 0, uses_half_floats: false }
    }

    /// Adds a ring of mirrored neighbours, like [`mirror::ring`](super::mirror::ring).
    fn ring(&mut self, x: &str, parities: &[[Parity; 2]]) -> Result<String, TrainingError> {
        self.ring_count += 1;
        let mut x = x.to_owned();
        for axis in 0..2 {
            let name = format!("ring{}.{axis}", self.ring_count);
            let signs: Vec<f32> = parities.iter().map(|parity| parity[axis].sign()).collect();
            let shape = [1, parities.len() as i64, 1, 1];
            let signs = self.builder.add_initializer(&format!("{name}.signs"), &shape, &signs)?;
            let dim = axis as i64 + 2;
            let first = self.builder.slice(&x, dim, 0, 1, &format!("{name}.first"));
            let first = self.builder.add_node("Mul", &[&first, &signs], &format!("{name}.before"), &[]);
            let last = self.builder.slice(&x, dim, -1, i64::MAX, &format!("{name}.last"));
            let last = self.builder.add_node("Mul", &[&last, &signs], &format!("{name}.after"), &[]);
            x = self.builder.concat(&[&first, &x, &last], dim, &format!("{name}.all"));
        }
        Ok(x)
    }

    fn unmerge(&mut self, filters: &LinearFilters, layers: &[String]) -> Result<String, TrainingError> {
        let mut bands = layers[0].clone();
        for (level, layer) in (0..self.spec.merges.len()).rev().zip(&layers[1..]) {
            let ring = self.ring(&bands, &self.spec.parities(level + 1))?;
            let weight = self.weight(&format!("unmerge{level}"), filters.merges[level].val())?;
            let low = self.builder.conv_transpose(&ring, &weight, 2, 3, &format!("unmerged{level}"));
            bands = self.builder.concat(&[&low, layer], 1, &format!("bands{level}"));
        }
        Ok(bands)
    }

    fn synthesise(&mut self, filters: &LinearFilters, bands: &str) -> Result<String, TrainingError> {
        let ring = self.ring(bands, &self.spec.parities(0))?;
        let weight = self.weight("synthesis", filters.bands.val())?;
        Ok(self.builder.conv_transpose(&ring, &weight, STRIDE as i64, (STRIDE + REACH) as i64, "linear"))
    }

    fn trunk(
        &mut self,
        trunk: &ResidualNetwork,
        bands: &str,
        condition: &str,
    ) -> Result<String, TrainingError> {
        let magnitude = self.builder.add_node("Abs", &[bands], "magnitude", &[]);
        let divisor = self.affine(&magnitude, "divisor", 1.0 / SOFT_CLIP_STEPS, 1.0)?;
        let clipped = self.builder.add_node("Div", &[bands, &divisor], "bent", &[]);
        let mut description = condition.to_owned();
        for (i, layer) in trunk.condition.iter().enumerate() {
            let linear = self.linear(&description, layer, &format!("describe{i}"), 0.0, 0, usize::MAX)?;
            description = self.builder.relu(&linear, &format!("description{i}"));
        }
        let mut x = self.conv3(&clipped, &trunk.head, "head")?;
        for (i, block) in trunk.blocks.iter().enumerate() {
            let name = format!("block{i}");
            let width = self.spec.width;
            let scale = self.linear(&description, &block.film, &format!("{name}.scale"), 1.0, 0, width)?;
            let shift =
                self.linear(&description, &block.film, &format!("{name}.shift"), 0.0, width, 2 * width)?;
            let scale = self.reshape(&scale, width, &format!("{name}.scale4"));
            let shift = self.reshape(&shift, width, &format!("{name}.shift4"));
            let y = self.conv3(&x, &block.first, &format!("{name}.first"))?;
            let y = self.builder.add_node("Mul", &[&y, &scale], &format!("{name}.scaled"), &[]);
            let y = self.builder.add_node("Add", &[&y, &shift], &format!("{name}.shifted"), &[]);
            let y = self.builder.relu(&y, &format!("{name}.relu"));
            let y = self.conv3(&y, &block.second, &format!("{name}.second"))?;
            x = self.builder.add_node("Add", &[&x, &y], &format!("{name}.sum"), &[]);
        }
        let tail = self.conv3(&x, &trunk.tail, "tail")?;
        let residual = self.builder.depth_to_space(&tail, STRIDE as i64, "pixels");
        let Some(detail) = &trunk.detail else { return Ok(residual) };
        let enlarged = self.doubled(&residual, "larger")?;
        let quarters = self.conv(&x, &detail.quarters, 0, "quarters")?;
        let quarters = self.builder.depth_to_space(&quarters, 2, "quarters.apart");
        let quarters = self.builder.relu(&quarters, "quarters.relu");
        let tail = self.conv3(&quarters, &detail.tail, "detail")?;
        let pixels = self.builder.depth_to_space(&tail, STRIDE as i64, "detail.pixels");
        Ok(self.builder.add_node("Add", &[&enlarged, &pixels], "detailed", &[]))
    }

    /// Doubles the size, like [`double::double_images`].
    fn doubled(&mut self, x: &str, name: &str) -> Result<String, TrainingError> {
        let reach = double::FILTER_REACH as i64;
        let pads =
            self.builder.add_integers(&format!("{name}.pads"), &[0, 0, reach, reach, 0, 0, reach, reach]);
        let mode = ("mode", Attribute::Text("edge".into()));
        let padded = self.builder.add_node("Pad", &[x, &pads], &format!("{name}.around"), &[mode]);
        let shape = double::FILTER_SHAPE.map(|dim| dim as i64);
        let weight =
            self.builder.add_initializer(&format!("{name}.weight"), &shape, &double::phase_filters())?;
        let group = ("group", Attribute::Int(3));
        let phases = self.builder.add_node("Conv", &[&padded, &weight], &format!("{name}.phases"), &[group]);
        Ok(self.builder.depth_to_space(&phases, 2, name))
    }

    /// Adds a 3×3 convolution that keeps the size.
    fn conv3(&mut self, x: &str, conv: &Conv2d, name: &str) -> Result<String, TrainingError> {
        self.conv(x, conv, 1, name)
    }

    /// Adds a convolution with `pad` zeros on every side.
    fn conv(&mut self, x: &str, conv: &Conv2d, pad: i64, name: &str) -> Result<String, TrainingError> {
        let weight = self.weight(&format!("{name}.weight"), conv.weight.val())?;
        let bias = match &conv.bias {
            Some(bias) => self.weight(&format!("{name}.bias"), bias.val())?,
            None => String::new(),
        };
        Ok(self.builder.conv(x, &weight, &bias, 1, pad, name))
    }

    /// Adds outputs `start..end` of a dense layer, plus a constant.
    fn linear(
        &mut self,
        x: &str,
        layer: &Linear,
        name: &str,
        offset: f32,
        start: usize,
        end: usize,
    ) -> Result<String, TrainingError> {
        let outputs = layer.weight.val().dims()[1];
        let (start, count) = (start, end.min(outputs) - start);
        let weight = self.weight(&format!("{name}.weight"), layer.weight.val().narrow(1, start, count))?;
        let bias = match &layer.bias {
            Some(bias) => bias.val().narrow(0, start, count) + offset,
            None => Tensor::full([count], offset, &layer.weight.val().device()),
        };
        let bias = self.weight(&format!("{name}.bias"), bias)?;
        Ok(self.builder.gemm(x, &weight, &bias, name))
    }

    fn affine(&mut self, x: &str, name: &str, scale: f32, shift: f32) -> Result<String, TrainingError> {
        let scale = self.scalar(&format!("{name}.by"), scale)?;
        let scaled = self.builder.add_node("Mul", &[x, &scale], &format!("{name}.scaled"), &[]);
        let shift = self.scalar(&format!("{name}.plus"), shift)?;
        Ok(self.builder.add_node("Add", &[&scaled, &shift], name, &[]))
    }

    /// Reshapes `[n, c]` to `[n, c, 1, 1]`.
    fn reshape(&mut self, x: &str, channels: usize, name: &str) -> String {
        let shape = self.builder.add_integers(&format!("{name}.shape"), &[-1, channels as i64, 1, 1]);
        self.builder.add_node("Reshape", &[x, &shape], name, &[("allowzero", Attribute::Int(0))])
    }

    fn scalar(&mut self, name: &str, value: f32) -> Result<String, TrainingError> {
        Ok(self.builder.add_initializer(name, &[], &[value])?)
    }

    fn weight<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Result<String, TrainingError> {
        let dims = tensor.dims().map(|dim| dim as i64);
        let values = tensor.into_data().try_to_vec::<f32>().map_err(|error| {
            ModelError::UnreadableWeights { name: name.to_owned(), reason: format!("{error:?}") }
        })?;
        let add_initializer = if self.uses_half_floats {
            GraphBuilder::add_half_initializer
        } else {
            GraphBuilder::add_initializer
        };
        Ok(add_initializer(&mut self.builder, name, &dims, &values)?)
    }
}

#[cfg(test)]
mod tests {
    use burn::{
        module::Param,
        tensor::{Device, Distribution},
    };
    use lopside_onnx::encode_model;

    use super::*;
    use crate::engines::{OrtModel, TensorValues, load_cpu_runtime};

    fn noise(shape: [usize; 4], device: &Device) -> Tensor<4> {
        Tensor::random(shape, Distribution::Normal(0.0, 0.1), device)
    }

    fn values<const D: usize>(x: Tensor<D>) -> TensorValues {
        TensorValues { dims: x.dims().to_vec(), values: x.into_data().try_to_vec().unwrap() }
    }

    /// Returns the largest difference between a head of this scale in ONNX Runtime and in training, for
    /// samples of −0.5 to 0.5.
    fn difference(scale: usize) -> f32 {
        let device = Device::flex();
        device.seed(3);
        let spec = PhotoSpec { luma: 64, chroma: 16, merges: vec![6, 4], width: 5, blocks: 1, scale };
        let mut model = PhotoModel::new(&spec, &device);
        let random = |conv: &mut Conv2d| conv.weight = Param::from_tensor(noise(conv.weight.dims(), &device));
        random(&mut model.trunk.tail);
        random(&mut model.trunk.blocks[0].second);
        model.trunk.detail.iter_mut().for_each(|detail| random(&mut detail.tail));
        let layers: Vec<Tensor<4>> = (0..spec.levels())
            .rev()
            .map(|level| {
                noise(
                    [1, spec.layer_channels(level), 96 / spec.stride(level), 64 / spec.stride(level)],
                    &device,
                )
            })
            .collect();
        let quality = 30.0;
        let octave = COARSEST_OCTAVE - (quality - 1.0) / 99.0 * (COARSEST_OCTAVE - FINEST_OCTAVE);
        let expected = model.decode(&layers, Tensor::full([1, 1], octave, &device), &spec).clamp(-0.5, 0.5);
        let inputs: Vec<TensorValues> = layers
            .into_iter()
            .map(values)
            .chain([TensorValues { dims: vec![1, 1], values: vec![quality] }])
            .collect();
        let library =
            std::env::var("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`");
        let onnx = encode_model(&head_graph(&model, &spec).unwrap());
        let mut session = OrtModel::new(&load_cpu_runtime(library.as_ref()).unwrap(), "head", &onnx).unwrap();
        let found = session.run_each(&inputs).unwrap().remove(0);
        let expected = values(expected);
        assert_eq!(found.dims, expected.dims);
        assert_eq!(found.dims, [1, 3, 96 * scale, 64 * scale]);
        let pairs = found.values.iter().zip(&expected.values);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn heads_agree_with_the_trained_model() {
        let (same, twice) = (difference(1), difference(2));
        assert!(same < 1e-4, "{same}");
        // The weights of this head have 11 significant bits.
        assert!(twice < 3e-3, "{twice}");
    }
}
