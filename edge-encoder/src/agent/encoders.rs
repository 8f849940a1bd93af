use std::sync::Arc;

use lopside_encoder::{AnyEncoder, EncodeError, EncodedFrame, source::EncoderInput};
use lopside_latent::IdOnWire;

use super::{
    counters::AgentCounters,
    update::{StateStore, UpdateEvent},
};

/// The current encoder and, while it is on probation, the previous one. Inputs that the new encoder fails on
/// are encoded by the previous one, so the probation does not lose any.
#[derive(Debug)]
pub(super) struct ActiveEncoders {
    current: AnyEncoder,
    previous: Option<PreviousEncoder>,
    counters: Arc<AgentCounters>,
}

/// An encoder that was installed over the air.
#[derive(Debug)]
pub(super) struct EncoderSwap {
    pub(super) encoder: AnyEncoder,
    pub(super) states: Arc<StateStore>,
}

/// The state while a new bundle has not encoded a real input yet.
#[derive(Debug)]
pub(super) struct PreviousEncoder {
    pub(super) encoder: AnyEncoder,
    pub(super) states: Arc<StateStore>,
}

impl ActiveEncoders {
    pub(super) fn new(
        current: AnyEncoder,
        previous: Option<PreviousEncoder>,
        counters: Arc<AgentCounters>,
    ) -> Self {
        Self { current, previous, counters }
    }

    /// Returns the current encoder.
    pub(super) fn current(&self) -> &AnyEncoder {
        &self.current
    }

    /// Sets the quality and the maximum number of layers of further frames, as [`AnyEncoder::set_rate`]. Returns
    /// the number of layers.
    pub(super) fn set_rate(&mut self, quality: u8, layers: impl Fn(usize) -> usize) -> usize {
        if let Some(PreviousEncoder { encoder: previous, .. }) = &mut self.previous {
            previous.set_rate(quality, layers(previous.layer_count()));
        }
        let layers = layers(self.current.layer_count());
        self.current.set_rate(quality, layers);
        layers
    }

    /// Replaces the current encoder; the new one is on probation.
    pub(super) fn swap(&mut self, EncoderSwap { encoder, states }: EncoderSwap) {
        tracing::warn!(bundle = encoder.name(), latent_space = %encoder.latent_space(), "bundle installed over the air; it is on probation");
        self.counters.set_bundle(&encoder);
        let previous = std::mem::replace(&mut self.current, encoder);
        self.previous = Some(PreviousEncoder { encoder: previous, states });
    }

    /// Encodes an input.
    ///
    /// # Errors
    /// As [`AnyEncoder::encode`], if neither encoder can encode the input.
    pub(super) fn encode(&mut self, input: &EncoderInput) -> Result<EncodedFrame, EncodeError> {
        let encoded = self.current.encode(input, IdOnWire::Present);
        let Some(PreviousEncoder { encoder: previous, states }) = &self.previous else { return encoded };
        let id = self.current.latent_space();
        match encoded {
            Ok(encoded) => {
                states.note(UpdateEvent::Confirmed(id));
                self.previous = None;
                Ok(encoded)
            }
            Err(error @ (EncodeError::Model(_) | EncodeError::Latent(_))) => {
                // An input on which both encoders fail is not counted against the new one.
                let encoded = previous.encode(input, IdOnWire::Present)?;
                tracing::error!(%error, latent_space = %id, "bundle on probation failed; the previous bundle encodes the input");
                let is_rolled_back =
                    states.note(UpdateEvent::Failed(id, error.to_string())).current_space() != Some(id);
                if is_rolled_back {
                    self.roll_back();
                }
                Ok(encoded)
            }
            Err(error) => Err(error),
        }
    }

    fn roll_back(&mut self) {
        let Some(PreviousEncoder { encoder: previous, .. }) = self.previous.take() else { return };
        tracing::error!(bundle = previous.name(), latent_space = %previous.latent_space(), "rolled back to the previous bundle");
        self.counters.set_bundle(&previous);
        self.current = previous;
    }
}
