//! From weights to the two ONNX models of a photo bundle.
//!
//! ```text
//! encoder   picture [n, 3, h + 8, w + 8] ─► bands ─► layer32, layer16, layer8
//! head      layer32, layer16, layer8, quality [n, 1] ─► reconstruction [n, 3, h, w]
//! ```
//! The layers are named after their strides. Between the halves stand quantiser and entropy coder.

use burn::{
    nn::{Linear, conv::Conv2d},
    tensor::Tensor,
};
use lopside_onnx::{Attribute, Dim, GraphBuilder, proto::ModelProto};

use super::{
    lapped::Parity,
    model::{COARSEST, FINEST, PhotoModel},
    spec::{REACH, STRIDE, Spec},
    transform::Filters,
    trunk::{KNEE, Trunk},
};
use crate::TrainingError;

/// The encoder's input, `[n, 3, h + 8, w + 8]`, samples −0.5 to 0.5.
pub(crate) const PICTURE: &str = "picture";
/// The tensor up to which strips of the picture do not know of each other.
pub(crate) const BANDS: &str = "bands";
/// The head's quality input, `[n, 1]`, 1 to 100.
pub(crate) const QUALITY: &str = "quality";
/// The head's output, `[n, 3, h, w]`, samples −0.5 to 0.5.
pub(crate) const RECONSTRUCTION: &str = "reconstruction";

/// The tensor of a layer.
pub(crate) fn layer_name(spec: &Spec, level: usize) -> String {
    format!("layer{}", spec.stride(level))
}

/// The encoder half.
pub(crate) fn encoder(model: &PhotoModel, spec: &Spec) -> Result<ModelProto, TrainingError> {
    let mut graph = Graph::new("photo-encoder", spec);
    let picture = graph.builder.input(PICTURE, &dims(3, "h", "w"));
    let weight = graph.weight("analysis", model.analysis.symmetric_bands(spec))?;
    let mut bands = graph.builder.conv(&picture, &weight, "", STRIDE as i64, 0, BANDS);
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
        let (h, w) = sides(spec, level);
        graph.builder.output(&layer_name(spec, level), &dims(spec.kept(level), &h, &w));
    }
    Ok(graph.builder.build())
}

/// The head that reconstructs.
pub(crate) fn head(model: &PhotoModel, spec: &Spec) -> Result<ModelProto, TrainingError> {
    let mut graph = Graph::new("photo-reconstruct", spec);
    let layers: Vec<String> = (0..spec.levels())
        .rev()
        .map(|level| {
            let (h, w) = sides(spec, level);
            graph.builder.input(&layer_name(spec, level), &dims(spec.kept(level), &h, &w))
        })
        .collect();
    let quality = graph.builder.input(QUALITY, &[Dim::from("n"), Dim::Fixed(1)]);
    let condition = graph.affine(&quality, "condition", -2.0 / 99.0, 1.0 + 2.0 / 99.0)?;
    let octave =
        graph.affine(&condition, "octave", (COARSEST - FINEST) / 2.0, f32::midpoint(COARSEST, FINEST))?;
    let nats = graph.affine(&octave, "nats", std::f32::consts::LN_2, -255.0_f32.ln())?;
    let exp = graph.builder.node("Exp", &[&nats], "exp", &[]);
    let step = graph.reshape(&exp, 1, "step");
    let bands = graph.unmerge(&model.synthesis, &layers)?;
    let linear = graph.synthesise(&model.synthesis, &bands)?;
    let in_steps = graph.builder.node("Div", &[&bands, &step], "in_steps", &[]);
    let residual = graph.trunk(&model.trunk, &in_steps, &condition)?;
    let residual = graph.builder.node("Mul", &[&residual, &step], "residual", &[]);
    let sum = graph.builder.node("Add", &[&linear, &residual], "sum", &[]);
    let (low, high) = (graph.scalar("low", -0.5)?, graph.scalar("high", 0.5)?);
    graph.builder.node("Clip", &[&sum, &low, &high], RECONSTRUCTION, &[]);
    graph.builder.output(RECONSTRUCTION, &dims(3, "h", "w"));
    Ok(graph.builder.build())
}

fn sides(spec: &Spec, level: usize) -> (String, String) {
    (format!("h{}", spec.stride(level)), format!("w{}", spec.stride(level)))
}

/// A batch of feature maps.
pub(crate) fn dims(channels: usize, h: &str, w: &str) -> [Dim; 4] {
    [Dim::from("n"), Dim::Fixed(channels as i64), Dim::from(h), Dim::from(w)]
}

struct Graph<'a> {
    builder: GraphBuilder,
    spec: &'a Spec,
    rings: usize,
}

impl<'a> Graph<'a> {
    fn new(name: &str, spec: &'a Spec) -> Self {
        Self { builder: GraphBuilder::new(name), spec, rings: 0 }
    }

    /// A ring of mirrored neighbours, as [`mirror::ring`](super::mirror::ring) makes it.
    fn ring(&mut self, x: &str, parities: &[[Parity; 2]]) -> Result<String, TrainingError> {
        self.rings += 1;
        let prefix = format!("ring{}", self.rings);
        let mut x = x.to_owned();
        for axis in 0..2 {
            let name = |part: &str| format!("{prefix}.{axis}.{part}");
            let signs: Vec<f32> = parities.iter().map(|parity| parity[axis].sign()).collect();
            let shape = [1, parities.len() as i64, 1, 1];
            let signs = self.builder.initializer(&name("signs"), &shape, &signs)?;
            let dim = axis as i64 + 2;
            let first = self.builder.slice(&x, dim, 0, 1, &name("first"));
            let first = self.builder.node("Mul", &[&first, &signs], &name("before"), &[]);
            let last = self.builder.slice(&x, dim, -1, i64::MAX, &name("last"));
            let last = self.builder.node("Mul", &[&last, &signs], &name("after"), &[]);
            x = self.builder.concat(&[&first, &x, &last], dim, &name("all"));
        }
        Ok(x)
    }

    fn unmerge(&mut self, filters: &Filters, layers: &[String]) -> Result<String, TrainingError> {
        let mut bands = layers[0].clone();
        for (level, layer) in (0..self.spec.merges.len()).rev().zip(&layers[1..]) {
            let ring = self.ring(&bands, &self.spec.parities(level + 1))?;
            let weight = self.weight(&format!("unmerge{level}"), filters.merges[level].val())?;
            let low = self.builder.conv_transpose(&ring, &weight, 2, 3, &format!("unmerged{level}"));
            bands = self.builder.concat(&[&low, layer], 1, &format!("bands{level}"));
        }
        Ok(bands)
    }

    fn synthesise(&mut self, filters: &Filters, bands: &str) -> Result<String, TrainingError> {
        let ring = self.ring(bands, &self.spec.parities(0))?;
        let weight = self.weight("synthesis", filters.bands.val())?;
        Ok(self.builder.conv_transpose(&ring, &weight, STRIDE as i64, (STRIDE + REACH) as i64, "linear"))
    }

    fn trunk(&mut self, trunk: &Trunk, bands: &str, condition: &str) -> Result<String, TrainingError> {
        let magnitude = self.builder.node("Abs", &[bands], "magnitude", &[]);
        let divisor = self.affine(&magnitude, "divisor", 1.0 / KNEE, 1.0)?;
        let bent = self.builder.node("Div", &[bands, &divisor], "bent", &[]);
        let mut description = condition.to_owned();
        for (i, layer) in trunk.condition.iter().enumerate() {
            let linear = self.linear(&description, layer, &format!("describe{i}"), 0.0, 0, usize::MAX)?;
            description = self.builder.relu(&linear, &format!("description{i}"));
        }
        let mut x = self.conv3(&bent, &trunk.head, "head")?;
        for (i, block) in trunk.blocks.iter().enumerate() {
            let name = |part: &str| format!("block{i}.{part}");
            let width = self.spec.width;
            let scale = self.linear(&description, &block.film, &name("scale"), 1.0, 0, width)?;
            let shift = self.linear(&description, &block.film, &name("shift"), 0.0, width, 2 * width)?;
            let scale = self.reshape(&scale, width, &name("scale4"));
            let shift = self.reshape(&shift, width, &name("shift4"));
            let y = self.conv3(&x, &block.first, &name("first"))?;
            let y = self.builder.node("Mul", &[&y, &scale], &name("scaled"), &[]);
            let y = self.builder.node("Add", &[&y, &shift], &name("shifted"), &[]);
            let y = self.builder.relu(&y, &name("relu"));
            let y = self.conv3(&y, &block.second, &name("second"))?;
            x = self.builder.node("Add", &[&x, &y], &name("sum"), &[]);
        }
        let tail = self.conv3(&x, &trunk.tail, "tail")?;
        Ok(self.builder.depth_to_space(&tail, STRIDE as i64, "pixels"))
    }

    /// A 3×3 convolution that keeps the size.
    fn conv3(&mut self, x: &str, conv: &Conv2d, name: &str) -> Result<String, TrainingError> {
        let weight = self.weight(&format!("{name}.weight"), conv.weight.val())?;
        let bias = match &conv.bias {
            Some(bias) => self.weight(&format!("{name}.bias"), bias.val())?,
            None => String::new(),
        };
        Ok(self.builder.conv(x, &weight, &bias, 1, 1, name))
    }

    /// Outputs `from..to` of a dense layer, plus a constant.
    fn linear(
        &mut self,
        x: &str,
        layer: &Linear,
        name: &str,
        plus: f32,
        from: usize,
        to: usize,
    ) -> Result<String, TrainingError> {
        let outputs = layer.weight.val().dims()[1];
        let (from, count) = (from, to.min(outputs) - from);
        let weight = self.weight(&format!("{name}.weight"), layer.weight.val().narrow(1, from, count))?;
        let bias = match &layer.bias {
            Some(bias) => bias.val().narrow(0, from, count) + plus,
            None => Tensor::full([count], plus, &layer.weight.val().device()),
        };
        let bias = self.weight(&format!("{name}.bias"), bias)?;
        Ok(self.builder.gemm(x, &weight, &bias, name))
    }

    fn affine(&mut self, x: &str, name: &str, scale: f32, shift: f32) -> Result<String, TrainingError> {
        let scale = self.scalar(&format!("{name}.by"), scale)?;
        let scaled = self.builder.node("Mul", &[x, &scale], &format!("{name}.scaled"), &[]);
        let shift = self.scalar(&format!("{name}.plus"), shift)?;
        Ok(self.builder.node("Add", &[&scaled, &shift], name, &[]))
    }

    /// `[n, c]` to `[n, c, 1, 1]`.
    fn reshape(&mut self, x: &str, channels: usize, name: &str) -> String {
        let shape = self.builder.integers(&format!("{name}.shape"), &[-1, channels as i64, 1, 1]);
        self.builder.node("Reshape", &[x, &shape], name, &[("allowzero", Attribute::Int(0))])
    }

    fn scalar(&mut self, name: &str, value: f32) -> Result<String, TrainingError> {
        Ok(self.builder.initializer(name, &[], &[value])?)
    }

    fn weight<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Result<String, TrainingError> {
        let dims = tensor.dims().map(|dim| dim as i64);
        let values = tensor.into_data().try_to_vec::<f32>().map_err(|error| TrainingError::Model {
            model: format!("weights of {name}"),
            reason: format!("{error:?}"),
        })?;
        Ok(self.builder.initializer(name, &dims, &values)?)
    }
}
