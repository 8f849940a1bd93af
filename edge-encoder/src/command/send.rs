use std::path::Path;

use image::DynamicImage;
use lopside_latent::IdOnWire;
use lopside_quality::{jpeg_at_psnr, png_bytes, psnr};

use super::{load, progress, sheet::Sheet, write};
use crate::{
    AnyEncoder, EdgeError,
    cli::SendArgs,
    client::Client,
    config::FileConfig,
    report::{Photo, Report, Row},
    source::{self, Item},
};

/// `edge-encoder send`.
pub(super) async fn run(args: SendArgs, file: &FileConfig) -> Result<(), EdgeError> {
    let encoder = load(&file.bundle(args.bundle.bundle)?, args.picture, file)?;
    let out = file.out(args.out);
    let endpoint = file.endpoint(args.endpoint)?;
    let items = source::open(&args.inputs)?;
    let mut client = Client::connect(&endpoint, file.timeout(args.timeout_seconds)).await?;
    let mut sheet = Sheet::new(&encoder)?;
    let mut rows = Vec::new();
    let bar = progress("pictures");
    for item in items {
        rows.push(send(&encoder, &mut client, &item?, &out, &mut sheet).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = Report::new(encoder.name(), &encoder.latent_space().to_string(), rows);
    finish(&report, &sheet, &out, args.json)
}

/// One picture through the path: its row, and its pair on the sheet.
async fn send(
    encoder: &AnyEncoder,
    client: &mut Client,
    item: &Item,
    out: &Path,
    sheet: &mut Sheet,
) -> Result<Row, EdgeError> {
    let encoded = encoder.encode(&item.picture, IdOnWire::Present)?;
    let frame_bytes = encoded.frame.len() as u64;
    let decoded = client.decode(encoded.frame).await?;
    write(&out.join(format!("{}.png", item.name)), &decoded.png)?;
    let output =
        image::load_from_memory(&decoded.png).map_err(|error| EdgeError::Answer(format!("PNG: {error}")))?;
    let input = encoder.input(&item.picture);
    let output = in_colours_of(&input, output);
    let psnr_db = psnr(&input, &output)?;
    let jpeg = jpeg_at_psnr(&input, psnr_db)?;
    let row = Row {
        name: item.name.clone(),
        raw_bytes: input.as_bytes().len() as u64,
        png_bytes: png_bytes(&input)? as u64,
        jpeg_bytes: jpeg.bytes as u64,
        jpeg_psnr_db: jpeg.psnr,
        frame_bytes,
        wire_bytes: decoded.sent_bytes,
        psnr_db,
        edge_ms: encoded.timing.total().as_secs_f64() * 1e3,
        round_trip_ms: decoded.round_trip.as_secs_f64() * 1e3,
        photo: photo(encoder, &input, frame_bytes),
    };
    sheet.push_pair(&input, &output)?;
    Ok(row)
}

/// A head may answer in RGB whatever went in, or in grey.
fn in_colours_of(input: &DynamicImage, output: DynamicImage) -> DynamicImage {
    match (input, output) {
        (DynamicImage::ImageLuma8(_), output) => output.into_luma8().into(),
        (_, output) => output.into_rgb8().into(),
    }
}

/// What only pictures of any size have.
fn photo(encoder: &AnyEncoder, input: &DynamicImage, frame_bytes: u64) -> Option<Photo> {
    let (width, height) = (input.width(), input.height());
    let pixels = f64::from(width) * f64::from(height);
    let bits_per_pixel = 8.0 * frame_bytes as f64 / pixels;
    matches!(encoder, AnyEncoder::Picture(..)).then_some(Photo { width, height, bits_per_pixel })
}

fn finish(report: &Report, sheet: &Sheet, out: &Path, json: bool) -> Result<(), EdgeError> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    write(&out.join("report.json"), text.as_bytes())?;
    write(&out.join("table.txt"), report.table().as_bytes())?;
    let path = out.join("contact-sheet.png");
    sheet.save_png(&path)?;
    if json {
        print!("{text}");
    } else {
        print!("{}", report.table());
    }
    eprintln!("contact sheet: {}", path.display());
    Ok(())
}
