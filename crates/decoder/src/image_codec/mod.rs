//! Images of any size: decodes a frame of version 2, or its feature maps, to a PNG file or a tensor.
//!
//! ```text
//! frame ──ImageCodec────► maps f32, one per layer ──head──► samples, padded ──Raster──► 8 bits or f32, cropped
//!         (blocking)                              (engine)                  (blocking)
//! ```
//! [`ImageCodecService`] runs these steps for the server, [`ImageCodecDecoder`] on the caller's thread.

mod codec;
mod decoder;
mod raster;
mod service;

pub(crate) use codec::pixels_in_memory;
pub use codec::{FeatureMaps, ImageCodec};
pub use decoder::ImageCodecDecoder;
pub use service::ImageCodecService;
