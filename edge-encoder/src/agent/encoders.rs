use std::sync::Arc;

use lopside_latent::IdOnWire;

use super::{
    tally::Tally,
    update::{Book, Event},
};
use crate::{AnyEncoder, EdgeError, Encoded, source::Input};

/// The current encoder and, while it is on probation, the previous one. Inputs that the new encoder fails on
/// are encoded by the previous one, so the probation does not lose any.
#[derive(Debug)]
pub(super) struct Encoders {
    current: AnyEncoder,
    probation: Option<Probation>,
    tally: Arc<Tally>,
}

/// An encoder that was installed over the air.
#[derive(Debug)]
pub(super) struct Swap {
    pub(super) encoder: AnyEncoder,
    pub(super) book: Arc<Book>,
}

/// The state while a new bundle has not encoded a real input yet.
#[derive(Debug)]
pub(super) struct Probation {
    pub(super) before: AnyEncoder,
    pub(super) book: Arc<Book>,
}

impl Encoders {
    pub(super) fn new(current: AnyEncoder, probation: Option<Probation>, tally: Arc<Tally>) -> Self {
        Self { current, probation, tally }
    }

    /// Returns the current encoder.
    pub(super) fn current(&self) -> &AnyEncoder {
        &self.current
    }

    /// Sets the quality and the maximum number of layers of further frames, as [`AnyEncoder::set`]. Returns
    /// the quality, if the encoder has that setting, and the number of layers.
    pub(super) fn set(&mut self, quality: u8, layers: impl Fn(usize) -> usize) -> (Option<u8>, usize) {
        if let Some(Probation { before, .. }) = &mut self.probation {
            before.set(quality, layers(before.all_layers()));
        }
        let layers = layers(self.current.all_layers());
        (self.current.set(quality, layers), layers)
    }

    /// Replaces the current encoder; the new one is on probation.
    pub(super) fn swap(&mut self, Swap { encoder, book }: Swap) {
        tracing::warn!(bundle = encoder.name(), latent_space = %encoder.latent_space(), "bundle installed over the air; it is on probation");
        self.tally.use_bundle(&encoder);
        let before = std::mem::replace(&mut self.current, encoder);
        self.probation = Some(Probation { before, book });
    }

    /// Encodes an input.
    ///
    /// # Errors
    /// As [`AnyEncoder::encode`], if neither encoder can encode the input.
    pub(super) fn encode(&mut self, input: &Input) -> Result<Encoded, EdgeError> {
        let encoded = self.current.encode(input, IdOnWire::Present);
        let Some(Probation { before, book }) = &self.probation else { return encoded };
        let id = self.current.latent_space();
        match encoded {
            Ok(encoded) => {
                book.note(Event::Confirmed(id));
                self.probation = None;
                Ok(encoded)
            }
            Err(error @ (EdgeError::Model(_) | EdgeError::Latent(_))) => {
                // An input on which both encoders fail is not counted against the new one.
                let encoded = before.encode(input, IdOnWire::Present)?;
                tracing::error!(%error, latent_space = %id, "bundle on probation failed; the previous bundle encodes the input");
                let is_back = book.note(Event::Failed(id, error.to_string())).latent_space() != Some(id);
                if is_back {
                    self.roll_back();
                }
                Ok(encoded)
            }
            Err(error) => Err(error),
        }
    }

    fn roll_back(&mut self) {
        let Some(Probation { before, .. }) = self.probation.take() else { return };
        tracing::error!(bundle = before.name(), latent_space = %before.latent_space(), "rolled back to the previous bundle");
        self.tally.use_bundle(&before);
        self.current = before;
    }
}
