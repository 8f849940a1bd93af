//! The models that every server runs: seeded weights, as a bundle for cloud-decoder and as plain ONNX for the
//! others.

use std::{fs, path::Path};

use clap::ValueEnum;
use lopside_bundle::{
    Dim as BundleDim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec, HeadKind, InputSpec,
    ModelCost, TensorSpec,
};
use lopside_latent::{Table, Tables};
use lopside_onnx::{Attribute, Dim, GraphBuilder, OnnxError, encode_model, proto::ModelProto};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{BenchError, error::io_error};

/// The name of every model's input.
pub(crate) const INPUT_NAME: &str = "latent";
/// The name of every model's output.
pub(crate) const OUTPUT_NAME: &str = "output";
/// The name of the bundles' only head.
const HEAD_NAME: &str = "tensor";
const SEED: u64 = 11;

/// A model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Model {
    /// One 1×1 convolution, which shows the cost of a request itself
    Tiny,
    /// Eleven convolutions, 451 million multiply-adds: an image decoder with an output of 128×128 pixels
    Decoder,
}

impl Model {
    /// Returns the name of the model: its bundle and the models of other servers have this name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Decoder => "decoder",
        }
    }

    /// Returns cloud-decoder's name for the model.
    pub(crate) fn head_name(self) -> String {
        format!("{}.{HEAD_NAME}", self.name())
    }

    /// Returns the shape `[channels, height, width]` of an input.
    pub(crate) const fn input_shape(self) -> [usize; 3] {
        match self {
            Self::Tiny => [8, 8, 8],
            Self::Decoder => [32, 16, 16],
        }
    }

    /// Returns the shape `[channels, height, width]` of an output.
    pub(crate) const fn output_shape(self) -> [usize; 3] {
        match self {
            Self::Tiny => [8, 8, 8],
            Self::Decoder => [3, 128, 128],
        }
    }

    /// Returns the maximum batch size. The decoder does not gain from larger batches on a CPU, and the first
    /// request of a batch waits for the last.
    pub(crate) const fn max_batch(self) -> usize {
        match self {
            Self::Tiny => 64,
            Self::Decoder => 8,
        }
    }

    /// Returns an input of integers, such as an entropy decoder outputs.
    pub(crate) fn input_values(self) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(SEED);
        (0..self.input_shape().iter().product()).map(|_| rng.random_range(-4..=4) as f32).collect()
    }

    /// Writes `folder/NAME.onnx` and the bundle `folder/NAME`.
    pub(crate) fn write_files(self, folder: &Path) -> Result<(), BenchError> {
        let path = folder.join(self.name()).with_extension("onnx");
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        fs::write(&path, self.onnx_bytes()?).map_err(io_error(&path))?;
        self.bundle_draft()?.write(
            &folder.join(self.name()),
            "# Benchmark model\n\nThe weights are random, with a fixed seed.\n",
        )?;
        Ok(())
    }

    /// Returns the model as ONNX.
    pub(crate) fn onnx_bytes(self) -> Result<Vec<u8>, BenchError> {
        Ok(encode_model(&self.graph()?))
    }

    fn graph(self) -> Result<ModelProto, OnnxError> {
        let mut layers = LayerBuilder::new(self.name());
        let x = layers.graph.add_input(INPUT_NAME, &batched_dims(self.input_shape()));
        match self {
            Self::Tiny => layers.conv(&x, [8, 8], 1, OUTPUT_NAME)?,
            Self::Decoder => layers.decoder(&x)?,
        };
        layers.graph.add_output(OUTPUT_NAME, &batched_dims(self.output_shape()));
        Ok(layers.graph.build())
    }

    fn bundle_draft(self) -> Result<FixedLatentDraft, BenchError> {
        let model = self.graph()?;
        let lopside_onnx::Cost { parameters, macs } = lopside_onnx::model_cost(&model, &[("n", 1)])?;
        let cost = ModelCost { parameters, macs };
        let channels = self.input_shape()[0];
        let head = FixedLatentDraftHead {
            name: HEAD_NAME.into(),
            version: 1,
            kind: HeadKind::Tensor {},
            model: encode_model(&model),
            inputs: vec![INPUT_NAME.into()],
            output: tensor_spec(OUTPUT_NAME, self.output_shape()),
            cost,
        };
        let table = Table::from_counts(-4, &[1; 9])?;
        Ok(FixedLatentDraft {
            name: self.name().into(),
            description: "Benchmark model with random weights".into(),
            input: InputSpec::Tensor {},
            encoder: b"stays at the edge".to_vec(),
            input_tensor: tensor_spec("input", self.input_shape()),
            encoder_cost: cost,
            latent: vec![FixedLatentLayerSpec {
                tensor: tensor_spec(INPUT_NAME, self.input_shape()),
                gains: vec![1.0; channels],
            }],
            tables: Tables::new(vec![table; channels])?,
            heads: vec![head],
        })
    }
}

/// A sequence of convolutions with seeded weights.
struct LayerBuilder {
    graph: GraphBuilder,
    rng: StdRng,
}

impl LayerBuilder {
    fn new(name: &str) -> Self {
        Self { graph: GraphBuilder::new(name), rng: StdRng::seed_from_u64(SEED) }
    }

    /// Adds three residual blocks at 16×16, followed by three doublings of the resolution with pixel shuffle.
    fn decoder(&mut self, latent: &str) -> Result<String, OnnxError> {
        let channels = 120;
        let mut x = self.add_relu_conv(latent, [32, channels], "in")?;
        for block in 0..3 {
            let inner = self.add_relu_conv(&x, [channels, channels], &format!("block{block}.0"))?;
            let outer = self.conv(&inner, [channels, channels], 3, &format!("block{block}.1"))?;
            x = self.graph.add_node("Add", &[&x, &outer], &format!("block{block}"), &[]);
        }
        let upsampled = self.add_relu_conv(&x, [channels, 256], "up32")?;
        let upsampled = self.add_pixel_shuffle(&upsampled, "shuffle32");
        let upsampled = self.add_relu_conv(&upsampled, [64, 64], "at32")?;
        let upsampled = self.add_relu_conv(&upsampled, [64, 192], "up64")?;
        let upsampled = self.add_pixel_shuffle(&upsampled, "shuffle64");
        let upsampled = self.conv(&upsampled, [48, 12], 3, "up128")?;
        Ok(self.add_pixel_shuffle(&upsampled, OUTPUT_NAME))
    }

    fn conv(
        &mut self,
        x: &str,
        [in_channels, out_channels]: [i64; 2],
        kernel_size: i64,
        name: &str,
    ) -> Result<String, OnnxError> {
        let fan_in = in_channels * kernel_size * kernel_size;
        let scale = (3.0 / fan_in as f32).sqrt();
        let weights: Vec<f32> =
            (0..fan_in * out_channels).map(|_| self.rng.random_range(-scale..scale)).collect();
        let weights = self.graph.add_initializer(
            &format!("{name}.w"),
            &[out_channels, in_channels, kernel_size, kernel_size],
            &weights,
        )?;
        let biases: Vec<f32> = (0..out_channels).map(|_| self.rng.random_range(-0.1..0.1)).collect();
        let biases = self.graph.add_initializer(&format!("{name}.b"), &[out_channels], &biases)?;
        Ok(self.graph.conv(x, &weights, &biases, 1, kernel_size / 2, name))
    }

    fn add_relu_conv(&mut self, x: &str, channels: [i64; 2], name: &str) -> Result<String, OnnxError> {
        let conv = self.conv(x, channels, 3, &format!("{name}.conv"))?;
        Ok(self.graph.relu(&conv, name))
    }

    /// Rearranges `[n, 4 c, h, w]` to `[n, c, 2 h, 2 w]`.
    fn add_pixel_shuffle(&mut self, x: &str, name: &str) -> String {
        let attributes = [("blocksize", Attribute::Int(2)), ("mode", Attribute::Text("CRD".into()))];
        self.graph.add_node("DepthToSpace", &[x], name, &attributes)
    }
}

/// Returns the specification of a tensor with a batch axis of any size.
fn tensor_spec(name: &str, shape: [usize; 3]) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        shape: std::iter::once(BundleDim::Symbol("n".into()))
            .chain(shape.map(|extent| BundleDim::Fixed(extent as u32)))
            .collect(),
    }
}

/// Returns the dimensions with a batch axis of any size.
fn batched_dims(shape: [usize; 3]) -> Vec<Dim> {
    std::iter::once("n".into()).chain(shape.map(|extent| Dim::Fixed(extent as i64))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lopside_bundle::{BundlePart, FixedLatentBundle};

    #[test]
    fn the_bundles_load() {
        let folder = tempfile::tempdir().unwrap();
        for model in [Model::Tiny, Model::Decoder] {
            model.write_files(folder.path()).unwrap();
            let bundle =
                FixedLatentBundle::load(&folder.path().join(model.name()), BundlePart::Heads).unwrap();
            drop(bundle);
        }
    }

    #[test]
    fn the_decoder_has_eleven_convolutions_of_451_million_multiply_adds() {
        let graph = Model::Decoder.graph().unwrap();
        let nodes = &graph.graph.as_ref().unwrap().node;
        assert_eq!(nodes.iter().filter(|node| node.op_type() == "Conv").count(), 11);
        assert_eq!(lopside_onnx::model_cost(&graph, &[("n", 1)]).unwrap().macs / 1_000_000, 450);
    }
}
