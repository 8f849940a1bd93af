//! The threads that serve connections.
//!
//! A connection with all its requests stays on one thread, the one that had the fewest connections at that time:
//! waking another thread for a small request would cost more than everything else. Long work runs on engine
//! threads and in the blocking pool.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::watch,
};

/// Threads with one runtime each. They end when this value is dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    _running: watch::Sender<()>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// The permit of a connection on a thread; returned when dropped.
#[derive(Debug)]
pub(crate) struct WorkerPermit(Arc<AtomicUsize>);

impl Workers {
    /// Starts `count` threads, at least 1.
    ///
    /// # Errors
    /// The error of the operating system if it cannot provide a runtime or a thread.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let running = watch::Sender::new(());
        let workers = (0..count.max(1)).map(|number| Worker::start(number, &running));
        Ok(Self { workers: workers.collect::<io::Result<_>>()?, _running: running })
    }

    /// Returns the thread with the fewest connections, and counts one more connection there.
    pub(crate) fn assign_connection(&self) -> (&Handle, WorkerPermit) {
        let index =
            (0..self.workers.len()).min_by_key(|&index| self.workers[index].connections.load(Relaxed));
        // The list has at least one worker.
        let worker = &self.workers[index.unwrap_or_default()];
        worker.connections.fetch_add(1, Relaxed);
        (&worker.runtime, WorkerPermit(Arc::clone(&worker.connections)))
    }
}

impl Worker {
    /// Starts a thread that ends when the sender `running` is dropped.
    fn start(number: usize, running: &watch::Sender<()>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, mut running) = (runtime.handle().clone(), running.subscribe());
        let until_dropped = async move { while running.changed().await.is_ok() {} };
        let name = format!("connections-{number}");
        thread::Builder::new().name(name).spawn(move || runtime.block_on(until_dropped))?;
        Ok(Self { runtime: handle, connections: Arc::default() })
    }
}

impl Drop for WorkerPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[tokio::test]
    async fn connections_are_spread_and_a_returned_permit_is_used_next() {
        let workers = Workers::start(3).unwrap();
        let mut permits = Vec::new();
        let mut threads = HashSet::new();
        for _ in 0..3 {
            let (runtime, permit) = workers.assign_connection();
            threads.insert(runtime.spawn(async { thread::current().id() }).await.unwrap());
            permits.push((runtime.id(), permit));
        }
        assert_eq!(threads.len(), 3);
        let (id, permit) = permits.remove(1);
        drop(permit);
        let (runtime, _permit) = workers.assign_connection();
        assert_eq!(runtime.id(), id);
    }
}
