//! One thread per source: it captures inputs, filters them and passes them on, and waits while the encoder is
//! busy. A source with a rate limit has a second thread, which passes an input on when its time has come.

use std::{
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use lopside_bundle::InputSpec;
use lopside_capture::{
    CaptureError, Captured, CapturedInput, Source, SourceContext, StopHandle,
    command::{CommandOptions, CommandSource},
    folder::{FolderOptions, FolderSource},
    pace::RateLimiter,
    rows::WindowOptions,
    stream::{ImageStreamOptions, StreamContent, StreamFormat, StreamSource},
};
use lopside_encoder::{AnyEncoder, source};
use lopside_uplink::StoredItems;
use tokio::sync::{mpsc, watch};

use super::{
    AgentSettings, SourceKind, SourceSettings,
    counters::AgentCounters,
    filters::{GatedOutput, PacedOutput},
    input::{EncodeJob, JobInput, PendingFile},
    source_state::SourceState,
};
use crate::{EdgeError, SettingsError};

/// Pause after an error of a source.
const ERROR_PAUSE: Duration = Duration::from_secs(5);

/// The threads of the sources.
pub(super) struct SourceThreads {
    running: watch::Receiver<usize>,
}

impl SourceThreads {
    /// Waits until all sources have ended by themselves.
    pub(super) async fn wait_ended(&self) {
        let mut running = self.running.clone();
        let _ = running.wait_for(|running| *running == 0).await;
    }
}

/// A source that has not ended; its threads share it.
struct RunningSource(Arc<watch::Sender<usize>>);

impl Drop for RunningSource {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

/// Starts the threads of all sources.
pub(super) fn start(
    settings: &AgentSettings,
    encoder: &AnyEncoder,
    stop: &StopHandle,
    inputs: &mpsc::Sender<EncodeJob>,
    counters: &AgentCounters,
    mut items: StoredItems,
) -> Result<SourceThreads, EdgeError> {
    let (running, receiver) = watch::channel(settings.sources.len());
    let running = Arc::new(running);
    for (settings, source) in settings.sources.iter().zip(&counters.sources) {
        let context = SourceContext::new(&settings.name, stop);
        let running = Arc::new(RunningSource(Arc::clone(&running)));
        let (capture, stored) = open_source(settings, encoder, context.clone(), &mut items)?;
        let output = GatedOutput::new(settings.filters, Arc::clone(source), inputs.clone())?;
        let output = start_pacing(settings, &context, output, &running)?;
        let capturing = CapturingThread { context, source: Arc::clone(source), stored, output };
        spawn("source", &settings.name, running, move || capturing.run(capture))?;
    }
    Ok(SourceThreads { running: receiver })
}

/// Starts the thread of the rate limit, if the source has one. A file can wait, so it is never dropped in favour of a
/// newer input.
fn start_pacing(
    settings: &SourceSettings,
    context: &SourceContext,
    output: GatedOutput,
    running: &Arc<RunningSource>,
) -> Result<CaptureOutput, EdgeError> {
    let rate = settings.filters.max_inputs_per_second;
    let limiter = rate.map(RateLimiter::new).transpose()?;
    let Some(limiter) = limiter.filter(|_| !matches!(settings.kind, SourceKind::Folder { .. })) else {
        return Ok(CaptureOutput::Direct(output));
    };
    let paced = PacedOutput { limiter, clock: Arc::clone(&context.clock), output };
    // Without a capacity the source waits while the encoder is busy, and no older input waits in between.
    let (sender, captured) = sync_channel(0);
    spawn("pace", &settings.name, Arc::clone(running), move || paced.run(&captured))?;
    Ok(CaptureOutput::Paced(sender))
}

fn spawn(
    role: &str,
    source: &str,
    running: Arc<RunningSource>,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), EdgeError> {
    let thread = thread::Builder::new().name(format!("{role}-{source}"));
    let started = thread.spawn(move || {
        work();
        drop(running);
    });
    started.map(drop).map_err(EdgeError::Thread)
}

/// Opens a source; returns it with the inputs of its files that are stored already.
fn open_source(
    settings: &SourceSettings,
    encoder: &AnyEncoder,
    context: SourceContext,
    items: &mut StoredItems,
) -> Result<(Box<dyn Source>, StoredItems), EdgeError> {
    let source: Box<dyn Source> = match &settings.kind {
        SourceKind::Folder { path, after, settle } => {
            let takes_images = matches!(encoder.input_spec(), None | Some(InputSpec::Picture(_)));
            let accepts_file =
                if takes_images { source::is_image_file } else { source::numbers::is_numbers_file };
            let options = FolderOptions {
                settle_time: *settle,
                accepts_file: Box::new(accepts_file),
                ..FolderOptions::new(path, after.clone())
            };
            let folder = FolderSource::open(context, options)?;
            let unfinished = folder.finish_stored(|file| items.is_file_stored(file))?;
            return Ok((Box::new(folder), items.take_files(&unfinished)));
        }
        SourceKind::Command { argv, restart, format } => {
            let content = stream_content(encoder, *format)?;
            let options = CommandOptions { restart: *restart, ..CommandOptions::new(argv, content) };
            Box::new(CommandSource::new(context, options)?)
        }
        SourceKind::Stdin { format } => {
            Box::new(StreamSource::from_stdin(context, stream_content(encoder, *format)?)?)
        }
        #[cfg(feature = "v4l")]
        SourceKind::Camera(options) => {
            Box::new(lopside_capture::camera::CameraSource::new(context, options.clone()))
        }
    };
    Ok((source, StoredItems::default()))
}

/// Returns the stream content that the encoder accepts.
fn stream_content(encoder: &AnyEncoder, format: StreamFormat) -> Result<StreamContent, EdgeError> {
    match encoder.input_spec() {
        None | Some(InputSpec::Picture(_)) => {
            Ok(StreamContent::Images(ImageStreamOptions { format, ..ImageStreamOptions::default() }))
        }
        Some(InputSpec::Series(spec)) => Ok(StreamContent::Rows(WindowOptions {
            channels: spec.channels.clone(),
            window_rows: spec.length as usize,
            stride_rows: spec.stride as usize,
        })),
        Some(InputSpec::Tensor {}) => {
            Err(SettingsError::TensorStream { bundle: encoder.name().to_owned() }.into())
        }
    }
}

/// The next stage behind a source.
enum CaptureOutput {
    Direct(GatedOutput),
    Paced(SyncSender<EncodeJob>),
}

impl CaptureOutput {
    /// Passes an input on. Returns false if the encoder has ended.
    fn send(&mut self, job: EncodeJob) -> bool {
        match self {
            Self::Direct(output) => output.pass_on(job),
            Self::Paced(sender) => sender.send(job).is_ok(),
        }
    }
}

/// The thread that captures the inputs of a source.
struct CapturingThread {
    context: SourceContext,
    source: Arc<SourceState>,
    stored: StoredItems,
    output: CaptureOutput,
}

impl CapturingThread {
    /// Passes on inputs until the source ends or is stopped.
    fn run(mut self, mut capture: Box<dyn Source>) {
        loop {
            let next = capture.next();
            self.source.counters.set_counts(capture.input_counts());
            match next {
                Ok(Some(captured)) => {
                    let job = self.create_job(captured);
                    if !self.output.send(job) {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    self.source.record_failure(&error);
                    // The other files of the folder can be read at once.
                    let is_set_aside = matches!(error, CaptureError::FileSetAside { .. });
                    if !is_set_aside && self.context.pause(ERROR_PAUSE).unwrap_or(true) {
                        return;
                    }
                }
            }
        }
    }

    fn create_job(&mut self, captured: Captured) -> EncodeJob {
        let Captured { captured_at, input, .. } = captured;
        let input = match input {
            CapturedInput::Image(image) => JobInput::Image(image),
            CapturedInput::Window(window) => JobInput::Window(window),
            CapturedInput::File(source_file) => {
                let stored_inputs = source_file
                    .file_key()
                    .map(|file_key| self.stored.take_indices(file_key))
                    .unwrap_or_default();
                JobInput::File(PendingFile::new(source_file, stored_inputs))
            }
        };
        EncodeJob { input, captured_at, source: Arc::clone(&self.source) }
    }
}
