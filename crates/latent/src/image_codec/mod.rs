//! Images of any size as frames: layers of feature maps, context-modelled and range-coded.
//!
//! ```text
//! maps f32 ──ImageCodecQuantiser──► planes i16 ──ContextModel + range coder──► payloads ──ImageCodecFrame──► bytes
//! ```
//! The latent of an image has a few *layers*, coarsest first; the channels of layer `l` are at `1 /
//! stride(l)` of the image's resolution. A frame carries the first layers, as many as the sender could
//! afford, and a decoder uses zeros for the rest.

mod class;
mod coder;
mod coding_visitor;
mod context;
mod frame;
mod layout;
mod plane;
mod quantise;
mod rdoq;
mod space;
mod walk;

pub use class::{CLASSES, ROW_CLASSES, class_of};
pub use coder::subtract_prediction;
pub use context::{ChannelContext, ChannelReference, ContextModel, NEIGHBOURS};
pub use frame::{ImageCodecFrame, ImageCodecHeader, truncate_layers};
pub use layout::{LayerShape, Layout, STRIPE_ROWS};
pub use plane::{Energy, Plane};
pub use quantise::ImageCodecQuantiser;
pub use rdoq::{Coefficients, LAMBDA};
pub use space::{ImageCodecLatent, ImageCodecSpace};
pub use walk::{PlaneVisitor, walk_plane};

/// Number of qualities, 1 to 100.
pub const QUALITIES: usize = 100;

/// The quality of an image: 1, the coarsest, to 100, the finest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quality(u8);

impl Quality {
    /// Creates a quality. Returns `None` outside 1 to 100.
    #[must_use]
    pub const fn new(quality: u8) -> Option<Self> {
        if quality >= 1 && quality <= QUALITIES as u8 { Some(Self(quality)) } else { None }
    }

    /// Returns the quality, 1 to 100.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// Returns the quality as an index, 0 to 99.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0) - 1
    }
}
