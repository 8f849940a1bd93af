use lopside_latent::{FixedLatentSpace, Limits};
use serde::Serialize;

use super::InspectedFrame;
use crate::EdgeError;

#[derive(Serialize)]
struct FixedLatentInspection {
    bytes: usize,
    latent_space: String,
    id_bytes: usize,
    shape: Vec<u32>,
    payload_bytes: usize,
    /// `null` if no bundle was named.
    layers: Option<CarriedLayers>,
    /// `null` if no bundle was named.
    integers: Option<Vec<i32>>,
}

/// Number of layers in a frame, and number of layers of the latent.
#[derive(Clone, Copy, Serialize)]
struct CarriedLayers {
    carried: usize,
    of: usize,
}

/// Prints the contents of a frame of version 1; with the space also its integers.
pub(super) fn inspect(
    frame: &InspectedFrame<'_>,
    space: Option<&FixedLatentSpace>,
    json: bool,
) -> Result<(), EdgeError> {
    let parsed =
        lopside_latent::FixedLatentFrame::parse(frame.bytes, &Limits::default(), frame.bundle_space)?;
    frame.check(parsed.latent_space)?;
    let integers = space.map(|space| space.decode(frame.bytes, &Limits::default())).transpose()?;
    let layers = space.zip(integers.as_ref()).and_then(|(space, integers)| {
        Some(CarriedLayers { carried: space.layer_count_of(integers.len())?, of: space.layers().len() })
    });
    let inspection = FixedLatentInspection {
        bytes: frame.bytes.len(),
        latent_space: parsed.latent_space.to_string(),
        id_bytes: frame.id_bytes,
        shape: parsed.shape.dims().to_vec(),
        payload_bytes: parsed.payload.len(),
        layers,
        integers,
    };
    if json {
        println!("{}", serde_json::to_string(&inspection)?);
    } else {
        print(&inspection);
    }
    Ok(())
}

fn print(inspection: &FixedLatentInspection) {
    let FixedLatentInspection { bytes, latent_space, id_bytes, shape, payload_bytes, layers, integers } =
        inspection;
    println!("frame          version 1, {bytes} bytes, checksum valid");
    println!("latent space   {latent_space} ({id_bytes} bytes in the frame)");
    println!("shape          {shape:?}");
    println!("payload        {payload_bytes} bytes");
    if let Some(CarriedLayers { carried, of }) = layers {
        println!("layers         {carried} of {of}");
    }
    match integers {
        Some(integers) => println!("integers       {integers:?}"),
        None => println!("integers       pass --bundle to show them"),
    }
}
