//! Sends every sample through the encoder, the wire format and all heads.

use image::ImageFormat;
use lopside_bundle::HeadKind;
use lopside_decoder::{Anomaly, DecodeRequest, OutputFormat, OutputRequest, OutputValue, ReferenceInput};
use lopside_encoder::source::EncoderInput;
use lopside_latent::Limits;

use super::size_distribution::SizeDistribution;
use crate::{DataError, TrainingError, corpus::Corpus, progress, split_service::SplitService};

/// Number of frames per request.
const FRAMES_PER_REQUEST: usize = 50;

/// Frame sizes and decoded results, in the order of the samples.
#[derive(Default)]
pub(super) struct RoundTrip {
    /// Bytes per frame.
    sizes: Vec<usize>,
    /// Raw outputs of the first head, one after the other.
    pub(super) reconstructions: Vec<f32>,
    /// The most probable class of each sample, as an index into the labels.
    classes: Vec<u8>,
    /// Number of integers in the frames, and number of zeros among them.
    integers: [usize; 2],
    /// Anomaly verdicts from the frame alone.
    pub(super) frame_only_verdicts: Vec<Anomaly>,
    /// Anomaly verdicts from the frame and the reference input.
    pub(super) with_input_verdicts: Vec<Anomaly>,
}

impl RoundTrip {
    /// Sends all samples, with the first `layers` layers of the latent or with all. Scores are requested for
    /// whole frames only.
    pub(super) fn send(
        service: &SplitService,
        test: &Corpus,
        layers: Option<usize>,
    ) -> Result<Self, TrainingError> {
        let mut round_trip = Self::default();
        let bar = progress::image_bar(test.len());
        for start in (0..test.len()).step_by(FRAMES_PER_REQUEST) {
            let inputs: Vec<EncoderInput> =
                (start..(start + FRAMES_PER_REQUEST).min(test.len())).map(|i| test.edge_input(i)).collect();
            round_trip.send_batch(service, &inputs, layers)?;
            bar.inc(inputs.len() as u64);
        }
        bar.finish_and_clear();
        Ok(round_trip)
    }

    fn send_batch(
        &mut self,
        service: &SplitService,
        inputs: &[EncoderInput],
        layers: Option<usize>,
    ) -> Result<(), TrainingError> {
        let frames =
            inputs.iter().map(|input| service.encode_frame(input, layers)).collect::<Result<Vec<_>, _>>()?;
        self.record_frames(service, &frames)?;
        let heads = &service.bundle.manifest.heads;
        let score_heads =
            heads.iter().filter(|head| layers.is_none() && matches!(head.kind, HeadKind::Score(_)));
        let score_requests: Vec<OutputRequest> = score_heads.map(natural_output).collect();
        let class_heads = heads[1..].iter().filter(|head| matches!(head.kind, HeadKind::Classify { .. }));
        let reconstruction =
            OutputRequest { head: heads[0].name.clone(), version: None, format: OutputFormat::Tensor };
        let requests: Vec<OutputRequest> = std::iter::once(reconstruction)
            .chain(class_heads.map(natural_output))
            .chain(score_requests.iter().cloned())
            .collect();
        let request = DecodeRequest { outputs: &requests, ..DecodeRequest::new(&frames) };
        for output in service.decode_frames(request)?.into_iter().flatten() {
            match output.value {
                OutputValue::Tensor { values, .. } => self.reconstructions.extend(values),
                OutputValue::ClassScores(scores) => self.classes.extend(best_label(heads, &scores)),
                OutputValue::Anomaly(anomaly) => self.frame_only_verdicts.push(anomaly),
                OutputValue::Png(_) => {}
            }
        }
        if score_requests.is_empty() {
            return Ok(());
        }
        let references: Vec<ReferenceInput> = inputs.iter().map(reference_input).collect::<Result<_, _>>()?;
        let request =
            DecodeRequest { outputs: &score_requests, inputs: &references, ..DecodeRequest::new(&frames) };
        for output in service.decode_frames(request)?.into_iter().flatten() {
            if let OutputValue::Anomaly(anomaly) = output.value {
                self.with_input_verdicts.push(anomaly);
            }
        }
        Ok(())
    }

    fn record_frames(&mut self, service: &SplitService, frames: &[Vec<u8>]) -> Result<(), TrainingError> {
        for frame in frames {
            let integers = service.bundle.space.decode(frame, &Limits::default())?;
            self.sizes.push(frame.len());
            self.integers[0] += integers.len();
            self.integers[1] += integers.iter().filter(|&&integer| integer == 0).count();
        }
        Ok(())
    }

    /// Returns the share of zeros among the frames' integers.
    pub(super) fn zero_share(&self) -> f64 {
        let [total, zeros] = self.integers;
        zeros as f64 / total.max(1) as f64
    }

    /// Returns the distribution of the frame sizes.
    pub(super) fn frame_sizes(&self) -> SizeDistribution {
        SizeDistribution::from_sizes(&self.sizes)
    }

    /// Returns the share of samples with the correct most probable class, or `None` without a classifier.
    pub(super) fn accuracy(&self, test: &Corpus) -> Option<f64> {
        let correct = self.classes.iter().zip(&test.classes).filter(|(found, class)| found == class).count();
        (!self.classes.is_empty()).then(|| correct as f64 / self.classes.len() as f64)
    }
}

/// Requests the natural output of a head.
fn natural_output(head: &lopside_bundle::FixedLatentHeadSpec) -> OutputRequest {
    OutputRequest { head: head.name.clone(), version: None, format: OutputFormat::Natural }
}

/// Returns the index of the most probable label.
fn best_label(heads: &[lopside_bundle::FixedLatentHeadSpec], scores: &[(String, f32)]) -> Option<u8> {
    let labels = heads.iter().find_map(|head| match &head.kind {
        HeadKind::Classify { labels } => Some(labels),
        _ => None,
    })?;
    let (label, _) = scores.first()?;
    labels.iter().position(|known| known == label).map(|index| index as u8)
}

fn reference_input(input: &EncoderInput) -> Result<ReferenceInput, TrainingError> {
    match input {
        EncoderInput::Values(values) => Ok(ReferenceInput::Values(values.clone())),
        EncoderInput::Image(image) => {
            let mut png = std::io::Cursor::new(Vec::new());
            let result = image.write_to(&mut png, ImageFormat::Png);
            result.map_err(|source| DataError::PngEncoding { source })?;
            Ok(ReferenceInput::Image(png.into_inner()))
        }
    }
}
