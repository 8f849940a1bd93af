//! The integration tests of `lopside-input`, in one binary.

// A test helper panics to fail its test.
#![allow(clippy::unwrap_used)]

mod csv_rows;
mod image_file;
