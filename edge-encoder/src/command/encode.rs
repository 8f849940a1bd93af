use lopside_latent::IdOnWire;
use lopside_telemetry::printable::escape;
use merge::Merge as _;
use serde::Serialize;

use super::{load_encoder, outputs::Outputs, print, progress_bar};
use crate::{EdgeError, cli::EncodeArgs, settings::RootTable};

#[derive(Serialize)]
struct EncodeSummary {
    frames: u64,
    total_bytes: u64,
    mean_bytes: f64,
    out: String,
}

/// Runs `edge-encoder encode`.
pub(super) fn run(mut args: EncodeArgs, file: RootTable) -> Result<(), EdgeError> {
    args.bundle.merge(file.bundle);
    args.out.merge(file.out);
    let encoder = load_encoder(args.bundle.folder()?, args.image_codec, file.image_codec)?;
    encoder.check_output_names(&args.inputs)?;
    let mut outputs = Outputs::new(args.out.into_folder(), &encoder.list(&args.inputs)?);
    let id = if args.no_id { IdOnWire::Session } else { IdOnWire::Present };
    let bar = progress_bar("frames");
    let (mut frames, mut total_bytes) = (0, 0);
    for item in encoder.open_inputs(&args.inputs)? {
        let item = item?;
        let frame = encoder.encode(&item.input, id)?.frame;
        let path = outputs.write(&format!("{}.lps", item.name), &frame)?;
        frames += 1;
        total_bytes += frame.len() as u64;
        bar.inc(1);
        if !args.json {
            let line = format!("{} {}", path.display(), frame.len());
            bar.suspend(|| print::lines(&escape(&line)))?;
        }
    }
    bar.finish_and_clear();
    let mean_bytes = total_bytes as f64 / frames as f64;
    let out = outputs.folder().display().to_string();
    if args.json {
        print::json(&EncodeSummary { frames, total_bytes, mean_bytes, out })?;
    } else {
        let out = escape(&out);
        eprintln!("wrote {frames} frames with a mean size of {mean_bytes:.1} bytes to {out}");
    }
    Ok(())
}
