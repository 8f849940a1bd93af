//! The thread that encodes.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use lopside_telemetry::context;
use lopside_uplink::{Captured, Item, Link, Outcome, Store};
use tokio::{
    runtime::{self, Runtime},
    sync::{mpsc, oneshot, watch},
};

use super::{
    Bounds,
    control::pressure,
    encoders::{Encoders, Swap},
    files::Encoded,
    input::{File, Job, SourceOf, Work},
    tally::Tally,
};
use crate::{EdgeError, source::Input};

/// The state of the encoding thread.
pub(super) struct Encoding {
    pub(super) encoders: Encoders,
    pub(super) store: Store,
    pub(super) link: watch::Receiver<Link>,
    /// Receives files whose frames are being stored.
    pub(super) finishing: mpsc::Sender<Encoded>,
    pub(super) tally: Arc<Tally>,
    pub(super) bounds: Bounds,
}

/// Starts the thread, which ends when the input channel is closed.
pub(super) fn start(
    encoding: Encoding,
    inputs: mpsc::Receiver<Job>,
    swaps: mpsc::Receiver<Swap>,
) -> Result<thread::JoinHandle<()>, EdgeError> {
    let runtime = runtime::Builder::new_current_thread().build().map_err(EdgeError::Thread)?;
    let waiting = Waiting { inputs, swaps, runtime };
    let thread = thread::Builder::new().name("encoder".into());
    thread.spawn(move || encoding.run(waiting)).map_err(EdgeError::Thread)
}

/// Queues that the thread waits on.
struct Waiting {
    inputs: mpsc::Receiver<Job>,
    /// Encoders that were installed over the air.
    swaps: mpsc::Receiver<Swap>,
    /// The thread's own runtime, to wait on both queues.
    runtime: Runtime,
}

enum Next {
    Input(Job),
    Encoder(Swap),
}

impl Waiting {
    /// Waits for the next encoder or input; returns `None` when the input channel is closed.
    fn next(&mut self) -> Option<Next> {
        let Self { inputs, swaps, runtime } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                Some(swap) = swaps.recv() => Some(Next::Encoder(swap)),
                job = inputs.recv() => job.map(Next::Input),
            }
        })
    }
}

impl Encoding {
    /// Encodes until the input channel is closed.
    fn run(mut self, mut waiting: Waiting) {
        while let Some(next) = waiting.next() {
            let Job { what, at, source } = match next {
                Next::Input(job) => job,
                Next::Encoder(swap) => {
                    self.encoders.swap(swap);
                    continue;
                }
            };
            self.follow();
            let done = match what {
                Work::Picture(picture) => picture
                    .decode()
                    .map_err(EdgeError::from)
                    .and_then(|picture| self.store(&Input::Picture(picture), at, &source, None)),
                Work::Rows(window) => self.store(&Input::Numbers(window), at, &source, None),
                Work::File(file) => {
                    self.file(file, at, &source);
                    continue;
                }
            };
            if let Err(error) = done {
                source.fail(&error);
            }
        }
    }

    /// Adapts quality and layers to the backlog and the link.
    fn follow(&mut self) {
        let pressure = pressure(&self.store.state().borrow(), &self.link.borrow(), self.bounds.budget);
        let (bounds, quality) = (self.bounds, self.bounds.quality(pressure));
        let (quality, layers) = self.encoders.set(quality, |all| bounds.layers(pressure, all));
        self.tally.layers.store(layers as u64, Ordering::Relaxed);
        self.tally.quality.store(quality.map_or(0, u64::from), Ordering::Relaxed);
    }

    /// Encodes an input and sends its frame to the store. The result arrives over the returned channel.
    fn store(
        &mut self,
        input: &Input,
        at: SystemTime,
        source: &SourceOf,
        item: Option<Item>,
    ) -> Result<oneshot::Receiver<Outcome>, EdgeError> {
        let span = tracing::info_span!("capture", source = source.name);
        let _entered = span.enter();
        let frame = self.encoders.encode(input)?.frame;
        source.tally.encoded.fetch_add(1, Ordering::Relaxed);
        source.tally.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let class = source.class_of(&frame);
        let captured = Captured {
            captured_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            source: source.name.clone(),
            traceparent: context::outgoing(&span).unwrap_or_default(),
            frame,
            item,
        };
        Ok(self.store.blocking_append(class, captured.to_record())?)
    }

    /// Encodes all inputs of a file that are not stored yet.
    fn file(&mut self, file: File, at: SystemTime, source: &Arc<SourceOf>) {
        let File { taken, stored } = file;
        match self.inputs(&taken, &stored, at, source) {
            Ok(outcomes) => {
                let encoded =
                    Encoded { file: File { taken, stored }, outcomes, at, source: Arc::clone(source) };
                // If the agent ends, the receiver is gone, and the file is captured again at the next start.
                let _ = self.finishing.blocking_send(encoded);
            }
            Err(EdgeError::Uplink(_)) => {}
            Err(error) => {
                source.fail(&error);
                if let Err(error) = taken.failed() {
                    source.say(&error);
                }
            }
        }
    }

    fn inputs(
        &mut self,
        taken: &lopside_capture::folder::Taken,
        stored: &BTreeSet<usize>,
        at: SystemTime,
        source: &SourceOf,
    ) -> Result<Vec<(usize, oneshot::Receiver<Outcome>)>, EdgeError> {
        let (mut outcomes, file) = (Vec::new(), taken.key());
        let mut inputs = self.encoders.current().open(&[taken.path().to_owned()])?.enumerate().peekable();
        while let Some((index, named)) = inputs.next() {
            let named = named?;
            if !stored.contains(&index) {
                let is_last = inputs.peek().is_none();
                let item = file.map(|file| Item { file, index: index as u32, is_last });
                outcomes.push((index, self.store(&named.input, at, source, item)?));
            }
        }
        Ok(outcomes)
    }
}
