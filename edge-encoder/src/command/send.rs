use std::path::Path;

use image::DynamicImage;
use lopside_latent::IdOnWire;
use lopside_quality::{ContactSheet, jpeg_at_psnr, png_bytes, psnr};

use super::{load, progress, write};
use crate::{
    EdgeError, Encoder,
    cli::SendArgs,
    client::Client,
    config::FileConfig,
    picture_of,
    report::{Report, Row},
    source::{self, Item},
};

/// Columns of the contact sheet, and how much its pictures are enlarged when they are as small as a thumbnail.
const SHEET_COLUMNS: u32 = 8;
const SHEET_WIDTH: u32 = 112;

/// `edge-encoder send`.
pub(super) async fn run(args: SendArgs, file: &FileConfig) -> Result<(), EdgeError> {
    let bundle = load(&file.bundle(args.bundle.bundle)?)?;
    let encoder = Encoder::new(&bundle)?;
    let out = file.out(args.out);
    let endpoint = file.endpoint(args.endpoint)?;
    let items = source::open(&args.inputs)?;
    let mut client = Client::connect(&endpoint, file.timeout(args.timeout_seconds)).await?;
    let scale = (SHEET_WIDTH / encoder.preprocess().width).max(1);
    let mut sheet = ContactSheet::new(SHEET_COLUMNS, scale)?;
    let mut rows = Vec::new();
    let bar = progress("pictures");
    for item in items {
        let (row, input, output) = send(&encoder, &mut client, &item?, &out).await?;
        sheet.push_pair(&input, &output)?;
        rows.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = Report::new(&bundle.manifest.name, &encoder.space().id().to_string(), rows);
    finish(&report, &sheet, &out, args.json)
}

/// One picture through the path: its row, the input as the encoder saw it, the reconstruction.
async fn send(
    encoder: &Encoder,
    client: &mut Client,
    item: &Item,
    out: &Path,
) -> Result<(Row, DynamicImage, DynamicImage), EdgeError> {
    let encoded = encoder.encode(&item.picture, IdOnWire::Present)?;
    let frame_bytes = encoded.frame.len() as u64;
    let decoded = client.decode(encoded.frame).await?;
    write(&out.join(format!("{}.png", item.name)), &decoded.png)?;
    let output =
        image::load_from_memory(&decoded.png).map_err(|error| EdgeError::Answer(format!("PNG: {error}")))?;
    let input = picture_of(&item.picture, encoder.preprocess());
    let psnr_db = psnr(&input, &output)?;
    let jpeg = jpeg_at_psnr(&input, psnr_db)?;
    let row = Row {
        name: item.name.clone(),
        raw_bytes: encoder.preprocess().samples(),
        png_bytes: png_bytes(&input)? as u64,
        jpeg_bytes: jpeg.bytes as u64,
        jpeg_psnr_db: jpeg.psnr,
        frame_bytes,
        wire_bytes: decoded.sent_bytes,
        psnr_db,
        edge_ms: encoded.timing.total().as_secs_f64() * 1e3,
        round_trip_ms: decoded.round_trip.as_secs_f64() * 1e3,
    };
    Ok((row, input, output))
}

fn finish(report: &Report, sheet: &ContactSheet, out: &Path, json: bool) -> Result<(), EdgeError> {
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
