//! Image codecs at the edge: images of any size, in bounded memory.
//!
//! ```text
//! image u8 ───► strip f32 ─first half─► bands ┬─ low bands f32 ──second half──► coarser layers f32 ─► i16 ┐
//!  (mirrored)   a few rows of blocks          └─ the rest: the finest layer, strip by strip ────────► i16 ┴► frame
//! ```
//! The first half is most of the work, and its feature maps would be as large as the image in floats. It
//! therefore runs strip by strip in any number of threads, and the finest layer of a strip is quantised
//! before the next strip. The second half sees the whole height, but only the few bands that it needs.

mod colour;
mod encoder;
mod fast_quality;
mod halving;
mod plan_cache;
mod planes;
mod samples;
mod split_model;
mod strips;

pub use colour::to_eight_bit;
pub use encoder::{ImageCodecEncoder, ImageCodecOptions};
