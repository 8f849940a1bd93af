//! The integration tests of `lopside-spool`, in one binary: linking one binary is much faster than linking
//! many.

// A test helper panics to fail its test.
#![allow(clippy::unwrap_used)]

mod device;
mod interference;
mod kill;
mod machine;
mod policies;
mod receiver;
mod spool;
mod strays;
