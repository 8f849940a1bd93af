//! Pictures of any size: a frame of version 2, or the feature maps that it stands for, to a PNG or a tensor.
//!
//! ```text
//! frame ──PictureCodec──► maps f32, one a layer ──head──► samples, padded ──Raster──► 8 bits or f32, cropped
//!         (blocking)                            (engine)                  (blocking)
//! ```
//! [`PictureService`] walks that way for the server, [`PictureDecoder`] for everyone who has a thread to spend.

mod codec;
mod decoder;
mod raster;
mod service;

pub(crate) use codec::{Maps, pixels_in_memory};
pub use decoder::PictureDecoder;
pub(crate) use service::PictureService;
