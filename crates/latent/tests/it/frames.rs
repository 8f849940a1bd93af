//! Tests of the bytes of frames: golden frames, round trips, and every kind of damage.

use lopside_latent::{
    FixedLatentFrame, FixedLatentSpace, IdOnWire, LatentError, LatentLayer, LatentSpaceId, Limits, Quantiser,
    Shape, Table, Tables, peek_latent_space,
};
use proptest::prelude::*;

const ID: LatentSpaceId = LatentSpaceId::new([0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7]);

fn space(count: usize) -> FixedLatentSpace {
    let table = |i: usize| Table::from_counts(-3, &[1, 4, 9, 20 + i as u64, 9, 4, 1]).unwrap();
    let tables = Tables::new((0..count).map(table).collect()).unwrap();
    FixedLatentSpace::new(ID, vec![layer(&[count as u32], count)], tables).unwrap()
}

fn layer(dims: &[u32], gains: usize) -> LatentLayer {
    LatentLayer { shape: Shape::new(dims).unwrap(), quantiser: Quantiser::new(vec![4.0; gains]).unwrap() }
}

/// Returns a latent space with a base layer of 4 values and one table per value, and an enhancement layer of
/// 2 maps of 2×3 values and one table per map.
fn layered() -> FixedLatentSpace {
    let table = |i: u64| Table::from_counts(-3, &[1, 4, 9, 20 + i, 9, 4, 1]).unwrap();
    let tables = Tables::new((0..6).map(table).collect()).unwrap();
    FixedLatentSpace::new(ID, vec![layer(&[4], 4), layer(&[2, 2, 3], 2)], tables).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_frames_never_change() {
    let space = space(8);
    let golden = [
        ([0; 8], IdOnWire::Present, include_str!("../golden/zeros.hex")),
        ([0, 1, -1, 2, -2, 3, -3, 0], IdOnWire::Present, include_str!("../golden/listed.hex")),
        ([0, 1, -1, 2, -2, 3, -3, 0], IdOnWire::Session, include_str!("../golden/session.hex")),
        (
            [4, -4, 1000, i32::MAX, i32::MIN, 0, 0, 70_000],
            IdOnWire::Present,
            include_str!("../golden/escaped.hex"),
        ),
    ];
    for (integers, id, expected) in golden {
        let frame = space.encode_integers(&integers, id).unwrap();
        assert_eq!(hex(&frame), expected.trim(), "{integers:?} {id:?}");
        assert_eq!(space.decode(&frame, &Limits::default()).unwrap(), integers);
    }
}

#[test]
fn golden_frames_of_layers_never_change() {
    let space = layered();
    let integers = [0, 1, -1, 2, 3, -2, 0, 0, 1, -1, -3, 0, 2, 5, 0, -70];
    let golden = [
        (&integers[..], include_str!("../golden/layered.hex")),
        (&integers[..4], include_str!("../golden/base.hex")),
    ];
    for (integers, expected) in golden {
        let frame = space.encode_integers(integers, IdOnWire::Present).unwrap();
        assert_eq!(hex(&frame), expected.trim(), "{integers:?}");
        assert_eq!(space.decode(&frame, &Limits::default()).unwrap(), integers);
    }
}

#[test]
fn an_id_costs_eight_bytes() {
    let space = space(4);
    let with_id = space.encode(&[0.0; 4], IdOnWire::Present).unwrap();
    let without_id = space.encode(&[0.0; 4], IdOnWire::Session).unwrap();
    assert_eq!(with_id.len(), without_id.len() + 8);
    assert_eq!(peek_latent_space(&with_id), Ok(Some(ID)));
    assert_eq!(peek_latent_space(&without_id), Ok(None));
    assert_eq!(
        FixedLatentFrame::parse(&without_id, &Limits::default(), None),
        Err(LatentError::MissingLatentSpace)
    );
}

#[test]
fn the_wrong_latent_space_is_detected_with_and_without_an_id() {
    let space = space(4);
    let other_id = LatentSpaceId::new([9; 8]);
    let other = FixedLatentSpace::new(other_id, space.layers().to_vec(), space.tables().clone()).unwrap();
    let limits = Limits::default();
    assert_eq!(
        other.decode(&space.encode(&[0.0; 4], IdOnWire::Present).unwrap(), &limits),
        Err(LatentError::LatentSpaceMismatch { found: ID, expected: other_id })
    );
    assert!(matches!(
        other.decode(&space.encode(&[0.0; 4], IdOnWire::Session).unwrap(), &limits),
        Err(LatentError::Checksum { .. })
    ));
}

#[test]
fn each_defect_is_named() {
    let space = space(4);
    let limits = Limits::default();
    let frame = space.encode(&[0.0; 4], IdOnWire::Present).unwrap();
    let error_with = |index: usize, byte: u8| {
        let mut bytes = frame.clone();
        bytes[index] = byte;
        space.decode(&bytes, &limits).unwrap_err()
    };
    assert_eq!(error_with(0, 0x89), LatentError::Magic { found: 0x89 });
    assert_eq!(error_with(1, 0x21), LatentError::Version { found: 2 });
    assert_eq!(error_with(1, 0x19), LatentError::Reserved { found: 8 });
    assert!(matches!(error_with(frame.len() - 1, frame[frame.len() - 1] ^ 1), LatentError::Checksum { .. }));
    assert_eq!(
        space.decode(&[&frame[..], &[0, 0]].concat(), &limits),
        Err(LatentError::Trailing { what: "frame", count: 2 })
    );
    assert_eq!(
        space.decode(&frame[..1], &limits),
        Err(LatentError::Truncated { what: "frame", field: "version" })
    );
    let small = Limits { max_frame_bytes: 8, ..limits };
    assert!(matches!(space.decode(&frame, &small), Err(LatentError::Limit { limit: 8, .. })));
    let few_elements = Limits { max_elements: 3, ..limits };
    assert!(matches!(
        space.decode(&frame, &few_elements),
        Err(LatentError::Limit { found: 4, limit: 3, .. })
    ));
    let other_shape =
        FixedLatentFrame { latent_space: ID, shape: Shape::new(&[2, 2]).unwrap(), payload: &[] };
    assert!(matches!(
        space.decode(&other_shape.to_bytes(IdOnWire::Present), &limits),
        Err(LatentError::ShapeMismatch { .. })
    ));
    let oversized = FixedLatentFrame { latent_space: ID, shape: space.shape(), payload: &[1; 40] };
    assert_eq!(space.decode(&oversized.to_bytes(IdOnWire::Present), &limits), Err(LatentError::Payload));
}

#[test]
fn a_latent_of_the_wrong_length_is_refused() {
    let space = space(4);
    assert!(matches!(
        space.encode(&[0.0; 3], IdOnWire::Present),
        Err(LatentError::CountMismatch { found: 3, expected: 4, .. })
    ));
    assert!(matches!(
        space.encode_integers(&[0; 5], IdOnWire::Present),
        Err(LatentError::CountMismatch { found: 5, expected: 4, .. })
    ));
}

#[test]
fn a_frame_may_omit_the_last_layers() {
    let space = layered();
    assert_eq!((space.len(), space.prefix_len(1), space.shape()), (16, 4, Shape::new(&[16]).unwrap()));
    let latent: Vec<f32> = (0..16).map(|i| i as f32 / 4.0 - 1.0).collect();
    let (full, base) = (&latent[..], &latent[..4]);
    for prefix in [full, base] {
        let frame = space.encode(prefix, IdOnWire::Present).unwrap();
        let integers = space.decode(&frame, &Limits::default()).unwrap();
        assert_eq!(integers.len(), prefix.len());
        let mut expected = prefix.to_vec();
        expected.resize(16, 0.0);
        assert_eq!(space.dequantise(&integers).unwrap(), expected);
    }
    let result = space.encode(&latent[..5], IdOnWire::Present);
    assert!(matches!(result, Err(LatentError::CountMismatch { found: 5, expected: 16, .. })));
    let mut invalid = latent;
    invalid[7] = f32::NAN;
    let result = space.encode(&invalid, IdOnWire::Present);
    assert!(matches!(result, Err(LatentError::NotFinite { index: 7, .. })));
}

#[test]
fn invalid_layers_are_refused() {
    let table = Table::from_counts(0, &[1]).unwrap();
    let error_for = |layers: Vec<LatentLayer>, tables: usize| {
        FixedLatentSpace::new(ID, layers, Tables::new(vec![table.clone(); tables]).unwrap()).unwrap_err()
    };
    assert_eq!(error_for(vec![layer(&[4], 3)], 3), LatentError::UnevenRuns { index: 0, values: 4, gains: 3 });
    assert!(matches!(
        error_for(vec![layer(&[4], 2)], 4),
        LatentError::CountMismatch { found: 4, expected: 2, .. }
    ));
    assert!(matches!(error_for(Vec::new(), 1), LatentError::Limit { found: 0, .. }));
    assert!(matches!(error_for(vec![layer(&[1], 1); 17], 17), LatentError::Limit { found: 17, .. }));
    let huge = vec![layer(&[1 << 24], 1); 2];
    assert!(matches!(error_for(huge, 2), LatentError::BadShape { .. }));
}

#[test]
fn the_estimated_bits_match_the_coder() {
    let space = layered();
    let likely = space.cost_bits(&[0; 16]).unwrap();
    assert!(likely < space.cost_bits(&[3; 16]).unwrap());
    for integers in [[0; 16], [3; 16], [-2; 16], [9; 16], [-70; 16], [i32::MAX; 16]] {
        let bits = space.cost_bits(&integers).unwrap();
        let frame = space.encode_integers(&integers, IdOnWire::Session).unwrap();
        let payload = FixedLatentFrame::parse(&frame, &Limits::default(), Some(ID)).unwrap().payload.len();
        let coded_bits = 8.0 * payload as f64;
        assert!((bits - 8.0..=bits + 24.0).contains(&coded_bits), "{integers:?}: {bits} {coded_bits}");
    }
}

proptest! {
    #[test]
    fn any_layers_survive_a_round_trip(
        integers in proptest::collection::vec(any::<i32>(), 16),
        layers in 1_usize..=2,
    ) {
        let space = layered();
        let prefix = &integers[..space.prefix_len(layers)];
        let frame = space.encode_integers(prefix, IdOnWire::Session).unwrap();
        prop_assert_eq!(space.decode(&frame, &Limits::default()).unwrap(), prefix);
    }

    #[test]
    fn any_integers_survive_a_round_trip(integers in proptest::collection::vec(any::<i32>(), 1..64), session in any::<bool>()) {
        let space = space(integers.len());
        let id = if session { IdOnWire::Session } else { IdOnWire::Present };
        let frame = space.encode_integers(&integers, id).unwrap();
        prop_assert_eq!(space.decode(&frame, &Limits::default()), Ok(integers));
    }

    #[test]
    fn any_damaged_byte_is_an_error(
        integers in proptest::collection::vec(-5_i32..5, 1..64),
        position in any::<prop::sample::Index>(),
        mask in 1_u8..,
    ) {
        let space = space(integers.len());
        let mut frame = space.encode_integers(&integers, IdOnWire::Present).unwrap();
        let position = position.index(frame.len());
        frame[position] ^= mask;
        prop_assert!(space.decode(&frame, &Limits::default()).is_err());
    }

    #[test]
    fn any_truncation_is_an_error(integers in proptest::collection::vec(-5_i32..5, 1..64), position in any::<prop::sample::Index>()) {
        let space = space(integers.len());
        let frame = space.encode_integers(&integers, IdOnWire::Session).unwrap();
        let position = position.index(frame.len());
        prop_assert!(space.decode(&frame[..position], &Limits::default()).is_err());
    }

    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let space = space(16);
        let _ = space.decode(&bytes, &Limits::default());
        let framed = FixedLatentFrame { latent_space: ID, shape: space.shape(), payload: &bytes };
        let _ = space.decode(&framed.to_bytes(IdOnWire::Session), &Limits::default());
    }
}
