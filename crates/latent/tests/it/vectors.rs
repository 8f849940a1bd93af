//! Test vectors of version 2: frames of images and their integers, in `golden/pictures`. `proto/FRAME.md`
//! describes their format.

use std::fmt::Write as _;

use lopside_latent::{
    IdOnWire, LatentSpaceId, Limits, Table, Tables,
    image_codec::{
        CLASSES, ChannelContext, ChannelReference, ContextModel, ImageCodecHeader, ImageCodecQuantiser,
        ImageCodecSpace, LayerShape, Layout, Quality, ROW_CLASSES, truncate_layers,
    },
    peek_latent_space,
};
use sha2::{Digest as _, Sha256};

const ID: LatentSpaceId = LatentSpaceId::new([0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7]);
const CONTEXTS: &str = include_str!("../golden/pictures/contexts.hex");
const VECTORS: [(&str, &str); 10] = [
    ("black", include_str!("../golden/pictures/black.txt")),
    ("extreme", include_str!("../golden/pictures/extreme.txt")),
    ("first-layer", include_str!("../golden/pictures/first-layer.txt")),
    ("grey", include_str!("../golden/pictures/grey.txt")),
    ("high", include_str!("../golden/pictures/high.txt")),
    ("large", include_str!("../golden/pictures/large.txt")),
    ("odd", include_str!("../golden/pictures/odd.txt")),
    ("one-pixel", include_str!("../golden/pictures/one-pixel.txt")),
    ("session", include_str!("../golden/pictures/session.txt")),
    ("wide", include_str!("../golden/pictures/wide.txt")),
];

/// SHA-256 of the concatenated frames of the [`random`] images.
const RANDOM_FRAMES: &str = "90e4e7238e9a6fc52f7e2c3cb0e5b4cc18b36096be572492604fe5e6f28f1b21";

#[test]
fn the_vectors_context_file_never_changes() {
    let bytes = contexts().to_bytes();
    assert_eq!(hex(&bytes), CONTEXTS.split_whitespace().collect::<String>());
    assert_eq!(ContextModel::from_bytes(&bytes), Ok(contexts()));
}

#[test]
fn the_vectors_frames_never_change() {
    let (space, mut changed) = (space(), String::new());
    for (name, text) in VECTORS {
        let vector = Vector::read(text, &space);
        let frame = space.encode_integers(vector.header, &vector.layers, vector.id).unwrap();
        if hex(&frame) != vector.frame {
            writeln!(changed, "{name}: frame {}", hex(&frame)).unwrap();
        }
    }
    assert!(changed.is_empty(), "the frames differ from the test vectors:\n{changed}");
}

#[test]
fn the_vectors_frames_decode_to_their_integers() {
    let space = space();
    for (name, text) in VECTORS {
        let (vector, frame) = (Vector::read(text, &space), frame_of(text));
        let decoded = space.decode(&frame, &Limits::default()).unwrap();
        assert_eq!(decoded.header, vector.header, "{name}");
        assert!(decoded.layers == vector.layers, "{name}: the integers differ");
        let id = peek_latent_space(&frame).unwrap();
        assert_eq!(id.is_some(), vector.id == IdOnWire::Present, "{name}");
    }
}

/// Covers more cases than the vectors: random sizes, qualities and densities, identical on every processor.
#[test]
fn the_frames_of_random_images_never_change() {
    const PICTURES: u32 = 600;
    let (space, limits) = (space(), Limits::default());
    let mut digest = Sha256::new();
    for seed in 0..PICTURES {
        let (header, layers) = random(seed, space.layout());
        let frame = space.encode_integers(header, &layers, IdOnWire::Present).unwrap();
        assert!(space.decode(&frame, &limits).unwrap().layers == layers, "{seed}: the integers differ");
        digest.update(&frame);
    }
    assert_eq!(hex(&digest.finalize()), RANDOM_FRAMES);
}

#[test]
fn a_truncated_vector_is_another_vector() {
    let [full, first] = ["odd", "first-layer"].map(|expected| {
        let (_, text) = VECTORS.iter().find(|(name, _)| *name == expected).unwrap();
        frame_of(text)
    });
    assert_eq!(truncate_layers(&full, 1, &Limits::default(), None).unwrap(), first);
}

/// The contents of a test vector's file: the image, its integers and its frame.
struct Vector {
    header: ImageCodecHeader,
    id: IdOnWire,
    layers: Vec<Vec<i16>>,
    frame: String,
}

impl Vector {
    fn read(text: &str, space: &ImageCodecSpace) -> Self {
        let lines = text.lines().take_while(|&line| line != "frame").filter(|line| !line.starts_with('#'));
        let lines: Vec<(&str, &str)> = lines.map(|line| line.split_once(' ').unwrap()).collect();
        let number = |field: &str| {
            let line = lines.iter().find(|(name, _)| *name == field);
            line.map_or(0, |(_, value)| value.parse::<u32>().unwrap())
        };
        let header = ImageCodecHeader {
            width: number("width"),
            height: number("height"),
            is_grey: number("grey") == 1,
            quality: Quality::new(number("quality") as u8).unwrap(),
        };
        let mut planes: Vec<Planes> =
            (0..number("layers") as usize).map(|layer| Planes::new(space.layout(), layer, header)).collect();
        for (name, value) in &lines {
            let numbers = || value.split(' ').map(|number| number.parse::<i64>().unwrap());
            match *name {
                "fill" => fill(&mut planes, &numbers().map(|n| n as u32).collect::<Vec<_>>()),
                "at" => set(&mut planes, &numbers().collect::<Vec<_>>()),
                _ => {}
            }
        }
        Self {
            header,
            id: if number("id") == 1 { IdOnWire::Present } else { IdOnWire::Session },
            layers: planes.into_iter().map(|planes| planes.values).collect(),
            frame: hex(&frame_of(text)),
        }
    }
}

/// Returns an image of up to 3 stripes, with integers from few and small to many and large.
fn random(seed: u32, layout: &Layout) -> (ImageCodecHeader, Vec<Vec<i16>>) {
    let mut state = seed;
    let mut next = |bound: u32| random_below(&mut state, bound);
    let header = ImageCodecHeader {
        width: 1 + next(150),
        height: if next(8) == 0 { 1 + next(1100) } else { 1 + next(150) },
        is_grey: next(4) == 0,
        quality: Quality::new(1 + next(100) as u8).unwrap(),
    };
    let density = [64 + next(193), 64 + next(193), next(257), 1 << next(15)];
    let mut planes: Vec<Planes> =
        (0..layout.layers().len()).map(|layer| Planes::new(layout, layer, header)).collect();
    let [filled_planes, rows, integers, size] = density;
    fill(&mut planes, &[seed, filled_planes, rows, integers, size]);
    (header, planes.into_iter().map(|planes| planes.values).collect())
}

/// The integers of a layer, initially zeros.
struct Planes {
    rows: usize,
    columns: usize,
    values: Vec<i16>,
}

impl Planes {
    fn new(layout: &Layout, layer: usize, header: ImageCodecHeader) -> Self {
        let [rows, columns] = layout.dims(layer, header.width, header.height);
        let channels = layout.layers()[layer].channels as usize;
        Self { rows, columns, values: vec![0; channels * rows * columns] }
    }
}

/// Applies a line `at layer channel row column value`.
fn set(layers: &mut [Planes], numbers: &[i64]) {
    let [layer, channel, row, column, value] = *numbers else { panic!("{numbers:?}") };
    let planes = &mut layers[layer as usize];
    let index = (channel as usize * planes.rows + row as usize) * planes.columns + column as usize;
    planes.values[index] = i16::try_from(value).unwrap();
}

/// Applies a line `fill seed planes rows integers size`.
fn fill(layers: &mut [Planes], numbers: &[u32]) {
    let [mut state, planes, rows, integers, size] = *numbers else { panic!("{numbers:?}") };
    let mut next = |bound: u32| random_below(&mut state, bound);
    for layer in layers {
        for plane in layer.values.chunks_exact_mut(layer.rows * layer.columns) {
            let plane_is_filled = next(256) < planes;
            for row in plane.chunks_exact_mut(layer.columns) {
                let row_is_filled = next(256) < rows;
                for value in row {
                    let (value_is_filled, magnitude, is_negative) =
                        (next(256) < integers, 1 + next(size), next(2) == 1);
                    if plane_is_filled && row_is_filled && value_is_filled {
                        *value = if is_negative { -(magnitude as i16) } else { magnitude as i16 };
                    }
                }
            }
        }
    }
}

fn random_below(state: &mut u32, bound: u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 16) % bound
}

/// Returns a latent space with layers of 1, 2 and 2 channels at strides 64, 16 and 8.
fn space() -> ImageCodecSpace {
    let layer = |channels, stride| LayerShape { channels, stride };
    let layout = Layout::new(vec![layer(1, 64), layer(2, 16), layer(2, 8)]).unwrap();
    let gains = vec![vec![1.0], vec![1.0; 2], vec![1.0; 2]];
    let quantiser = ImageCodecQuantiser::new(vec![0.5; 100], gains, vec![0.5; 3]).unwrap();
    ImageCodecSpace::new(ID, layout, quantiser, contexts()).unwrap()
}

fn contexts() -> ContextModel {
    let references = |list: &[(u32, u16)]| {
        list.iter().map(|&(channel, weight)| ChannelReference { channel, weight }).collect()
    };
    let channel = |index: u16, predictor: [i16; 4], list: &[(u32, u16)]| ChannelContext {
        predictor,
        neighbour_weights: [900 + index, 800, 300, 250, 120, 100 + index],
        average_weight: 700 * index,
        biases: (0..100).map(|quality| 20 + quality * (3 + index)).collect(),
        zero_plane_odds: [3000 + index, 60_000 - index],
        references: references(list),
        tables: (0..CLASSES as u32).map(|class| (class / 6).min(5)).collect(),
    };
    let channels = vec![
        channel(0, [230, 180, -160, 10], &[]),
        channel(1, [0; 4], &[(0, 400)]),
        channel(2, [-300, 100, 0, 80], &[(1, 900), (0, 65_535)]),
        channel(3, [0; 4], &[(0, 30), (2, 600)]),
        channel(4, [0, 0, 0, 1], &[(3, 1500)]),
    ];
    let zero_rows = (0..3_u16)
        .map(|layer| (0..ROW_CLASSES as u16).map(|class| 65_000 - layer - 800 * class).collect())
        .collect();
    let table = |min, counts: &[u64]| Table::from_counts(min, counts).unwrap();
    let tables = vec![
        table(0, &[1]),
        table(-1, &[1, 40, 1]),
        table(-1, &[2, 9, 2]),
        table(-2, &[1, 5, 9, 5, 1]),
        table(-3, &[1, 2, 4, 6, 4, 2, 1]),
        table(-5, &[1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]),
    ];
    ContextModel::new(channels, zero_rows, Tables::new(tables).unwrap()).unwrap()
}

/// Returns the bytes that follow `frame` in a vector's file.
fn frame_of(text: &str) -> Vec<u8> {
    let (_, digits) = text.split_once("\nframe\n").unwrap();
    let digits: String = digits.split_whitespace().collect();
    let parse_byte = |start: usize| u8::from_str_radix(&digits[start..start + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(parse_byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
