//! Arbitrary bytes as a whole frame of an image, and as the payloads of a frame with valid header and
//! checksum. If a frame decodes, its re-encoded integers must decode to the same integers, and so must each
//! frame with fewer layers.

#![no_main]

use std::sync::LazyLock;

use lopside_fuzz::fuzz_target;
use lopside_latent::{
    IdOnWire, LatentSpaceId, Limits, Table, Tables,
    image_codec::{
        CLASSES, ChannelContext, ChannelReference, ContextModel, ImageCodecFrame, ImageCodecHeader,
        ImageCodecQuantiser, ImageCodecSpace, LayerShape, Layout, Quality, ROW_CLASSES, truncate_layers,
    },
};

/// Small limits, so that a run is fast and memory use beyond a limit is detected.
const LIMITS: Limits = Limits { max_frame_bytes: 1 << 14, max_elements: 0, max_pixels: 1 << 14 };

static SPACE: LazyLock<ImageCodecSpace> = LazyLock::new(space);

fuzz_target!(|bytes: &[u8]| {
    round_trip(bytes);
    if let Some((front, payload)) = bytes.split_first_chunk() {
        round_trip(&framed(front, payload));
    }
});

/// Builds a frame whose header and lengths of the first payloads are taken from `front`.
fn framed([quality, width, height, flags, first, second]: &[u8; 6], bytes: &[u8]) -> Vec<u8> {
    let is_grey = flags & 1 == 1;
    let quality = Quality::new(quality % 100 + 1).expect("the quality is valid");
    // Up to 32 × 1024, so that a narrow image has up to three stripes.
    let header = ImageCodecHeader {
        width: u32::from(width % 32) + 1,
        height: (u32::from(*height) + 1) << (flags >> 1 & 3),
        is_grey,
        quality,
    };
    let (a, rest) = bytes.split_at(usize::from(*first).min(bytes.len()));
    let (b, c) = rest.split_at(usize::from(*second).min(rest.len()));
    let payloads = [a, b, c][..usize::from(flags >> 3) % 3 + 1].to_vec();
    let id = if flags & 0x80 == 0 { IdOnWire::Present } else { IdOnWire::Session };
    ImageCodecFrame { latent_space: SPACE.id(), header, payloads }.to_bytes(id)
}

fn round_trip(frame: &[u8]) {
    let Ok(latent) = SPACE.decode(frame, &LIMITS) else { return };
    let reencoded = SPACE.encode_integers(latent.header, &latent.layers, IdOnWire::Session);
    let reencoded = reencoded.expect("a decoded image can be encoded");
    // The given encoding may be shorter than that of the encoder.
    let unlimited = Limits { max_frame_bytes: usize::MAX, ..LIMITS };
    assert_eq!(SPACE.decode(&reencoded, &unlimited).as_ref(), Ok(&latent), "the integers differ");
    for layer_count in 1..=latent.layers.len() {
        let truncated = truncate_layers(frame, layer_count, &LIMITS, Some(SPACE.id()))
            .expect("a frame that decodes can be shortened");
        let truncated = SPACE.decode(&truncated, &LIMITS).expect("a shortened frame can be decoded");
        assert_eq!((truncated.header, &truncated.layers[..]), (latent.header, &latent.layers[..layer_count]));
    }
}

/// Returns a latent space with three layers at strides 32, 16 and 8, predictors, references between and
/// within layers, and tables of one and of many integers.
fn space() -> ImageCodecSpace {
    let layer = |channels, stride| LayerShape { channels, stride };
    let layout = Layout::new(vec![layer(1, 32), layer(2, 16), layer(2, 8)]).expect("the layout is valid");
    let gains = vec![vec![1.0], vec![1.0; 2], vec![1.0; 2]];
    let quantiser =
        ImageCodecQuantiser::new(vec![1.0; 100], gains, vec![0.5; 3]).expect("the quantiser is valid");
    let channel = |index: u16| ChannelContext {
        predictor: if index < 3 { [200, 180, -150, 20] } else { [0; 4] },
        neighbour_weights: [900, 800, 300, 200, 100, u16::MAX],
        average_weight: 9000 * index,
        biases: (0..100).map(|quality| 600 * quality).collect(),
        zero_plane_odds: [3000, 60_000],
        references: (0..index.into()).map(|channel| ChannelReference { channel, weight: 700 }).collect(),
        tables: (0..CLASSES as u32).map(|class| class / 13).collect(),
    };
    let tables = [
        Table::from_counts(0, &[1]),
        Table::from_counts(-1, &[1, 30, 1]),
        Table::from_counts(-3, &[1, 4, 9, 20, 9, 4, 1]),
        Table::from_counts(-100, &[5; 200]),
    ];
    let tables = tables.into_iter().map(|table| table.expect("the table is valid")).collect();
    let contexts = ContextModel::new(
        (0..5).map(channel).collect(),
        vec![(0..ROW_CLASSES as u16).map(|class| 65_000 - 800 * class).collect(); 3],
        Tables::new(tables).expect("the tables are valid"),
    );
    let contexts = contexts.expect("the contexts are valid");
    ImageCodecSpace::new(LatentSpaceId::new(*b"lopside\0"), layout, quantiser, contexts)
        .expect("the latent space is valid")
}
