//! Converts the outputs of engines to the requested formats.

use std::sync::Arc;

use lopside_bundle::{FixedLatentHeadSpec, FixedLatentManifest, HeadKind, InputSpec};

use super::{FixedLatentHead, item_dims};
use crate::{
    DecodeError, Output, OutputFormat, OutputValue,
    anomaly::{self, ScoreInput},
    model::BatchSlice,
    output,
};

/// The outputs of heads for the frames of one request.
pub(super) struct HeadOutputs {
    pub(super) manifest: Arc<FixedLatentManifest>,
    pub(super) requested: Vec<RequestedHead>,
    /// The outputs of each head, over all frames.
    pub(super) slices: Vec<BatchSlice>,
    /// The cost of each frame's latent, in bits.
    pub(super) bits: Vec<f64>,
    /// The reference inputs of the frames; empty if they were not sent along.
    pub(super) reference_inputs: Vec<Vec<f32>>,
}

/// A requested head and its output format.
pub(super) struct RequestedHead {
    pub(super) head: Arc<FixedLatentHead>,
    pub(super) format: OutputFormat,
    /// Index into [`HeadOutputs::slices`].
    pub(super) slice_index: usize,
}

/// One frame and the outputs of a head.
pub struct FrameOutput<'a> {
    /// The cost of the frame's latent, in bits.
    pub bits: f64,
    /// The index of the frame among the items of `slice`.
    pub index: usize,
    /// The reference input of the frame; `None` if it was not sent along.
    pub reference_input: Option<&'a [f32]>,
    /// The outputs of the frame's request.
    pub slice: &'a BatchSlice,
}

impl HeadOutputs {
    /// Returns the number of values that must be converted to another format.
    pub(super) fn count_converted(&self) -> usize {
        let converted = self.requested.iter().filter(|output| output.format != OutputFormat::Tensor);
        let values = converted.map(|output| item_dims(&output.head.spec.output).product::<usize>());
        self.bits.len() * values.sum::<usize>()
    }

    /// Returns the requested outputs of every frame.
    ///
    /// # Errors
    /// [`DecodeError::Internal`].
    pub(super) fn convert_frames(&self) -> Result<Vec<Vec<Output>>, DecodeError> {
        (0..self.bits.len()).map(|index| self.convert_frame(index)).collect()
    }

    fn convert_frame(&self, index: usize) -> Result<Vec<Output>, DecodeError> {
        self.requested.iter().map(|requested| self.convert_output(index, requested)).collect()
    }

    fn convert_output(&self, index: usize, requested: &RequestedHead) -> Result<Output, DecodeError> {
        let spec = &requested.head.spec;
        let item = FrameOutput {
            bits: self.bits[index],
            index,
            reference_input: self.reference_inputs.get(index).map(Vec::as_slice),
            slice: &self.slices[requested.slice_index],
        };
        let value = item.convert_value(&self.manifest.input, spec, requested.format)?;
        Ok(Output { head: spec.name.clone(), version: spec.version, value })
    }
}

impl FrameOutput<'_> {
    /// Returns the output of a head in a format that it supports. `input` is the input specification of the
    /// bundle.
    ///
    /// # Errors
    /// [`DecodeError::Internal`].
    pub fn convert_value(
        &self,
        input: &InputSpec,
        spec: &FixedLatentHeadSpec,
        format: OutputFormat,
    ) -> Result<OutputValue, DecodeError> {
        match &spec.kind {
            HeadKind::Score(score) if format != OutputFormat::Tensor => {
                let reconstruction = score.reconstruction.as_ref().map(|_| self.output(1));
                let score_input = ScoreInput {
                    bits: self.bits,
                    columns: self.output(0),
                    input_and_reconstruction: self.reference_input.zip(reconstruction),
                };
                Ok(OutputValue::Anomaly(anomaly::score_frame(score, input, score_input)?))
            }
            _ => output::convert_values(spec, format, self.output(0)),
        }
    }

    /// Returns the values of this frame in one output.
    fn output(&self, number: usize) -> &[f32] {
        self.slice.item_values(number, self.index)
    }
}
