use std::fs;

use lopside_latent::{Frame, IdOnWire, LatentSpaceId, Limits, latent_space_of};
use serde::Serialize;

use super::load;
use crate::{EdgeError, cli::InspectArgs, config::FileConfig, error::io};

#[derive(Serialize)]
struct Inspection {
    bytes: usize,
    latent_space: String,
    id_bytes: usize,
    shape: Vec<u32>,
    payload_bytes: usize,
    integers: Option<Vec<i32>>,
}

/// `edge-encoder inspect`.
pub(super) fn run(args: InspectArgs, file: &FileConfig) -> Result<(), EdgeError> {
    let bytes = fs::read(&args.frame).map_err(io(&args.frame))?;
    let space =
        file.bundle(args.bundle.bundle).ok().map(|folder| load(&folder)).transpose()?.map(|b| b.space);
    let inspection = inspect(&bytes, space.as_ref().map(lopside_latent::LatentSpace::id))?;
    let integers = space.map(|space| space.decode(&bytes, &Limits::default())).transpose()?;
    let inspection = Inspection { integers, ..inspection };
    if args.json {
        println!("{}", serde_json::to_string(&inspection)?);
    } else {
        print(&inspection);
    }
    Ok(())
}

fn inspect(bytes: &[u8], session: Option<LatentSpaceId>) -> Result<Inspection, EdgeError> {
    let id = if latent_space_of(bytes)?.is_some() { IdOnWire::Present } else { IdOnWire::Session };
    let frame = Frame::parse(bytes, &Limits::default(), session)?;
    Ok(Inspection {
        bytes: bytes.len(),
        latent_space: frame.latent_space.to_string(),
        id_bytes: if id == IdOnWire::Present { 8 } else { 0 },
        shape: frame.shape.dims().to_vec(),
        payload_bytes: frame.payload.len(),
        integers: None,
    })
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
