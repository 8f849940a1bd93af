//! An image codec that can be computed by hand: a sample is the sum of its layers' integers and the quality.

use std::path::Path;

use lopside_bundle::{
    Channels, Cost, Dim, Draft, DraftHead, HeadKind, InputSpec, LATENT_SPACE_KEY, LatentSpec, Part,
    PictureSpec, TensorSpec,
    picture::{
        AnyBundle, LayerSpec, PictureBundle, PictureCost, PictureDraft, PictureDraftHead, PictureInput,
        PictureQuantiserSpec,
    },
};
use lopside_latent::{
    IdOnWire, Table, Tables,
    picture::{CLASSES, ChannelContext, ContextModel, PictureHeader, PictureSpace, Quality, ROW_CLASSES},
};
use lopside_onnx::{Attribute, GraphBuilder, encode, set_metadata};

/// Strides of the layers. Each layer has three channels per pixel, so one layer can represent any image.
pub(crate) const STRIDES: [usize; 2] = [4, 2];
pub(crate) const QUALITY: u8 = 7;

/// Writes the bundle `photo` with the heads `plain` and `double`, and loads it.
pub(crate) fn photo(folder: &Path) -> PictureBundle {
    write_photo(folder, 1)
}

/// Writes and loads the bundle with this scale of the head `plain`, which its model may not match.
pub(crate) fn write_photo(folder: &Path, scale: u32) -> PictureBundle {
    let mut draft = draft(scale);
    let id = draft.latent_space().to_string();
    draft.heads[0].model = head(&id, false);
    draft.heads[1].model = head(&id, true);
    draft.write(folder, "# Photo\n").unwrap();
    let AnyBundle::Picture(bundle) = AnyBundle::load(folder, Part::Heads).unwrap() else { panic!() };
    bundle
}

fn draft(scale: u32) -> PictureDraft {
    let layers = STRIDES.map(|stride| LayerSpec {
        tensor: format!("layer{stride}"),
        channels: (3 * stride * stride) as u32,
        stride: stride as u32,
    });
    let gains = STRIDES.map(|stride| vec![1.0; 3 * stride * stride]);
    let cost = PictureCost { parameters: 12, macs_per_pixel: 1.5 };
    let head = |name: &str, scale| PictureDraftHead {
        name: name.into(),
        version: 1,
        model: Vec::new(),
        quality: "quality".into(),
        output: "picture".into(),
        scale,
        cost,
    };
    PictureDraft {
        name: "photo".into(),
        description: "Sums of integers".into(),
        input: PictureInput { low: 0.0, high: 1.0, reach: 0 },
        encoder: b"stays at the edge".to_vec(),
        input_tensor: "image".into(),
        bands: "bands".into(),
        fast: None,
        encoder_cost: cost,
        layers: layers.to_vec(),
        quantiser: PictureQuantiserSpec {
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
        near: [60, 70, 20, 20, 10, 10],
        adaptive: 100,
        bias: vec![8; 100],
        zero_plane: [2000, 50000],
        references: Vec::new(),
        tables: vec![0; CLASSES],
    };
    let zero_rows = vec![(1..=ROW_CLASSES as u16).rev().map(|odds| odds * 700).collect(); 2];
    let tables = Tables::new(vec![Table::from_counts(-1, &[1, 4, 1]).unwrap()]).unwrap();
    ContextModel::new(vec![channel; channels], zero_rows, tables).unwrap()
}

/// Returns the model of a head. It rearranges the channels of each layer to pixels, adds the layers, and adds
/// the quality in 8-bit samples; `double` repeats each pixel.
fn head(latent_space: &str, double: bool) -> Vec<u8> {
    use lopside_onnx::Dim;
    let dims = |channels: i64, of: &str| {
        [1.into(), channels.into(), Dim::Symbol(format!("h{of}")), Dim::Symbol(format!("w{of}"))]
    };
    let mut graph = GraphBuilder::new("sum");
    let pixels = STRIDES.map(|stride| {
        let size = stride as i64;
        let layer = graph.input(&format!("layer{stride}"), &dims(3 * size * size, &stride.to_string()));
        let attributes = [("blocksize", Attribute::Int(size)), ("mode", Attribute::Text("DCR".into()))];
        graph.node("DepthToSpace", &[&layer], &format!("pixels{stride}"), &attributes)
    });
    let quality = graph.input("quality", &[1.into(), 1.into()]);
    let sample = graph.initializer("sample", &[1], &[1.0 / 255.0]).unwrap();
    let quality = graph.node("Mul", &[&quality, &sample], "offset", &[]);
    let sum = graph.node("Add", &[&pixels[0], &pixels[1]], "sum", &[]);
    let last = if double { "once" } else { "picture" };
    let sum = graph.node("Add", &[&sum, &quality], last, &[]);
    if double {
        let ones = graph.initializer("ones", &[3, 1, 2, 2], &[1.0; 12]).unwrap();
        let attributes = [("group", Attribute::Int(3)), ("strides", Attribute::Ints(vec![2, 2]))];
        graph.node("ConvTranspose", &[&sum, &ones], "picture", &attributes);
    }
    graph.output("picture", &dims(3, ""));
    let mut model = graph.build();
    set_metadata(&mut model, LATENT_SPACE_KEY, latent_space);
    encode(&model)
}

/// An image as the integers of its layers.
pub(crate) struct Picture {
    pub(crate) header: PictureHeader,
    pub(crate) layers: Vec<Vec<i16>>,
}

impl Picture {
    pub(crate) fn new(space: &PictureSpace, [width, height]: [u32; 2], grey: bool) -> Self {
        let header = PictureHeader { width, height, grey, quality: Quality::new(QUALITY).unwrap() };
        let layer = |layer: usize| {
            let value = |i: usize| ((i * (37 + layer) + 11) % (180 - 150 * layer)) as i16 - 10;
            (0..space.layout().elements(layer, width, height)).map(value).collect()
        };
        Self { header, layers: vec![layer(0), layer(1)] }
    }

    pub(crate) fn frame(&self, space: &PictureSpace) -> Vec<u8> {
        space.encode_integers(self.header, &self.layers, IdOnWire::Present).unwrap()
    }

    /// Returns the output of the head `plain` for one pixel and the first layers, in 8-bit samples before
    /// clamping.
    pub(crate) fn pixel(&self, layers: usize, x: usize, y: usize) -> [i16; 3] {
        let columns = (self.header.width as usize).next_multiple_of(STRIDES[0]);
        let rows = (self.header.height as usize).next_multiple_of(STRIDES[0]);
        [0, 1, 2].map(|channel| {
            let of_layer = |(&stride, values): (&usize, &Vec<i16>)| {
                let map = (y % stride * stride + x % stride) * 3 + channel;
                values[map * (rows / stride) * (columns / stride)
                    + y / stride * (columns / stride)
                    + x / stride]
            };
            let sum: i16 = STRIDES.iter().zip(&self.layers).take(layers).map(of_layer).sum();
            sum + i16::from(QUALITY)
        })
    }

    /// Returns the 8-bit samples of the image, pixel by pixel.
    pub(crate) fn samples(&self, layers: usize) -> Vec<u8> {
        let clamp = |value: i16| value.clamp(0, 255) as u8;
        let (width, height) = (self.header.width as usize, self.header.height as usize);
        let pixels = (0..width * height).map(|at| self.pixel(layers, at % width, at / width));
        if self.header.grey {
            return pixels
                .map(|pixel| clamp((f32::from(pixel.iter().sum::<i16>()) / 3.0).round() as i16))
                .collect();
        }
        pixels.flat_map(|pixel| pixel.map(clamp)).collect()
    }
}

fn picture() -> PictureSpec {
    PictureSpec::uniform(2, 1, Channels::Grey, 0.0, 1.0)
}

/// Writes the bundle `vector`, whose latents have two values, and returns a frame of it.
pub(crate) fn vector(folder: &Path) -> Vec<u8> {
    let tensor =
        |name: &str| TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(2)] };
    let mut graph = GraphBuilder::new("same");
    let latent = graph.input("latent", &["n".into(), 2.into()]);
    graph.relu(&latent, "picture");
    graph.output("picture", &["n".into(), 2.into()]);
    let cost = Cost { parameters: 0, macs: 2 };
    let head = DraftHead {
        name: "reconstruct".into(),
        version: 1,
        kind: HeadKind::Reconstruct(picture()),
        model: encode(&graph.build()),
        inputs: vec!["latent".into()],
        output: tensor("picture"),
        cost,
    };
    let draft = Draft {
        name: "vector".into(),
        description: "Two values for two pixels".into(),
        input: InputSpec::Picture(picture()),
        encoder: b"stays at the edge".to_vec(),
        input_tensor: tensor("image"),
        encoder_cost: cost,
        latent: vec![LatentSpec { tensor: tensor("latent"), gains: vec![10.0; 2] }],
        tables: Tables::new(vec![Table::from_counts(0, &[1; 11]).unwrap(); 2]).unwrap(),
        heads: vec![head],
    };
    draft.write(folder, "# Vector\n").unwrap();
    draft.space().unwrap().encode(&[1.0, 0.5], IdOnWire::Present).unwrap()
}
