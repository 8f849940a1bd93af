//! Frames of images: encoded integers are decoded unchanged, and invalid frames are refused.

use lopside_latent::{
    IdOnWire, LatentError, LatentSpaceId, Limits, Table, Tables,
    image_codec::{
        CLASSES, ChannelContext, ChannelReference, Coefficients, ContextModel, Energy, ImageCodecFrame,
        ImageCodecHeader, ImageCodecQuantiser, ImageCodecSpace, LayerShape, Layout, NEIGHBOURS, Plane,
        Quality, ROW_CLASSES, STRIPE_ROWS, truncate_layers,
    },
    peek_latent_space,
};
use proptest::prelude::*;

fn header(width: u32, height: u32) -> ImageCodecHeader {
    ImageCodecHeader { width, height, is_grey: false, quality: Quality::new(40).unwrap() }
}

/// Returns a latent space with layers of 2 and 3 channels at strides 16 and 8; the first channel is
/// predicted.
fn space() -> ImageCodecSpace {
    let layer = |channels, stride| LayerShape { channels, stride };
    let layout = Layout::new(vec![layer(2, 16), layer(3, 8)]).unwrap();
    let quantiser =
        ImageCodecQuantiser::new(vec![0.5; 100], vec![vec![1.0; 2], vec![1.0, 2.0, 4.0]], vec![0.5, 0.4])
            .unwrap();
    let channel = |index: u32| ChannelContext {
        predictor: if index == 0 { [128, 128, 0, 0] } else { [0; 4] },
        neighbour_weights: [60, 70, 20, 20, 10, 10],
        average_weight: 100,
        biases: (0..100).collect(),
        zero_plane_odds: [2000, 50000],
        references: (0..index).map(|channel| ChannelReference { channel, weight: 20 }).collect(),
        tables: (0..CLASSES as u32).map(|class| class / 17).collect(),
    };
    let table = |counts: &[u64]| Table::from_counts(-(counts.len() as i32 / 2), counts).unwrap();
    let tables =
        Tables::new(vec![table(&[1, 30, 1]), table(&[1, 4, 9, 4, 1]), table(&[1, 2, 3, 4, 3, 2, 1])])
            .unwrap();
    let zero_rows = vec![(1..=ROW_CLASSES as u16).rev().map(|odds| odds * 700).collect(); 2];
    let contexts = ContextModel::new((0..5).map(channel).collect(), zero_rows, tables).unwrap();
    ImageCodecSpace::new(LatentSpaceId::new([9; 8]), layout, quantiser, contexts).unwrap()
}

/// Returns integers for an image, most of them zero or small.
fn layers(space: &ImageCodecSpace, header: ImageCodecHeader, seed: &[i16]) -> Vec<Vec<i16>> {
    (0..2)
        .map(|layer| {
            let count = space.layout().elements(layer, header.width, header.height);
            (0..count).map(|i| if i % 7 < 4 { 0 } else { seed[(i * 31 + layer) % seed.len()] }).collect()
        })
        .collect()
}

/// Returns the streams of an image of several stripes, one list per layer.
fn streams(space: &ImageCodecSpace, header: ImageCodecHeader, layers: &[Vec<i16>]) -> Vec<Vec<Vec<u8>>> {
    let frame = space.encode_integers(header, layers, IdOnWire::Session).unwrap();
    let frame = ImageCodecFrame::parse(&frame, &Limits::default(), Some(space.id())).unwrap();
    frame.payloads.iter().map(|payload| split(payload)).collect()
}

/// Splits a payload into its streams, each preceded by its length in LEB128.
fn split(mut payload: &[u8]) -> Vec<Vec<u8>> {
    let mut streams = Vec::new();
    while !payload.is_empty() {
        let digits = 1 + payload.iter().position(|byte| byte & 0x80 == 0).unwrap();
        let len = payload[..digits].iter().rev().fold(0, |len, byte| len << 7 | usize::from(byte & 0x7f));
        streams.push(payload[digits..digits + len].to_vec());
        payload = &payload[digits + len..];
    }
    streams
}

/// Builds a frame from these streams, each shorter than 2¹⁴ bytes.
fn frame_of(space: &ImageCodecSpace, header: ImageCodecHeader, streams: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let join = |streams: &Vec<Vec<u8>>| {
        let with_length = |stream: &Vec<u8>| match stream.len() {
            len @ 0..0x80 => [&[len as u8][..], stream].concat(),
            len => [&[len as u8 | 0x80, (len >> 7) as u8][..], stream].concat(),
        };
        streams.iter().flat_map(with_length).collect::<Vec<u8>>()
    };
    let payloads: Vec<Vec<u8>> = streams.iter().map(join).collect();
    let payloads = payloads.iter().map(Vec::as_slice).collect();
    ImageCodecFrame { latent_space: space.id(), header, payloads }.to_bytes(IdOnWire::Session)
}

/// Sets the integers of all stripes to 0 for which `is_kept` is false.
fn clear(
    space: &ImageCodecSpace,
    header: ImageCodecHeader,
    layers: &mut [Vec<i16>],
    is_kept: impl Fn(usize) -> bool,
) {
    for (layer, values) in layers.iter_mut().enumerate() {
        let [rows, columns] = space.layout().dims(layer, header.width, header.height);
        let rows_per_stripe = (STRIPE_ROWS / space.layout().layers()[layer].stride) as usize;
        for (row, values) in values.chunks_exact_mut(columns).enumerate() {
            if !is_kept(row % rows / rows_per_stripe) {
                values.fill(0);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_integers_survive_a_round_trip(
        width in 1_u32..200, height in 1_u32..1100, seed in proptest::collection::vec(any::<i16>(), 1..40),
    ) {
        let (space, header) = (space(), header(width, height));
        let layers = layers(&space, header, &seed);
        let frame = space.encode_integers(header, &layers, IdOnWire::Present).unwrap();
        let decoded = space.decode(&frame, &Limits::default()).unwrap();
        prop_assert_eq!(decoded.header, header);
        prop_assert_eq!(decoded.layers, layers);
    }

    #[test]
    fn damage_is_detected(
        position in any::<prop::sample::Index>(), bit in 0..8_u8, seed in proptest::collection::vec(-3_i16..4, 1..40),
    ) {
        let (space, header) = (space(), header(70, 50));
        let mut frame = space.encode_integers(header, &layers(&space, header, &seed), IdOnWire::Present).unwrap();
        *position.get_mut(&mut frame) ^= 1 << bit;
        prop_assert!(space.decode(&frame, &Limits::default()).is_err());
    }

    #[test]
    fn a_truncated_frame_equals_a_frame_of_fewer_layers(
        width in 1_u32..80, height in 1_u32..700, session in any::<bool>(),
        seed in proptest::collection::vec(any::<i16>(), 1..40),
    ) {
        let (space, header, limits) = (space(), header(width, height), Limits::default());
        let id = if session { IdOnWire::Session } else { IdOnWire::Present };
        let layers = layers(&space, header, &seed);
        let full = space.encode_integers(header, &layers, id).unwrap();
        for count in 0..4 {
            let truncated = truncate_layers(&full, count, &limits, Some(space.id())).unwrap();
            let present = count.clamp(1, 2);
            prop_assert_eq!(&truncated, &space.encode_integers(header, &layers[..present], id).unwrap());
            prop_assert_eq!(&space.decode(&truncated, &limits).unwrap().layers, &layers[..present]);
        }
    }

    #[test]
    fn a_stripe_is_coded_independently(
        width in 1_u32..60, height in 513_u32..1500, number in any::<prop::sample::Index>(),
        seed in proptest::collection::vec(any::<i16>(), 1..40),
    ) {
        let (space, header) = (space(), header(width, height));
        let full = layers(&space, header, &seed);
        let all_streams = streams(&space, header, &full);
        let number = number.index(all_streams[0].len());
        // The same image, with zeros except in one stripe.
        let mut single = full.clone();
        clear(&space, header, &mut single, |stripe| stripe == number);
        let single_streams = streams(&space, header, &single);
        for (all_streams, single_streams) in all_streams.iter().zip(&single_streams) {
            prop_assert_eq!(&all_streams[number], &single_streams[number]);
        }
    }

    #[test]
    fn a_damaged_stripe_does_not_change_the_others(
        height in 513_u32..1500, number in any::<prop::sample::Index>(), layer in 0..2_usize,
        damage in proptest::collection::vec(any::<u8>(), 0..40),
        seed in proptest::collection::vec(-40_i16..40, 1..40),
    ) {
        let (space, header) = (space(), header(40, height));
        let full = layers(&space, header, &seed);
        let mut stripe_streams = streams(&space, header, &full);
        let number = number.index(stripe_streams[0].len());
        let original = frame_of(&space, header, &stripe_streams);
        stripe_streams[layer][number].clone_from(&damage);
        let damaged = frame_of(&space, header, &stripe_streams);
        // The checksum detects damage in transit. The checksum of `damaged` matches, as after a faulty
        // encoder.
        let mut corrupted = damaged.clone();
        corrupted.truncate(damaged.len() - 4);
        corrupted.extend(&original[original.len() - 4..]);
        if damaged != original {
            let is_detected = matches!(space.decode(&corrupted, &Limits::default()), Err(LatentError::Checksum { .. }));
            prop_assert!(is_detected);
        }
        if let Ok(decoded) = space.decode(&damaged, &Limits::default()) {
            let mut other_stripes = [full, decoded.layers];
            for layers in &mut other_stripes {
                clear(&space, header, layers, |stripe| stripe != number);
            }
            prop_assert_eq!(&other_stripes[0], &other_stripes[1]);
        }
    }

    #[test]
    fn no_payload_panics(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let space = space();
        let frame = ImageCodecFrame { latent_space: space.id(), header: header(70, 50), payloads: vec![&payload, &payload] };
        let _ = space.decode(&frame.to_bytes(IdOnWire::Session), &Limits::default());
    }

    #[test]
    fn a_context_model_survives_its_file(cut in any::<prop::sample::Index>()) {
        let contexts = space().contexts().clone();
        let bytes = contexts.to_bytes();
        prop_assert_eq!(ContextModel::from_bytes(&bytes), Ok(contexts));
        prop_assert!(ContextModel::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
    }
}

/// Encodes the finer layer of an image from sixteenths, and returns the decoded layer.
fn quantise_rdoq(space: &ImageCodecSpace, header: ImageCodecHeader, sixteenths: &[i16]) -> Vec<i16> {
    let coarse = vec![0; space.layout().elements(0, header.width, header.height)];
    let layers = [Coefficients::Integers(coarse), Coefficients::Sixteenths(sixteenths.to_vec())];
    let frame = space.encode(header, &layers, IdOnWire::Present).unwrap();
    space.decode(&frame, &Limits::default()).unwrap().layers.remove(1)
}

proptest! {
    #[test]
    fn rdoq_integers_are_the_nearest_or_the_next_towards_zero(
        width in 1_u32..200, height in 1_u32..700, seed in proptest::collection::vec(-200_i16..200, 1..40),
    ) {
        let (space, header) = (space(), header(width, height));
        let sixteenths = layers(&space, header, &seed).remove(1);
        for (found, sixteenths) in quantise_rdoq(&space, header, &sixteenths).into_iter().zip(sixteenths) {
            let nearest = (sixteenths.abs() + 8) / 16;
            prop_assert!(found == 0 || found.signum() == sixteenths.signum());
            prop_assert!(found.abs() == nearest || found.abs() + 1 == nearest, "{found} of {sixteenths}");
            // The distance never exceeds that to the next integer.
            prop_assert!((sixteenths - 16 * found).abs() < 24);
        }
    }
}

#[test]
fn an_isolated_one_close_to_the_midpoint_becomes_zero() {
    let (space, header) = (space(), header(64, 64));
    let mut sixteenths = vec![0; space.layout().elements(1, 64, 64)];
    for (value, expected) in [(9, 0), (-9, 0), (15, 1), (-15, -1)] {
        sixteenths[20] = value;
        // Another value in the row that is worth its bits.
        sixteenths[16] = 16 * 40;
        let found = quantise_rdoq(&space, header, &sixteenths);
        assert_eq!((found[16], found[20]), (40, expected), "{value}");
    }
}

#[test]
fn missing_channels_of_sixteenths_are_zeros() {
    let (space, header) = (space(), header(64, 64));
    let plane = space.layout().elements(1, 64, 64) / 3;
    let mut sixteenths: Vec<i16> = (0..plane as i16).map(|i| i * 5 % 64).collect();
    let found = quantise_rdoq(&space, header, &sixteenths);
    assert!(found[plane..].iter().all(|&integer| integer == 0));
    sixteenths.resize(3 * plane, 0);
    assert_eq!(found, quantise_rdoq(&space, header, &sixteenths));
    let half = [Coefficients::Integers(vec![0; 32]), Coefficients::Sixteenths(vec![0; plane / 2])];
    let error = space.encode(header, &half, IdOnWire::Present).unwrap_err();
    assert!(matches!(error, LatentError::CountMismatch { .. }), "{error}");
}

#[test]
fn layers_with_predictors_accept_only_integers() {
    let (space, header) = (space(), header(16, 16));
    let coarse = vec![0; space.layout().elements(0, 16, 16)];
    let error = space.encode(header, &[Coefficients::Sixteenths(coarse)], IdOnWire::Present).unwrap_err();
    assert!(matches!(error, LatentError::CountMismatch { .. }), "{error}");
    let maps = [0.6, 0.6];
    assert!(matches!(space.quantise_coefficients(0, 2, 39, &maps).unwrap(), Coefficients::Integers(_)));
    let Coefficients::Sixteenths(values) = space.quantise_coefficients(1, 2, 39, &maps).unwrap() else {
        unreachable!()
    };
    assert_eq!(values, [19, 38]);
}

#[test]
fn missing_layers_are_zeros() {
    let (space, header) = (space(), header(70, 50));
    let layers = layers(&space, header, &[1, -2, 3]);
    let frame = space.encode_integers(header, &layers, IdOnWire::Present).unwrap();
    let limits = Limits::default();
    let base = truncate_layers(&frame, 1, &limits, None).unwrap();
    assert!(base.len() < frame.len());
    assert_eq!(peek_latent_space(&base), Ok(Some(space.id())));
    assert_eq!(base, space.encode_integers(header, &layers[..1], IdOnWire::Present).unwrap());
    let decoded = space.decode(&base, &limits).unwrap();
    assert_eq!(decoded.layers, layers[..1]);
    let maps = space.dequantise(&decoded).unwrap();
    assert_eq!(
        (maps.len(), maps[0][3], maps[1].iter().all(|&v| v == 0.0)),
        (2, f32::from(layers[0][3]) * 0.5, true)
    );
}

#[test]
fn a_black_image_costs_almost_nothing() {
    let (space, header) = (space(), header(4000, 3000));
    let layers = layers(&space, header, &[0]);
    let frame = space.encode_integers(header, &layers, IdOnWire::Session).unwrap();
    assert!(frame.len() < 60, "{} bytes", frame.len());
}

#[test]
fn limits_and_foreign_frames_are_named() {
    let (space, header) = (space(), header(70, 50));
    let frame = space.encode_integers(header, &layers(&space, header, &[1]), IdOnWire::Session).unwrap();
    let small = Limits { max_pixels: 3499, ..Limits::default() };
    assert!(matches!(space.decode(&frame, &small), Err(LatentError::Limit { found: 3500, limit: 3499, .. })));
    let mut longer = frame.clone();
    longer.push(0);
    assert!(matches!(space.decode(&longer, &Limits::default()), Err(LatentError::Trailing { count: 1, .. })));
    for len in 0..frame.len() {
        assert!(space.decode(&frame[..len], &Limits::default()).is_err());
    }
    // The magic and the version are read as one field.
    assert_eq!(
        space.decode(&frame[..1], &Limits::default()),
        Err(LatentError::Truncated { what: "frame", field: "magic" })
    );
}

#[test]
fn impossible_image_sides_are_refused() {
    let space = space();
    for (width, height) in [(0, 8), (8, 0), (8, u32::MAX), ((1 << 24) + 1, 8)] {
        let encoded = space.encode_integers(header(width, height), &[vec![], vec![]], IdOnWire::Session);
        assert!(matches!(encoded, Err(LatentError::BadHeader { .. })), "{width} × {height}");
    }
}

#[test]
fn padding_counts_towards_the_pixel_limit() {
    let (space, small) = (space(), header(1 << 17, 8));
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    let layers = layers(&space, small, &[0]);
    let frame = space.encode_integers(small, &layers, IdOnWire::Session).unwrap();
    assert!(space.decode(&frame, &limits).is_ok());
    // The same number of pixels, but 16 times as many after both sides are padded to multiples of 16.
    let flat = ImageCodecFrame { latent_space: space.id(), header: header(1 << 20, 1), payloads: vec![&[]] };
    assert_eq!(
        space.decode(&flat.to_bytes(IdOnWire::Session), &limits),
        Err(LatentError::Limit {
            what: "size of the padded image in pixels",
            found: 1 << 24,
            limit: 1 << 21
        })
    );
}

/// Returns a channel with the largest possible weights, for all these references.
fn loudest(index: u32, references: std::ops::Range<u32>) -> ChannelContext {
    ChannelContext {
        predictor: if index.is_multiple_of(2) { [i16::MIN; 4] } else { [i16::MAX; 4] },
        neighbour_weights: [u16::MAX; NEIGHBOURS],
        average_weight: u16::MAX,
        biases: vec![u16::MAX; 100],
        zero_plane_odds: [u16::MAX; 2],
        references: references.map(|channel| ChannelReference { channel, weight: u16::MAX }).collect(),
        tables: vec![0; CLASSES],
    }
}

#[test]
fn the_largest_energy_has_31_bits() {
    const SIDE: usize = 80;
    let context = loudest(0, 0..16);
    let mut plane = Plane::new(SIDE, SIDE);
    (0..SIDE * SIDE).for_each(|index| plane.set(index / SIDE, index % SIDE, i32::MIN));

    let mut energy = Energy::new(&context, 99, SIDE, (0..16).map(|_| (&plane, 0)));
    let (mut sum, mut largest) = (0, 0);
    for row in 0..SIDE {
        sum = energy.start_row(&plane, row).max(sum);
        largest =
            (0..SIDE).map(|column| energy.at_column(&plane, row, column)).max().max(Some(largest)).unwrap();
        energy.end_row(&plane, row);
    }
    let weights = 1 + 255 + 6 * 255 + 16 * 6 * 255;
    assert_eq!(largest, 65_535 * weights);
    assert!(sum < u64::from(largest) * SIDE as u64);
}

#[test]
fn the_largest_weights_and_integers_survive_a_round_trip() {
    let shapes = [(17, 16), (2, 8), (1, 1)].map(|(channels, stride)| LayerShape { channels, stride });
    let layout = Layout::new(shapes.to_vec()).unwrap();
    let gains = shapes.iter().map(|shape| vec![1.0; shape.channels as usize]).collect();
    let quantiser = ImageCodecQuantiser::new(vec![1.0; 100], gains, vec![0.5; 3]).unwrap();
    let channels = (0..20_u32).map(|index| loudest(index, index.saturating_sub(16)..index)).collect();
    let tables = Tables::new(vec![Table::from_counts(0, &[1]).unwrap()]).unwrap();
    let contexts = ContextModel::new(channels, vec![vec![u16::MAX; ROW_CLASSES]; 3], tables).unwrap();
    let space = ImageCodecSpace::new(LatentSpaceId::new([1; 8]), layout, quantiser, contexts).unwrap();
    let header = ImageCodecHeader { quality: Quality::new(100).unwrap(), ..header(50, 530) };
    // Values of one sign and of both signs, with the largest differences from the prediction.
    for extremes in [[i16::MAX; 2], [i16::MIN; 2], [i16::MIN, i16::MAX]] {
        let layer =
            |layer| (0..space.layout().elements(layer, 50, 530)).map(|i| extremes[i * i / 3 % 2]).collect();
        let layers: Vec<Vec<i16>> = (0..3).map(layer).collect();
        let frame = space.encode_integers(header, &layers, IdOnWire::Session).unwrap();
        assert!(space.decode(&frame, &Limits::default()).unwrap().layers == layers, "{extremes:?}");
    }
}
