//! The integration tests of `lopside-input`, in one binary.

// A test helper panics to fail its test.
#![allow(clippy::unwrap_used)]

mod csv_properties;
mod csv_rows;
mod image_colour;
mod image_exif;
mod image_file;
mod image_formats;
mod image_jpeg;
mod image_support;
mod image_tiff;
