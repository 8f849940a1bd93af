//! Arbitrary bytes as a context file: unchanged, after the right magic, and as changes to a valid file. A
//! file that can be read must be written as the same bytes again, and must be able to code an image.

#![no_main]

use std::sync::LazyLock;

use lopside_fuzz::fuzz_target;
use lopside_latent::{
    IdOnWire, LatentSpaceId, Limits, Table, Tables,
    image_codec::{
        CLASSES, ChannelContext, ChannelReference, ContextModel, ImageCodecHeader, ImageCodecQuantiser,
        ImageCodecSpace, LayerShape, Layout, Quality, ROW_CLASSES,
    },
};

/// Channels and strides of the layers of the valid file.
const LAYERS: [(u32, u32); 2] = [(2, 16), (1, 8)];
static VALID_FILE: LazyLock<Vec<u8>> = LazyLock::new(|| contexts().to_bytes());

fuzz_target!(|bytes: &[u8]| {
    round_trip(bytes);
    round_trip(&[b"LPC\x01", bytes].concat());
    round_trip(&changed(bytes));
});

/// Returns the valid file with some bytes replaced: each three bytes of `changes` are a position and its new
/// value.
fn changed(changes: &[u8]) -> Vec<u8> {
    let mut file = VALID_FILE.clone();
    for change in changes.chunks_exact(3) {
        let index = usize::from(change[0]) << 8 | usize::from(change[1]);
        let len = file.len();
        file[index % len] = change[2];
    }
    file
}

fn round_trip(file: &[u8]) {
    let Ok(contexts) = ContextModel::from_bytes(file) else { return };
    assert_eq!(contexts.to_bytes(), file, "a context file has two encodings");
    let layout = Layout::new(LAYERS.map(|(channels, stride)| LayerShape { channels, stride }).to_vec());
    let layout = layout.expect("the layout is valid");
    let gains = LAYERS.map(|(channels, _)| vec![1.0; channels as usize]).to_vec();
    let quantiser =
        ImageCodecQuantiser::new(vec![1.0; 100], gains, vec![0.5; 2]).expect("the quantiser is valid");
    if let Ok(space) = ImageCodecSpace::new(LatentSpaceId::new([7; 8]), layout, quantiser, contexts) {
        code(&space);
    }
}

/// Codes an image of two stripes, with small integers above and large ones below.
fn code(space: &ImageCodecSpace) {
    let quality = Quality::new(100).expect("the quality is valid");
    let header = ImageCodecHeader { width: 20, height: 530, is_grey: false, quality };
    let layer = |layer| {
        let count = space.layout().elements(layer, header.width, header.height);
        let integer = |i| if i < count / 2 { i as i16 % 3 - 1 } else { (i as i16).wrapping_mul(12_345) };
        (0..count).map(integer).collect()
    };
    let layers: Vec<Vec<i16>> = (0..LAYERS.len()).map(layer).collect();
    let frame = space.encode_integers(header, &layers, IdOnWire::Session).expect("the image can be encoded");
    let decoded = space.decode(&frame, &Limits::default()).expect("an encoded image can be decoded");
    assert_eq!(decoded.layers, layers);
}

fn contexts() -> ContextModel {
    let channel = |index: u16| ChannelContext {
        predictor: [10; 4],
        neighbour_weights: [900; 6],
        average_weight: 900,
        biases: vec![300; 100],
        zero_plane_odds: [3000, 60_000],
        references: (0..index.into()).map(|channel| ChannelReference { channel, weight: 700 }).collect(),
        tables: (0..CLASSES as u32).map(|class| class / 25).collect(),
    };
    let tables = [Table::from_counts(0, &[1]), Table::from_counts(-2, &[1, 4, 9, 4, 1])];
    let tables = tables.into_iter().map(|table| table.expect("the table is valid")).collect();
    let tables = Tables::new(tables).expect("the tables are valid");
    let zero_rows = vec![vec![30_000; ROW_CLASSES]; LAYERS.len()];
    ContextModel::new((0..3).map(channel).collect(), zero_rows, tables).expect("the contexts are valid")
}
