//! The thread that encodes.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use lopside_encoder::source::EncoderInput;
use lopside_telemetry::context;
use lopside_uplink::{CapturedFrame, FileItem, LinkState, Store, StoreOutcome};
use tokio::{
    runtime::{self, Runtime},
    sync::{mpsc, oneshot, watch},
};

use super::{
    RateBounds,
    counters::AgentCounters,
    encoders::{ActiveEncoders, EncoderSwap},
    files::EncodedFile,
    input::{EncodeJob, JobInput, PendingFile},
    rate_control::link_pressure,
    source_state::SourceState,
};
use crate::EdgeError;

/// The state of the encoding thread.
pub(super) struct EncodingThread {
    pub(super) encoders: ActiveEncoders,
    pub(super) store: Store,
    pub(super) link: watch::Receiver<LinkState>,
    /// Receives files whose frames are being stored.
    pub(super) encoded_files: mpsc::Sender<EncodedFile>,
    pub(super) counters: Arc<AgentCounters>,
    pub(super) bounds: RateBounds,
}

/// Starts the thread, which ends when the input channel is closed.
pub(super) fn start(
    encoding: EncodingThread,
    inputs: mpsc::Receiver<EncodeJob>,
    swaps: mpsc::Receiver<EncoderSwap>,
) -> Result<thread::JoinHandle<()>, EdgeError> {
    let runtime = runtime::Builder::new_current_thread().build().map_err(EdgeError::Thread)?;
    let queues = EncoderQueues { inputs, swaps, runtime };
    let thread = thread::Builder::new().name("encoder".into());
    thread.spawn(move || encoding.run(queues)).map_err(EdgeError::Thread)
}

/// Queues that the thread waits on.
struct EncoderQueues {
    inputs: mpsc::Receiver<EncodeJob>,
    /// Encoders that were installed over the air.
    swaps: mpsc::Receiver<EncoderSwap>,
    /// The thread's own runtime, to wait on both queues.
    runtime: Runtime,
}

enum NextWork {
    Input(EncodeJob),
    Encoder(EncoderSwap),
}

impl EncoderQueues {
    /// Waits for the next encoder or input; returns `None` when the input channel is closed.
    fn next(&mut self) -> Option<NextWork> {
        let Self { inputs, swaps, runtime } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                Some(swap) = swaps.recv() => Some(NextWork::Encoder(swap)),
                job = inputs.recv() => job.map(NextWork::Input),
            }
        })
    }
}

impl EncodingThread {
    /// Encodes until the input channel is closed.
    fn run(mut self, mut queues: EncoderQueues) {
        while let Some(next) = queues.next() {
            let EncodeJob { input, captured_at, source } = match next {
                NextWork::Input(job) => job,
                NextWork::Encoder(swap) => {
                    self.encoders.swap(swap);
                    continue;
                }
            };
            self.follow_link();
            let result = match input {
                JobInput::Image(image) => image.decode().map_err(EdgeError::from).and_then(|image| {
                    self.store_input(&EncoderInput::Image(image), captured_at, &source, None)
                }),
                JobInput::Window(window) => {
                    self.store_input(&EncoderInput::Values(window), captured_at, &source, None)
                }
                JobInput::File(file) => {
                    self.encode_file(file, captured_at, &source);
                    continue;
                }
            };
            if let Err(error) = result {
                source.record_failure(&error);
            }
        }
    }

    /// Adapts quality and layers to the backlog and the link.
    fn follow_link(&mut self) {
        let pressure =
            link_pressure(&self.store.state().borrow(), &self.link.borrow(), self.bounds.budget_bytes);
        let (bounds, quality) = (self.bounds, self.bounds.quality(pressure));
        let (quality, layers) =
            self.encoders.set_rate(quality, |layer_count| bounds.layers(pressure, layer_count));
        self.counters.layers.store(layers as u64, Ordering::Relaxed);
        self.counters.quality.store(quality.map_or(0, u64::from), Ordering::Relaxed);
    }

    /// Encodes an input and sends its frame to the store. The result arrives over the returned channel.
    fn store_input(
        &mut self,
        input: &EncoderInput,
        captured_at: SystemTime,
        source: &SourceState,
        item: Option<FileItem>,
    ) -> Result<oneshot::Receiver<StoreOutcome>, EdgeError> {
        let span = tracing::info_span!("capture", source = source.name);
        let _entered = span.enter();
        let frame = self.encoders.encode(input)?.frame;
        source.counters.encoded.fetch_add(1, Ordering::Relaxed);
        source.counters.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        let since_epoch = captured_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let class = source.frame_class(&frame);
        let captured = CapturedFrame {
            captured_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
            source: source.name.clone(),
            traceparent: context::outgoing(&span).unwrap_or_default(),
            frame,
            file_item: item,
        };
        Ok(self.store.blocking_append(class, captured.to_record())?)
    }

    /// Encodes all inputs of a file that are not stored yet.
    fn encode_file(&mut self, file: PendingFile, captured_at: SystemTime, source: &Arc<SourceState>) {
        let PendingFile { source_file, stored_inputs } = file;
        match self.encode_inputs(&source_file, &stored_inputs, captured_at, source) {
            Ok(outcomes) => {
                let encoded = EncodedFile {
                    file: PendingFile { source_file, stored_inputs },
                    outcomes,
                    captured_at,
                    source: Arc::clone(source),
                };
                // If the agent ends, the receiver is gone, and the file is captured again at the next start.
                let _ = self.encoded_files.blocking_send(encoded);
            }
            Err(EdgeError::Uplink(_)) => {}
            Err(error) => {
                source.record_failure(&error);
                if let Err(error) = source_file.mark_failed() {
                    source.report_problem(&error);
                }
            }
        }
    }

    fn encode_inputs(
        &mut self,
        source_file: &lopside_capture::folder::TakenFile,
        stored_inputs: &BTreeSet<usize>,
        captured_at: SystemTime,
        source: &SourceState,
    ) -> Result<Vec<(usize, oneshot::Receiver<StoreOutcome>)>, EdgeError> {
        let (mut outcomes, file_key) = (Vec::new(), source_file.file_key());
        let mut inputs =
            self.encoders.current().open_inputs(&[source_file.path().to_owned()])?.enumerate().peekable();
        while let Some((index, named_input)) = inputs.next() {
            let named_input = named_input?;
            if !stored_inputs.contains(&index) {
                let is_last = inputs.peek().is_none();
                let item = file_key.map(|file_key| FileItem { file_key, index: index as u32, is_last });
                outcomes.push((index, self.store_input(&named_input.input, captured_at, source, item)?));
            }
        }
        Ok(outcomes)
    }
}
