use std::sync::Arc;

use lopside_latent::IdOnWire;

use super::{
    tally::Tally,
    update::{Book, Event},
};
use crate::{AnyEncoder, EdgeError, Encoded, source::Input};

/// The encoder that is used and, while it is on probation, the one before it. What the new one does not encode, the one
/// before does, so nothing is lost by trying.
#[derive(Debug)]
pub(super) struct Encoders {
    current: AnyEncoder,
    probation: Option<Probation>,
    tally: Arc<Tally>,
}

/// An encoder that came over the air.
#[derive(Debug)]
pub(super) struct Swap {
    pub(super) encoder: AnyEncoder,
    pub(super) book: Arc<Book>,
}

/// While a bundle has encoded no real input.
#[derive(Debug)]
pub(super) struct Probation {
    pub(super) before: AnyEncoder,
    pub(super) book: Arc<Book>,
}

impl Encoders {
    pub(super) fn new(current: AnyEncoder, probation: Option<Probation>, tally: Arc<Tally>) -> Self {
        Self { current, probation, tally }
    }

    /// The one that is used.
    pub(super) fn current(&self) -> &AnyEncoder {
        &self.current
    }

    /// From now on frames have this quality and so many layers at most, as [`AnyEncoder::set`].
    pub(super) fn set(&mut self, quality: u8, layers: impl Fn(usize) -> usize) -> (Option<u8>, usize) {
        if let Some(Probation { before, .. }) = &mut self.probation {
            before.set(quality, layers(before.all_layers()));
        }
        let layers = layers(self.current.all_layers());
        (self.current.set(quality, layers), layers)
    }

    /// From now on another one is used, on probation.
    pub(super) fn swap(&mut self, Swap { encoder, book }: Swap) {
        tracing::warn!(bundle = encoder.name(), latent_space = %encoder.latent_space(), "a bundle came over the air");
        self.tally.use_bundle(&encoder);
        let before = std::mem::replace(&mut self.current, encoder);
        self.probation = Some(Probation { before, book });
    }

    /// The frame of an input.
    ///
    /// # Errors
    /// As [`AnyEncoder::encode`], where neither encodes it.
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
                // What neither encodes says nothing of the new one.
                let encoded = before.encode(input, IdOnWire::Present)?;
                tracing::error!(%error, latent_space = %id, "a bundle on probation failed; the one before encodes");
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
        tracing::error!(bundle = before.name(), latent_space = %before.latent_space(), "the bundle before is back");
        self.tally.use_bundle(&before);
        self.current = before;
    }
}
