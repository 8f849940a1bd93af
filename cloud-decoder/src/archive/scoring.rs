//! Scores archived frames in the background.
//!
//! For each served latent space, one head provides the score: the first score head or, without one, the first
//! classification head, whose score is 1 minus the probability of the best class. If both kinds exist, frames
//! also get the label. Frames that were scored by another head or version are scored again: frames without a
//! score come first.
//!
//! Frames use the same queues as requests, with the lowest priority. After all frames are scored, the scorer
//! waits for a new frame that it can score or for a change of the served bundles. It uses timers only after a
//! failure or a refusal.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use lopside_archive::{Archive, FrameMeta, HeadKey, LatentSpaceKey, NewScore, UnscoredFrame};
use lopside_decoder::{
    DecodeError, Decoder, Output, OutputFormat, OutputKind, OutputRequest, OutputValue, Priority,
    RequestOptions, ServedBundle,
};
use tokio::{
    sync::{broadcast, watch},
    time::sleep,
};

use super::scoring_lag::ScoringLag;
use crate::{
    ServeError,
    health::{Component, HealthState},
};

/// Frames per scoring request: the largest batch that is tried when a head is loaded.
const FRAMES_PER_REQUEST: u32 = 32;
/// Time limit of one scoring request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// Capacity of the score feed: the number of scores by which a receiver may fall behind.
const FEED_CAPACITY: usize = 1024;

/// A new score of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScoredFrame {
    /// The id of the frame.
    pub(crate) id: i64,
    pub(crate) score: f64,
}

/// Spawns a task that scores frames until the server begins to stop, and returns the feed of new scores.
pub(crate) fn spawn_scorer(
    archive: &Archive,
    decoder: &Decoder,
    health: &HealthState,
) -> broadcast::Sender<ScoredFrame> {
    let score_feed = broadcast::Sender::new(FEED_CAPACITY);
    let scorer = Scorer {
        archive: archive.clone(),
        decoder: decoder.clone(),
        changes: decoder.registry().changes(),
        score_feed: score_feed.clone(),
        lag: ScoringLag::register(),
    };
    health.supervise_until_stop(Component::Scorer, scorer.run());
    score_feed
}

struct Scorer {
    archive: Archive,
    decoder: Decoder,
    changes: watch::Receiver<()>,
    score_feed: broadcast::Sender<ScoredFrame>,
    lag: ScoringLag,
}

/// The heads that score the frames of one latent space.
struct ScoringTarget {
    served: Arc<ServedBundle>,
    space: LatentSpaceKey,
    head: HeadKey,
    /// The score head, the classification head, or both.
    outputs: Vec<OutputRequest>,
}

impl Scorer {
    async fn run(mut self) {
        let mut feed = self.archive.subscribe();
        loop {
            // The queries below find everything up to this point, so older notifications can be dropped.
            feed = feed.resubscribe();
            self.changes.mark_unchanged();
            let targets = self.find_targets();
            match self.score_pending(&targets).await {
                Ok(()) => {
                    self.lag.clear();
                    tokio::select! {
                        () = wait_for_scorable(&mut feed, &targets) => {}
                        _ = self.changes.changed() => {}
                    }
                }
                Err(ServeError::Stopping) => return,
                Err(error) => {
                    tracing::warn!(%error, "scoring of archived frames failed; retrying");
                    tokio::select! {
                        () = sleep(RETRY_DELAY) => {}
                        _ = self.changes.changed() => {}
                    }
                }
            }
        }
    }

    fn find_targets(&self) -> Vec<ScoringTarget> {
        self.decoder.registry().catalog().spaces().filter_map(ScoringTarget::for_served).collect()
    }

    /// Scores frames until none is left or the served bundles change. A failure in one latent space does not
    /// hold up the others; the first error is returned.
    async fn score_pending(&self, targets: &[ScoringTarget]) -> Result<(), ServeError> {
        let mut result = Ok(());
        for target in targets {
            result = result.and(self.score_target(target).await);
        }
        result
    }

    /// Scores the frames of one latent space. If a request takes too long, the next ones have fewer frames.
    async fn score_target(&self, target: &ScoringTarget) -> Result<(), ServeError> {
        let mut frames = FRAMES_PER_REQUEST;
        while !self.changes.has_changed().unwrap_or(true) {
            let unscored = self.archive.unscored_frames(&target.head, &[target.space], frames).await?;
            if unscored.is_empty() {
                return Ok(());
            }
            self.lag.begin(&unscored);
            let scores = match self.score_frames(target, unscored).await {
                Err(error) if frames > 1 && is_too_slow(&error) => {
                    frames /= 2;
                    tracing::info!(%error, frames, "scoring with fewer frames per request");
                    continue;
                }
                scores => scores?,
            };
            self.archive.put_scores(&target.head, &scores).await?;
            for NewScore { id, score, .. } in scores {
                // Sending fails without receivers, which is fine.
                let _ = score.map(|score| self.score_feed.send(ScoredFrame { id, score }));
            }
        }
        Ok(())
    }

    /// Returns the scores of these frames; entries of frames that cannot be decoded are empty. Every frame is
    /// decoded once, however many are unreadable and however often the queue is full.
    async fn score_frames(
        &self,
        target: &ScoringTarget,
        unscored: Vec<UnscoredFrame>,
    ) -> Result<Vec<NewScore>, ServeError> {
        let (ids, frames): (Vec<i64>, Vec<Bytes>) =
            unscored.into_iter().map(|frame| (frame.id, frame.frame.into())).unzip();
        let ServedBundle::FixedLatent(service) = &*target.served else {
            return Err(ServeError::Internal("a bundle of images was selected for scoring".into()));
        };
        let frames = service.read_frames(&frames, self.decoder.limits()).await?;
        let outputs = loop {
            let options =
                RequestOptions { priority: Priority::Low, ..RequestOptions::with_timeout(REQUEST_TIMEOUT) };
            match service.decode_readable(&frames, &target.outputs, options).await {
                Err(DecodeError::Overloaded { retry_after, .. }) => sleep(retry_after).await,
                result => break result?,
            }
        };
        let mut outputs = outputs.into_iter();
        let scores = ids.into_iter().zip(&frames.is_readable).map(|(id, is_readable)| {
            let outputs = is_readable.then(|| outputs.next()).flatten();
            outputs.map_or_else(|| empty_score(id), |outputs| combine_outputs(id, outputs))
        });
        Ok(scores.collect())
    }
}

impl ScoringTarget {
    /// Selects the heads for a latent space; returns `None` if no head scores or classifies.
    fn for_served(served: &Arc<ServedBundle>) -> Option<Self> {
        let heads: Vec<(String, u32)> = [OutputKind::Anomalies, OutputKind::ClassScores]
            .into_iter()
            .filter_map(|kind| served.first_head_of_kind(kind))
            .collect();
        let (head, version) = heads.first()?.clone();
        let outputs = heads.into_iter().map(|(head, version)| OutputRequest {
            head,
            version: Some(version),
            format: OutputFormat::Natural,
        });
        Some(Self {
            served: Arc::clone(served),
            space: *served.latent_space().as_bytes(),
            head: HeadKey { bundle: served.name().to_owned(), head, version },
            outputs: outputs.collect(),
        })
    }
}

/// Returns whether a request failed because its frames take longer than [`REQUEST_TIMEOUT`].
fn is_too_slow(error: &ServeError) -> bool {
    matches!(error, ServeError::Decode(DecodeError::DeadlineExceeded | DecodeError::DeadlineTooShort { .. }))
}

/// Waits until a frame is archived that one of the targets can score, or until notifications were missed.
async fn wait_for_scorable(feed: &mut broadcast::Receiver<Arc<FrameMeta>>, targets: &[ScoringTarget]) {
    loop {
        match feed.recv().await {
            Ok(meta) if !targets.iter().any(|target| target.space == meta.latent_space) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
        }
    }
}

/// Combines the outputs of the heads for one frame. Non-finite scores and quantiles cannot be ordered and are
/// left out.
fn combine_outputs(id: i64, outputs: Vec<Output>) -> NewScore {
    let mut combined = empty_score(id);
    let mut improbability = None;
    for output in outputs {
        match output.value {
            OutputValue::Anomaly(anomaly) => {
                combined.score = Some(f64::from(anomaly.score));
                combined.quantile = Some(f64::from(anomaly.quantile));
            }
            OutputValue::ClassScores(scores) => {
                if let Some((label, probability)) = scores.into_iter().next() {
                    combined.label = Some(label);
                    improbability = Some(1.0 - f64::from(probability));
                }
            }
            OutputValue::Tensor { .. } | OutputValue::Png(_) => {}
        }
    }
    combined.score = combined.score.or(improbability).filter(|score| score.is_finite());
    combined.quantile = combined.quantile.filter(|quantile| quantile.is_finite());
    combined
}

fn empty_score(id: i64) -> NewScore {
    NewScore { id, score: None, quantile: None, label: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lopside_decoder::Anomaly;

    fn output(value: OutputValue) -> Output {
        Output { head: "h".into(), version: 1, value }
    }

    fn anomaly(score: f32) -> Output {
        let parts = Vec::new();
        output(OutputValue::Anomaly(Anomaly {
            score,
            quantile: 0.5,
            anomalous: false,
            parts,
            heat_map: None,
        }))
    }

    fn classes() -> Output {
        output(OutputValue::ClassScores(vec![("boot".into(), 0.75), ("coat".into(), 0.25)]))
    }

    /// Otherwise the scorer would repeat a request that cannot succeed.
    #[test]
    fn only_a_request_that_takes_too_long_is_repeated_with_fewer_frames() {
        let time_left = REQUEST_TIMEOUT;
        let too_short =
            DecodeError::DeadlineTooShort { head: "h".into(), items: 32, expected: 2 * time_left, time_left };
        assert!(is_too_slow(&too_short.into()) && is_too_slow(&DecodeError::DeadlineExceeded.into()));
        let overloaded = DecodeError::Overloaded { head: "h".into(), retry_after: RETRY_DELAY };
        assert!(!is_too_slow(&overloaded.into()) && !is_too_slow(&ServeError::Stopping));
    }

    #[test]
    fn a_classification_adds_the_label_and_a_score_if_there_is_none() {
        let both = combine_outputs(7, vec![anomaly(2.0), classes()]);
        assert_eq!((both.id, both.score, both.quantile), (7, Some(2.0), Some(0.5)));
        assert_eq!(both.label.as_deref(), Some("boot"));
        let alone = combine_outputs(7, vec![classes()]);
        assert_eq!((alone.score, alone.quantile), (Some(0.25), None));
    }

    #[test]
    fn a_score_that_is_not_finite_is_left_out() {
        assert_eq!(combine_outputs(7, vec![anomaly(f32::NAN)]).score, None);
    }
}
