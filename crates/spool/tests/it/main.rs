//! The integration tests of `lopside-spool`, in one binary: linking one costs a fraction of linking many.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

mod kill;
mod spool;
