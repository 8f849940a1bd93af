//! The thread that encodes.

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use lopside_capture::{Activity, CapturedImage, CapturedWindow, tail::TailedWindow};
use lopside_encoder::{EncodedFrame, ImageNotes, source::EncoderInput};
use lopside_telemetry::context;
use lopside_uplink::{CapturedFrame, FileItem, LinkState, RefusalPolicy, Store, StoreOutcome};
use tokio::{
    runtime::{self, Runtime},
    sync::{mpsc, oneshot, watch},
};

use super::{
    ImageSettings, RateBounds,
    counters::AgentCounters,
    encoders::{ActiveEncoders, EncoderSwap},
    file_appends::FileAppends,
    files::EncodedFile,
    fit_for_cloud,
    image_notes::{NotedInput, capture_time, frame_marks},
    input::{EncodeJob, JobInput, PendingFile},
    rate_control::link_pressure,
    retries::count_settled,
    source_state::SourceState,
    tables::open_inputs,
    tails::AppendedWindow,
};
use crate::EdgeError;

/// The state of the encoding thread.
pub(super) struct EncodingThread {
    pub(super) encoders: ActiveEncoders,
    pub(super) store: Store,
    pub(super) link: watch::Receiver<LinkState>,
    /// Receives files whose frames are being stored.
    pub(super) encoded_files: mpsc::Sender<EncodedFile>,
    /// Receives windows of growing files that are being stored.
    pub(super) appended_windows: mpsc::Sender<AppendedWindow>,
    pub(super) counters: Arc<AgentCounters>,
    pub(super) bounds: RateBounds,
    pub(super) images: ImageSettings,
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
    fn next(&mut self, activity: &Activity) -> Option<NextWork> {
        let _rest = activity.rest();
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
        let counters = Arc::clone(&self.counters);
        let _work = counters.encoding.work();
        while let Some(next) = queues.next(&counters.encoding) {
            let EncodeJob { input, captured_at, source } = match next {
                NextWork::Input(job) => job,
                NextWork::Encoder(swap) => {
                    self.encoders.swap(swap);
                    continue;
                }
            };
            self.follow_link();
            let result = match input {
                JobInput::Image(image) => self.store_stream_image(image, captured_at, &source),
                JobInput::Window(window) => self.store_stream_window(window, captured_at, &source),
                JobInput::Tailed(window) => {
                    self.encode_tailed(window, captured_at, &source);
                    continue;
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
        let layers = self.encoders.set_rate(quality, |layer_count| bounds.layers(pressure, layer_count));
        self.counters.layers.store(layers as u64, Ordering::Relaxed);
    }

    /// Decodes an image of a stream, encodes it and sends its frame to the store. The time of capture is that of its
    /// arrival: the clock of the device is the better one.
    fn store_stream_image(
        &mut self,
        image: CapturedImage,
        captured_at: SystemTime,
        source: &SourceState,
    ) -> Result<(), EdgeError> {
        let read = image.read(&source.image_policy)?;
        let (input, notes) = (&EncoderInput::Image(read.image), &read.notes);
        self.store_stream_input(&NotedInput { input, notes, captured_at, is_retry: false }, source)
    }

    /// Encodes a window of a stream and sends its frame to the store.
    fn store_stream_window(
        &mut self,
        window: CapturedWindow,
        captured_at: SystemTime,
        source: &SourceState,
    ) -> Result<(), EdgeError> {
        let captured_at = capture_time(window.measured_at, captured_at);
        let (input, notes) = (&EncoderInput::Values(window.values), &ImageNotes::default());
        self.store_stream_input(&NotedInput { input, notes, captured_at, is_retry: false }, source)
    }

    /// Encodes an input of a stream and sends its frame to the store, which drops and counts it if the spool is full:
    /// the input does not come again.
    fn store_stream_input(&mut self, input: &NotedInput<'_>, source: &SourceState) -> Result<(), EdgeError> {
        self.store_input(input, source, None, RefusalPolicy::Drop).map(drop)
    }

    /// Encodes an input and sends its frame to the store. The outcome arrives over the returned channel.
    fn store_input(
        &mut self,
        input: &NotedInput<'_>,
        source: &SourceState,
        item: Option<FileItem>,
        policy: RefusalPolicy,
    ) -> Result<oneshot::Receiver<StoreOutcome>, EdgeError> {
        let span = tracing::info_span!("capture", source = source.name);
        let _entered = span.enter();
        self.counters.encoding.begin_step();
        let NotedInput { input, notes, captured_at, is_retry } = *input;
        self.report_reduction(input, source);
        let fitted = fit_for_cloud(input, self.cloud_max_pixels(), self.images.oversized)?;
        let EncodedFrame { frame, quality, .. } = self.encoders.encode(&fitted)?;
        if !is_retry {
            source.counters.notes.count(&source.name, notes);
            if matches!(fitted, Cow::Owned(_)) {
                source.counters.notes.count_scaled();
            }
            source.counters.encoded.fetch_add(1, Ordering::Relaxed);
            source.counters.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        }
        // The fast encoder may use a lower quality than the requested one.
        self.counters.quality.store(quality.map_or(0, |quality| quality.get().into()), Ordering::Relaxed);
        let since_epoch = captured_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let class = source.frame_class(&frame);
        let captured = CapturedFrame {
            captured_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
            source: source.name.clone(),
            traceparent: context::outgoing(&span).unwrap_or_default(),
            frame,
            file_item: item,
            marks: None,
        };
        let captured = captured.with_marks(frame_marks(notes, &self.images));
        Ok(self.store.blocking_append(class, captured.to_record(), policy)?)
    }

    /// Returns the largest image that the cloud decodes, in pixels. Bundles of fixed latents scale every image to one
    /// size, and before the first connection the limit is unknown: then only that of the device applies.
    fn cloud_max_pixels(&self) -> u64 {
        let takes_any_size = self.encoders.current().input_spec().is_none();
        self.link.borrow().cloud_max_pixels.filter(|_| takes_any_size).unwrap_or(u64::MAX)
    }

    /// Reports that the bundle reduces the images of a source to a small part of their pixels.
    fn report_reduction(&self, input: &EncoderInput, source: &SourceState) {
        let EncoderInput::Image(image) = input else { return };
        let encoder = self.encoders.current();
        if let Some(reduced) = encoder.drastic_reduction(image) {
            source.report_reduction(encoder.name(), [image.width(), image.height()], reduced);
        }
    }

    /// Encodes a window of a growing file. A window that cannot be encoded is settled: it would fail again.
    fn encode_tailed(&mut self, window: TailedWindow, captured_at: SystemTime, source: &Arc<SourceState>) {
        let TailedWindow { window: CapturedWindow { values, measured_at }, mark } = window;
        let captured_at = capture_time(measured_at, captured_at);
        let item = FileItem { file_key: mark.file_key(), index: mark.index(), is_last: false };
        let (input, notes) = (EncoderInput::Values(values), ImageNotes::default());
        let noted = NotedInput { input: &input, notes: &notes, captured_at, is_retry: mark.is_retry() };
        match self.store_input(&noted, source, Some(item), RefusalPolicy::Keep) {
            Ok(outcome) => {
                let appended = AppendedWindow { mark, outcome, source: Arc::clone(source) };
                // If the agent ends, the receiver is gone, and the window is read again at the next start.
                let _ = self.appended_windows.blocking_send(appended);
            }
            Err(EdgeError::Uplink(_)) => {}
            Err(error) => {
                source.record_failure(&error);
                if let Err(error) = mark.mark_stored() {
                    source.report_problem(&error);
                }
            }
        }
    }

    /// Encodes the inputs of a file that are not stored yet.
    fn encode_file(&mut self, mut file: PendingFile, captured_at: SystemTime, source: &Arc<SourceState>) {
        let settled_before = count_settled(&self.store.state().borrow());
        // A file that ends the agent while it is read must not do so at every start. Without the record it is read
        // nevertheless.
        let mark = file.source_file.begin_reading().inspect_err(|error| source.report_problem(error)).ok();
        let result = self.encode_inputs(&mut file, captured_at, source);
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
        file: &mut PendingFile,
        captured_at: SystemTime,
        source: &SourceState,
    ) -> Result<FileAppends, EdgeError> {
        let (mut appends, file_key) = (FileAppends::default(), file.source_file.file_key());
        let inputs = open_inputs(self.encoders.current(), file, source)?;
        let mut inputs = inputs.enumerate().peekable();
        while let Some((index, named_input)) = inputs.next() {
            let named_input = named_input?;
            if !file.finished_inputs.contains(&index) {
                let is_last = inputs.peek().is_none();
                let item = file_key.map(|file_key| FileItem { file_key, index: index as u32, is_last });
                let (input, notes) = (&named_input.input, &named_input.notes);
                let captured_at = capture_time(notes.captured_at, captured_at);
                let is_retry = index < file.counted_inputs;
                let noted = NotedInput { input, notes, captured_at, is_retry };
                appends.push(index, self.store_input(&noted, source, item, RefusalPolicy::Keep)?);
                file.counted_inputs = file.counted_inputs.max(index + 1);
                if appends.has_refusal() {
                    break;
                }
            }
        }
        Ok(appends)
    }
}
