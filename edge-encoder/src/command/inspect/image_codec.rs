use lopside_latent::{
    Limits,
    image_codec::{ImageCodecFrame, ImageCodecSpace},
};
use serde::Serialize;

use super::{IMAGE_CODEC_VERSION, InspectedFrame};
use crate::EdgeError;

#[derive(Serialize)]
struct ImageCodecInspection {
    version: u8,
    bytes: usize,
    latent_space: String,
    id_bytes: usize,
    quality: u8,
    width: u32,
    height: u32,
    grey: bool,
    bits_per_pixel: f64,
    layers: Vec<InspectedLayer>,
}

#[derive(Serialize)]
struct InspectedLayer {
    payload_bytes: usize,
    /// `null` if no bundle was named.
    integers: Option<IntegerCounts>,
}

#[derive(Clone, Copy, Serialize)]
struct IntegerCounts {
    stride: u32,
    channels: u32,
    count: usize,
    nonzero: usize,
}

/// Prints the contents of a frame of version 2; with the space also the contents of its layers.
pub(super) fn inspect(
    frame: &InspectedFrame<'_>,
    space: Option<&ImageCodecSpace>,
    json: bool,
) -> Result<(), EdgeError> {
    let limits = Limits::default();
    let parsed = ImageCodecFrame::parse(frame.bytes, &limits, frame.bundle_space)?;
    frame.check(parsed.latent_space)?;
    let integers = space.map(|space| count_integers(space, frame.bytes, &limits)).transpose()?;
    let layers = parsed.payloads.iter().enumerate().map(|(number, payload)| InspectedLayer {
        payload_bytes: payload.len(),
        integers: integers.as_ref().and_then(|integers| integers.get(number).copied()),
    });
    let header = parsed.header;
    let pixels = f64::from(header.width) * f64::from(header.height);
    let inspection = ImageCodecInspection {
        version: IMAGE_CODEC_VERSION,
        bytes: frame.bytes.len(),
        latent_space: parsed.latent_space.to_string(),
        id_bytes: frame.id_bytes,
        quality: header.quality.get(),
        width: header.width,
        height: header.height,
        grey: header.is_grey,
        bits_per_pixel: 8.0 * frame.bytes.len() as f64 / pixels,
        layers: layers.collect(),
    };
    if json {
        println!("{}", serde_json::to_string(&inspection)?);
    } else {
        print(&inspection);
    }
    Ok(())
}

/// Decodes the payloads, which also validates them.
fn count_integers(
    space: &ImageCodecSpace,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<IntegerCounts>, EdgeError> {
    let decoded = space.decode(bytes, limits)?;
    let layers = space.layout().layers().iter().zip(&decoded.layers);
    Ok(layers
        .map(|(shape, integers)| IntegerCounts {
            stride: shape.stride,
            channels: shape.channels,
            count: integers.len(),
            nonzero: integers.iter().filter(|&&integer| integer != 0).count(),
        })
        .collect())
}

fn print(inspection: &ImageCodecInspection) {
    let ImageCodecInspection { version, bytes, latent_space, id_bytes, quality, width, height, .. } =
        inspection;
    let colours = if inspection.grey { "grey" } else { "RGB" };
    println!("frame          version {version}, {bytes} bytes, checksum valid");
    println!("latent space   {latent_space} ({id_bytes} bytes in the frame)");
    println!("image          {width}×{height} {colours}, quality {quality}");
    println!("rate           {:.3} bits per pixel", inspection.bits_per_pixel);
    for (number, InspectedLayer { payload_bytes, integers }) in inspection.layers.iter().enumerate() {
        let contents = integers.map_or_else(
            || "pass --bundle to show its contents".to_owned(),
            |IntegerCounts { stride, channels, count, nonzero }| {
                format!("1/{stride} of the resolution, {channels} channels, {nonzero} of {count} integers are not zero")
            },
        );
        println!("layer {number:<8} {payload_bytes} bytes: {contents}");
    }
}
