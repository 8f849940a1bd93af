//! The lock of a queue, with the threads that wait for a change and the clock that they read.
//!
//! It is a trait, so that the same queue also runs under a model checker, which owns the threads and the time.

use std::{
    ops::DerefMut,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// A lock around a value, and the threads that wait for the value to change.
pub(super) trait Monitor<T> {
    /// Exclusive access to the value, until it is dropped.
    type Guard<'a>: DerefMut<Target = T>
    where
        Self: 'a;

    /// Creates the monitor of a value.
    fn new(value: T) -> Self;
    /// Locks the value.
    fn lock(&self) -> Self::Guard<'_>;
    /// Unlocks the value until a notification, and locks it again.
    fn wait<'a>(&'a self, guard: Self::Guard<'a>) -> Self::Guard<'a>;
    /// Unlocks the value until a notification or until `time`, and locks it again.
    fn wait_until<'a>(&'a self, guard: Self::Guard<'a>, time: Instant) -> Self::Guard<'a>;
    /// Wakes one waiting thread.
    fn notify_one(&self);
    /// Wakes all waiting threads.
    fn notify_all(&self);
    /// Returns the current time.
    fn now(&self) -> Instant;
}

/// The monitor of the standard library's threads.
#[derive(Debug)]
pub(super) struct SystemMonitor<T> {
    value: Mutex<T>,
    change: Condvar,
}

impl<T> Monitor<T> for SystemMonitor<T> {
    type Guard<'a>
        = MutexGuard<'a, T>
    where
        Self: 'a;

    fn new(value: T) -> Self {
        Self { value: Mutex::new(value), change: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.change.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until<'a>(&'a self, guard: MutexGuard<'a, T>, time: Instant) -> MutexGuard<'a, T> {
        let timeout = time.saturating_duration_since(Instant::now());
        self.change.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    fn notify_one(&self) {
        self.change.notify_one();
    }

    fn notify_all(&self) {
        self.change.notify_all();
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}
