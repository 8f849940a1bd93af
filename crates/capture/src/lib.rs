//! Input sources of an edge agent that runs continuously.
//!
//! | source | yields | inputs |
//! |---|---|---|
//! | [`folder::FolderSource`] | [`CapturedInput::File`] | finished files of a watched folder |
//! | [`stream::StreamSource`] | [`CapturedInput::Image`], [`CapturedInput::Window`] | a byte stream: standard input, a device, a socket |
//! | [`command::CommandSource`] | the same | the output of a program that is kept running |
//! | [`tail::TailSource`] | [`CapturedInput::Tailed`] | a file of sensor rows that grows |
//!
//! The feature `v4l` adds `camera::Camera`, a V4L2 camera; building it needs libclang.
//!
//! All of them implement [`Source`], with the same loop:
//!
//! ```
//! use lopside_capture::{CaptureError, CapturedInput, Source};
//!
//! fn run(source: &mut dyn Source) -> Result<(), CaptureError> {
//!     while let Some(captured) = source.next()? {
//!         match captured.input {
//!             CapturedInput::Image(image) => drop(image.decode()?),
//!             CapturedInput::Window(window) => drop(window),
//!             // Once its outputs are safe on the disk.
//!             CapturedInput::Tailed(window) => window.mark.mark_stored()?,
//!             CapturedInput::File(file) => {
//!                 // A file that ends the process twice while it is read is set aside.
//!                 let mark = file.begin_reading()?;
//!                 // Read the file here.
//!                 drop(mark);
//!                 // Once its outputs are safe on the disk.
//!                 file.mark_done()?;
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//! A source belongs to one thread, which blocks until there is an input. A [`StopHandle`] wakes it from another
//! thread. The module [`pace`] decides which captured inputs are passed on.
//!
//! # Invariants
//! - Memory is bounded for any input: by the largest image, line or window that the options allow, and for
//!   folders as described in [`folder`].
//! - External bytes never cause a panic. Damaged inputs are skipped and counted: see [`InputCounts`].
//! - Inputs are decoded only on request.
//! - Time comes from a [`Clock`], which tests can replace.
//!
//! The crate supports Linux only: it uses inotify, pidfd and eventfd.

mod activity;
#[cfg(feature = "v4l")]
pub mod camera;
mod captured_image;
mod captured_window;
mod clock;
pub mod command;
mod error;
pub mod folder;
mod input_counts;
mod lines;
pub mod pace;
mod pipe;
pub mod rows;
mod silence;
mod source;
mod stop;
pub mod stream;
pub mod tail;

pub use activity::{Activity, RestMark, WorkMark};
pub use captured_image::CapturedImage;
pub use captured_window::CapturedWindow;
pub use clock::{Clock, SystemClock};
pub use error::CaptureError;
pub use input_counts::{InputCounts, LiveCounts};
pub use source::{Captured, CapturedInput, Source, SourceContext};
pub use stop::StopHandle;
