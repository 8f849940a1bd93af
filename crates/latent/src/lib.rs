//! Latents as bytes: quantiser, integer entropy coder and frame format.
//!
//! This crate is pure: slices in, vectors out, without IO, clocks, or floats that could decide a bit on the
//! decoding side. The bytes of a frame depend only on the latent's integers and on integer tables, so an ARM
//! encoder and an x86 decoder agree bit for bit.
//!
//! ```text
//! latent f32 ──Quantiser──► integers i32 ──Tables + range coder──► payload ──Frame──► bytes
//! ```
//!
//! [`FixedLatentSpace`] combines the parts. Both hosts use it.
//!
//! ```
//! use lopside_latent::{
//!     FixedLatentSpace, IdOnWire, LatentLayer, LatentSpaceId, Limits, Quantiser, Shape, Table, Tables,
//! };
//!
//! let tables = Tables::new(vec![Table::from_counts(-1, &[1, 8, 1])?, Table::from_counts(0, &[5, 5])?])?;
//! let layer = LatentLayer { shape: Shape::new(&[2])?, quantiser: Quantiser::new(vec![1.0, 10.0])? };
//! let space = FixedLatentSpace::new(LatentSpaceId::new([7; 8]), vec![layer], tables)?;
//! let frame = space.encode(&[0.2, 0.1], IdOnWire::Present)?;
//! assert_eq!(space.decode(&frame, &Limits::default())?, vec![0, 1]);
//! # Ok::<(), lopside_latent::LatentError>(())
//! ```

mod coder;
mod error;
mod frame;
mod framing;
mod id;
pub mod image_codec;
mod quantise;
mod seal;
mod shape;
mod space;
mod tables;
mod varint;

pub use error::LatentError;
pub use frame::FixedLatentFrame;
pub use framing::{IdOnWire, Limits, peek_latent_space};
pub use id::LatentSpaceId;
pub use quantise::Quantiser;
pub use shape::Shape;
pub use space::{FixedLatentSpace, LatentLayer};
pub use tables::{MAX_TABLE_SYMBOLS, Table, Tables};
