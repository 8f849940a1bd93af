//! Arbitrary bytes as a whole frame, and as the payload of a frame with valid header and checksum. If a frame
//! decodes, its integers must encode to the same bytes again.

#![no_main]

use std::sync::LazyLock;

use lopside_fuzz::fuzz_target;
use lopside_latent::{
    FixedLatentFrame, FixedLatentSpace, IdOnWire, LatentLayer, LatentSpaceId, Limits, Quantiser, Shape,
    Table, Tables, peek_latent_space,
};

static SPACE: LazyLock<FixedLatentSpace> = LazyLock::new(space);

fuzz_target!(|bytes: &[u8]| {
    round_trip(bytes);
    let framed = FixedLatentFrame { latent_space: SPACE.id(), shape: SPACE.shape(), payload: bytes };
    for id in [IdOnWire::Present, IdOnWire::Session] {
        round_trip(&framed.to_bytes(id));
    }
});

fn round_trip(frame: &[u8]) {
    let Ok(integers) = SPACE.decode(frame, &Limits::default()) else { return };
    let id = match peek_latent_space(frame) {
        Ok(Some(_)) => IdOnWire::Present,
        Ok(None) => IdOnWire::Session,
        Err(error) => panic!("a frame that decodes has an invalid header: {error}"),
    };
    let reencoded = SPACE.encode_integers(&integers, id).expect("decoded integers can be encoded");
    assert_eq!(reencoded, frame, "{integers:?} has two encodings");
}

/// Returns a latent space with two layers, and tables of one, of seven and of many integers, some at the
/// limits of `i32`.
fn space() -> FixedLatentSpace {
    let tables = [
        Table::from_counts(0, &[1]),
        Table::from_counts(-3, &[1, 4, 9, 20, 9, 4, 1]),
        Table::from_counts(-100, &[5; 200]),
        Table::from_counts(i32::MIN, &[1, 0, 1]),
        Table::from_counts(i32::MAX, &[7]),
        Table::from_counts(-1, &[1, 1_000_000, 1]),
    ];
    let tables: Vec<Table> = tables.into_iter().map(|table| table.expect("the table is valid")).collect();
    let layer = |dims: &[u32], gains: usize| LatentLayer {
        shape: Shape::new(dims).expect("the shape is valid"),
        quantiser: Quantiser::new(vec![1.0; gains]).expect("the gains are valid"),
    };
    let layers = vec![layer(&[2, 2], 4), layer(&[2, 1, 3], 2)];
    let tables = Tables::new(tables).expect("the tables are valid");
    FixedLatentSpace::new(LatentSpaceId::new(*b"lopside\0"), layers, tables)
        .expect("the latent space is valid")
}
