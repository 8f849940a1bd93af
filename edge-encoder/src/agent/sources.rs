//! One thread per source: it captures inputs, filters them and passes them on, and waits while the encoder is
//! busy. A source with a rate limit has a second thread, which passes an input on when its time has come.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use lopside_capture::{
    Activity, CaptureError, Captured, CapturedInput, Source, SourceContext, StopHandle, pace::RateLimiter,
};
use lopside_encoder::AnyEncoder;
use lopside_uplink::StoredItems;
use tokio::sync::{mpsc, watch};

use super::{
    AgentSettings, SourceKind, SourceSettings,
    counters::AgentCounters,
    filters::{GatedOutput, PacedOutput},
    input::{EncodeJob, JobInput, PendingFile},
    source_opener::{OpenedSource, SourceOpener},
    source_state::SourceState,
};
use crate::EdgeError;

/// Pause after an error of a source, and before it is opened again.
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

/// Starts the threads of all sources. A source that cannot be opened is opened again later; the others work meanwhile.
pub(super) fn start(
    settings: &AgentSettings,
    encoder: &AnyEncoder,
    stop: &StopHandle,
    inputs: &mpsc::Sender<EncodeJob>,
    counters: &AgentCounters,
    items: StoredItems,
) -> Result<SourceThreads, EdgeError> {
    let items = Arc::new(Mutex::new(items));
    let (running, receiver) = watch::channel(settings.sources.len());
    let running = Arc::new(running);
    for (settings, source) in settings.sources.iter().zip(&counters.sources) {
        let context = SourceContext::new(&settings.name, stop)
            .with_activity(&source.liveness.capturing)
            .with_counts(&source.counters.live);
        let running = Arc::new(RunningSource(Arc::clone(&running)));
        let opener = SourceOpener::new(settings, encoder, context.clone(), Arc::clone(&items))?;
        let opened = match opener.open() {
            // It would fail again.
            Err(error @ CaptureError::InvalidSetting(_)) => return Err(error.into()),
            opened => opened,
        };
        let output = GatedOutput::new(settings.filters, Arc::clone(source), inputs.clone())?;
        let output = start_pacing(settings, &context, output, &running)?;
        let (source, stored) = (Arc::clone(source), StoredItems::default());
        let capturing = CapturingThread { context, source, stored, output };
        spawn("source", &settings.name, running, move || capturing.run(opener, opened))?;
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
    let can_wait = matches!(settings.kind, SourceKind::Folder(_) | SourceKind::Tail(_));
    let Some(limiter) = limiter.filter(|_| !can_wait) else {
        return Ok(CaptureOutput::Direct(output));
    };
    let paced = PacedOutput::new(limiter, Arc::clone(&context.clock), output);
    // Without a capacity the source waits while the encoder is busy, and no older input waits in between.
    let (sender, captured) = sync_channel(0);
    spawn("pace", &settings.name, Arc::clone(running), move || paced.run(&captured))?;
    Ok(CaptureOutput::Paced { sender, activity: Arc::clone(context.activity()) })
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

/// The next stage behind a source.
enum CaptureOutput {
    Direct(GatedOutput),
    Paced { sender: SyncSender<EncodeJob>, activity: Arc<Activity> },
}

impl CaptureOutput {
    /// Passes an input on. Returns false if the encoder has ended.
    fn send(&mut self, job: EncodeJob) -> bool {
        match self {
            Self::Direct(output) => output.pass_on(job),
            Self::Paced { sender, activity } => {
                let _rest = activity.rest();
                sender.send(job).is_ok()
            }
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
    fn run(self, opener: SourceOpener, opened: Result<OpenedSource, CaptureError>) {
        let source = Arc::clone(&self.source);
        let _work = source.liveness.capturing.work();
        source.liveness.note_ready();
        self.pass_on_inputs(opener, opened);
        source.liveness.note_end();
    }

    fn pass_on_inputs(mut self, opener: SourceOpener, opened: Result<OpenedSource, CaptureError>) {
        let Some(mut capture) = self.open(&opener, opened) else { return };
        // What is stored of the other sources' files is not needed any more.
        drop(opener);
        loop {
            let next = capture.next();
            self.source.counters.set_counts(capture.input_counts());
            match next {
                Ok(Some(captured)) => {
                    self.source.liveness.note_input();
                    let job = self.create_job(captured);
                    if !self.output.send(job) {
                        return;
                    }
                    self.source.liveness.note_ready();
                }
                Ok(None) => return,
                Err(error @ CaptureError::Silent { .. }) => {
                    // In this order, so that the reason is known when the start is reported.
                    self.source.report_problem(&error);
                    self.source.liveness.note_restart();
                }
                Err(error) => {
                    if error.is_of_folder() {
                        self.source.report_problem(&error);
                    } else {
                        self.source.record_failure(&error);
                    }
                    // The other files of the folder can be read at once.
                    if !error.is_of_one_file() && self.context.pause(ERROR_PAUSE).unwrap_or(true) {
                        return;
                    }
                }
            }
        }
    }

    /// Opens the source, if need be again and again. Returns `None` if it was stopped meanwhile.
    fn open(
        &mut self,
        opener: &SourceOpener,
        mut opened: Result<OpenedSource, CaptureError>,
    ) -> Option<Box<dyn Source>> {
        loop {
            match opened {
                Ok((capture, stored)) => {
                    self.stored = stored;
                    return Some(capture);
                }
                Err(error) => self.source.report_problem(&error),
            }
            if self.context.pause(ERROR_PAUSE).unwrap_or(true) {
                return None;
            }
            opened = opener.open();
        }
    }

    fn create_job(&mut self, captured: Captured) -> EncodeJob {
        let Captured { captured_at, input, .. } = captured;
        let input = match input {
            CapturedInput::Image(image) => JobInput::Image(image),
            CapturedInput::Window(window) => JobInput::Window(window),
            CapturedInput::Tailed(window) => JobInput::Tailed(window),
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
