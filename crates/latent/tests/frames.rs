//! The frame as bytes: golden frames, round trips, and every way to damage one.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

use lopside_latent::{
    Frame, IdOnWire, LatentError, LatentSpace, LatentSpaceId, Limits, Quantiser, Shape, Table, Tables,
    latent_space_of,
};
use proptest::prelude::*;

const ID: LatentSpaceId = LatentSpaceId::new([0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7]);

fn space(count: usize) -> LatentSpace {
    let table = |i: usize| Table::from_counts(-3, &[1, 4, 9, 20 + i as u64, 9, 4, 1]).unwrap();
    LatentSpace::new(
        ID,
        Shape::new(&[count as u32]).unwrap(),
        Quantiser::new(vec![4.0; count]).unwrap(),
        Tables::new((0..count).map(table).collect()).unwrap(),
    )
    .unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_frames_never_change() {
    let space = space(8);
    let golden = [
        ([0; 8], IdOnWire::Present, include_str!("golden/zeros.hex")),
        ([0, 1, -1, 2, -2, 3, -3, 0], IdOnWire::Present, include_str!("golden/listed.hex")),
        ([0, 1, -1, 2, -2, 3, -3, 0], IdOnWire::Session, include_str!("golden/session.hex")),
        (
            [4, -4, 1000, i32::MAX, i32::MIN, 0, 0, 70_000],
            IdOnWire::Present,
            include_str!("golden/escaped.hex"),
        ),
    ];
    for (integers, id, expected) in golden {
        let frame = space.encode_integers(&integers, id).unwrap();
        assert_eq!(hex(&frame), expected.trim(), "{integers:?} {id:?}");
        assert_eq!(space.decode(&frame, &Limits::default()).unwrap(), integers);
    }
}

#[test]
fn an_id_costs_eight_bytes() {
    let space = space(4);
    let with = space.encode(&[0.0; 4], IdOnWire::Present).unwrap();
    let without = space.encode(&[0.0; 4], IdOnWire::Session).unwrap();
    assert_eq!(with.len(), without.len() + 8);
    assert_eq!(latent_space_of(&with), Ok(Some(ID)));
    assert_eq!(latent_space_of(&without), Ok(None));
    assert_eq!(Frame::parse(&without, &Limits::default(), None), Err(LatentError::NoLatentSpace));
}

#[test]
fn the_wrong_latent_space_is_caught_with_and_without_an_id() {
    let space = space(4);
    let other_id = LatentSpaceId::new([9; 8]);
    let other =
        LatentSpace::new(other_id, space.shape(), space.quantiser().clone(), space.tables().clone()).unwrap();
    let limits = Limits::default();
    assert_eq!(
        other.decode(&space.encode(&[0.0; 4], IdOnWire::Present).unwrap(), &limits),
        Err(LatentError::OtherLatentSpace { found: ID, expected: other_id })
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
    let with = |index: usize, byte: u8| {
        let mut bytes = frame.clone();
        bytes[index] = byte;
        space.decode(&bytes, &limits).unwrap_err()
    };
    assert_eq!(with(0, 0x89), LatentError::Magic { found: 0x89 });
    assert_eq!(with(1, 0x21), LatentError::Version { found: 2 });
    assert_eq!(with(1, 0x19), LatentError::Reserved { found: 8 });
    assert!(matches!(with(frame.len() - 1, frame[frame.len() - 1] ^ 1), LatentError::Checksum { .. }));
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
    let few = Limits { max_elements: 3, ..limits };
    assert!(matches!(space.decode(&frame, &few), Err(LatentError::Limit { found: 4, limit: 3, .. })));
    let other_shape = Frame { latent_space: ID, shape: Shape::new(&[2, 2]).unwrap(), payload: &[] };
    assert!(matches!(
        space.decode(&other_shape.to_bytes(IdOnWire::Present), &limits),
        Err(LatentError::OtherShape { .. })
    ));
    let spare = Frame { latent_space: ID, shape: space.shape(), payload: &[1; 40] };
    assert_eq!(space.decode(&spare.to_bytes(IdOnWire::Present), &limits), Err(LatentError::Payload));
}

#[test]
fn a_latent_of_the_wrong_length_is_refused() {
    let space = space(4);
    assert!(matches!(
        space.encode(&[0.0; 3], IdOnWire::Present),
        Err(LatentError::Count { found: 3, expected: 4, .. })
    ));
    assert!(matches!(
        space.encode_integers(&[0; 5], IdOnWire::Present),
        Err(LatentError::Count { found: 5, expected: 4, .. })
    ));
}

proptest! {
    #[test]
    fn any_integers_come_back(integers in proptest::collection::vec(any::<i32>(), 1..64), session in any::<bool>()) {
        let space = space(integers.len());
        let id = if session { IdOnWire::Session } else { IdOnWire::Present };
        let frame = space.encode_integers(&integers, id).unwrap();
        prop_assert_eq!(space.decode(&frame, &Limits::default()), Ok(integers));
    }

    #[test]
    fn any_damaged_byte_is_an_error(
        integers in proptest::collection::vec(-5_i32..5, 1..64),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let space = space(integers.len());
        let mut frame = space.encode_integers(&integers, IdOnWire::Present).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= flip;
        prop_assert!(space.decode(&frame, &Limits::default()).is_err());
    }

    #[test]
    fn any_truncation_is_an_error(integers in proptest::collection::vec(-5_i32..5, 1..64), at in any::<prop::sample::Index>()) {
        let space = space(integers.len());
        let frame = space.encode_integers(&integers, IdOnWire::Session).unwrap();
        let at = at.index(frame.len());
        prop_assert!(space.decode(&frame[..at], &Limits::default()).is_err());
    }

    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let space = space(16);
        let _ = space.decode(&bytes, &Limits::default());
        let framed = Frame { latent_space: ID, shape: space.shape(), payload: &bytes };
        let _ = space.decode(&framed.to_bytes(IdOnWire::Session), &Limits::default());
    }
}
