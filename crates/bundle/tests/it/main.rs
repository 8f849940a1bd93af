//! The integration tests of `lopside-bundle`, in one binary: linking one binary is much faster than linking
//! many.

// A test helper panics to fail its test.
#![allow(clippy::unwrap_used)]

mod bundles;
mod device_part;
mod external_data;
mod tables;
