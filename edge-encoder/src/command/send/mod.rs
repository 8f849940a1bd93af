//! Has a cloud-decoder decode inputs, and compares the results with them: for people at a desk.

mod comparison;
mod contact_sheet;
mod decoder_client;
mod error;
mod report;

use lopside_bundle::HeadKind;
use lopside_encoder::{
    AnyEncoder,
    source::{EncoderInput, NamedInput},
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
};
use super::{load_encoder, outputs::Outputs, print, progress_bar};
use crate::{
    EdgeError,
    cli::SendArgs,
    settings::{RootTable, check_security},
};

/// Runs `edge-encoder send`.
pub(super) async fn run(mut args: SendArgs, file: RootTable) -> Result<(), EdgeError> {
    let codec_file = file.image_codec;
    merge_file(&mut args, file);
    let encoder = load_encoder(args.bundle.folder()?, args.image_codec, codec_file)?;
    if args.with_input && !has_scoring_head(&encoder) {
        return Err(SendError::NoScoringHead { bundle: encoder.name().to_owned() }.into());
    }
    encoder.check_output_names(&args.inputs)?;
    let outputs = Outputs::new(args.out.into_folder(), &encoder.list(&args.inputs)?);
    let endpoint = args.endpoint.into_url()?;
    let inputs = encoder.open_inputs(&args.inputs)?;
    let security = check_security(args.ca, args.client_cert, args.client_key, args.api_key)?;
    let client = DecoderClient::connect(&endpoint, args.timeout.duration(), &security).await?;
    let sheet = RunSheet::new(&encoder)?;
    let heads = args.head.map_or_else(|| requested_heads(&encoder), |head| vec![head]);
    let mut run = SendRun { encoder, client, heads, with_input: args.with_input, outputs, sheet };
    let mut rows = Vec::new();
    let bar = progress_bar("inputs");
    for named_input in inputs {
        rows.push(run.send(&named_input?).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = SendReport::new(run.encoder.name(), &run.encoder.latent_space().to_string(), rows);
    write_results(&report, &run.sheet, &mut run.outputs, args.json)
}

/// Merges the flags and environment variables over the config file, except for the options of image codecs.
fn merge_file(flags: &mut SendArgs, file: RootTable) {
    flags.bundle.merge(file.bundle);
    flags.endpoint.merge(file.endpoint);
    flags.out.merge(file.out);
    flags.timeout.merge(file.timeout);
    flags.ca.merge(file.ca);
    flags.client_cert.merge(file.client_cert);
    flags.client_key.merge(file.client_key);
    flags.api_key.merge(file.api_key);
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
    client: DecoderClient,
    heads: Vec<String>,
    with_input: bool,
    outputs: Outputs,
    sheet: RunSheet,
}

impl SendRun {
    /// Sends one input, and returns its row; for images also adds the pair to the sheet.
    async fn send(&mut self, named_input: &NamedInput) -> Result<InputRow, EdgeError> {
        let encoded = self.encoder.encode(&named_input.input, IdOnWire::Present)?;
        let frame_bytes = encoded.frame.len() as u64;
        let reference = self
            .with_input
            .then(|| comparison::reference_input(&self.encoder, &named_input.input))
            .transpose()?;
        let decoded = self.client.decode(encoded.frame, &self.heads, reference).await?;
        let mut row = InputRow {
            name: named_input.name.clone(),
            raw_bytes: comparison::raw_bytes(&self.encoder, &named_input.input),
            frame_bytes,
            wire_bytes: decoded.sent_bytes,
            edge_ms: encoded.timing.total().as_secs_f64() * 1e3,
            round_trip_ms: decoded.round_trip.as_secs_f64() * 1e3,
            picture: None,
            photo: comparison::image_size_result(&self.encoder, &named_input.input, frame_bytes),
            numbers: None,
            class: None,
            anomaly: None,
        };
        for output in decoded.outputs {
            self.record_output(named_input, output, &mut row)?;
        }
        Ok(row)
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
}

fn anomaly_result(anomaly: &v1::Anomaly) -> AnomalyResult {
    AnomalyResult {
        score: anomaly.score.into(),
        quantile: anomaly.quantile.into(),
        anomalous: if anomaly.anomalous { 1.0 } else { 0.0 },
    }
}

fn write_results(
    report: &SendReport,
    sheet: &RunSheet,
    outputs: &mut Outputs,
    json: bool,
) -> Result<(), EdgeError> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    outputs.write("report.json", text.as_bytes())?;
    outputs.write("table.txt", report.table().as_bytes())?;
    if json {
        print::pretty_json(report)?;
    } else {
        print::lines(&report.table())?;
    }
    if !sheet.is_empty() {
        let path = outputs.write("contact-sheet.png", &sheet.to_png()?)?;
        eprintln!("contact sheet: {}", escape(&path.display().to_string()));
    }
    Ok(())
}
