//! The encoder: turns an image, a window or a tensor into a frame.
//!
//! ```text
//! source ─► preprocess ─► encoder (tract) ─► latent coder ─► frame
//! ```
//! [`FixedLatentEncoder`] is for fixed-latent bundles, [`ImageCodecEncoder`] for image codecs, and
//! [`AnyEncoder`] for bundles of either kind. The device and the training crate run the same code path.

mod any_encoder;
mod error;
mod fixed_latent;
pub mod golden;
mod image_codec;
mod model_plan;
mod reduction;
pub mod source;

pub use any_encoder::{AnyEncoder, EncodeOptions};
pub use error::EncodeError;
pub use fixed_latent::{EncodeTiming, EncodedFrame, FixedLatentEncoder};
pub use image_codec::{ImageCodecEncoder, ImageCodecOptions, to_eight_bit};
pub use lopside_input::{DamagedImages, ImageNotes, ImagePolicy, InputLimits, Location};
pub use model_plan::ModelPlan;
pub use reduction::drastic_reduction;
pub use source::InputError;
