use lopside_latent::{LatentSpace, Limits};
use serde::Serialize;

use super::Frame;
use crate::EdgeError;

#[derive(Serialize)]
struct Inspection {
    bytes: usize,
    latent_space: String,
    id_bytes: usize,
    shape: Vec<u32>,
    payload_bytes: usize,
    integers: Option<Vec<i32>>,
}

/// Says what is in a frame of version 1; of the space, its integers.
pub(super) fn inspect(frame: &Frame<'_>, space: Option<&LatentSpace>, json: bool) -> Result<(), EdgeError> {
    let parsed = lopside_latent::Frame::parse(frame.bytes, &Limits::default(), frame.session)?;
    frame.check(parsed.latent_space)?;
    let inspection = Inspection {
        bytes: frame.bytes.len(),
        latent_space: parsed.latent_space.to_string(),
        id_bytes: frame.id_bytes,
        shape: parsed.shape.dims().to_vec(),
        payload_bytes: parsed.payload.len(),
        integers: space.map(|space| space.decode(frame.bytes, &Limits::default())).transpose()?,
    };
    if json {
        println!("{}", serde_json::to_string(&inspection)?);
    } else {
        print(&inspection);
    }
    Ok(())
}

fn print(inspection: &Inspection) {
    let Inspection { bytes, latent_space, id_bytes, shape, payload_bytes, integers } = inspection;
    println!("frame          version 1, {bytes} bytes, checksum good");
    println!("latent space   {latent_space} ({id_bytes} bytes in the frame)");
    println!("shape          {shape:?}");
    println!("payload        {payload_bytes} bytes");
    match integers {
        Some(integers) => println!("integers       {integers:?}"),
        None => println!("integers       name the bundle with --bundle to see them"),
    }
}
