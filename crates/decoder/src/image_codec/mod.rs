//! Images of any size: decodes a frame of version 2, or its feature maps, to a PNG file or a tensor.
//!
//! ```text
//! frame ──ImageCodec──► integers ──┐
//!                                  ├─► each tile: f32 ──head──► samples with margins ──► Canvas ──► PNG or f32
//! maps f32, one per layer ─────────┘             (engine)                            8 bits or f32, cropped
//! ```
//! All steps except the head's run on blocking threads. A large image is computed in tiles ([`tiles`]), each of which
//! is a job; the image is the same as if it were computed as a whole, up to the last bits of the head's sums.
//! [`ImageCodecService`] runs these steps for the server, [`ImageCodecDecoder`] on the caller's thread.

mod admission;
mod canvas;
mod codec;
mod decoder;
mod feature_maps;
mod head;
mod head_run;
mod pace;
mod raster;
mod service;
mod tiles;

pub use codec::ImageCodec;
pub(crate) use codec::pixels_in_memory;
pub use decoder::ImageCodecDecoder;
pub use feature_maps::FeatureMaps;
pub use head::ImageHead;
pub use service::ImageCodecService;
