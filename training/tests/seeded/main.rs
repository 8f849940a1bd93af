//! Tests that draw random numbers from the training device. Its generator is shared by the whole process, so these tests are a
//! binary of their own and take turns.

// A helper that cannot go on fails its test.
#![allow(clippy::unwrap_used)]

mod objectives;
mod seed;

use std::sync::{Mutex, MutexGuard, PoisonError};

static GENERATOR: Mutex<()> = Mutex::new(());

/// Waits until no other test uses the device's generator.
fn lock_generator() -> MutexGuard<'static, ()> {
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}
