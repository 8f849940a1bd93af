//! One thread per source: it captures inputs, filters them and passes them on, and waits while the encoder is
//! busy.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, SystemTime},
};

use lopside_bundle::InputSpec;
use lopside_capture::{
    CaptureError, Captured, Context, Picture, Source, Stop, What,
    command::{Command, CommandOptions},
    folder::{Folder, FolderOptions},
    pace::{RateCap, SceneGate},
    rows::RowOptions,
    stream::{Content, PictureFormat, PictureOptions, Stream},
};
use lopside_uplink::StoredItems;
use tokio::sync::{mpsc, watch};

use super::{
    AgentSettings, SourceSettings,
    input::{File, Job, SourceOf, Work},
    settings::{Kind, Pace},
    tally::Tally,
};
use crate::{AnyEncoder, EdgeError, source};

/// Pause after an error of a source.
const PAUSE: Duration = Duration::from_secs(5);

/// The threads of the sources.
pub(super) struct Sources {
    running: watch::Receiver<usize>,
}

impl Sources {
    /// Waits until all sources have ended by themselves.
    pub(super) async fn ended(&self) {
        let mut running = self.running.clone();
        let _ = running.wait_for(|running| *running == 0).await;
    }
}

/// Starts a thread for each source.
pub(super) fn start(
    settings: &AgentSettings,
    encoder: &AnyEncoder,
    stop: &Stop,
    inputs: &mpsc::Sender<Job>,
    tally: &Tally,
    mut items: StoredItems,
) -> Result<Sources, EdgeError> {
    let (running, watched) = watch::channel(settings.sources.len());
    let running = Arc::new(running);
    for (settings, source) in settings.sources.iter().zip(&tally.sources) {
        let context = Context::new(&settings.name, stop);
        let (capture, stored) = open(settings, encoder, context.clone(), &mut items)?;
        let passing = Passing::new(context, settings.pace, Arc::clone(source), inputs.clone(), stored)?;
        let running = Arc::clone(&running);
        thread::Builder::new()
            .name(format!("source-{}", settings.name))
            .spawn(move || {
                passing.run(capture);
                running.send_modify(|running| *running -= 1);
            })
            .map_err(EdgeError::Thread)?;
    }
    Ok(Sources { running: watched })
}

/// Opens a source; returns it with the inputs of its files that are stored already.
fn open(
    settings: &SourceSettings,
    encoder: &AnyEncoder,
    context: Context,
    items: &mut StoredItems,
) -> Result<(Box<dyn Source>, StoredItems), EdgeError> {
    let source: Box<dyn Source> = match &settings.kind {
        Kind::Folder { path, after, settle } => {
            let pictures = matches!(encoder.input(), None | Some(InputSpec::Picture(_)));
            let wanted = if pictures { source::is_picture } else { source::numbers::is_numbers };
            let options = FolderOptions {
                settle: *settle,
                wanted: Box::new(wanted),
                ..FolderOptions::new(path, after.clone())
            };
            let folder = Folder::open(context, options)?;
            let others = folder.finish_stored(|file| items.has_all_of(file))?;
            return Ok((Box::new(folder), items.of(&others)));
        }
        Kind::Command { argv, restart, format } => {
            let content = content(encoder, *format)?;
            let options = CommandOptions { restart: *restart, ..CommandOptions::new(argv, content) };
            Box::new(Command::new(context, options)?)
        }
        Kind::Stdin { format } => Box::new(Stream::stdin(context, content(encoder, *format)?)?),
        #[cfg(feature = "v4l")]
        Kind::Camera(options) => Box::new(lopside_capture::camera::Camera::new(context, options.clone())?),
    };
    Ok((source, StoredItems::default()))
}

/// Returns the stream content that the encoder accepts.
fn content(encoder: &AnyEncoder, format: PictureFormat) -> Result<Content, EdgeError> {
    match encoder.input() {
        None | Some(InputSpec::Picture(_)) => {
            Ok(Content::Pictures(PictureOptions { format, ..PictureOptions::default() }))
        }
        Some(InputSpec::Series(spec)) => Ok(Content::Rows(RowOptions {
            channels: spec.channels.clone(),
            length: spec.length as usize,
            stride: spec.stride as usize,
        })),
        Some(InputSpec::Tensor {}) => Err(EdgeError::NoStream { bundle: encoder.name().to_owned() }),
    }
}

/// The filters between a source and the encoder.
struct Passing {
    context: Context,
    cap: Option<RateCap<Job>>,
    gate: Option<SceneGate>,
    source: Arc<SourceOf>,
    inputs: mpsc::Sender<Job>,
    stored: StoredItems,
}

impl Passing {
    fn new(
        context: Context,
        pace: Pace,
        source: Arc<SourceOf>,
        inputs: mpsc::Sender<Job>,
        stored: StoredItems,
    ) -> Result<Self, EdgeError> {
        let cap = pace.max_rate.map(RateCap::new).transpose()?;
        let gate = pace.scene.map(|(threshold, silence)| SceneGate::new(threshold, silence)).transpose()?;
        Ok(Self { context, cap, gate, source, inputs, stored })
    }

    /// Passes on inputs until the source ends or is stopped.
    fn run(mut self, mut capture: Box<dyn Source>) {
        loop {
            let next = capture.next();
            self.source.tally.count(capture.counted());
            match next {
                Ok(Some(captured)) => {
                    if !self.take(captured) {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.source.fail(&error);
                    if self.context.pause(PAUSE).unwrap_or(true) {
                        break;
                    }
                }
            }
        }
        // The last input cannot be replaced by a newer one, so it passes without waiting for a token.
        let held = self.cap.as_mut().and_then(|cap| cap.due().and_then(|due| cap.take(due)));
        held.map(|held| self.pass(held));
    }

    /// Passes an input on unless the rate cap holds it back. Returns false if the encoder has ended.
    fn take(&mut self, captured: Captured) -> bool {
        let Captured { at, what, .. } = captured;
        let what = match what {
            What::Picture(picture) => Work::Picture(picture),
            What::Rows(window) => Work::Rows(window),
            What::File(taken) => {
                let stored = taken.key().map(|file| self.stored.take(file)).unwrap_or_default();
                Work::File(File { taken, stored })
            }
        };
        let job = Job { what, at, source: Arc::clone(&self.source) };
        // A file can wait, so it is never dropped in favour of a newer input.
        let Some(cap) = self.cap.as_mut().filter(|_| !matches!(job.what, Work::File(_))) else {
            return self.pass(job);
        };
        let passed = cap.offer(at, job);
        self.source.tally.too_fast.store(cap.dropped(), Ordering::Relaxed);
        passed.is_none_or(|job| self.pass(job))
    }

    /// Passes an input on unless the scene gate drops it. Returns false if the encoder has ended.
    fn pass(&mut self, mut job: Job) -> bool {
        if let Work::Picture(picture) = job.what {
            match self.gated(job.at, picture) {
                Ok(Some(picture)) => job.what = Work::Picture(picture),
                Ok(None) => {
                    self.source.tally.unchanged.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
                Err(error) => {
                    self.source.fail(&error);
                    return true;
                }
            }
        }
        self.inputs.blocking_send(job).is_ok()
    }

    fn gated(&mut self, at: SystemTime, picture: Picture) -> Result<Option<Picture>, CaptureError> {
        let Some(gate) = &mut self.gate else { return Ok(Some(picture)) };
        let picture = picture.decode()?;
        Ok(gate.passes(at, &picture).then(|| picture.into()))
    }
}
