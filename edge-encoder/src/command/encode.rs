use indicatif::ProgressBar;
use lopside_encoder::{
    AnyEncoder, ImagePolicy,
    source::{NamedFile, NamedInput},
};
use lopside_latent::IdOnWire;
use lopside_telemetry::printable::escape;
use merge::Merge as _;
use serde::Serialize;

use super::{batch::BatchReport, load_encoder, outputs::Outputs, print, progress_bar};
use crate::{
    EdgeError,
    cli::EncodeArgs,
    settings::{RootTable, image_policy},
};

#[derive(Serialize)]
struct EncodeSummary<'a> {
    frames: u64,
    total_bytes: u64,
    mean_bytes: f64,
    out: String,
    /// Number of files of earlier runs that were replaced.
    replaced: u64,
    #[serde(flatten)]
    batch: &'a BatchReport,
}

/// Runs `edge-encoder encode`.
pub(super) fn run(mut args: EncodeArgs, file: RootTable) -> Result<(), EdgeError> {
    args.bundle.merge(file.bundle);
    args.out.merge(file.out);
    args.background.merge(file.background);
    args.damaged_images.merge(file.damaged_images);
    let policy = image_policy(args.background, args.damaged_images);
    let policy = file.images.settings(policy)?.policy;
    let encoder = load_encoder(args.bundle.folder()?, args.image_codec, file.image_codec)?;
    let listing = encoder.list(&args.inputs, &[])?;
    let mut run = EncodeRun {
        encoder,
        policy,
        id: if args.no_id { IdOnWire::Session } else { IdOnWire::Present },
        outputs: Outputs::new(args.out.into_folder(), &listing.files),
        batch: BatchReport::new(&listing),
        bar: progress_bar("frames"),
        is_quiet: args.json,
        frames: 0,
        total_bytes: 0,
    };
    let ended = run.encode_files(&listing.files);
    run.bar.finish_and_clear();
    let reported = run.report(args.json);
    ended?;
    reported?;
    run.batch.result(run.frames)
}

/// The state of a run.
struct EncodeRun {
    encoder: AnyEncoder,
    policy: ImagePolicy,
    id: IdOnWire,
    outputs: Outputs,
    batch: BatchReport,
    bar: ProgressBar,
    /// Whether no line per frame is printed.
    is_quiet: bool,
    frames: u64,
    total_bytes: u64,
}

impl EncodeRun {
    /// Encodes the inputs of all files, except those that fail.
    ///
    /// # Errors
    /// An error that all further inputs would have as well.
    fn encode_files(&mut self, files: &[NamedFile]) -> Result<(), EdgeError> {
        for file in files {
            self.batch.begin_file();
            for input in self.encoder.open_file(file, &self.policy) {
                let encoded = input.map_err(EdgeError::from).and_then(|input| self.encode(file, &input));
                encoded.or_else(|error| self.batch.record_failure(file, error))?;
            }
        }
        Ok(())
    }

    fn encode(&mut self, file: &NamedFile, input: &NamedInput) -> Result<(), EdgeError> {
        let frame = self.encoder.encode(&input.input, self.id)?.frame;
        let path = self.outputs.write(&format!("{}.lps", input.name), &frame)?;
        self.batch.record_warnings(&self.encoder, file, input);
        self.frames += 1;
        self.total_bytes += frame.len() as u64;
        self.bar.inc(1);
        if self.is_quiet {
            return Ok(());
        }
        let line = format!("{} {}", path.display(), frame.len());
        self.bar.suspend(|| print::lines(&escape(&line)))
    }

    fn report(&self, json: bool) -> Result<(), EdgeError> {
        let Self { frames, total_bytes, .. } = *self;
        let mean_bytes = total_bytes as f64 / frames.max(1) as f64;
        let (out, replaced) = (self.outputs.folder().display().to_string(), self.outputs.replaced());
        self.batch.print(frames);
        if json {
            return print::json(&EncodeSummary {
                frames,
                total_bytes,
                mean_bytes,
                out,
                replaced,
                batch: &self.batch,
            });
        }
        if frames > 0 {
            let out = escape(&out);
            eprintln!("wrote {frames} frames with a mean size of {mean_bytes:.1} bytes to {out}");
        }
        if replaced > 0 {
            eprintln!("{replaced} of the files have replaced files of earlier runs");
        }
        Ok(())
    }
}
