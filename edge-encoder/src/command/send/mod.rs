//! Has a cloud-decoder decode inputs, and compares the results with them: for people at a desk.

mod comparison;
mod contact_sheet;
mod decoder_client;
mod error;
mod report;
mod request_limits;

use std::{borrow::Cow, mem, time::Duration};

use indicatif::ProgressBar;
use lopside_bundle::HeadKind;
use lopside_encoder::{
    AnyEncoder,
    source::{EncoderInput, NamedFile, NamedInput},
};
use lopside_latent::IdOnWire;
use lopside_proto::v1::{self, output::Value};
use lopside_telemetry::printable::escape;
use merge::Merge as _;

pub use self::error::SendError;
use self::{
    contact_sheet::RunSheet,
    decoder_client::DecoderClient,
    report::{AnomalyResult, ClassResult, InputRow, SendReport},
    request_limits::{ImageSize, RequestLimits, megapixels},
};
use super::{batch::BatchReport, load_encoder, outputs::Outputs, print, progress_bar};
use crate::{
    EdgeError, SecuritySettings,
    agent::{ImageSettings, fit_for_cloud},
    cli::SendArgs,
    settings::{RootTable, check_security, image_policy},
};

/// The name of the contact sheet without its ending, which no input gets.
const CONTACT_SHEET: &str = "contact-sheet";
/// Images from this size on are announced, in megapixels: a server without a GPU takes seconds for them.
const ANNOUNCED_MEGAPIXELS: f64 = 4.0;
/// Interval at which the progress is drawn while an answer is awaited.
const TICK: Duration = Duration::from_millis(200);

/// Runs `edge-encoder send`.
pub(super) async fn run(mut args: SendArgs, mut file: RootTable) -> Result<(), EdgeError> {
    let (codec_file, images) = (file.image_codec, mem::take(&mut file.images));
    merge_file(&mut args, file);
    let images = images.settings(image_policy(args.background, args.damaged_images))?;
    let encoder = load_encoder(args.bundle.folder()?, args.image_codec, codec_file)?;
    if args.with_input && !has_scoring_head(&encoder) {
        return Err(SendError::NoScoringHead { bundle: encoder.name().to_owned() }.into());
    }
    let listing = encoder.list(&args.inputs, &[CONTACT_SHEET])?;
    let outputs = Outputs::new(args.out.into_folder(), &listing.files);
    let endpoint = args.endpoint.into_url()?;
    let proxy = args.proxy.into_choice()?;
    let security = check_security(args.ca, args.client_cert, args.client_key, args.api_key)?;
    let security = SecuritySettings { proxy, ..security };
    let (timeout, is_fixed) = (args.timeout.duration(), args.timeout.timeout_seconds.is_some());
    let mut client = DecoderClient::connect(&endpoint, timeout, &security).await?;
    let heads = args.head.map_or_else(|| requested_heads(&encoder), |head| vec![head]);
    let (name, space, head) = (encoder.name(), encoder.latent_space(), heads.first().map(String::as_str));
    let server = client.server_figures(name, space, head, timeout).await;
    let sheet = RunSheet::new(&encoder)?;
    let mut run = SendRun {
        encoder,
        images,
        client,
        limits: RequestLimits { timeout, is_fixed, server },
        heads,
        with_input: args.with_input,
        outputs,
        sheet,
        rows: Vec::new(),
        batch: BatchReport::new(&listing),
        bar: progress_bar("inputs"),
    };
    let ended = run.send_files(&listing.files).await;
    run.bar.finish_and_clear();
    let (processed, written) = (run.rows.len() as u64, run.write_results(args.json));
    ended?;
    written?;
    run.batch.result(processed)
}

/// Merges the flags and environment variables over the config file, except for the options of image codecs.
fn merge_file(flags: &mut SendArgs, file: RootTable) {
    flags.bundle.merge(file.bundle);
    flags.endpoint.merge(file.endpoint);
    flags.out.merge(file.out);
    flags.background.merge(file.background);
    flags.damaged_images.merge(file.damaged_images);
    flags.timeout.merge(file.timeout);
    flags.ca.merge(file.ca);
    flags.client_cert.merge(file.client_cert);
    flags.client_key.merge(file.client_key);
    flags.api_key.merge(file.api_key);
    flags.proxy.merge(file.proxy);
}

/// Returns the heads to request: the first one, and every one that classifies or scores, without duplicate
/// names. The list is empty for an image codec, which requests the first head.
fn requested_heads(encoder: &AnyEncoder) -> Vec<String> {
    let mut heads: Vec<String> = Vec::new();
    for (index, head) in encoder.heads().iter().enumerate() {
        let is_requested = index == 0 || matches!(head.kind, HeadKind::Classify { .. } | HeadKind::Score(_));
        if is_requested && !heads.contains(&head.name) {
            heads.push(head.name.clone());
        }
    }
    heads
}

fn has_scoring_head(encoder: &AnyEncoder) -> bool {
    encoder.heads().iter().any(|head| matches!(head.kind, HeadKind::Score(_)))
}

/// The state of a run.
struct SendRun {
    encoder: AnyEncoder,
    images: ImageSettings,
    client: DecoderClient,
    limits: RequestLimits,
    heads: Vec<String>,
    with_input: bool,
    outputs: Outputs,
    sheet: RunSheet,
    rows: Vec<InputRow>,
    batch: BatchReport,
    bar: ProgressBar,
}

impl SendRun {
    /// Sends the inputs of all files, except those that fail.
    ///
    /// # Errors
    /// An error that all further inputs would have as well.
    async fn send_files(&mut self, files: &[NamedFile]) -> Result<(), EdgeError> {
        self.bar.enable_steady_tick(TICK);
        for file in files {
            self.batch.begin_file();
            for input in self.encoder.open_file(file, &self.images.policy) {
                let sent = match input {
                    Ok(input) => self.send(file, input).await,
                    Err(error) => Err(error.into()),
                };
                match sent {
                    Ok(row) => {
                        self.rows.push(row);
                        self.bar.inc(1);
                    }
                    Err(error) => self.batch.record_failure(file, error)?,
                }
            }
        }
        Ok(())
    }

    /// Sends one input, and returns its row; for images also adds the pair to the sheet.
    async fn send(&mut self, file: &NamedFile, named_input: NamedInput) -> Result<InputRow, EdgeError> {
        let original_size = comparison::decoded_size(&self.encoder, &named_input.input);
        let named_input = &self.fit(named_input)?;
        let size = comparison::decoded_size(&self.encoder, &named_input.input);
        let encoded = self.encoder.encode(&named_input.input, IdOnWire::Present)?;
        let frame_bytes = encoded.frame.len() as u64;
        let reference = self
            .with_input
            .then(|| comparison::reference_input(&self.encoder, &named_input.input))
            .transpose()?;
        let time_limit = self.limits.time_limit(size);
        if let Some(size) = size {
            self.announce(&named_input.name, size, time_limit);
        }
        let decoded = self.client.decode(encoded.frame, &self.heads, reference, size, time_limit).await?;
        let mut row = InputRow {
            name: named_input.name.clone(),
            file: Some(file.path.display().to_string()),
            raw_bytes: comparison::raw_bytes(&self.encoder, &named_input.input),
            frame_bytes,
            wire_bytes: decoded.sent_bytes,
            edge_ms: encoded.timing.total().as_secs_f64() * 1e3,
            round_trip_ms: decoded.round_trip.as_secs_f64() * 1e3,
            picture: None,
            photo: size.map(|size| comparison::image_size_result(size, frame_bytes)),
            numbers: None,
            class: None,
            anomaly: None,
        };
        for output in decoded.outputs {
            self.record_output(named_input, output, &mut row)?;
        }
        self.batch.record_warnings(&self.encoder, file, named_input);
        if let (Some(original), Some(sent)) = (original_size, size) {
            self.batch.record_size(file, original, sent);
        }
        Ok(row)
    }

    /// Returns an input in a size that the server decodes.
    ///
    /// # Errors
    /// [`EdgeError::TooLargeForCloud`] for an image that is too large and may not be scaled.
    fn fit(&self, named_input: NamedInput) -> Result<NamedInput, EdgeError> {
        // Another bundle scales every image to one size anyway.
        if comparison::decoded_size(&self.encoder, &named_input.input).is_none() {
            return Ok(named_input);
        }
        let input = &named_input.input;
        let fitted = fit_for_cloud(input, self.limits.max_pixels(), self.images.oversized)?;
        let scaled = match fitted {
            Cow::Owned(scaled) => Some(scaled),
            Cow::Borrowed(_) => None,
        };
        Ok(match scaled {
            Some(input) => NamedInput { input, ..named_input },
            None => named_input,
        })
    }

    /// Tells people that the answer for a large image takes time.
    fn announce(&self, name: &str, size: ImageSize, time_limit: Duration) {
        let megapixels = megapixels(size);
        if megapixels < ANNOUNCED_MEGAPIXELS {
            return;
        }
        let predicted = self.limits.predicted_seconds(size);
        let predicted = predicted.map_or_else(String::new, |s| format!("; the server takes about {s:.0} s"));
        let line = format!(
            "{name} has {megapixels:.1} megapixels{predicted}; the time limit is {} s (--timeout-seconds)",
            time_limit.as_secs()
        );
        self.bar.suspend(|| eprintln!("{}", escape(&line)));
    }

    /// Records the output of one head in the row and the folder.
    fn record_output(
        &mut self,
        named_input: &NamedInput,
        output: Value,
        row: &mut InputRow,
    ) -> Result<(), EdgeError> {
        let name = &named_input.name;
        match (output, &named_input.input) {
            (Value::Png(png), EncoderInput::Image(image)) => {
                self.outputs.write(&format!("{name}.png"), &png)?;
                let (input, output) = comparison::comparable_pair(&self.encoder, image, &png)?;
                // The output of a head that upscales cannot be compared with the input.
                if (input.width(), input.height()) == (output.width(), output.height()) {
                    row.picture = Some(comparison::compare_images(&input, &output)?);
                    self.sheet.push_pair(&input, &output)?;
                }
            }
            // An image that is computed from numbers cannot be compared with the input.
            (Value::Png(png), EncoderInput::Values(_)) => {
                self.outputs.write(&format!("{name}.png"), &png)?;
            }
            (Value::Tensor(tensor), input) => {
                let numbers = if let EncoderInput::Values(numbers) = input { &numbers[..] } else { &[] };
                let text =
                    comparison::format_csv(comparison::channel_names(&self.encoder), numbers, &tensor)?;
                self.outputs.write(&format!("{name}.csv"), &text)?;
                row.numbers = comparison::compare_numbers(numbers, &tensor.values);
            }
            (Value::ClassScores(scores), _) => {
                row.class = scores
                    .scores
                    .into_iter()
                    .next()
                    .map(|best| ClassResult { class: best.label, probability: best.probability.into() });
            }
            (Value::Anomaly(anomaly), _) => {
                if !anomaly.heat_map.is_empty() {
                    self.outputs.write(&format!("{name}-heat-map.png"), &anomaly.heat_map)?;
                }
                row.anomaly = Some(anomaly_result(&anomaly));
            }
        }
        Ok(())
    }

    /// Writes and prints the report of the inputs that were processed, also if others failed.
    fn write_results(&mut self, json: bool) -> Result<(), EdgeError> {
        let (rows, batch) = (self.rows.clone(), self.batch.clone());
        let space = self.encoder.latent_space().to_string();
        let report = SendReport::new(self.encoder.name(), &space, rows, batch);
        self.batch.print(self.rows.len() as u64);
        let text = serde_json::to_string_pretty(&report)? + "\n";
        self.outputs.write("report.json", text.as_bytes())?;
        self.outputs.write("table.txt", report.table().as_bytes())?;
        if json {
            print::pretty_json(&report)?;
        } else if report.mean.is_some() {
            print::lines(&report.table())?;
        }
        if !self.sheet.is_empty() {
            let path = self.outputs.write(&format!("{CONTACT_SHEET}.png"), &self.sheet.to_png()?)?;
            eprintln!("contact sheet: {}", escape(&path.display().to_string()));
        }
        Ok(())
    }
}

fn anomaly_result(anomaly: &v1::Anomaly) -> AnomalyResult {
    AnomalyResult {
        score: anomaly.score.into(),
        quantile: anomaly.quantile.into(),
        anomalous: if anomaly.anomalous { 1.0 } else { 0.0 },
    }
}
