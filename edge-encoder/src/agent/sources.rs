//! One thread per source: it captures inputs, filters them and passes them on, and waits while the encoder is
//! busy.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, SystemTime},
};

use lopside_bundle::InputSpec;
use lopside_capture::{
    CaptureError, Captured, CapturedImage, CapturedInput, Source, SourceContext, StopHandle,
    command::{CommandOptions, CommandSource},
    folder::{FolderOptions, FolderSource},
    pace::{RateLimiter, SceneGate},
    rows::WindowOptions,
    stream::{ImageStreamOptions, StreamContent, StreamFormat, StreamSource},
};
use lopside_encoder::{AnyEncoder, source};
use lopside_uplink::StoredItems;
use tokio::sync::{mpsc, watch};

use super::{
    AgentSettings, FilterSettings, SourceKind, SourceSettings,
    counters::AgentCounters,
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

/// Starts a thread for each source.
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
        let (capture, stored) = open_source(settings, encoder, context.clone(), &mut items)?;
        let filters =
            SourceFilters::new(context, settings.filters, Arc::clone(source), inputs.clone(), stored)?;
        let running = Arc::clone(&running);
        thread::Builder::new()
            .name(format!("source-{}", settings.name))
            .spawn(move || {
                filters.run(capture);
                running.send_modify(|running| *running -= 1);
            })
            .map_err(EdgeError::Thread)?;
    }
    Ok(SourceThreads { running: receiver })
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

/// The filters between a source and the encoder.
struct SourceFilters {
    context: SourceContext,
    rate_limiter: Option<RateLimiter<EncodeJob>>,
    scene_gate: Option<SceneGate>,
    source: Arc<SourceState>,
    inputs: mpsc::Sender<EncodeJob>,
    stored: StoredItems,
}

impl SourceFilters {
    fn new(
        context: SourceContext,
        settings: FilterSettings,
        source: Arc<SourceState>,
        inputs: mpsc::Sender<EncodeJob>,
        stored: StoredItems,
    ) -> Result<Self, EdgeError> {
        let rate_limiter = settings.max_inputs_per_second.map(RateLimiter::new).transpose()?;
        let scene_gate =
            settings.scene_gate.map(|(threshold, silence)| SceneGate::new(threshold, silence)).transpose()?;
        Ok(Self { context, rate_limiter, scene_gate, source, inputs, stored })
    }

    /// Passes on inputs until the source ends or is stopped.
    fn run(mut self, mut capture: Box<dyn Source>) {
        loop {
            let next = capture.next();
            self.source.counters.set_counts(capture.input_counts());
            match next {
                Ok(Some(captured)) => {
                    if !self.limit_rate(captured) {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.source.record_failure(&error);
                    if self.context.pause(ERROR_PAUSE).unwrap_or(true) {
                        break;
                    }
                }
            }
        }
        // The last input cannot be replaced by a newer one, so it passes without waiting for a token.
        let held_back =
            self.rate_limiter.as_mut().and_then(|limiter| limiter.due().and_then(|due| limiter.take(due)));
        held_back.map(|held_back| self.pass_on(held_back));
    }

    /// Passes an input on unless the rate cap holds it back. Returns false if the encoder has ended.
    fn limit_rate(&mut self, captured: Captured) -> bool {
        let Captured { captured_at, input, .. } = captured;
        let input = match input {
            CapturedInput::Image(image) => JobInput::Image(image),
            CapturedInput::Window(window) => JobInput::Window(window),
            CapturedInput::File(source_file) => {
                let stored_inputs = source_file
                    .file_key()
                    .map(|file_key| self.stored.take_indices(file_key))
                    .unwrap_or_default();
                JobInput::File(PendingFile { source_file, stored_inputs })
            }
        };
        let job = EncodeJob { input, captured_at, source: Arc::clone(&self.source) };
        // A file can wait, so it is never dropped in favour of a newer input.
        let Some(limiter) = self.rate_limiter.as_mut().filter(|_| !matches!(job.input, JobInput::File(_)))
        else {
            return self.pass_on(job);
        };
        let passed = limiter.offer(captured_at, job);
        self.source.counters.too_fast.store(limiter.dropped(), Ordering::Relaxed);
        passed.is_none_or(|job| self.pass_on(job))
    }

    /// Passes an input on unless the scene gate drops it. Returns false if the encoder has ended.
    fn pass_on(&mut self, mut job: EncodeJob) -> bool {
        if let JobInput::Image(image) = job.input {
            match self.apply_gate(job.captured_at, image) {
                Ok(Some(image)) => job.input = JobInput::Image(image),
                Ok(None) => {
                    self.source.counters.unchanged.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
                Err(error) => {
                    self.source.record_failure(&error);
                    return true;
                }
            }
        }
        self.inputs.blocking_send(job).is_ok()
    }

    fn apply_gate(
        &mut self,
        captured_at: SystemTime,
        image: CapturedImage,
    ) -> Result<Option<CapturedImage>, CaptureError> {
        let Some(gate) = &mut self.scene_gate else { return Ok(Some(image)) };
        let image = image.decode()?;
        Ok(gate.passes(captured_at, &image).then(|| image.into()))
    }
}
