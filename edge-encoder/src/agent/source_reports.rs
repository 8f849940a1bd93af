//! What the cloud is told of the sources.

use std::sync::{Arc, PoisonError};

use lopside_delivery::SourceCondition;
use lopside_uplink::SourceStatus;
use tokio::sync::watch;

use super::source_state::SourceState;

/// Returns the state of all sources.
pub(super) fn source_statuses(sources: &[Arc<SourceState>]) -> Vec<SourceStatus> {
    sources.iter().map(|source| source_status(source)).collect()
}

/// Publishes the state of all sources. The uplink is notified only if something has happened that the cloud is told of.
pub(super) fn publish_statuses(sources: &[Arc<SourceState>], published: &watch::Sender<Vec<SourceStatus>>) {
    let current = source_statuses(sources);
    published.send_if_modified(|previous| {
        let is_same = previous.len() == current.len()
            && previous.iter().zip(&current).all(|(before, now)| before.has_same_events(now));
        *previous = current;
        !is_same
    });
}

fn source_status(source: &SourceState) -> SourceStatus {
    let liveness = &source.liveness;
    let condition = if liveness.has_ended() {
        SourceCondition::Ended
    } else if liveness.exceeded_silence().is_some() {
        SourceCondition::Silent
    } else {
        SourceCondition::Working
    };
    SourceStatus {
        name: source.name.clone(),
        condition,
        restarts: liveness.restarts(),
        last_input_at: liveness.last_input_at(),
        problem: source.counters.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::source_state::tests::source;

    #[test]
    fn the_uplink_is_notified_of_events_and_not_of_inputs() {
        let sources = [source()];
        let published = watch::Sender::new(source_statuses(&sources));
        let mut receiver = published.subscribe();
        assert_eq!(receiver.borrow()[0].condition, SourceCondition::Working);
        sources[0].liveness.note_input();
        publish_statuses(&sources, &published);
        assert!(!receiver.has_changed().unwrap());
        assert!(receiver.borrow()[0].last_input_at.is_some());
        sources[0].liveness.note_restart();
        publish_statuses(&sources, &published);
        assert!(receiver.has_changed().unwrap());
        assert_eq!(receiver.borrow_and_update()[0].restarts, 1);
        sources[0].liveness.note_end();
        publish_statuses(&sources, &published);
        assert!(receiver.has_changed().unwrap());
        assert_eq!(receiver.borrow_and_update()[0].condition, SourceCondition::Ended);
        publish_statuses(&sources, &published);
        assert!(!receiver.has_changed().unwrap());
    }
}
