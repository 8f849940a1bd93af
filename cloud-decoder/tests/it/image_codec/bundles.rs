//! An image codec that can be computed by hand: a sample is the sum of its layers' integers and the quality.

use std::path::Path;

use lopside_bundle::{
    BundlePart, Channels, Dim, FixedLatentDraft, FixedLatentDraftHead, FixedLatentLayerSpec, HeadKind,
    ImageSpec, InputSpec, LATENT_SPACE_KEY, ModelCost, TensorSpec,
    image_codec::{
        AnyBundle, ImageCodecBundle, ImageCodecCost, ImageCodecDraft, ImageCodecDraftHead, ImageCodecInput,
        ImageCodecLayerSpec, ImageCodecQuantiserSpec,
    },
};
use lopside_latent::{
    IdOnWire, Table, Tables,
    image_codec::{
        CLASSES, ChannelContext, ContextModel, ImageCodecHeader, ImageCodecSpace, Quality, ROW_CLASSES,
    },
};
use lopside_onnx::{Attribute, GraphBuilder, encode_model, set_metadata};

/// Strides of the layers. Each layer has three channels per pixel, so one layer can represent any image.
pub(crate) const STRIDES: [usize; 2] = [4, 2];
pub(crate) const QUALITY: u8 = 7;

/// Writes the bundle `photo` with the heads `plain` and `double`, and loads it.
pub(crate) fn photo(folder: &Path) -> ImageCodecBundle {
    write_photo(folder, 1)
}

/// Writes and loads the bundle with this scale of the head `plain`, which its model may not match.
pub(crate) fn write_photo(folder: &Path, scale: u32) -> ImageCodecBundle {
    write_draft(folder, draft(scale))
}

/// Writes the bundle with a further head `slow`, which makes the same image as `plain` and takes about a second for
/// 1000 pixels.
pub(crate) fn slow_photo(folder: &Path) -> ImageCodecBundle {
    let mut draft = draft(1);
    draft.heads.push(ImageCodecDraftHead { name: "slow".into(), ..draft.heads[0].clone() });
    write_draft(folder, draft)
}

fn write_draft(folder: &Path, mut draft: ImageCodecDraft) -> ImageCodecBundle {
    let id = draft.latent_space().to_string();
    for draft_head in &mut draft.heads {
        draft_head.model = match draft_head.name.as_str() {
            "double" => head(&id, Variant::Double),
            "slow" => head(&id, Variant::Slow),
            _ => head(&id, Variant::Plain),
        };
    }
    draft.write(folder, "# Photo\n").unwrap();
    let AnyBundle::ImageCodec(bundle) = AnyBundle::load(folder, BundlePart::Heads).unwrap() else { panic!() };
    bundle
}

fn draft(scale: u32) -> ImageCodecDraft {
    let layers = STRIDES.map(|stride| ImageCodecLayerSpec {
        tensor: format!("layer{stride}"),
        channels: (3 * stride * stride) as u32,
        stride: stride as u32,
    });
    let gains = STRIDES.map(|stride| vec![1.0; 3 * stride * stride]);
    let cost = ImageCodecCost { parameters: 12, macs_per_pixel: 1.5 };
    let head = |name: &str, scale| ImageCodecDraftHead {
        name: name.into(),
        version: 1,
        model: Vec::new(),
        quality: "quality".into(),
        output: "picture".into(),
        scale,
        cost,
    };
    ImageCodecDraft {
        name: "photo".into(),
        description: "Sums of integers".into(),
        input: ImageCodecInput { low: 0.0, high: 1.0, reach: 0 },
        encoder: b"stays at the edge".to_vec(),
        input_tensor: "image".into(),
        bands: "bands".into(),
        fast: None,
        encoder_cost: cost,
        layers: layers.to_vec(),
        quantiser: ImageCodecQuantiserSpec {
            steps: vec![1.0 / 255.0; 100],
            gains: gains.to_vec(),
            rounding: vec![0.5; 2],
        },
        contexts: contexts(),
        heads: vec![head("plain", scale), head("double", 2)],
    }
}

fn contexts() -> ContextModel {
    let channels: usize = STRIDES.iter().map(|stride| 3 * stride * stride).sum();
    let channel = ChannelContext {
        predictor: [0; 4],
        neighbour_weights: [60, 70, 20, 20, 10, 10],
        average_weight: 100,
        biases: vec![8; 100],
        zero_plane_odds: [2000, 50000],
        references: Vec::new(),
        tables: vec![0; CLASSES],
    };
    let zero_rows = vec![(1..=ROW_CLASSES as u16).rev().map(|odds| odds * 700).collect(); 2];
    let tables = Tables::new(vec![Table::from_counts(-1, &[1, 4, 1]).unwrap()]).unwrap();
    ContextModel::new(vec![channel; channels], zero_rows, tables).unwrap()
}

/// The head whose model is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Plain,
    /// Repeats each pixel.
    Double,
    /// Takes a detour with a result of 0.
    Slow,
}

/// Returns the model of a head. It rearranges the channels of each layer to pixels, adds the layers, and adds
/// the quality in 8-bit samples.
fn head(latent_space: &str, variant: Variant) -> Vec<u8> {
    use lopside_onnx::Dim;
    let dims = |channels: i64, suffix: &str| {
        [1.into(), channels.into(), Dim::Symbol(format!("h{suffix}")), Dim::Symbol(format!("w{suffix}"))]
    };
    let mut graph = GraphBuilder::new("sum");
    let pixels = STRIDES.map(|stride| {
        let size = stride as i64;
        let layer = graph.add_input(&format!("layer{stride}"), &dims(3 * size * size, &stride.to_string()));
        let attributes = [("blocksize", Attribute::Int(size)), ("mode", Attribute::Text("DCR".into()))];
        graph.add_node("DepthToSpace", &[&layer], &format!("pixels{stride}"), &attributes)
    });
    let quality = graph.add_input("quality", &[1.into(), 1.into()]);
    let sample = graph.add_initializer("sample", &[1], &[1.0 / 255.0]).unwrap();
    let quality = graph.add_node("Mul", &[&quality, &sample], "offset", &[]);
    let sum = graph.add_node("Add", &[&pixels[0], &pixels[1]], "sum", &[]);
    let output_name = if variant == Variant::Plain { "picture" } else { "once" };
    let sum = graph.add_node("Add", &[&sum, &quality], output_name, &[]);
    if variant == Variant::Slow {
        let zero = detour(&mut graph, &sum);
        graph.add_node("Add", &[&sum, &zero], "picture", &[]);
    }
    if variant == Variant::Double {
        let ones = graph.add_initializer("ones", &[3, 1, 2, 2], &[1.0; 12]).unwrap();
        let attributes = [("group", Attribute::Int(3)), ("strides", Attribute::Ints(vec![2, 2]))];
        graph.add_node("ConvTranspose", &[&sum, &ones], "picture", &attributes);
    }
    graph.add_output("picture", &dims(3, ""));
    let mut model = graph.build();
    set_metadata(&mut model, LATENT_SPACE_KEY, latent_space);
    encode_model(&model)
}

/// Adds many convolutions with a result of 0, each of which is an operator at which a run can end.
fn detour(graph: &mut GraphBuilder, pixels: &str) -> String {
    const WIDTH: i64 = 256;
    const STEPS: usize = 100;
    let zeros = |graph: &mut GraphBuilder, name: &str, [outputs, inputs, kernel]: [i64; 3]| {
        let values = vec![0.0; (outputs * inputs * kernel * kernel) as usize];
        graph.add_initializer(name, &[outputs, inputs, kernel, kernel], &values).unwrap()
    };
    let widen = zeros(graph, "widen", [WIDTH, 3, 1]);
    let square = zeros(graph, "square", [WIDTH, WIDTH, 3]);
    let narrow = zeros(graph, "narrow", [3, WIDTH, 1]);
    let mut wide = graph.conv(pixels, &widen, "", 1, 0, "wide");
    for step in 0..STEPS {
        wide = graph.conv(&wide, &square, "", 1, 1, &format!("step{step}"));
    }
    graph.conv(&wide, &narrow, "", 1, 0, "nothing")
}

/// An image as the integers of its layers.
pub(crate) struct TestImage {
    pub(crate) header: ImageCodecHeader,
    pub(crate) layers: Vec<Vec<i16>>,
}

impl TestImage {
    pub(crate) fn new(space: &ImageCodecSpace, [width, height]: [u32; 2], grey: bool) -> Self {
        let header =
            ImageCodecHeader { width, height, is_grey: grey, quality: Quality::new(QUALITY).unwrap() };
        let layer = |layer: usize| {
            let value = |i: usize| ((i * (37 + layer) + 11) % (180 - 150 * layer)) as i16 - 10;
            (0..space.layout().elements(layer, width, height)).map(value).collect()
        };
        Self { header, layers: vec![layer(0), layer(1)] }
    }

    pub(crate) fn frame(&self, space: &ImageCodecSpace) -> Vec<u8> {
        space.encode_integers(self.header, &self.layers, IdOnWire::Present).unwrap()
    }

    /// Returns the output of the head `plain` for one pixel and the first layers, in 8-bit samples before
    /// clamping.
    pub(crate) fn pixel(&self, layers: usize, x: usize, y: usize) -> [i16; 3] {
        let columns = (self.header.width as usize).next_multiple_of(STRIDES[0]);
        let rows = (self.header.height as usize).next_multiple_of(STRIDES[0]);
        [0, 1, 2].map(|channel| {
            let layer_value = |(&stride, values): (&usize, &Vec<i16>)| {
                let map = (y % stride * stride + x % stride) * 3 + channel;
                values[map * (rows / stride) * (columns / stride)
                    + y / stride * (columns / stride)
                    + x / stride]
            };
            let sum: i16 = STRIDES.iter().zip(&self.layers).take(layers).map(layer_value).sum();
            sum + i16::from(QUALITY)
        })
    }

    /// Returns the 8-bit samples of the image, pixel by pixel.
    pub(crate) fn samples(&self, layers: usize) -> Vec<u8> {
        let clamp = |value: i16| value.clamp(0, 255) as u8;
        let (width, height) = (self.header.width as usize, self.header.height as usize);
        let pixels = (0..width * height).map(|index| self.pixel(layers, index % width, index / width));
        if self.header.is_grey {
            return pixels
                .map(|pixel| clamp((f32::from(pixel.iter().sum::<i16>()) / 3.0).round() as i16))
                .collect();
        }
        pixels.flat_map(|pixel| pixel.map(clamp)).collect()
    }
}

fn image_spec() -> ImageSpec {
    ImageSpec::with_uniform_range(2, 1, Channels::Grey, 0.0, 1.0)
}

/// Writes the bundle `vector`, whose latents have two values, and returns a frame of it.
pub(crate) fn fixed_latent(folder: &Path) -> Vec<u8> {
    let tensor =
        |name: &str| TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(2)] };
    let mut graph = GraphBuilder::new("same");
    let latent = graph.add_input("latent", &["n".into(), 2.into()]);
    graph.relu(&latent, "picture");
    graph.add_output("picture", &["n".into(), 2.into()]);
    let cost = ModelCost { parameters: 0, macs: 2 };
    let head = FixedLatentDraftHead {
        name: "reconstruct".into(),
        version: 1,
        kind: HeadKind::Reconstruct(image_spec()),
        model: encode_model(&graph.build()),
        inputs: vec!["latent".into()],
        output: tensor("picture"),
        cost,
    };
    let draft = FixedLatentDraft {
        name: "vector".into(),
        description: "Two values for two pixels".into(),
        input: InputSpec::Picture(image_spec()),
        encoder: b"stays at the edge".to_vec(),
        input_tensor: tensor("image"),
        encoder_cost: cost,
        latent: vec![FixedLatentLayerSpec { tensor: tensor("latent"), gains: vec![10.0; 2] }],
        tables: Tables::new(vec![Table::from_counts(0, &[1; 11]).unwrap(); 2]).unwrap(),
        heads: vec![head],
    };
    draft.write(folder, "# Vector\n").unwrap();
    draft.build_space().unwrap().encode(&[1.0, 0.5], IdOnWire::Present).unwrap()
}
