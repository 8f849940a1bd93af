//! Pictures as frames: what goes in comes out, and nothing else is taken.

// A test that cannot go on says where by itself.
#![allow(clippy::unwrap_used)]

use lopside_latent::{
    IdOnWire, LatentError, LatentSpaceId, Limits, Table, Tables, latent_space_of,
    picture::{
        CLASSES, ChannelContext, ContextModel, LayerQuantiser, LayerShape, Layout, PictureHeader,
        PictureSpace, Quality, ROW_CLASSES, Reference, keep_layers,
    },
};
use proptest::prelude::*;

fn header(width: u32, height: u32) -> PictureHeader {
    PictureHeader { width, height, grey: false, quality: Quality::new(40).unwrap() }
}

/// Two layers of 2 and 3 channels at strides 16 and 8; the first channel is predicted.
fn space() -> PictureSpace {
    let layer = |channels, stride| LayerShape { channels, stride };
    let layout = Layout::new(vec![layer(2, 16), layer(3, 8)]).unwrap();
    let quantiser =
        LayerQuantiser::new(vec![0.5; 100], vec![vec![1.0; 2], vec![1.0, 2.0, 4.0]], vec![0.5, 0.4]).unwrap();
    let channel = |index: u32| ChannelContext {
        predictor: if index == 0 { [128, 128, 0, 0] } else { [0; 4] },
        near: [60, 70, 20, 20, 10, 10],
        adaptive: 100,
        bias: (0..100).collect(),
        zero_plane: [2000, 50000],
        references: (0..index).map(|channel| Reference { channel, weight: 20 }).collect(),
        tables: (0..CLASSES as u32).map(|class| class / 17).collect(),
    };
    let table = |counts: &[u64]| Table::from_counts(-(counts.len() as i32 / 2), counts).unwrap();
    let tables =
        Tables::new(vec![table(&[1, 30, 1]), table(&[1, 4, 9, 4, 1]), table(&[1, 2, 3, 4, 3, 2, 1])])
            .unwrap();
    let zero_rows = vec![(1..=ROW_CLASSES as u16).rev().map(|odds| odds * 700).collect(); 2];
    let contexts = ContextModel::new((0..5).map(channel).collect(), zero_rows, tables).unwrap();
    PictureSpace::new(LatentSpaceId::new([9; 8]), layout, quantiser, contexts).unwrap()
}

/// Integers for a picture, most of them zero or small.
fn layers(space: &PictureSpace, header: PictureHeader, seed: &[i16]) -> Vec<Vec<i16>> {
    (0..2)
        .map(|layer| {
            let count = space.layout().elements(layer, header.width, header.height);
            (0..count).map(|i| if i % 7 < 4 { 0 } else { seed[(i * 31 + layer) % seed.len()] }).collect()
        })
        .collect()
}

proptest! {
    #[test]
    fn any_integers_come_back(
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
    fn damage_is_noticed(
        at in any::<prop::sample::Index>(), bit in 0..8_u8, seed in proptest::collection::vec(-3_i16..4, 1..40),
    ) {
        let (space, header) = (space(), header(70, 50));
        let mut frame = space.encode_integers(header, &layers(&space, header, &seed), IdOnWire::Present).unwrap();
        *at.get_mut(&mut frame) ^= 1 << bit;
        prop_assert!(space.decode(&frame, &Limits::default()).is_err());
    }

    #[test]
    fn no_payload_panics(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        use lopside_latent::picture::PictureFrame;
        let space = space();
        let frame = PictureFrame { latent_space: space.id(), header: header(70, 50), payloads: vec![&payload, &payload] };
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

#[test]
fn missing_layers_are_zeros() {
    let (space, header) = (space(), header(70, 50));
    let layers = layers(&space, header, &[1, -2, 3]);
    let frame = space.encode_integers(header, &layers, IdOnWire::Present).unwrap();
    let limits = Limits::default();
    let base = keep_layers(&frame, 1, &limits, None).unwrap();
    assert!(base.len() < frame.len());
    assert_eq!(latent_space_of(&base), Ok(Some(space.id())));
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
fn a_black_picture_costs_next_to_nothing() {
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
}
