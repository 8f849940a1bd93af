//! Training batches, made ahead of time by background threads.
//!
//! With `n` threads, thread `i` makes the steps `first + i`, `first + i + n`, and so on, and sends them
//! through its own bounded channel; the loader receives from the channels in turn. Steps therefore arrive in
//! order without sorting, and each thread is ahead by at most [`CHANNEL_CAPACITY`] queued batches and the one that it is
//! making. When the loader is dropped, the channels close and every thread ends after its current batch.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use super::{BatchSampling, PhotoBatch, TileSet};
use crate::PhotoError;

/// Capacity of each thread's channel, in batches.
const CHANNEL_CAPACITY: usize = 2;

/// An endless stream of training batches, one per step.
#[derive(Debug)]
pub struct BatchLoader {
    channels: Vec<Receiver<PhotoBatch>>,
    threads: Vec<JoinHandle<()>>,
    next_channel: usize,
}

impl BatchLoader {
    /// Starts `threads` threads (at least one) that make the batches from step `first` on. The number of
    /// threads does not change the batches.
    ///
    /// # Errors
    /// [`PhotoError::ThreadStart`] when a thread cannot be started.
    pub fn new(
        tiles: &TileSet,
        sampling: BatchSampling,
        first: usize,
        threads: usize,
    ) -> Result<Self, PhotoError> {
        let count = threads.max(1);
        let mut loader = Self { channels: Vec::new(), threads: Vec::new(), next_channel: 0 };
        for index in 0..count {
            let (sender, receiver) = sync_channel(CHANNEL_CAPACITY);
            let tiles = tiles.clone();
            let steps = (first + index..).step_by(count);
            let thread = thread::Builder::new()
                .name(format!("batches-{index}"))
                .spawn(move || make_batches(&tiles, sampling, steps, &sender))
                .map_err(|source| PhotoError::ThreadStart { source })?;
            loader.channels.push(receiver);
            loader.threads.push(thread);
        }
        Ok(loader)
    }
}

impl Iterator for BatchLoader {
    type Item = PhotoBatch;

    /// Blocks until the next step's batch is ready. Returns `None` only after a thread has panicked.
    fn next(&mut self) -> Option<PhotoBatch> {
        let batch = self.channels[self.next_channel].recv().ok();
        self.next_channel = (self.next_channel + 1) % self.channels.len();
        batch
    }
}

impl Drop for BatchLoader {
    fn drop(&mut self) {
        self.channels.clear();
        for thread in self.threads.drain(..) {
            // The panic of a thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Makes batches until the receiver is dropped.
fn make_batches(
    tiles: &TileSet,
    sampling: BatchSampling,
    steps: impl Iterator<Item = usize>,
    sender: &SyncSender<PhotoBatch>,
) {
    for step in steps {
        if sender.send(sampling.draw_batch(tiles, step)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Crop, *};

    fn tiles() -> TileSet {
        TileSet::with_flat_tiles(&(0..40).collect::<Vec<u8>>(), &[])
    }

    fn sampling() -> BatchSampling {
        BatchSampling { seed: 5, batch_size: 4, crop: Crop::new(32).unwrap() }
    }

    fn batches(first: usize, threads: usize, count: usize) -> Vec<PhotoBatch> {
        BatchLoader::new(&tiles(), sampling(), first, threads).unwrap().take(count).collect()
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let single = batches(0, 1, 13);
        assert_eq!(single.iter().map(|batch| batch.step).collect::<Vec<_>>(), (0..13).collect::<Vec<_>>());
        assert_eq!(single, batches(0, 3, 13));
        assert_eq!(single, batches(0, 0, 13));
    }

    #[test]
    fn a_later_start_continues_the_same_sequence() {
        let whole = batches(0, 2, 20);
        assert_eq!(whole[11..], batches(11, 3, 9));
    }

    #[test]
    fn all_threads_end_with_the_loader() {
        let tiles = tiles();
        let mut loader = BatchLoader::new(&tiles, sampling(), 0, 3).unwrap();
        assert!(loader.next().is_some());
        assert_eq!(tiles.owners(), 4);
        drop(loader);
        assert_eq!(tiles.owners(), 1);
    }
}
