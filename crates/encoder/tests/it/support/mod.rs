//! The bundle of an image codec as the trainer writes it, with artificial weights.

use lopside_bundle::{
    BundlePart,
    image_codec::{
        AnyBundle, ImageCodecBundle, ImageCodecCost, ImageCodecDraft, ImageCodecDraftHead, ImageCodecInput,
        ImageCodecLayerSpec, ImageCodecQuantiserSpec,
    },
};
use lopside_latent::{
    Table, Tables,
    image_codec::{CLASSES, ChannelContext, ContextModel, ROW_CLASSES},
};
use lopside_onnx::{Dim, GraphBuilder, encode_model};

/// Number of mirrored samples on every side.
pub(crate) const REACH: u32 = 4;

/// Shape of a model: the number of bands at a stride of 8, and the number of bands per level that are merged
/// into the next level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    pub(crate) bands: usize,
    pub(crate) merges: &'static [usize],
    /// Whether the finest layer is scaled, and not a plain copy of bands.
    pub(crate) scaled: bool,
}

pub(crate) const SMALL: Model = Model { bands: 10, merges: &[4, 3], scaled: false };

impl Model {
    /// Returns the layers, coarsest first.
    pub(crate) fn layers(&self) -> Vec<ImageCodecLayerSpec> {
        let levels = self.merges.len() + 1;
        let layer = |level: usize| {
            let channels = if level == 0 { self.bands } else { 4 * self.merges[level - 1] };
            let unmerged = channels - self.merges.get(level).copied().unwrap_or(0);
            let tensor = if levels == 1 { "bands".to_owned() } else { format!("layer{}", 8 << level) };
            ImageCodecLayerSpec { tensor, channels: unmerged as u32, stride: 8 << level }
        };
        (0..levels).rev().map(layer).collect()
    }

    /// Returns the ONNX file of the encoder with these outputs.
    pub(crate) fn encoder(&self, outputs: &[&str]) -> Vec<u8> {
        let mut graph = GraphBuilder::new("encoder");
        let dims = |channels: i64| [Dim::from("n"), channels.into(), Dim::from("h"), Dim::from("w")];
        let image = graph.add_input("picture", &dims(3));
        let weight = weights(&mut graph, "analysis", [self.bands, 3, 16, 16]);
        let mut bands = graph.conv(&image, &weight, "", 8, 0, "bands");
        for (level, &merged) in self.merges.iter().enumerate() {
            let low = graph.slice(&bands, 1, 0, merged as i64, &format!("low{level}"));
            let name = format!("layer{}", 8 << level);
            if level == 0 && self.scaled {
                let unmerged = graph.slice(&bands, 1, merged as i64, i64::MAX, "kept");
                let factor = graph.add_initializer("two", &[], &[2.0]).unwrap();
                graph.add_node("Mul", &[&unmerged, &factor], &name, &[]);
            } else {
                graph.slice(&bands, 1, merged as i64, i64::MAX, &name);
            }
            let ring = ring(&mut graph, &low, merged, level);
            let weight = weights(&mut graph, &format!("merge{level}"), [4 * merged, merged, 4, 4]);
            let is_last = level + 1 == self.merges.len();
            let name = if is_last { format!("layer{}", 16 << level) } else { format!("merged{level}") };
            bands = graph.conv(&ring, &weight, "", 2, 0, &name);
        }
        for output in outputs {
            graph.add_output(output, &dims(1));
        }
        encode_model(&graph.build())
    }

    /// Writes a bundle with this model, and loads it.
    pub(crate) fn bundle(&self, folder: &std::path::Path) -> ImageCodecBundle {
        let layers = self.layers();
        let tensors: Vec<&str> = layers.iter().map(|layer| layer.tensor.as_str()).collect();
        let cost = ImageCodecCost { parameters: 1, macs_per_pixel: 1.0 };
        let head = ImageCodecDraftHead {
            name: "reconstruct".into(),
            version: 1,
            model: b"no model".to_vec(),
            quality: "quality".into(),
            output: "reconstruction".into(),
            scale: 1,
            cost,
        };
        let draft = ImageCodecDraft {
            name: "photo-test".into(),
            description: "A photo model of made-up weights.".into(),
            input: ImageCodecInput { low: -0.5, high: 0.5, reach: REACH },
            encoder: self.encoder(&tensors),
            input_tensor: "picture".into(),
            bands: "bands".into(),
            fast: None,
            encoder_cost: cost,
            quantiser: ImageCodecQuantiserSpec {
                steps: (0..100).map(|quality| 2.0 * 0.95_f32.powi(quality)).collect(),
                gains: layers.iter().map(|layer| vec![1.0; layer.channels as usize]).collect(),
                rounding: vec![0.5; layers.len()],
            },
            contexts: contexts(&layers),
            layers,
            heads: vec![head],
        };
        draft.write(folder, "# A test\n").unwrap();
        match AnyBundle::load(folder, BundlePart::Encoder).unwrap() {
            AnyBundle::ImageCodec(bundle) => bundle,
            AnyBundle::FixedLatent(_) => unreachable!("the bundle has schema 2"),
        }
    }
}

/// Adds a ring of mirrored neighbours, with a sign per channel.
fn ring(graph: &mut GraphBuilder, x: &str, channels: usize, level: usize) -> String {
    let mut x = x.to_owned();
    for axis in 0..2 {
        let name = |part: &str| format!("ring{level}.{axis}.{part}");
        let signs: Vec<f32> = (0..channels).map(|c| if (c >> axis) % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let signs = graph.add_initializer(&name("signs"), &[1, channels as i64, 1, 1], &signs).unwrap();
        let dim = axis as i64 + 2;
        let first = graph.slice(&x, dim, 0, 1, &name("first"));
        let first = graph.add_node("Mul", &[&first, &signs], &name("before"), &[]);
        let last = graph.slice(&x, dim, -1, i64::MAX, &name("last"));
        let last = graph.add_node("Mul", &[&last, &signs], &name("after"), &[]);
        x = graph.concat(&[&first, &x, &last], dim, &name("all"));
    }
    x
}

/// Adds artificial weights whose outputs are about as large as the inputs.
fn weights(graph: &mut GraphBuilder, name: &str, dims: [usize; 4]) -> String {
    let count: usize = dims.iter().product();
    let scale = (3.0 / (count / dims[0]) as f32).sqrt();
    let values: Vec<f32> =
        (0..count as u32).map(|i| scale * (hash(i) as f32 / 2.0_f32.powi(31) - 1.0)).collect();
    graph.add_initializer(name, &dims.map(|dim| dim as i64), &values).unwrap()
}

/// Returns a pseudo-random number.
pub(crate) fn hash(i: u32) -> u32 {
    let mut x = i.wrapping_mul(0x9e37_79b9) ^ 0x85eb_ca6b;
    x = (x ^ x >> 16).wrapping_mul(0x7feb_352d);
    x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

fn contexts(layers: &[ImageCodecLayerSpec]) -> ContextModel {
    let channels: u32 = layers.iter().map(|layer| layer.channels).sum();
    let channel = ChannelContext {
        predictor: [0; 4],
        neighbour_weights: [60, 70, 20, 20, 10, 10],
        average_weight: 100,
        biases: (0..100).collect(),
        zero_plane_odds: [2000, 50000],
        references: Vec::new(),
        tables: (0..CLASSES as u32).map(|class| class / 17).collect(),
    };
    let table = |counts: &[u64]| Table::from_counts(-(counts.len() as i32 / 2), counts).unwrap();
    let tables =
        Tables::new(vec![table(&[1, 30, 1]), table(&[1, 4, 9, 4, 1]), table(&[1, 2, 3, 4, 3, 2, 1])])
            .unwrap();
    let zero_rows = vec![(1..=ROW_CLASSES as u16).rev().map(|odds| odds * 700).collect(); layers.len()];
    ContextModel::new(vec![channel; channels as usize], zero_rows, tables).unwrap()
}
