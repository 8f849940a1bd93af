//! Where an edge agent that runs all the time gets its inputs from.
//!
//! | source | what it gives | where it is from |
//! |---|---|---|
//! | [`folder::Folder`] | [`What::File`] | finished files of a watched folder |
//! | [`stream::Stream`] | [`What::Picture`], [`What::Rows`] | a byte stream: standard input, a device, a socket |
//! | [`command::Command`] | the same | the output of a program that is kept running |
//!
//! With the feature `v4l` there is also `camera::Camera`, a V4L2 camera; building it needs libclang.
//!
//! All are a [`Source`], with the same loop:
//!
//! ```
//! use lopside_capture::{CaptureError, Source, What};
//!
//! fn run(source: &mut dyn Source) -> Result<(), CaptureError> {
//!     while let Some(captured) = source.next()? {
//!         match captured.what {
//!             What::Picture(picture) => drop(picture.decode()?),
//!             What::Rows(window) => drop(window),
//!             // Once what was made of it is safe on the disk.
//!             What::File(file) => file.done()?,
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//! A source belongs to one thread, which it blocks while there is nothing. A [`Stop`] wakes it from another one. What
//! passes on of what was captured is for [`pace`] to say.
//!
//! # What holds
//! - Memory is bounded whatever comes in: by the largest picture, line or window that the options allow, and in a folder
//!   as [`folder`] says.
//! - No bytes from outside make it panic. What is damaged is passed over and counted: see [`Counted`].
//! - Nothing is decoded before it is asked for.
//! - Time is a [`Clock`], which a test may own.
//!
//! It is for Linux: inotify, pidfd and eventfd are its own.

#[cfg(feature = "v4l")]
pub mod camera;
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
