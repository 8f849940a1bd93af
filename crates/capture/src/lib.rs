mod clock;
mod error;
mod lines;
mod picture;
mod pipe;
pub mod rows;
mod source;
mod stop;
pub mod stream;
pub mod folder;

pub use clock::{Clock, SystemClock};
pub use error::CaptureError;
pub use picture::Picture;
pub use source::{Captured, Context, Counted, Source, What};
pub use stop::Stop;
