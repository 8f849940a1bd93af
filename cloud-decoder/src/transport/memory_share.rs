use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A number of bytes in use that never exceeds its limit.
#[derive(Debug)]
pub(crate) struct MemoryShare {
    limit: usize,
    used: AtomicUsize,
}

impl MemoryShare {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// Returns the number of bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Reserves the bytes, and returns true, if they fit.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let mut used = self.used();
        while let Some(after) = used.checked_add(bytes).filter(|&after| after <= self.limit) {
            match self.used.compare_exchange_weak(used, after, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(current) => used = current,
            }
        }
        false
    }

    /// Returns bytes that were reserved before.
    pub(crate) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}
