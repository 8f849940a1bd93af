//! What engines made, as what was asked for.

use std::sync::Arc;

use lopside_bundle::{HeadKind, HeadSpec, InputSpec, Manifest};

use super::{VectorHead, dims};
use crate::{
    Format, Output, ServeError, Value,
    anomaly::{self, Evidence},
    model::Share,
    output,
};

/// What heads made of a request's frames.
pub(super) struct Answers {
    pub(super) manifest: Arc<Manifest>,
    pub(super) wanted: Vec<WantedHead>,
    /// What each head made, of all frames.
    pub(super) made: Vec<Share>,
    /// What each frame's latent costs, in bits.
    pub(super) bits: Vec<f64>,
    /// What the frames were made of, where that was sent along.
    pub(super) inputs: Vec<Vec<f32>>,
}

/// A head and how it is to answer.
pub(super) struct WantedHead {
    pub(super) head: Arc<VectorHead>,
    pub(super) format: Format,
    /// Its place among [`Answers::made`].
    pub(super) made: usize,
}

/// One frame and what a head made of it.
pub(crate) struct Item<'a> {
    /// What its latent costs, in bits.
    pub(crate) bits: f64,
    /// Its place among the items of `made`.
    pub(crate) index: usize,
    /// What it was made of.
    pub(crate) input: Option<&'a [f32]>,
    pub(crate) made: &'a Share,
}

impl Answers {
    /// Values that have to be put into another form.
    pub(super) fn values(&self) -> usize {
        let values = |wanted: &WantedHead| dims(&wanted.head.spec.output).product::<usize>();
        let formed = self.wanted.iter().filter(|wanted| wanted.format != Format::Tensor);
        self.bits.len() * formed.map(values).sum::<usize>()
    }

    /// What was wanted of every frame.
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
    /// The answer of a head in a format that it knows. `input` is the bundle's.
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

    /// This frame's share of an output.
    fn output(&self, number: usize) -> &[f32] {
        self.made.item(number, self.index)
    }
}
