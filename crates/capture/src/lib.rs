mod clock;
pub mod command;
mod error;
pub mod folder;
mod lines;
pub mod pace;
mod picture;
mod pipe;
pub mod rows;
mod source;
mod stop;
pub mod stream;

pub use clock::{Clock, SystemClock};
pub use error::CaptureError;
pub use picture::Picture;
pub use source::{Captured, Context, Counted, Source, What};
pub use stop::Stop;
