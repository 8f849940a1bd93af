//! The filters between a source and the encoder: the rate limit, and the scene gate.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::SystemTime,
};

use lopside_capture::{
    Activity, CaptureError, CapturedImage, Clock,
    pace::{RateLimiter, SceneGate},
};
use tokio::sync::mpsc;

use super::{
    FilterSettings,
    input::{EncodeJob, JobInput},
    source_state::SourceState,
};

/// Passes inputs on to the encoder, except images that the scene gate drops.
pub(super) struct GatedOutput {
    scene_gate: Option<SceneGate>,
    source: Arc<SourceState>,
    inputs: mpsc::Sender<EncodeJob>,
    /// The activity of the thread that passes inputs on.
    activity: Arc<Activity>,
}

impl GatedOutput {
    pub(super) fn new(
        settings: FilterSettings,
        source: Arc<SourceState>,
        inputs: mpsc::Sender<EncodeJob>,
    ) -> Result<Self, CaptureError> {
        let scene_gate =
            settings.scene_gate.map(|(threshold, silence)| SceneGate::new(threshold, silence)).transpose()?;
        let activity = Arc::clone(&source.liveness.capturing);
        Ok(Self { scene_gate, source, inputs, activity })
    }

    /// Passes an input on unless the scene gate drops it, and waits while the encoder is busy. Returns false if the
    /// encoder has ended.
    pub(super) fn pass_on(&mut self, mut job: EncodeJob) -> bool {
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
        let _rest = self.activity.rest();
        self.inputs.blocking_send(job).is_ok()
    }

    fn apply_gate(
        &mut self,
        captured_at: SystemTime,
        image: CapturedImage,
    ) -> Result<Option<CapturedImage>, CaptureError> {
        let Some(gate) = &mut self.scene_gate else { return Ok(Some(image)) };
        let read = image.read(&self.source.image_policy)?;
        Ok(gate.passes(captured_at, &read.image).then(|| read.into()))
    }
}

/// Passes inputs on at a limited rate: the newest one of those that arrive too fast, as soon as it may pass. It has a
/// thread of its own, because the source's thread waits for the next input meanwhile.
pub(super) struct PacedOutput {
    limiter: RateLimiter<EncodeJob>,
    clock: Arc<dyn Clock>,
    output: GatedOutput,
    source: Arc<SourceState>,
}

impl PacedOutput {
    pub(super) fn new(
        limiter: RateLimiter<EncodeJob>,
        clock: Arc<dyn Clock>,
        mut output: GatedOutput,
    ) -> Self {
        let source = Arc::clone(&output.source);
        // The inputs are passed on by another thread than the source's.
        output.activity = Arc::clone(&source.liveness.pacing);
        Self { limiter, clock, output, source }
    }

    /// Runs until the source or the encoder has ended.
    pub(super) fn run(mut self, captured: &Receiver<EncodeJob>) {
        let activity = Arc::clone(&self.output.activity);
        let _work = activity.work();
        loop {
            let passed = match self.receive(captured) {
                Ok(job) => self.offer(job),
                Err(RecvTimeoutError::Timeout) => self.limiter.take(self.clock.time_of_day()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.source.liveness.note_holding(self.limiter.is_holding());
            if passed.is_some_and(|job| !self.output.pass_on(job)) {
                return;
            }
        }
        // The last input cannot be replaced by a newer one, so it passes without waiting for a token.
        if let Some(held) = self.limiter.due().and_then(|due| self.limiter.take(due)) {
            self.output.pass_on(held);
        }
        self.source.liveness.note_holding(false);
    }

    /// Waits for the next input, or until the held one may pass.
    fn receive(&self, captured: &Receiver<EncodeJob>) -> Result<EncodeJob, RecvTimeoutError> {
        let _rest = self.output.activity.rest();
        match self.limiter.wait_time(self.clock.time_of_day()) {
            Some(wait) => captured.recv_timeout(wait),
            None => captured.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn offer(&mut self, job: EncodeJob) -> Option<EncodeJob> {
        let passed = self.limiter.offer(job.captured_at, job);
        self.source.counters.too_fast.store(self.limiter.dropped(), Ordering::Relaxed);
        passed
    }
}
