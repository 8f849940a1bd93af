//! Converts the outputs of engines to the requested formats.

use std::sync::Arc;

use lopside_bundle::{HeadKind, HeadSpec, InputSpec, Manifest};

use super::{VectorHead, dims};
use crate::{
    Format, Output, ServeError, Value,
    anomaly::{self, Evidence},
    model::Share,
    output,
};

/// The outputs of heads for the frames of one request.
pub(super) struct Answers {
    pub(super) manifest: Arc<Manifest>,
    pub(super) wanted: Vec<WantedHead>,
    /// The outputs of each head, over all frames.
    pub(super) made: Vec<Share>,
    /// The cost of each frame's latent, in bits.
    pub(super) bits: Vec<f64>,
    /// The reference inputs of the frames; empty if they were not sent along.
    pub(super) inputs: Vec<Vec<f32>>,
}

/// A requested head and its output format.
pub(super) struct WantedHead {
    pub(super) head: Arc<VectorHead>,
    pub(super) format: Format,
    /// Index into [`Answers::made`].
    pub(super) made: usize,
}

/// One frame and the outputs of a head.
pub(crate) struct Item<'a> {
    /// The cost of the frame's latent, in bits.
    pub(crate) bits: f64,
    /// The index of the frame among the items of `made`.
    pub(crate) index: usize,
    /// The reference input of the frame; `None` if it was not sent along.
    pub(crate) input: Option<&'a [f32]>,
    pub(crate) made: &'a Share,
}

impl Answers {
    /// Returns the number of values that must be converted to another format.
    pub(super) fn values(&self) -> usize {
        let values = |wanted: &WantedHead| dims(&wanted.head.spec.output).product::<usize>();
        let formed = self.wanted.iter().filter(|wanted| wanted.format != Format::Tensor);
        self.bits.len() * formed.map(values).sum::<usize>()
    }

    /// Returns the requested outputs of every frame.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    pub(super) fn all(&self) -> Result<Vec<Vec<Output>>, ServeError> {
        (0..self.bits.len()).map(|index| self.of_frame(index)).collect()
    }

    fn of_frame(&self, index: usize) -> Result<Vec<Output>, ServeError> {
        let output = |WantedHead { head, format, made }: &WantedHead| {
            let input = self.inputs.get(index).map(Vec::as_slice);
            let item = Item { bits: self.bits[index], index, input, made: &self.made[*made] };
            let value = item.value(&self.manifest.input, &head.spec, *format)?;
            Ok(Output { head: head.spec.name.clone(), version: head.spec.version, value })
        };
        self.wanted.iter().map(output).collect()
    }
}

impl Item<'_> {
    /// Returns the output of a head in a format that it supports. `input` is the input specification of the
    /// bundle.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    pub(crate) fn value(
        &self,
        input: &InputSpec,
        spec: &HeadSpec,
        format: Format,
    ) -> Result<Value, ServeError> {
        match &spec.kind {
            HeadKind::Score(score) if format != Format::Tensor => {
                let reconstruction = score.reconstruction.as_ref().map(|_| self.output(1));
                let evidence = Evidence {
                    bits: self.bits,
                    columns: self.output(0),
                    compared: self.input.zip(reconstruction),
                };
                Ok(Value::Anomaly(anomaly::judge(score, input, evidence)?))
            }
            _ => output::value(spec, format, self.output(0)),
        }
    }

    /// Returns the values of this frame in one output.
    fn output(&self, number: usize) -> &[f32] {
        self.made.item(number, self.index)
    }
}
