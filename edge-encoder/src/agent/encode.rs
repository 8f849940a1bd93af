//! The thread that encodes.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use lopside_encoder::source::EncoderInput;
use lopside_telemetry::context;
use lopside_uplink::{CapturedFrame, FileItem, LinkState, RefusalPolicy, Store, StoreOutcome};
use tokio::{
    runtime::{self, Runtime},
    sync::{mpsc, oneshot, watch},
};

use super::{
    RateBounds,
    counters::AgentCounters,
    encoders::{ActiveEncoders, EncoderSwap},
    file_appends::FileAppends,
    files::EncodedFile,
    input::{EncodeJob, JobInput, PendingFile},
    rate_control::link_pressure,
    retries::count_settled,
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
                    self.store_stream_input(&EncoderInput::Image(image), captured_at, &source)
                }),
                JobInput::Window(window) => {
                    self.store_stream_input(&EncoderInput::Values(window), captured_at, &source)
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

    /// Encodes an input of a stream and sends its frame to the store, which drops and counts it if the spool is full:
    /// the input does not come again.
    fn store_stream_input(
        &mut self,
        input: &EncoderInput,
        captured_at: SystemTime,
        source: &SourceState,
    ) -> Result<(), EdgeError> {
        self.store_input(input, captured_at, source, None, RefusalPolicy::Drop).map(drop)
    }

    /// Encodes an input and sends its frame to the store. The outcome arrives over the returned channel.
    fn store_input(
        &mut self,
        input: &EncoderInput,
        captured_at: SystemTime,
        source: &SourceState,
        item: Option<FileItem>,
        policy: RefusalPolicy,
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
        Ok(self.store.blocking_append(class, captured.to_record(), policy)?)
    }

    /// Encodes the inputs of a file that are not stored yet.
    fn encode_file(&mut self, file: PendingFile, captured_at: SystemTime, source: &Arc<SourceState>) {
        let settled_before = count_settled(&self.store.state().borrow());
        // A file that ends the agent while it is read must not do so at every start. Without the record it is read
        // nevertheless.
        let mark = file.source_file.begin_reading().inspect_err(|error| source.report_problem(error)).ok();
        let result = self.encode_inputs(&file, captured_at, source);
        drop(mark);
        match result {
            Ok(appends) => {
                let source = Arc::clone(source);
                let encoded = EncodedFile { file, appends, settled_before, captured_at, source };
                // If the agent ends, the receiver is gone, and the file is captured again at the next start.
                let _ = self.encoded_files.blocking_send(encoded);
            }
            Err(EdgeError::Uplink(_)) => {}
            Err(error) => {
                source.record_failure(&error);
                if let Err(error) = file.source_file.mark_failed() {
                    source.report_problem(&error);
                }
            }
        }
    }

    /// Encodes the inputs of a file that are not stored yet, until the spool is known to be full: the others would be
    /// encoded in vain.
    fn encode_inputs(
        &mut self,
        file: &PendingFile,
        captured_at: SystemTime,
        source: &SourceState,
    ) -> Result<FileAppends, EdgeError> {
        let (mut appends, file_key) = (FileAppends::default(), file.source_file.file_key());
        let path = file.source_file.path().to_owned();
        let mut inputs = self.encoders.current().open_inputs(&[path])?.enumerate().peekable();
        while let Some((index, named_input)) = inputs.next() {
            let named_input = named_input?;
            if !file.finished_inputs.contains(&index) {
                let is_last = inputs.peek().is_none();
                let item = file_key.map(|file_key| FileItem { file_key, index: index as u32, is_last });
                let (input, policy) = (&named_input.input, RefusalPolicy::Keep);
                appends.push(index, self.store_input(input, captured_at, source, item, policy)?);
                if appends.has_refusal() {
                    break;
                }
            }
        }
        Ok(appends)
    }
}
